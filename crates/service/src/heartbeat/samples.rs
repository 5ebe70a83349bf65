//! Reads one stage's numbers from the text of `/metrics`, so that nothing is counted twice.

use std::collections::BTreeMap;

use super::Counters;

/// Other numbers of one service: a listener has about fifteen.
const MEASURES_MAX: usize = 500;

/// The counters of `stage`, and the samples whose names begin with one of `prefixes`.
pub(super) fn read(text: &str, stage: &str, prefixes: &[&str]) -> (Counters, BTreeMap<String, f64>) {
    let mut counters = Counters::default();
    let mut measures = BTreeMap::new();
    for sample in text.lines().filter_map(Sample::parse) {
        if sample.label("stage").as_deref() == Some(stage) {
            sample.count(&mut counters);
        } else if prefixes.iter().any(|prefix| sample.name.starts_with(prefix))
            && !sample.name.ends_with("_bucket")
            && measures.len() < MEASURES_MAX
            && sample.value.is_finite()
        {
            measures.insert(sample.whole.to_owned(), sample.value);
        }
    }
    (counters, measures)
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
logferry_parser_defects_total{defect=\"no_time\"} 4
logferry_parser_seconds_bucket{le=\"1\"} 4
logferry_store_connections 5
# EOF";
        let (counters, measures) = read(text, "parser", &["logferry_parser_"]);
        assert_eq!((counters.received, counters.in_flight), (12, 2));
        assert_eq!(counters.dropped, BTreeMap::from([("a \"b\", c".to_owned(), 3)]));
        let defects = "logferry_parser_defects_total{defect=\"no_time\"}".to_owned();
        assert_eq!(measures, BTreeMap::from([(defects, 4.0)]));
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
            let (counters, measures) = read(text, "parser", &["x"]);
            assert_eq!(counters, Counters::default(), "{text}");
            assert!(measures.len() <= 1, "{text}");
        }
    }
}
