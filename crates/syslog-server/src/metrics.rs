//! What intake counts, by listener.

use std::time::Duration;

use event::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
};
use service::{Holding, Metrics, StageCounters};
use transport::{Meters, Roster};

/// Upper bounds of the confirm latency, in seconds.
const CONFIRM_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Upper bounds of a batch's frames and bytes; of both, the defaults of their settings are among them.
const BATCH_FRAMES: [f64; 9] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0];
const BATCH_BYTES: [f64; 9] = [
    512.0,
    2048.0,
    8192.0,
    32_768.0,
    131_072.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    8_388_608.0,
];

/// The name of this stage in metrics.
pub(crate) const STAGE: &str = "syslog-server";

/// Datagrams that the kernel dropped.
const KERNEL_DROP: &str = "receive_buffer_full";

/// Batches that are too large for the broker.
const TOO_LARGE: &str = "too_large";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabel {
    listener: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    listener: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RescuedLabels {
    listener: String,
    queue: &'static str,
}

/// The counters of one listener.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    stage: StageCounters,
    frames: Counter,
    bytes: Counter,
    truncated: Counter,
    kernel_drops: Counter,
    batches: Counter,
    batch_frames: Histogram,
    batch_bytes: Histogram,
    pub(crate) unconfirmed: Gauge,
    confirm_seconds: Histogram,
    listener: String,
    rescued: Family<RescuedLabels, Counter>,
    /// What the listener itself counts.
    pub(crate) meters: Meters,
}

impl ListenerMetrics {
    pub(crate) fn new(metrics: &Metrics, listener: &str) -> Self {
        let register = Register {
            metrics,
            label: ListenerLabel {
                listener: listener.to_owned(),
            },
        };
        Self {
            stage: StageCounters::new(metrics, STAGE),
            frames: register.counter("frames_total", "Frames received"),
            bytes: register.counter("frame_bytes_total", "Bytes of frames received"),
            truncated: register.counter("frames_truncated_total", "Frames longer than frame_bytes_max"),
            kernel_drops: register.counter(
                "kernel_drops_total",
                "Datagrams that the kernel dropped because its receive buffer was full",
            ),
            batches: register.counter("batches_total", "Raw batches closed"),
            batch_frames: register.histogram("batch_frames", "Frames of a raw batch", &BATCH_FRAMES),
            batch_bytes: register.histogram(
                "batch_bytes",
                "Bytes of a raw batch before it is packed",
                &BATCH_BYTES,
            ),
            unconfirmed: register.gauge(
                "batches_unconfirmed",
                "Raw batches closed and not confirmed by the broker",
            ),
            confirm_seconds: register.histogram(
                "confirm_seconds",
                "From the first frame of a batch to the broker's confirm",
                &CONFIRM_SECONDS,
            ),
            listener: listener.to_owned(),
            rescued: metrics.register(
                "logferry_intake_batches_rescued_total",
                "Raw batches that a rescue queue took because the broker did not",
                Family::default(),
            ),
            meters: register.meters(),
        }
    }

    /// The frames of one read.
    pub(crate) fn took(&self, frames: u64, bytes: usize, truncated: u64) {
        self.stage.received(frames);
        self.frames.inc_by(frames);
        self.bytes.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
        if truncated > 0 {
            self.truncated.inc_by(truncated);
        }
    }

    /// Datagrams that the kernel dropped.
    pub(crate) fn lost(&self, datagrams: u64) {
        self.kernel_drops.inc_by(datagrams);
        self.stage.dropped(KERNEL_DROP, datagrams);
    }

    /// A batch has its first frame, which came then.
    pub(crate) fn opened(&self, at: Timestamp) -> Holding {
        self.stage.taken(1);
        self.stage.hold(at.as_micros())
    }

    /// A batch takes no more frames.
    pub(crate) fn closed(&self, frames: u32, bytes: usize) {
        self.batches.inc();
        self.batch_frames.observe(f64::from(frames));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.batch_bytes.observe(f64::from(bytes));
    }

    /// The broker has a batch of so many frames, whose first one came so long ago.
    pub(crate) fn confirmed(&self, frames: u32, age: Duration) {
        self.stage.settled(1);
        self.stage.sent(u64::from(frames));
        self.confirm_seconds.observe(age.as_secs_f64());
    }

    /// The broker will never take a batch of so many frames.
    pub(crate) fn too_large(&self, frames: u32) {
        self.stage.settled(1);
        self.stage.dropped(TOO_LARGE, u64::from(frames));
    }

    /// A rescue queue has a batch of so many frames.
    pub(crate) fn rescued(&self, queue: &'static str, frames: u32) {
        self.stage.settled(1);
        self.stage.sent(u64::from(frames));
        let labels = RescuedLabels {
            listener: self.listener.clone(),
            queue,
        };
        self.rescued.get_or_create(&labels).inc();
    }

    /// A batch is published again.
    pub(crate) fn retried(&self, reason: &str) {
        self.stage.retried(reason, 1);
    }
}

/// Makes histograms with these upper bounds.
#[derive(Debug, Clone, Copy)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// Registers what intake has beside the rest, for `docs/metrics.md`.
pub(crate) fn describe(metrics: &Metrics) {
    let labels = RescuedLabels {
        listener: String::new(),
        queue: "",
    };
    let listener = ListenerMetrics::new(metrics, "");
    drop(listener.rescued.get_or_create(&labels));
}

struct Register<'a> {
    metrics: &'a Metrics,
    label: ListenerLabel,
}

impl Register<'_> {
    fn counter(&self, name: &str, help: &str) -> Counter {
        let name = format!("logferry_intake_{name}");
        let family: Family<ListenerLabel, Counter> = self.metrics.register(&name, help, Family::default());
        family.get_or_create_owned(&self.label)
    }

    fn gauge(&self, name: &str, help: &str) -> Gauge {
        let name = format!("logferry_intake_{name}");
        let family: Family<ListenerLabel, Gauge> = self.metrics.register(&name, help, Family::default());
        family.get_or_create_owned(&self.label)
    }

    fn histogram(&self, name: &str, help: &str, bounds: &'static [f64]) -> Histogram {
        let name = format!("logferry_intake_{name}");
        let new = Buckets(bounds);
        let family: Family<ListenerLabel, Histogram, Buckets> =
            self.metrics
                .register(&name, help, Family::new_with_constructor(new));
        family.get_or_create_owned(&self.label)
    }

    fn refused(&self, reason: &'static str) -> Counter {
        let family: Family<RefusedLabels, Counter> = self.metrics.register(
            "logferry_intake_connections_refused_total",
            "Connections closed at once because of a cap",
            Family::default(),
        );
        family.get_or_create_owned(&RefusedLabels {
            listener: self.label.listener.clone(),
            reason,
        })
    }

    fn meters(&self) -> Meters {
        Meters {
            connections: self.gauge("connections", "Open connections"),
            relp_sessions: self.gauge("relp_sessions", "Open RELP sessions"),
            accepted: self.counter("connections_accepted_total", "Connections accepted"),
            refused_total: self.refused("connections_max"),
            refused_peer: self.refused("connections_per_peer_max"),
            exhausted: self.counter(
                "accept_exhausted_total",
                "Times that no connection could be accepted for want of descriptors or memory",
            ),
            handshakes_failed: self.counter("tls_handshakes_failed_total", "TLS handshakes that failed"),
            certificate_not_after: self.gauge(
                "certificate_not_after_seconds",
                "When the listener's certificate, or one of its chain, ends, in seconds since 1970; 0 without TLS",
            ),
            idled: self.counter("connections_idle_total", "Connections closed by idle_timeout"),
            violations: self.counter(
                "relp_violations_total",
                "RELP sessions closed because their peer broke the protocol",
            ),
            discarded_bytes: self.counter(
                "discarded_bytes_total",
                "Bytes of frames beyond frame_bytes_max that were thrown away",
            ),
            roster: Roster::default(),
        }
    }
}
