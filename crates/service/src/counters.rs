//! What every stage counts alike, so that what goes in can be compared with what comes out.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

use crate::{
    ages::{Ages, Holding},
    metrics::Metrics,
};

/// Reasons of one stage and family beyond this many are counted as `other`: rules name their own reasons, and a
/// label that grows without bound takes the monitoring down.
const REASONS_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    stage: &'static str,
    reason: String,
}

/// The counters of one stage. Cheap to clone; two of the same stage in one process count together.
#[derive(Debug, Clone)]
pub struct StageCounters {
    received: Counter,
    sent: Counter,
    in_flight: Gauge,
    all_in_flight: Gauge,
    ages: Ages,
    dropped: ByReason,
    dead_lettered: ByReason,
    retried: ByReason,
}

impl StageCounters {
    /// The counters of `stage`, registered in `metrics`.
    #[must_use]
    pub fn new(metrics: &Metrics, stage: &'static str) -> Self {
        let label = StageLabel { stage };
        let received: Family<StageLabel, Counter> = metrics.register(
            "logferry_events_received_total",
            "Events and frames that a stage took in.",
            Family::default(),
        );
        let sent: Family<StageLabel, Counter> = metrics.register(
            "logferry_events_sent_total",
            "Events and frames whose next owner has them durably.",
            Family::default(),
        );
        let in_flight: Family<StageLabel, Gauge> = metrics.register(
            "logferry_batches_in_flight",
            "Batches and deliveries that a stage has not settled yet.",
            Family::default(),
        );
        let ages: Family<StageLabel, Ages> = metrics.register(
            "logferry_oldest_unsettled_seconds",
            "Age of the oldest batch that a stage holds, since intake began it; 0 when it holds none.",
            Family::default(),
        );
        Self {
            ages: ages.get_or_create_owned(&label),
            received: received.get_or_create_owned(&label),
            sent: sent.get_or_create_owned(&label),
            in_flight: in_flight.get_or_create_owned(&label),
            all_in_flight: metrics.all_in_flight().clone(),
            dropped: ByReason::new(
                metrics,
                stage,
                "logferry_events_dropped_total",
                "Events and frames that a rule, a limit or a full socket dropped.",
            ),
            dead_lettered: ByReason::new(
                metrics,
                stage,
                "logferry_events_dead_lettered_total",
                "Events and frames that went to the dead-letter queue.",
            ),
            retried: ByReason::new(
                metrics,
                stage,
                "logferry_retries_total",
                "Attempts that failed and are made again.",
            ),
        }
    }

    /// `n` events or frames came in.
    pub fn received(&self, n: u64) {
        self.received.inc_by(n);
    }

    /// The next owner has `n` events or frames durably.
    pub fn sent(&self, n: u64) {
        self.sent.inc_by(n);
    }

    /// `n` events or frames were dropped, and why.
    pub fn dropped(&self, reason: &str, n: u64) {
        self.dropped.add(reason, n);
    }

    /// `n` events or frames went to the dead-letter queue, and why.
    pub fn dead_lettered(&self, reason: &str, n: u64) {
        self.dead_lettered.add(reason, n);
    }

    /// Something failed `n` times and is tried again, and why.
    pub fn retried(&self, reason: &str, n: u64) {
        self.retried.add(reason, n);
    }

    /// `n` batches or deliveries are now unsettled. What is still so when a process must stop at once is logged.
    pub fn taken(&self, n: u32) {
        self.in_flight.inc_by(i64::from(n));
        self.all_in_flight.inc_by(i64::from(n));
    }

    /// `n` batches or deliveries of those [taken](Self::taken) are settled, whichever way.
    pub fn settled(&self, n: u32) {
        self.in_flight.dec_by(i64::from(n));
        self.all_in_flight.dec_by(i64::from(n));
    }

    /// A batch that intake began then, in microseconds since 1970, is held until what is returned is dropped.
    pub fn hold(&self, since_micros: i64) -> Holding {
        self.ages.hold(since_micros)
    }

    /// Events received so far.
    #[must_use]
    pub fn received_so_far(&self) -> u64 {
        self.received.get()
    }

    /// Events sent so far.
    #[must_use]
    pub fn sent_so_far(&self) -> u64 {
        self.sent.get()
    }

    /// Batches or deliveries taken and not settled.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Events dropped so far for `reason`.
    #[must_use]
    pub fn dropped_so_far(&self, reason: &str) -> u64 {
        self.dropped.get(reason)
    }

    /// Events dead-lettered so far for `reason`.
    #[must_use]
    pub fn dead_lettered_so_far(&self, reason: &str) -> u64 {
        self.dead_lettered.get(reason)
    }

    /// Retries so far for `reason`.
    #[must_use]
    pub fn retried_so_far(&self, reason: &str) -> u64 {
        self.retried.get(reason)
    }
}

/// One family's counters of one stage.
#[derive(Debug, Clone)]
struct ByReason {
    stage: &'static str,
    family: Family<ReasonLabels, Counter>,
    counters: Arc<Mutex<HashMap<String, Counter>>>,
}

impl ByReason {
    fn new(metrics: &Metrics, stage: &'static str, name: &str, help: &str) -> Self {
        Self {
            stage,
            family: metrics.register(name, help, Family::default()),
            counters: Arc::default(),
        }
    }

    fn add(&self, reason: &str, n: u64) {
        let mut counters = self.counters.lock();
        if let Some(counter) = counters.get(reason) {
            counter.inc_by(n);
            return;
        }
        let reason = if counters.len() < REASONS_MAX {
            reason
        } else {
            "other"
        };
        let labels = ReasonLabels {
            stage: self.stage,
            reason: reason.to_owned(),
        };
        let counter = self.family.get_or_create_owned(&labels);
        counter.inc_by(n);
        counters.insert(labels.reason, counter);
    }

    fn get(&self, reason: &str) -> u64 {
        let labels = ReasonLabels {
            stage: self.stage,
            reason: reason.to_owned(),
        };
        self.family.get(&labels).map_or(0, |counter| counter.get())
    }
}

/// Registers what every process and every stage has, with a sample of each set of labels, for `docs/metrics.md`.
pub fn describe_metrics(metrics: &Metrics) {
    metrics.of_process("", Timestamp::UNIX_EPOCH);
    let counters = StageCounters::new(metrics, "");
    counters.dropped("", 0);
    counters.dead_lettered("", 0);
    counters.retried("", 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_of_one_process_share_the_families() {
        let metrics = Metrics::new();
        let intake = StageCounters::new(&metrics, "syslog-server");
        let parser = StageCounters::new(&metrics, "parser");
        intake.received(5);
        parser.received(4);
        parser.dropped("noise", 1);
        StageCounters::new(&metrics, "parser").dropped("noise", 2);
        let text = metrics.encode();
        for line in [
            "logferry_events_received_total{stage=\"syslog-server\"} 5",
            "logferry_events_received_total{stage=\"parser\"} 4",
            "logferry_events_dropped_total{stage=\"parser\",reason=\"noise\"} 3",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        assert_eq!(parser.dropped_so_far("noise"), 3);
        assert_eq!(intake.dropped_so_far("noise"), 0);
    }

    #[test]
    fn reasons_without_end_are_counted_together() {
        let metrics = Metrics::new();
        let counters = StageCounters::new(&metrics, "parser");
        for i in 0..REASONS_MAX + 50 {
            counters.dropped(&format!("reason {i}"), 2);
        }
        assert_eq!(counters.dropped_so_far("reason 7"), 2);
        assert_eq!(counters.dropped_so_far("other"), 100);
        counters.dropped("reason 7", 1);
        assert_eq!(counters.dropped_so_far("reason 7"), 3);
    }

    #[test]
    fn in_flight_goes_up_and_down() {
        let counters = StageCounters::new(&Metrics::new(), "parser");
        counters.taken(3);
        counters.settled(2);
        assert_eq!(counters.in_flight(), 1);
    }
}
