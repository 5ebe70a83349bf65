//! What the collector counts, by rescue queue.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use rescue::Depth;
use service::{Metrics, StageCounters};

use crate::STAGE;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

/// The counters of one rescue queue.
#[derive(Debug)]
pub(crate) struct QueueMetrics {
    pub(crate) stage: StageCounters,
    waiting_batches: Gauge,
    waiting_bytes: Gauge,
    oldest_seconds: Gauge,
    returned: Counter,
    returned_bytes: Counter,
    dead_lettered: Counter,
}

impl QueueMetrics {
    pub(crate) fn new(metrics: &Metrics, queue: &'static str) -> Self {
        let label = QueueLabel { queue };
        let gauge = |name: &str, help: &str| {
            let family: Family<QueueLabel, Gauge> = metrics.register(name, help, Family::default());
            family.get_or_create_owned(&label)
        };
        let counter = |name: &str, help: &str| {
            let family: Family<QueueLabel, Counter> = metrics.register(name, help, Family::default());
            family.get_or_create_owned(&label)
        };
        Self {
            stage: StageCounters::new(metrics, STAGE),
            waiting_batches: gauge("logferry_rescue_batches", "Batches that wait in a rescue queue"),
            waiting_bytes: gauge("logferry_rescue_bytes", "Bytes that wait in a rescue queue"),
            oldest_seconds: gauge(
                "logferry_rescue_oldest_seconds",
                "How long the oldest batch of a rescue queue has waited",
            ),
            returned: counter(
                "logferry_rescue_returned_batches_total",
                "Batches of a rescue queue that the broker has again",
            ),
            returned_bytes: counter("logferry_rescue_returned_bytes_total", "Bytes of these batches"),
            dead_lettered: counter(
                "logferry_rescue_dead_lettered_total",
                "Entries of a rescue queue that are no batches any more and went to the dead letters",
            ),
        }
    }

    /// What waits now.
    pub(crate) fn waiting(&self, depth: Depth) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.waiting_batches.set(number(depth.batches));
        self.waiting_bytes.set(number(depth.bytes));
        self.oldest_seconds.set(number(depth.oldest.as_secs()));
    }

    /// The broker has a batch.
    pub(crate) fn returned(&self, bytes: u64) {
        self.returned.inc();
        self.returned_bytes.inc_by(bytes);
    }

    /// The dead letters have an entry.
    pub(crate) fn dead_lettered(&self, reason: &str) {
        self.dead_lettered.inc();
        self.stage.dead_lettered(reason, 1);
    }
}
