//! What is asked of a text, by the kind of its key. Each error ends the sentence that names the key.

use super::Kind;
use crate::secret::Secret;

/// Longest name: names go into routing keys, metric labels and queue names.
pub(super) const NAME_BYTES_MAX: usize = 64;

const LOG_LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn name(text: &str) -> Result<(), String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.chars().all(is_fine) {
        Ok(())
    } else {
        Err(format!("must be {}", Kind::Name.allowed()))
    }
}

pub(super) fn route(text: &str) -> Result<(), String> {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let is_word = |word: &str| !word.is_empty() && word.chars().all(is_fine);
    if text.len() <= NAME_BYTES_MAX && text.split('.').all(is_word) {
        Ok(())
    } else {
        Err(format!("must be {}", Kind::Route.allowed()))
    }
}

pub(super) fn binding_key(text: &str) -> Result<(), String> {
    let is_fine = |word: &str| word == "*" || word == "#" || name(word).is_ok();
    if text.len() <= 255 && text.split('.').all(is_fine) {
        Ok(())
    } else {
        Err("is not a topic pattern: words of letters, digits, - and _ with dots between them; * stands for one word, # for any number".to_owned())
    }
}

pub(super) fn pair(text: &str) -> Result<(), String> {
    match text.split_once('=') {
        Some((field, _)) if name(field).is_ok() => Ok(()),
        _ => Err("must be name=value, with a name of letters, digits, - and _".to_owned()),
    }
}

pub(super) fn pattern(text: &str) -> Result<(), String> {
    match regex::bytes::Regex::new(text) {
        Ok(_) => Ok(()),
        Err(error) => {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            Err(format!("is not a regular expression: {reason}"))
        }
    }
}

pub(super) fn glob_pattern(text: &str) -> Result<(), String> {
    match glob::Pattern::new(text) {
        Ok(_) if text.starts_with('/') => {
            Err("must be a pattern for paths below the folder, without a / in front".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("is not a pattern for paths: {error}")),
    }
}

pub(super) fn encoding(text: &str) -> Result<(), String> {
    match encoding_rs::Encoding::for_label_no_replacement(text.as_bytes()) {
        Some(_) => Ok(()),
        None => Err("is not the label of an encoding: write one of those that browsers know, such as \"utf-8\", \"windows-1252\", \"utf-16le\"".to_owned()),
    }
}

pub(super) fn log_filter(text: &str) -> Result<(), String> {
    for part in text.split(',').map(str::trim) {
        let (target, level) = part.rsplit_once('=').unwrap_or(("", part));
        let is_target = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-');
        if !LOG_LEVELS.contains(&level) || !target.chars().all(is_target) {
            return Err(format!(
                "{part:?} is not a filter: write a level ({}), and after commas part=level, such as \"info,broker=debug\"",
                LOG_LEVELS.join(", ")
            ));
        }
    }
    Ok(())
}

pub(super) fn time_zone(text: &str) -> Result<(), String> {
    match jiff::tz::TimeZone::get(text) {
        Ok(_) => Ok(()),
        Err(_) => {
            Err("is not a time zone: write its IANA name, such as \"UTC\" or \"Europe/Berlin\"".to_owned())
        }
    }
}

pub(super) fn url(text: &str, schemes: &[&str], kind: &Kind) -> Result<Secret, String> {
    let rest = schemes
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme)?.strip_prefix("://"));
    let rest = rest.ok_or_else(|| format!("must be {}", kind.allowed()))?;
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must not have spaces or control characters; write %20 for a space".to_owned());
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    // Several hosts stand with commas between them, as libpq takes them.
    for host in host.split(',') {
        if host.is_empty() && authority.contains(',') {
            return Err("has a comma without a host on each side".to_owned());
        }
        let after_brackets = host.rsplit(']').next().unwrap_or(host);
        let (_, port) = after_brackets.rsplit_once(':').unwrap_or_default();
        if !port.is_empty() && port.parse::<u16>().is_err() {
            return Err(
                "has a port that is no number up to 65535; in a password : / @ are written %3A %2F %40"
                    .to_owned(),
            );
        }
    }
    if rest.is_empty() {
        return Err("ends after the scheme: it needs a host".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}
