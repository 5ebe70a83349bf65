//! What the shipper counts.

use std::{io, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
};
use service::{Metrics, StageCounters};

use crate::STAGE;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DestinationLabel {
    destination: String,
}

/// The shipper's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    pub(crate) counters: StageCounters,
    lines: Counter,
    bytes: Counter,
    syncs: Counter,
    sync_seconds: Histogram,
    repeated_batches: Counter,
    files_open: Gauge,
    writable: Family<DestinationLabel, Gauge>,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            counters: StageCounters::new(metrics, STAGE),
            lines: metrics.register(
                "logferry_files_lines_total",
                "Lines written to files and synced.",
                Counter::default(),
            ),
            bytes: metrics.register(
                "logferry_files_bytes_total",
                "Bytes written to files and synced, after compression.",
                Counter::default(),
            ),
            syncs: metrics.register(
                "logferry_files_syncs_total",
                "Groups of lines that were written and synced together.",
                Counter::default(),
            ),
            sync_seconds: metrics.register(
                "logferry_files_sync_seconds",
                "Time that writing and syncing a group took, waiting for other processes included.",
                Histogram::new(exponential_buckets(0.0005, 2.0, 15)),
            ),
            repeated_batches: metrics.register(
                "logferry_files_repeated_batches_total",
                "Batches that were delivered again and had been written before.",
                Counter::default(),
            ),
            files_open: metrics.register("logferry_files_open", "Open files of events.", Gauge::default()),
            writable: metrics.register(
                "logferry_files_writable",
                "1 while a destination can be written to, 0 while its disk is full or fails.",
                Family::default(),
            ),
        }
    }

    /// Lines are in their files, durably.
    pub(crate) fn committed(&self, lines: u64, bytes: u64, took: Duration) {
        self.lines.inc_by(lines);
        self.bytes.inc_by(bytes);
        self.syncs.inc();
        self.sync_seconds.observe(took.as_secs_f64());
    }

    /// A delivery with `events` is acknowledged although nothing was written for it.
    pub(crate) fn repeated(&self, events: u64) {
        self.repeated_batches.inc();
        self.counters.dropped("repeated", events);
    }

    /// Writing failed and is tried again.
    pub(crate) fn failed(&self, kind: io::ErrorKind) {
        let reason = match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk_full",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "not_allowed",
            _ => "io",
        };
        self.counters.retried(reason, 1);
    }

    pub(crate) fn files_open(&self, files: usize) {
        self.files_open.set(i64::try_from(files).unwrap_or(i64::MAX));
    }

    pub(crate) fn set_writable(&self, destination: &str, is_writable: bool) {
        let label = DestinationLabel {
            destination: destination.to_owned(),
        };
        self.writable
            .get_or_create_owned(&label)
            .set(i64::from(is_writable));
    }
}
