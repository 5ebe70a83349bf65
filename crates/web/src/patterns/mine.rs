//! Patterns from messages, in one pass and in bounded memory, after the idea of Drain: words that have a digit are values
//! from the start; messages with as many words and the same beginning are compared word by word, and where most words are
//! the same, those that differ become values.

use std::{collections::BTreeMap, fmt::Write as _};

use event::{Event, Severity, Timestamp};
use sha2::{Digest as _, Sha256};

use super::TREND;

/// Words of a message; what is behind them is one value.
const WORDS_MAX: usize = 64;
/// Bytes of a message that are looked at.
const BYTES_MAX: usize = 2048;
/// Patterns that are told apart; what fits none of them then is counted together.
const CLUSTERS_MAX: usize = 2000;
/// Of them, those that are compared with one message.
const GROUP_MAX: usize = 100;
/// Of the words, so many of five must be the same.
const SAME_OF_FIVE: usize = 3;
/// Instants of a pattern that are kept for its curve.
const INSTANTS_MAX: usize = 10_000;
/// Parts of a pattern that a query names, and how long a part must be to say something.
const PARTS_MAX: usize = 12;
const PART_CHARS_MIN: usize = 3;

/// Messages that are the same but for their values.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// `None` is a value.
    words: Vec<Option<Box<str>>>,
    pub(super) n: usize,
    /// The worst.
    pub(super) severity: Option<Severity>,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    instants: Vec<i64>,
    /// What fitted none of the others.
    is_rest: bool,
}

/// Sees messages, one after the other.
#[derive(Debug, Default)]
pub(super) struct Miner {
    /// By the number of words and the first one.
    groups: BTreeMap<(usize, Option<Box<str>>), Vec<Pattern>>,
    clusters: usize,
    seen: usize,
    /// Those beyond [`CLUSTERS_MAX`].
    others: Option<Pattern>,
}

/// A word, or `None` for one that is a value.
fn words(message: &str) -> Vec<Option<Box<str>>> {
    let end = message.floor_char_boundary(BYTES_MAX);
    let mut words: Vec<_> = message
        .get(..end)
        .unwrap_or_default()
        .split_whitespace()
        .take(WORDS_MAX + 1)
        .map(|word| (!word.contains(|c: char| c.is_ascii_digit())).then(|| Box::from(word)))
        .collect();
    if words.len() > WORDS_MAX {
        words.truncate(WORDS_MAX);
        words.push(None);
    }
    words
}

impl Miner {
    pub(super) const fn seen(&self) -> usize {
        self.seen
    }

    pub(super) fn see(&mut self, event: &Event<'_>) {
        self.seen += 1;
        let words = words(event.message.as_deref().unwrap_or_default());
        let key = (words.len(), words.first().cloned().flatten());
        let group = self.groups.entry(key).or_default();
        let is_full = self.clusters >= CLUSTERS_MAX || group.len() >= GROUP_MAX;
        let alike = group
            .iter_mut()
            .filter(|pattern| pattern.is_like(&words))
            .max_by_key(|pattern| pattern.same(&words));
        match alike {
            Some(pattern) => {
                pattern.widen(&words);
                pattern.count(event);
            }
            None if is_full => {
                let others = self.others.get_or_insert_with(|| Pattern {
                    is_rest: true,
                    ..Pattern::new(Vec::new(), event)
                });
                others.count(event);
            }
            None => {
                let mut pattern = Pattern::new(words, event);
                pattern.count(event);
                group.push(pattern);
                self.clusters += 1;
            }
        }
    }

    /// From the first to the last event.
    pub(super) fn range(&self) -> (Timestamp, Timestamp) {
        let all = || self.groups.values().flatten().chain(&self.others);
        let first = all().map(|pattern| pattern.first).min();
        let last = all().map(|pattern| pattern.last).max();
        let never = Timestamp::from_micros(0);
        (first.unwrap_or(never), last.unwrap_or(never))
    }

    /// The most frequent first.
    pub(super) fn finish(self) -> Vec<Pattern> {
        let mut all: Vec<_> = self.groups.into_values().flatten().chain(self.others).collect();
        all.sort_by_key(|pattern| std::cmp::Reverse(pattern.n));
        all
    }
}

impl Pattern {
    fn new(words: Vec<Option<Box<str>>>, event: &Event<'_>) -> Self {
        Self {
            words,
            n: 0,
            severity: None,
            first: event.received_at,
            last: event.received_at,
            instants: Vec::new(),
            is_rest: false,
        }
    }

    /// Words that are there and the same.
    fn same(&self, words: &[Option<Box<str>>]) -> usize {
        let pairs = self.words.iter().zip(words);
        pairs.filter(|(one, other)| one.is_some() && one == other).count()
    }

    fn is_like(&self, words: &[Option<Box<str>>]) -> bool {
        let fixed = self.words.iter().flatten().count();
        fixed == 0 && words.iter().all(Option::is_none) || self.same(words) * 5 >= fixed.max(1) * SAME_OF_FIVE
    }

    fn widen(&mut self, words: &[Option<Box<str>>]) {
        for (word, other) in self.words.iter_mut().zip(words) {
            if word != other {
                *word = None;
            }
        }
    }

    fn count(&mut self, event: &Event<'_>) {
        self.n += 1;
        let worse = |one: Severity, other: Severity| if other.code() < one.code() { other } else { one };
        self.severity = match (self.severity, event.severity) {
            (Some(one), Some(other)) => Some(worse(one, other)),
            (one, other) => one.or(other),
        };
        self.first = self.first.min(event.received_at);
        self.last = self.last.max(event.received_at);
        if self.instants.len() < INSTANTS_MAX {
            self.instants.push(event.received_at.as_micros());
        }
    }

    /// With `*` for values.
    pub(super) fn template(&self) -> String {
        if self.words.is_empty() {
            let name = if self.is_rest {
                "(other messages)"
            } else {
                "(no message)"
            };
            return name.to_owned();
        }
        let mut template = String::new();
        for word in &self.words {
            if !template.is_empty() {
                template.push(' ');
            }
            template.push_str(word.as_deref().unwrap_or("*"));
        }
        template
    }

    /// The same for the same template.
    pub(super) fn id(&self) -> String {
        let digest = Sha256::digest(self.template().as_bytes());
        let mut id = String::new();
        for byte in digest.iter().take(8) {
            write!(id, "{byte:02x}").expect("a string takes all text");
        }
        id
    }

    /// A query that the messages of this pattern match: it names what stands between the values. `None` where nothing does.
    pub(super) fn query(&self) -> Option<String> {
        let mut parts: Vec<String> = Vec::new();
        let mut part = String::new();
        for word in self.words.iter().chain([&None]) {
            match word {
                Some(word) => {
                    if !part.is_empty() {
                        part.push(' ');
                    }
                    part.push_str(word);
                }
                None => {
                    let part = std::mem::take(&mut part);
                    if part.chars().count() >= PART_CHARS_MIN && !parts.contains(&part) {
                        parts.push(part);
                    }
                }
            }
        }
        parts.truncate(PARTS_MAX);
        let terms = parts.iter().map(|part| {
            let part = part.replace('\\', "\\\\").replace('"', "\\\"");
            format!("message:\"{part}\"")
        });
        let query = terms.collect::<Vec<_>>().join(" ");
        (!query.is_empty()).then_some(query)
    }

    /// How many there are in each part of the time.
    pub(super) fn trend(&self, from: Timestamp, to: Timestamp) -> [u64; TREND] {
        let mut trend = [0; TREND];
        let (from, to) = (i128::from(from.as_micros()), i128::from(to.as_micros()));
        let width = (to - from).max(1);
        for instant in &self.instants {
            let place = (i128::from(*instant) - from) * TREND as i128 / width;
            let place = usize::try_from(place).unwrap_or(0).min(TREND - 1);
            if let Some(count) = trend.get_mut(place) {
                *count += 1;
            }
        }
        trend
    }
}

#[cfg(test)]
mod tests {
    use event::EventId;

    use super::*;

    fn mine(messages: &[&str]) -> Vec<Pattern> {
        let mut miner = Miner::default();
        for (number, message) in (0_i64..).zip(messages) {
            let at = Timestamp::from_micros(1_795_254_199_000_000 + number * 1_000_000);
            let id = EventId::from_uuid(uuid::Uuid::nil());
            let mut event = Event::received(id, 0, at, "", "");
            event.message = Some((*message).into());
            event.severity = Severity::new(u8::try_from(number % 8).unwrap());
            miner.see(&event);
        }
        assert_eq!(miner.seen(), messages.len());
        miner.finish()
    }

    #[test]
    fn messages_that_differ_in_values_are_one_pattern() {
        let patterns = mine(&[
            "timeout after 212 ms waiting for upstream",
            "Failed password for root from 10.0.0.1 port 22",
            "timeout after 9 ms waiting for upstream",
            "Failed password for admin from 10.0.0.2 port 4711",
            "timeout after 31 ms waiting for upstream",
            "Started session",
        ]);
        let told: Vec<_> = patterns.iter().map(|one| (one.n, one.template())).collect();
        assert_eq!(
            told,
            [
                (3, "timeout after * ms waiting for upstream".to_owned()),
                (2, "Failed password for * from * port *".to_owned()),
                (1, "Started session".to_owned()),
            ]
        );
        assert_eq!(patterns[0].severity, Severity::new(0), "the worst");
        assert_eq!(
            patterns[1].query().as_deref(),
            Some("message:\"Failed password for\" message:\"from\" message:\"port\"")
        );
        assert_ne!(patterns[0].id(), patterns[1].id());
    }

    #[test]
    fn a_query_of_a_pattern_finds_its_messages() {
        for message in [
            "say \"hi\" to C:\\Windows 7 times",
            "(a) -b OR /c/ d:e* 1 ü",
            "user=x, rc=1; done",
        ] {
            let patterns = mine(&[message]);
            let query = patterns[0].query().unwrap();
            let parsed = query::parse(&query, &query::Options::default()).unwrap();
            let id = EventId::from_uuid(uuid::Uuid::nil());
            let mut event = Event::received(id, 0, Timestamp::from_micros(0), "", "");
            event.message = Some(message.into());
            assert!(
                parsed.query.matcher(Timestamp::from_micros(0)).matches(&event),
                "{query}"
            );
        }
    }

    #[test]
    fn nothing_and_too_much_are_patterns_too() {
        assert_eq!(mine(&["", "", "1 2 3", "4 5 6"]).len(), 2);
        assert_eq!(mine(&["7 8"])[0].query(), None);
        let long = "word ".repeat(1000);
        assert_eq!(mine(&[&long])[0].words.len(), WORDS_MAX + 1);
        let letters = |number: usize| {
            let letter = |place: usize| {
                char::from(
                    b'a' + u8::try_from(number / 20_usize.pow(u32::try_from(place).unwrap()) % 20).unwrap(),
                )
            };
            (0..4).map(letter).collect::<String>()
        };
        let all: Vec<_> = (0..CLUSTERS_MAX + 50).map(letters).collect();
        let patterns = mine(&all.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(patterns.len(), CLUSTERS_MAX + 1);
        assert_eq!(
            (patterns[0].n, &*patterns[0].template()),
            (50, "(other messages)")
        );
    }

    #[test]
    fn a_trend_counts_all() {
        let patterns = mine(&["a", "a", "b", "a"]);
        let (from, to) = (patterns[0].first, patterns[0].last);
        let trend = patterns[0].trend(from, to);
        assert_eq!((trend.iter().sum::<u64>(), trend[0], trend[TREND - 1]), (3, 1, 1));
    }
}
