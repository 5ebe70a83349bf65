//! What a run did and found, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::check::Strange;
use crate::ledger::Balance;

/// Everything that a run has to tell.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) command: String,
    pub(crate) seed: u64,
    pub(crate) began: String,
    pub(crate) took: Duration,
    pub(crate) rounds: u32,
    /// By kind.
    pub(crate) faults: BTreeMap<String, u32>,
    /// Crash points that a process did not come to in time, by kind.
    pub(crate) not_reached: BTreeMap<String, u32>,
    /// Kinds that were left out, and why.
    pub(crate) left_out: Vec<String>,
    pub(crate) balance: Balance,
    /// Sent more than once, because an answer was missing.
    pub(crate) strange: Strange,
    /// Dead letters that no rule chose.
    pub(crate) dead_letters: u64,
    /// From the end of a round's last fault until a fresh message was in PostgreSQL and in the files.
    pub(crate) fresh_longest: Duration,
    /// From there until everything that was owed was there.
    pub(crate) settled_longest: Duration,
    /// How processes ended by themselves.
    pub(crate) own_ends: BTreeMap<String, u32>,
    /// What is wrong besides.
    pub(crate) problems: Vec<String>,
}

impl Report {
    pub(crate) fn faults_total(&self) -> u32 {
        self.faults.values().sum()
    }

    /// Nothing was lost, nothing was there twice, nothing strange was found.
    pub(crate) fn is_good(&self) -> bool {
        self.balance.is_even() && self.strange.is_none() && self.dead_letters == 0 && self.problems.is_empty()
    }

    /// The report as Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::new();
        self.write_figures(&mut text);
        write_table(&mut text, "Faults", "fault", &self.faults);
        if !self.not_reached.is_empty() {
            write_table(
                &mut text,
                "Crash points that were not reached (not counted above)",
                "crash point",
                &self.not_reached,
            );
        }
        if !self.own_ends.is_empty() {
            write_table(
                &mut text,
                "Processes that ended by themselves and were started again",
                "process",
                &self.own_ends,
            );
        }
        write_list(&mut text, "Left out", &self.left_out);
        write_list(&mut text, "Problems", &self.problems);
        let examples: Vec<String> = self.strange.examples.iter().cloned().collect();
        write_list(&mut text, "Strange events", &examples);
        text
    }

    fn write_figures(&self, text: &mut String) {
        let Balance {
            messages,
            obligations,
            lost_rows,
            lost_lines,
            duplicate_rows,
            duplicate_lines,
            dropped,
            dead,
            lost_letters,
            duplicate_letters,
        } = self.balance;
        let verdict = if self.is_good() { "passed" } else { "FAILED" };
        let rows = [
            ("verdict", verdict.to_owned()),
            ("command", format!("`{}`", self.command)),
            ("seed", self.seed.to_string()),
            ("began", self.began.clone()),
            ("took", seconds(self.took)),
            ("rounds", self.rounds.to_string()),
            ("faults", self.faults_total().to_string()),
            ("messages", messages.to_string()),
            ("obligations", obligations.to_string()),
            ("lost in PostgreSQL", lost_rows.to_string()),
            ("lost in files", lost_lines.to_string()),
            (
                "duplicate rows",
                (duplicate_rows + self.strange.repeated_ids).to_string(),
            ),
            ("duplicate lines in files", duplicate_lines.to_string()),
            ("never sent", self.strange.unknown.to_string()),
            ("damaged", self.strange.damaged.to_string()),
            (
                "torn by a broken TCP connection, and marked so",
                self.strange.fragments.to_string(),
            ),
            ("dropped by a rule", dropped.to_string()),
            ("sent to the dead letters by a rule", dead.to_string()),
            ("lost among the dead letters", lost_letters.to_string()),
            ("duplicate dead letters", duplicate_letters.to_string()),
            ("other dead letters", self.dead_letters.to_string()),
            (
                "longest until a fresh message was through",
                seconds(self.fresh_longest),
            ),
            (
                "longest until all that was owed was there",
                seconds(self.settled_longest),
            ),
        ];
        text.push_str("| | |\n|---|---|\n");
        for (name, value) in rows {
            line(text, format_args!("| {name} | {value} |"));
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn write_table(text: &mut String, title: &str, what: &str, rows: &BTreeMap<String, u32>) {
    line(text, format_args!("\n{title}:\n\n| {what} | times |\n|---|---|"));
    for (name, count) in rows {
        line(text, format_args!("| {name} | {count} |"));
    }
}

fn write_list(text: &mut String, title: &str, items: &[String]) {
    if !items.is_empty() {
        line(text, format_args!("\n{title}:\n"));
        for item in items {
            line(text, format_args!("- {item}"));
        }
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_wrong_fails_the_run() {
        assert!(Report::default().is_good());
        let bad: [fn(&mut Report); 8] = [
            |report| report.balance.lost_rows = 1,
            |report| report.balance.lost_lines = 1,
            |report| report.balance.duplicate_rows = 1,
            |report| report.strange.damaged = 1,
            |report| report.balance.lost_letters = 1,
            |report| report.balance.duplicate_letters = 1,
            |report| report.dead_letters = 1,
            |report| report.problems.push("a panic".to_owned()),
        ];
        for spoil in bad {
            let mut report = Report::default();
            spoil(&mut report);
            assert!(!report.is_good() && report.to_markdown().contains("| verdict | FAILED |"));
        }
    }
}
