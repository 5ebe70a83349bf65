//! What the broker counts. How it is shown is in `metrics.rs`; tests and tools read [`Broker::counters`].
//!
//! [`Broker::counters`]: crate::Broker::counters

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the confirm latency histogram, in seconds. The last bucket has none.
pub const LATENCY_BOUNDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What happened since the start, as numbers at one moment.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct CounterSnapshot {
            $($(#[$doc])* pub $name: u64,)*
            /// Seconds in which publishers were blocked.
            pub blocked_seconds: f64,
            /// Confirmed publishes by latency: as many numbers as [`LATENCY_BOUNDS`] and one more; not cumulative.
            pub confirm_latency: [u64; LATENCY_BOUNDS.len() + 1],
            /// The sum of these latencies in seconds.
            pub confirm_latency_seconds: f64,
        }

        /// The same, while it is counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Count,)*
            blocked_micros: Count,
            latency: [Count; LATENCY_BOUNDS.len() + 1],
            latency_micros: Count,
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> CounterSnapshot {
                CounterSnapshot {
                    $($name: self.$name.get(),)*
                    blocked_seconds: Duration::from_micros(self.blocked_micros.get()).as_secs_f64(),
                    confirm_latency: std::array::from_fn(|i| self.latency.get(i).map_or(0, Count::get)),
                    confirm_latency_seconds: Duration::from_micros(self.latency_micros.get()).as_secs_f64(),
                }
            }
        }
    };
}

counters! {
    /// Messages handed to the broker.
    published,
    /// Messages that it confirmed.
    confirmed,
    /// Messages that no queue took.
    returned,
    /// Messages that it refused for now.
    nacked,
    /// Messages without a verdict in time.
    timed_out,
    /// Messages whose connection ended before the verdict.
    lost,
    /// Messages without a verdict yet. Goes up and down.
    unconfirmed,
    /// Deliveries received.
    delivered,
    /// Deliveries without a disposition yet. Goes up and down.
    unsettled,
    /// Deliveries acknowledged.
    acked,
    /// Deliveries given back.
    requeued,
    /// Deliveries that were published as dead letters and acknowledged.
    dead_lettered,
    /// Dispositions that came after their channel had ended; the broker delivers these again.
    stale_settlements,
    /// Deliveries dropped without a disposition: a bug of ours, repaired by giving them back.
    dropped_unsettled,
    /// Connections made after the first.
    reconnects,
}

impl Counters {
    pub(crate) fn confirmed_after(&self, latency: Duration) {
        self.confirmed.add(1);
        let seconds = latency.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.latency.get(bucket) {
            count.add(1);
        }
        self.latency_micros.add_micros(latency);
    }

    pub(crate) fn blocked_for(&self, time: Duration) {
        self.blocked_micros.add_micros(time);
    }
}

/// A number that many tasks count. Relaxed: each is read by itself.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    fn add_micros(&self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_their_buckets() {
        let counters = Counters::default();
        counters.confirmed_after(Duration::from_micros(500));
        counters.confirmed_after(Duration::from_millis(3));
        counters.confirmed_after(Duration::from_secs(60));
        let snapshot = counters.snapshot();
        assert_eq!(snapshot.confirmed, 3);
        assert_eq!(snapshot.confirm_latency[0], 1);
        assert_eq!(snapshot.confirm_latency[3], 1);
        assert_eq!(snapshot.confirm_latency[LATENCY_BOUNDS.len()], 1);
        assert!((snapshot.confirm_latency_seconds - 60.0035).abs() < 1e-9);
    }
}
