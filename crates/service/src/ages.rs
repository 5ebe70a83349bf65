//! How old the oldest of what a stage holds is: worked out when somebody looks, since it grows while nothing happens.

use std::{
    collections::BTreeSet,
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric},
};

/// The ages of what is held. Cheap to clone; clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ages(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// Since when, in microseconds since 1970, and a number that tells two of one moment apart.
    since: BTreeSet<(i64, u64)>,
    next: u64,
}

/// Something that a stage holds, until this is dropped.
#[derive(Debug)]
#[must_use = "it is held no longer when this is dropped"]
pub struct Holding {
    ages: Ages,
    entry: (i64, u64),
}

impl Ages {
    pub(crate) fn hold(&self, since_micros: i64) -> Holding {
        let mut held = self.0.lock();
        let entry = (since_micros, held.next);
        held.next += 1;
        held.since.insert(entry);
        drop(held);
        Holding {
            ages: self.clone(),
            entry,
        }
    }

    /// In seconds; 0 when nothing is held.
    pub(crate) fn oldest_seconds(&self) -> f64 {
        let Some((since, _)) = self.0.lock().since.first().copied() else {
            return 0.0;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let age = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
        std::time::Duration::from_micros(age).as_secs_f64()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.ages.0.lock().since.remove(&self.entry);
    }
}

impl EncodeMetric for Ages {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.encode_gauge(&self.oldest_seconds())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Ages {
    const TYPE: MetricType = MetricType::Gauge;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_counts_until_it_is_let_go() {
        let ages = Ages::default();
        assert_eq!(ages.oldest_seconds(), 0.0);
        let in_future = ages.hold(i64::MAX);
        assert_eq!(ages.oldest_seconds(), 0.0, "clocks differ");
        let old = ages.hold(0);
        let same = ages.hold(0);
        drop(old);
        assert!(ages.oldest_seconds() > 1e9, "since 1970");
        drop(same);
        drop(in_future);
        assert_eq!(ages.oldest_seconds(), 0.0);
    }
}
