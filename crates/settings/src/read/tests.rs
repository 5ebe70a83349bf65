//! What is read from which source, and how every kind of mistake is told.

mod anything;
mod secrets;
mod sections;
mod sources;
mod values;

use std::collections::BTreeMap;

use super::*;

fn file(text: &str) -> Sources {
    Sources {
        file: Some(("logferry.toml".into(), text.to_owned())),
        ..Sources::default()
    }
}

fn env(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn flags(flags: &[(&str, &str)]) -> Vec<(String, String)> {
    flags
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn good(sources: &Sources) -> Settings {
    Settings::from_sources(sources).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems as lines.
fn told(sources: &Sources) -> Vec<String> {
    match Settings::from_sources(sources) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// `text` has exactly one mistake, told in a line that begins so.
fn check(text: &str, expected: &str) {
    let told = told(&file(text));
    assert!(
        told.len() == 1 && told[0].starts_with(expected),
        "{text}\nexpected: {expected}\ntold: {told:#?}"
    );
}
