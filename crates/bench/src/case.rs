//! The cases, and what each measures.

use std::future::Future;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::place::Place;
use crate::{latency, parse, throughput};

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// RELP, answered after the confirm of a quorum queue
    Relp,
    /// TCP, until everything is durable in RabbitMQ
    Rabbitmq,
    /// TCP, until every row is committed in PostgreSQL
    Rows,
    /// TCP, until every line is synced in a file
    Files,
    /// TCP into `logferry run`, until every row is committed in SQLite
    Embedded,
    /// Parsing alone, beside the crate syslog_loose
    Parse,
    /// From sent to committed, at a fixed rate
    Latency,
}

impl Case {
    pub(crate) const ALL: [Self; 7] = [
        Self::Parse,
        Self::Relp,
        Self::Rabbitmq,
        Self::Rows,
        Self::Files,
        Self::Embedded,
        Self::Latency,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Relp => "relp",
            Self::Rabbitmq => "rabbitmq",
            Self::Rows => "rows",
            Self::Files => "files",
            Self::Embedded => "embedded",
            Self::Parse => "parse",
            Self::Latency => "latency",
        }
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Relp => "RELP, answered after the quorum queue's confirm",
            Self::Rabbitmq => "TCP to durable in RabbitMQ",
            Self::Rows => "TCP to rows committed in PostgreSQL",
            Self::Files => "TCP to files synced",
            Self::Embedded => "TCP to rows committed by `logferry run`",
            Self::Parse => "parsing alone, on one core",
            Self::Latency => "from sent to committed in PostgreSQL, at a fixed rate",
        }
    }

    pub(crate) async fn measure(self, place: &Place) -> anyhow::Result<Outcome> {
        match self {
            Self::Parse => parse::measure(),
            Self::Latency => latency::measure(place).await,
            Self::Relp | Self::Rabbitmq | Self::Rows | Self::Files | Self::Embedded => {
                throughput::measure(self, place).await
            }
        }
    }
}

/// What a case measured: lines for the table, and everything for the file.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) case: Case,
    pub(crate) lines: Vec<Line>,
    pub(crate) details: Value,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) logferry: f64,
    /// Of rsyslog, or of who else does the same work.
    pub(crate) reference: Option<f64>,
    /// For times: the smaller the better.
    pub(crate) is_time: bool,
}

impl Line {
    /// How many times better than the reference.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let reference = self.reference?;
        Some(if self.is_time {
            reference / self.logferry
        } else {
            self.logferry / reference
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": self.unit,
            "logferry": self.logferry,
            "reference": self.reference,
            "ratio": self.ratio(),
        })
    }
}

/// Runs `once` as often as asked and keeps all runs, the fastest first.
pub(crate) async fn repeat<F, R>(runs: u32, mut once: F) -> anyhow::Result<Vec<Run>>
where
    F: FnMut() -> R,
    R: Future<Output = anyhow::Result<Run>>,
{
    let mut all = Vec::new();
    for n in 1..=runs {
        let run = once().await?;
        eprintln!("  run {n}: {:.0}", run.value);
        all.push(run);
    }
    all.sort_by(|one, other| other.value.total_cmp(&one.value));
    Ok(all)
}

/// One run: the figure that counts, and what else was seen.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) value: f64,
    pub(crate) details: Value,
}

/// The middle run (of two, the worse of a rate).
pub(crate) fn median(runs: &[Run]) -> Option<&Run> {
    runs.get(runs.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_better_whatever_the_unit() {
        let line = |is_time| Line {
            what: String::new(),
            unit: "",
            logferry: 2.0,
            reference: Some(1.0),
            is_time,
        };
        assert_eq!(line(false).ratio(), Some(2.0));
        assert_eq!(line(true).ratio(), Some(0.5));
    }

    #[test]
    fn the_median_is_the_middle_run() {
        let runs: Vec<Run> = [9.0, 5.0, 1.0]
            .map(|value| Run {
                value,
                details: Value::Null,
            })
            .into_iter()
            .collect();
        assert_eq!(median(&runs).map(|run| run.value), Some(5.0));
        assert!(median(&[]).is_none());
    }
}
