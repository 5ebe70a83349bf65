//! What a run gave.

use std::time::Duration;

use indicatif::HumanCount;
use serde::Serialize;

use super::{
    latency::{Latency, Percentiles},
    sender::Sent,
};
use crate::send::target::{Protocol, Target};

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) run: String,
    pub(crate) target: Target,
    pub(crate) connections: u32,
    pub(crate) window: u32,
    pub(crate) size: usize,
    pub(crate) lz4_ratio: f64,
    pub(crate) rate: Option<u32>,
    pub(crate) elapsed: Duration,
    pub(crate) sent: Vec<Sent>,
}

/// What is told about it. With `--json` it is printed as it stands here.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) ok: bool,
    run: String,
    protocol: String,
    to: String,
    connections: u32,
    /// Absent where the protocol has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<u32>,
    size: usize,
    /// How many times smaller LZ4 makes a batch of these messages.
    lz4_ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    sent: u64,
    /// Absent where the protocol does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    acked: Option<u64>,
    seconds: f64,
    /// Acknowledged, or sent where nothing is acknowledged.
    per_second: f64,
    megabytes_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<Percentiles>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
}

/// Errors that are told; of many connections the others say the same.
const ERRORS_MAX: usize = 5;

impl Report {
    pub(crate) fn new(run: &Run) -> Self {
        let sent: u64 = run.sent.iter().map(|sent| sent.sent).sum();
        let acked: u64 = run.sent.iter().map(|sent| sent.acked).sum();
        let is_relp = run.target.protocol == Protocol::Relp;
        let mut latency = Latency::new();
        run.sent.iter().for_each(|sent| latency.add(&sent.latency));
        let errors = run.sent.iter().filter_map(|sent| sent.error.as_ref());
        let errors: Vec<_> = errors
            .map(|error| format!("{error:#}"))
            .take(ERRORS_MAX)
            .collect();
        let seconds = run.elapsed.as_secs_f64();
        let done = if is_relp { acked } else { sent };
        let per_second = if seconds > 0.0 {
            to_f64(done) / seconds
        } else {
            0.0
        };
        Self {
            ok: errors.is_empty() && (!is_relp || acked == sent),
            run: run.run.clone(),
            protocol: run.target.protocol.to_string(),
            to: run.target.to.clone(),
            connections: run.connections,
            window: is_relp.then_some(run.window),
            size: run.size,
            lz4_ratio: (run.lz4_ratio * 100.0).round() / 100.0,
            rate: run.rate,
            sent,
            acked: is_relp.then_some(acked),
            seconds,
            per_second: per_second.round(),
            megabytes_per_second: (per_second * to_f64(u64::try_from(run.size).unwrap_or(0)) / 1e5).round()
                / 10.0,
            latency_ms: latency.percentiles(),
            errors,
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    pub(crate) fn to_text(&self) -> String {
        let connections = if self.connections == 1 {
            "connection"
        } else {
            "connections"
        };
        let window = self.window.map(|window| format!(", window {window}"));
        let mut text = format!(
            "run      {} by {} to {}, {} {connections}{}, messages of {} bytes\n\
             sent     {} in {:.2} s\n",
            self.run,
            self.protocol,
            self.to,
            HumanCount(self.connections.into()),
            window.unwrap_or_default(),
            HumanCount(u64::try_from(self.size).unwrap_or(0)),
            HumanCount(self.sent),
            self.seconds,
        );
        if let Some(acked) = self.acked {
            text += &format!("acked    {}\n", HumanCount(acked));
        }
        text += &format!(
            "rate     {:.0} messages/s, {:.1} MB/s\n",
            self.per_second, self.megabytes_per_second
        );
        if let Some(ms) = &self.latency_ms {
            text += &format!(
                "latency  p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms\n",
                ms.p50, ms.p90, ms.p99, ms.p99_9, ms.max
            );
        }
        for error in &self.errors {
            text += &format!("error    {error}\n");
        }
        text
    }
}

/// Counts of messages are far below where floats get coarse.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn to_f64(count: u64) -> f64 {
    count as f64
}
