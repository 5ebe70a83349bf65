//! Of which severities the events of a source are, and from which applications: parts of a bar, and in words.

use std::fmt::Write as _;

use event::Severity;
use store::Profile;

use crate::{
    number::grouped,
    search::{Ask, quoted},
};

/// Hours that are told of.
pub(super) const HOURS: usize = 24;
/// Applications that are told.
pub(super) const APPS: usize = 10;

const WIDTH: u64 = 1000;
/// What is there is seen however little it is.
const WIDTH_MIN: u64 = 4;

/// The events of a source by severity and by application.
#[derive(Debug)]
pub(super) struct Mix {
    pub(super) svg: String,
    pub(super) severities: Vec<Part>,
    pub(super) apps: Vec<Part>,
}

/// How many events there are of a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) word: String,
    /// The search for them.
    pub(super) href: String,
    pub(super) events: String,
    pub(super) share: String,
    /// The group by which they are coloured.
    pub(super) group: &'static str,
}

const fn group(severity: usize) -> &'static str {
    match severity {
        0..=2 => "crit",
        3 => "err",
        4 => "warning",
        _ => "other",
    }
}

impl Mix {
    pub(super) fn of(hostname: &str, profile: &Profile) -> Self {
        let all: u64 = profile.severities.iter().sum();
        let part = |word: &str, terms: String, events: u64, group| Part {
            word: word.to_owned(),
            href: Ask::default()
                .with_query(format!("host:{} {terms}", quoted(hostname)))
                .last("24h")
                .href(),
            events: grouped(events),
            share: share(events, all),
            group,
        };
        let severities = profile.severities.iter().enumerate();
        let severities = severities
            .filter(|(_, events)| **events > 0)
            .map(|(code, events)| {
                let severity = u8::try_from(code).ok().and_then(Severity::new);
                match severity.map(Severity::name) {
                    Some(name) => part(name, format!("severity:{name}"), *events, group(code)),
                    None => part("none", "-severity:*".to_owned(), *events, group(code)),
                }
            });
        let apps = profile.apps.iter().map(|(name, events)| match &**name {
            "" => part("(no app)", "-app:*".to_owned(), *events, ""),
            name => part(name, format!("app:{}", quoted(name)), *events, ""),
        });
        Self {
            svg: bar(&profile.severities, all),
            severities: severities.collect(),
            apps: apps.collect(),
        }
    }
}

/// "12 %", "< 1 %".
fn share(events: u64, all: u64) -> String {
    match (events.saturating_mul(100) + all / 2).checked_div(all) {
        None | Some(0) => "< 1 %".to_owned(),
        Some(100) if events < all => "> 99 %".to_owned(),
        Some(share) => format!("{share} %"),
    }
}

/// What is severe comes first.
fn bar(severities: &[u64; 9], all: u64) -> String {
    let mut groups = [("crit", 0), ("err", 0), ("warning", 0), ("other", 0)];
    for (code, events) in severities.iter().enumerate() {
        let of = groups.iter_mut().find(|(name, _)| *name == group(code));
        if let Some((_, sum)) = of {
            *sum += events;
        }
    }
    let mut svg = format!(
        "<svg class=\"mix\" viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
    );
    let mut x = 0;
    for (name, events) in groups.iter().filter(|(_, events)| *events > 0) {
        let width = u64::try_from(u128::from(*events) * u128::from(WIDTH) / u128::from(all.max(1)));
        let width = width.unwrap_or(WIDTH).max(WIDTH_MIN).min(WIDTH - x);
        write!(
            svg,
            "<rect class=\"b-{name}\" x=\"{x}\" y=\"0\" width=\"{width}\" height=\"10\"/>"
        )
        .expect("a string takes all text");
        x += width;
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_told_in_words_with_ways_to_the_events() {
        let profile = Profile {
            severities: [0, 0, 1, 2, 0, 0, 9_997, 0, 1],
            apps: vec![("nginx".to_owned(), 10_000), (String::new(), 1)],
            ..Profile::default()
        };
        let mix = Mix::of("web01", &profile);
        let words: Vec<_> = mix
            .severities
            .iter()
            .map(|part| (&*part.word, &*part.share, part.group))
            .collect();
        assert_eq!(
            words,
            [
                ("crit", "< 1 %", "crit"),
                ("err", "< 1 %", "err"),
                ("info", "> 99 %", "other"),
                ("none", "< 1 %", "other")
            ]
        );
        assert_eq!(
            mix.severities[1].href,
            "/search?q=host%3Aweb01+severity%3Aerr&range=24h"
        );
        assert_eq!(mix.apps[0].href, "/search?q=host%3Aweb01+app%3Anginx&range=24h");
        assert_eq!(mix.apps[1].word, "(no app)");
        assert!(
            mix.svg
                .contains("<rect class=\"b-crit\" x=\"0\" y=\"0\" width=\"4\""),
            "{}",
            mix.svg
        );
        assert!(Mix::of("web01", &Profile::default()).severities.is_empty());
    }
}
