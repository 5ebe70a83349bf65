//! What the shipper counts.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::metrics::{
    counter::Counter,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};
use service::{Metrics, StageCounters};
use store::{Kept, Store, Tidied, Written};

use crate::{STAGE, load::count};

/// The shipper's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    pub(crate) counters: StageCounters,
    transactions: Counter,
    repeated_batches: Counter,
    transaction_rows: Histogram,
    transaction_seconds: Histogram,
    connections: Gauge,
    connections_max: Gauge,
    partitions: Gauge,
    partitions_sealed: Gauge,
    bytes: Gauge,
    sealing_seconds: Counter<f64, AtomicU64>,
    dropped: Counter,
    deleted: Counter,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            counters: StageCounters::new(metrics, STAGE),
            transactions: metrics.register(
                "logferry_store_transactions_total",
                "Transactions committed to the store.",
                Counter::default(),
            ),
            repeated_batches: metrics.register(
                "logferry_store_repeated_batches_total",
                "Batches that were delivered again and had been written before.",
                Counter::default(),
            ),
            transaction_rows: metrics.register(
                "logferry_store_transaction_rows",
                "Rows of a committed transaction.",
                Histogram::new(exponential_buckets(1.0, 4.0, 10)),
            ),
            transaction_seconds: metrics.register(
                "logferry_store_transaction_seconds",
                "Time from the first statement of a transaction to its commit.",
                Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            ),
            connections: metrics.register(
                "logferry_store_connections",
                "Connections to the store.",
                Gauge::default(),
            ),
            connections_max: metrics.register(
                "logferry_store_connections_max",
                "Connections to the store that there may be.",
                Gauge::default(),
            ),
            partitions: metrics.register(
                "logferry_store_partitions",
                "Partitions of events; with SQLite, files of days.",
                Gauge::default(),
            ),
            partitions_sealed: metrics.register(
                "logferry_store_partitions_sealed",
                "Partitions that have their indexes for searching.",
                Gauge::default(),
            ),
            bytes: metrics.register(
                "logferry_store_bytes",
                "Bytes that events and their indexes take on disk.",
                Gauge::default(),
            ),
            sealing_seconds: metrics.register(
                "logferry_store_sealing_seconds_total",
                "Time spent on building indexes of partitions.",
                Counter::default(),
            ),
            dropped: metrics.register(
                "logferry_store_partitions_dropped_total",
                "Partitions that retention dropped.",
                Counter::default(),
            ),
            deleted: metrics.register(
                "logferry_store_rows_deleted_total",
                "Rows that retention deleted since their route is kept for less.",
                Counter::default(),
            ),
        }
    }

    /// A round of sealing and retention ended.
    pub(crate) fn tidied(&self, tidied: &Tidied) {
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let Kept {
            partitions,
            sealed,
            bytes,
        } = tidied.kept;
        self.partitions.set(gauge(count(partitions)));
        self.partitions_sealed.set(gauge(count(sealed)));
        self.bytes.set(gauge(bytes));
        self.sealing_seconds.inc_by(tidied.sealing.as_secs_f64());
        self.dropped.inc_by(count(tidied.dropped));
        self.deleted.inc_by(tidied.deleted);
    }

    /// A transaction was committed; `offered` rows were in its group.
    pub(crate) fn committed(&self, written: Written, offered: usize, took: Duration, store: &Store) {
        self.transactions.inc();
        self.repeated_batches.inc_by(count(written.repeated));
        self.transaction_rows
            .observe(f64::from(u32::try_from(written.rows).unwrap_or(u32::MAX)));
        self.transaction_seconds.observe(took.as_secs_f64());
        self.counters.sent(count(written.rows));
        // They were counted as received, and are in the store since an earlier time.
        let repeated = offered.saturating_sub(written.rows);
        if repeated > 0 {
            self.counters.dropped("repeated", count(repeated));
        }
        if let Some((connections, most)) = store.pool() {
            self.connections
                .set(i64::try_from(connections).unwrap_or(i64::MAX));
            self.connections_max.set(i64::try_from(most).unwrap_or(i64::MAX));
        }
    }
}
