//! Reads one stage's numbers from the text of `/metrics`, so that nothing is counted twice.

use std::collections::BTreeMap;

use super::Counters;

/// Other numbers of one service: a listener has about fifteen.
const MEASURES_MAX: usize = 500;

/// What the text says of one stage.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) counters: Counters,
    pub(super) measures: BTreeMap<String, f64>,
    /// As the gauge has it: 0 also of a stage that holds batches and keeps no ages.
    oldest_s: Option<f64>,
}

impl Read {
    /// The age of the oldest batch that the stage holds, where it is known.
    pub(super) fn oldest_s(&self) -> Option<f64> {
        self.oldest_s
            .filter(|age| *age > 0.0 || self.counters.in_flight == 0)
    }
}

/// What belongs to `stage`, and the samples whose names begin with one of `prefixes`.
pub(super) fn read(text: &str, stage: &str, prefixes: &[&str]) -> Read {
    let mut read = Read::default();
    for sample in text.lines().filter_map(Sample::parse) {
        if sample.label("stage").as_deref() == Some(stage) {
            if sample.name == "logferry_oldest_unsettled_seconds" {
                read.oldest_s = Some(sample.value).filter(|age| age.is_finite());
            }
            sample.count(&mut read.counters);
        } else if prefixes.iter().any(|prefix| sample.name.starts_with(prefix))
            && !sample.name.ends_with("_bucket")
            && read.measures.len() < MEASURES_MAX
            && sample.value.is_finite()
        {
            read.measures.insert(sample.whole.to_owned(), sample.value);
        }
    }
    read
}

/// One line of the text.
struct Sample<'a> {
    /// Name and labels.
    whole: &'a str,
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        // A value has no spaces; labels may.
        let (whole, value) = line.rsplit_once(' ')?;
        let (name, labels) = match whole.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (whole, ""),
        };
        Some(Self {
            whole,
            name,
            labels,
            value: value.parse().ok()?,
        })
    }

    /// The value of a label, without its escapes.
    fn label(&self, wanted: &str) -> Option<String> {
        let mut rest = self.labels;
        loop {
            let (name, quoted) = rest.split_once("=\"")?;
            let (value, after) = unquote(quoted)?;
            if name == wanted {
                return Some(value);
            }
            rest = after.strip_prefix(',')?;
        }
    }

    fn count(&self, counters: &mut Counters) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counters are whole, not negative, and far below 2^53"
        )]
        let (count, gauge) = (self.value as u64, self.value as i64);
        let by_reason = match self.name {
            "logferry_events_received_total" => return counters.received = count,
            "logferry_events_sent_total" => return counters.sent = count,
            "logferry_batches_in_flight" => return counters.in_flight = gauge,
            "logferry_events_dropped_total" => &mut counters.dropped,
            "logferry_events_dead_lettered_total" => &mut counters.dead_lettered,
            "logferry_retries_total" => &mut counters.retried,
            _ => return,
        };
        by_reason.insert(self.label("reason").unwrap_or_default(), count);
    }
}

/// The text up to the quote that ends it, and what comes behind that.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_belongs_to_the_stage() {
        let text = "# HELP x y
logferry_events_received_total{stage=\"parser\"} 12
logferry_events_received_total{stage=\"other\"} 99
logferry_events_dropped_total{stage=\"parser\",reason=\"a \\\"b\\\", c\"} 3
logferry_batches_in_flight{stage=\"parser\"} 2
logferry_oldest_unsettled_seconds{stage=\"other\"} 9
logferry_oldest_unsettled_seconds{stage=\"parser\"} 0.25
logferry_parser_defects_total{defect=\"no_time\"} 4
logferry_parser_seconds_bucket{le=\"1\"} 4
logferry_store_connections 5
# EOF";
        let read = read(text, "parser", &["logferry_parser_"]);
        let (counters, measures) = (&read.counters, &read.measures);
        assert_eq!((counters.received, counters.in_flight), (12, 2));
        assert_eq!(read.oldest_s(), Some(0.25));
        assert_eq!(counters.dropped, BTreeMap::from([("a \"b\", c".to_owned(), 3)]));
        let defects = "logferry_parser_defects_total{defect=\"no_time\"}".to_owned();
        assert_eq!(*measures, BTreeMap::from([(defects, 4.0)]));
    }

    #[test]
    fn no_age_of_what_is_held_is_unknown_and_not_zero() {
        for (age, in_flight, expected) in [
            ("0.0", 0, Some(0.0)),
            ("0.0", 3, None),
            ("1.5", 3, Some(1.5)),
            ("NaN", 0, None),
        ] {
            let text = format!(
                "logferry_oldest_unsettled_seconds{{stage=\"harvest\"}} {age}\nlogferry_batches_in_flight{{stage=\"harvest\"}} {in_flight}"
            );
            assert_eq!(read(&text, "harvest", &[]).oldest_s(), expected, "{text}");
        }
        assert_eq!(read("", "harvest", &[]).oldest_s(), None);
    }

    #[test]
    fn broken_text_is_no_reason_to_panic() {
        for text in [
            "x",
            "x{",
            "x{a=\"",
            "x{a=\"\\",
            "x} 1",
            "x{a=\"b\"c} 1",
            " 1",
            "x nan",
        ] {
            let read = read(text, "parser", &["x"]);
            assert_eq!(read.counters, Counters::default(), "{text}");
            assert!(read.measures.len() <= 1, "{text}");
        }
    }
}
