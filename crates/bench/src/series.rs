//! Runs of one case by one system, in the order in which they were made.

use serde_json::{Value, json};

use crate::line::Spread;
use crate::usage::Used;

/// One run: the figure that counts, and what else was seen.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) value: f64,
    pub(crate) usage: Vec<Used>,
    pub(crate) details: Value,
}

/// All runs.
#[derive(Debug, Default)]
pub(crate) struct Series {
    runs: Vec<Run>,
}

impl Series {
    pub(crate) fn push(&mut self, run: Run) {
        self.runs.push(run);
    }

    pub(crate) fn last(&self) -> Option<&Run> {
        self.runs.last()
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.value).collect()
    }

    /// The figures between their extremes; `None` without a run.
    pub(crate) fn spread(&self) -> Option<Spread> {
        Spread::of(self.values())
    }

    /// Ours over theirs, each with the run of the same round: what disturbs the machine disturbs both.
    pub(crate) fn over(&self, other: &Self) -> Option<Spread> {
        let pairs = self.runs.iter().zip(&other.runs);
        Spread::of(pairs.map(|(ours, theirs)| ours.value / theirs.value).collect())
    }

    pub(crate) fn usage(&self) -> impl Iterator<Item = &Used> {
        self.runs.iter().flat_map(|run| &run.usage)
    }

    /// A detail of each run.
    pub(crate) fn detail(&self, pointer: &str) -> Vec<f64> {
        self.runs
            .iter()
            .filter_map(|run| run.details.pointer(pointer)?.as_f64())
            .collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        self.runs
            .iter()
            .map(|run| {
                let usage: serde_json::Map<String, Value> = run
                    .usage
                    .iter()
                    .map(|used| (used.name.clone(), used.to_json()))
                    .collect();
                json!({ "value": run.value, "usage": usage, "details": run.details })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        let mut series = Series::default();
        for value in values {
            series.push(Run {
                value: *value,
                usage: Vec::new(),
                details: json!({ "half": value / 2.0 }),
            });
        }
        series
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let (ours, theirs) = (series(&[100.0, 50.0, 120.0]), series(&[50.0, 25.0, 40.0]));
        let ratio = ours.over(&theirs).unwrap();
        assert_eq!((ratio.min, ratio.median, ratio.max), (2.0, 2.0, 3.0));
        assert_eq!(ours.detail("/half"), [50.0, 25.0, 60.0]);
        assert_eq!(ours.over(&Series::default()), None);
    }
}
