//! The table on the screen and the file with everything.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::arguments::RunArgs;
use crate::case::{self, Outcome};
use crate::line::{Line, number};
use crate::machine;
use crate::place::{Place, Side};

/// Results so far. The file is written after each case, so that an interrupt loses only the case it meets.
#[derive(Debug)]
pub(crate) struct Report {
    path: PathBuf,
    is_json: bool,
    head: Map<String, Value>,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn new(arguments: &RunArgs, place: &Place, side: &Side) -> anyhow::Result<Self> {
        let out = &arguments.out;
        fs::create_dir_all(out).with_context(|| format!("create {}", out.display()))?;
        let name = jiff::Zoned::now().strftime("%Y-%m-%dT%H-%M-%S.json").to_string();
        let mut settings = place.to_json();
        if let Some(settings) = settings.as_object_mut() {
            settings.insert("logferry".to_owned(), side.settings.clone().into());
        }
        let mut head = Map::new();
        head.insert("started_at".to_owned(), jiff::Timestamp::now().to_string().into());
        head.insert("machine".to_owned(), machine::describe(place.dir()));
        head.insert("versions".to_owned(), machine::versions(&side.programs));
        head.insert("settings".to_owned(), settings);
        Ok(Self {
            path: out.join(name),
            is_json: arguments.json,
            head,
            outcomes: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        self.outcomes.push(outcome);
        self.write()
    }

    /// Prints the table, or everything as JSON.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        if self.outcomes.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout();
        if self.is_json {
            serde_json::to_writer_pretty(&out, &self.to_json())?;
            writeln!(out)?;
        } else {
            writeln!(out, "\n{}", self.table())?;
        }
        eprintln!("everything is in {}", self.path.display());
        Ok(())
    }

    fn write(&self) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(&self.to_json())?;
        fs::write(&self.path, text).with_context(|| format!("write {}", self.path.display()))
    }

    fn to_json(&self) -> Value {
        let cases: Map<String, Value> = self
            .outcomes
            .iter()
            .map(|outcome| {
                let lines: Vec<Value> = outcome.lines.iter().map(Line::to_json).collect();
                let case = json!({ "lines": lines, "runs": outcome.details });
                (outcome.case.name(), case)
            })
            .collect();
        let memory: Vec<Value> = case::memory_lines(&self.outcomes)
            .iter()
            .map(Line::to_json)
            .collect();
        let mut all = self.head.clone();
        all.insert("cases".to_owned(), cases.into());
        all.insert("memory".to_owned(), memory.into());
        all.insert("messages".to_owned(), self.messages());
        all.into()
    }

    /// How well the messages packed, as the load generator tells.
    fn messages(&self) -> Value {
        let ratio = self.outcomes.iter().find_map(|outcome| {
            let runs = outcome.details.get("logferry")?;
            let pointers = ["/0/details/load/lz4_ratio", "/0/details/sent/load/lz4_ratio"];
            pointers
                .iter()
                .find_map(|pointer| runs.pointer(pointer)?.as_f64())
        });
        json!({ "lz4_ratio": ratio })
    }

    fn table(&self) -> String {
        let memory = case::memory_lines(&self.outcomes);
        let lines = self.outcomes.iter().flat_map(|outcome| &outcome.lines);
        let mut table = head();
        for line in lines.chain(&memory) {
            table.push_str(&row(line));
        }
        if let Some(ratio) = self.messages().pointer("/lz4_ratio").and_then(Value::as_f64) {
            table.push_str(&format!(
                "\nLZ4 makes batches of these messages {ratio} times smaller.\n"
            ));
        }
        table
    }
}

fn head() -> String {
    format!(
        "{:<66} {:>14} {:>14} {:>7} {:>13}  {:<24}\n",
        "median of runs | reference", "logferry", "reference", "ratio", "(from–to)", "target"
    )
}

fn row(line: &Line) -> String {
    let reference = line
        .reference
        .map_or_else(|| "-".to_owned(), |reference| number(reference, line.unit));
    let (ratio, spread) = line.ratio.map_or_else(
        || ("-".to_owned(), String::new()),
        |ratio| {
            let spread = format!("({:.2}–{:.2})", ratio.min, ratio.max);
            (format!("{:.2}", ratio.median), spread)
        },
    );
    let verdict = match line.is_reached() {
        Some(true) => " reached",
        Some(false) => " MISSED",
        None => "",
    };
    let target = format!("{}{verdict}", line.target_text());
    let row = format!(
        "{:<66} {:>14} {reference:>14} {ratio:>7} {spread:>13}  {target}",
        line.what,
        number(line.logferry, line.unit),
    );
    format!("{}\n", row.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Spread, Target};

    #[test]
    fn a_row_tells_figure_ratio_target_and_verdict() {
        let line = Line {
            reference: Some(100_000.0),
            ratio: Spread::of(vec![1.4, 1.5, 1.6]),
            ..Line::alone("RELP | rsyslog", "/s", 150_000.0).reaching(Target::Ratio(1.5))
        };
        let row = row(&line);
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "RELP",
                "|",
                "rsyslog",
                "150,000",
                "/s",
                "100,000",
                "/s",
                "1.50",
                "(1.40–1.60)",
                "≥",
                "1.5",
                "×",
                "reached"
            ]
        );
        let alone = super::row(&Line::alone("CPU", "%", 0.25).reaching(Target::AtMost(0.2)));
        assert!(
            alone.contains("0.25 %") && alone.contains("≤ 0.20 % MISSED"),
            "{alone}"
        );
    }
}
