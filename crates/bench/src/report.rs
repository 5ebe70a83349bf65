//! The table on the screen and the file with everything.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

use crate::case::{Line, Outcome};
use crate::place::{POSTGRES_SETTINGS, Place};
use crate::{Arguments, machine};

#[derive(Debug)]
pub(crate) struct Report {
    out: PathBuf,
    head: Value,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn new(arguments: &Arguments, place: &Place) -> anyhow::Result<Self> {
        fs::create_dir_all(&arguments.out).with_context(|| format!("create {}", arguments.out.display()))?;
        let binaries = testkit::binaries::folder(testkit::binaries::Profile::Release);
        let head = json!({
            "started_at": jiff::Timestamp::now().to_string(),
            "machine": machine::describe(place.dir()),
            "versions": machine::versions(binaries),
            "settings": {
                "runs": place.runs,
                "count": place.count,
                "size": place.size,
                "connections": place.connections,
                "rate": place.rate,
                "seconds": place.seconds,
                "postgresql": POSTGRES_SETTINGS,
                "rabbitmq": "as shipped",
            },
        });
        Ok(Self {
            out: arguments.out.clone(),
            head,
            outcomes: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// Prints the table and writes `<time>.json`.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let table = self.table();
        let cases: serde_json::Map<String, Value> = self
            .outcomes
            .iter()
            .map(|outcome| {
                let lines: Vec<Value> = outcome.lines.iter().map(Line::to_json).collect();
                (
                    outcome.case.name().to_owned(),
                    json!({ "lines": lines, "details": outcome.details }),
                )
            })
            .collect();
        if let Some(head) = self.head.as_object_mut() {
            head.insert("cases".to_owned(), Value::Object(cases));
        }
        let name = jiff::Zoned::now().strftime("%Y-%m-%dT%H-%M-%S.json").to_string();
        let path = self.out.join(name);
        fs::write(&path, serde_json::to_vec_pretty(&self.head)?)
            .with_context(|| format!("write {}", path.display()))?;
        writeln!(io::stdout(), "{table}\nwritten to {}", path.display())?;
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = format!(
            "{:<52} {:>14} {:>14} {:>7}\n",
            "median", "logferry", "reference", "ratio"
        );
        for line in self.outcomes.iter().flat_map(|outcome| &outcome.lines) {
            let number =
                |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| spaced(value, line.unit));
            let ratio = line
                .ratio()
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            table.push_str(&format!(
                "{:<52} {:>14} {:>14} {ratio:>7}\n",
                line.what,
                number(Some(line.logferry)),
                number(line.reference)
            ));
        }
        table
    }
}

/// A number that can be read: thousands apart for large ones, fractions for small ones.
fn spaced(value: f64, unit: &str) -> String {
    if value < 1000.0 {
        return format!("{value:.2} {unit}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(spaced(1_234_567.4, "/s"), "1,234,567 /s");
        assert_eq!(spaced(100_000.0, "/s"), "100,000 /s");
        assert_eq!(spaced(1.234, "ms"), "1.23 ms");
    }
}
