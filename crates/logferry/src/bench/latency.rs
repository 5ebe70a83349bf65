//! How long messages waited for their acknowledgement.

use std::{collections::VecDeque, time::Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest wait that is told apart from longer ones, in microseconds: ten minutes.
const MICROS_MAX: u64 = 600_000_000;

/// Digits to which waits are kept.
const DIGITS: u8 = 3;

/// Messages of one connection that wait, oldest first, and how long others did.
#[derive(Debug)]
pub(crate) struct Latency {
    /// When so many were sent.
    waiting: VecDeque<(Instant, u64)>,
    micros: Histogram<u64>,
}

/// What people look at, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    #[serde(rename = "p99.9")]
    pub(crate) p99_9: f64,
    pub(crate) max: f64,
}

impl Latency {
    pub(crate) fn new() -> Self {
        let micros = Histogram::new_with_bounds(1, MICROS_MAX, DIGITS);
        Self {
            waiting: VecDeque::new(),
            micros: micros.expect("the bounds are constants and good"),
        }
    }

    /// So many were sent now.
    pub(crate) fn sent(&mut self, count: u64) {
        if count > 0 {
            self.waiting.push_back((Instant::now(), count));
        }
    }

    /// So many of the oldest were acknowledged now.
    pub(crate) fn acked(&mut self, mut count: u64) {
        let now = Instant::now();
        while count > 0
            && let Some((sent_at, waiting)) = self.waiting.front_mut()
        {
            let these = count.min(*waiting);
            let micros = now.saturating_duration_since(*sent_at).as_micros();
            self.micros
                .saturating_record_n(u64::try_from(micros).unwrap_or(u64::MAX), these);
            count -= these;
            *waiting -= these;
            if *waiting == 0 {
                self.waiting.pop_front();
            }
        }
    }

    /// Adds what another connection saw.
    pub(crate) fn add(&mut self, other: &Self) {
        self.micros.add(&other.micros).expect("both have the same bounds");
    }

    /// `None` when nothing was acknowledged.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| milliseconds(self.micros.value_at_quantile(quantile));
        (!self.micros.is_empty()).then(|| Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: milliseconds(self.micros.max()),
        })
    }
}

fn milliseconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_waits_from_when_it_was_sent() {
        let mut latency = Latency::new();
        assert_eq!(latency.percentiles(), None);
        let now = Instant::now();
        for (millis, count) in [(5000, 1), (100, 99)] {
            let sent_at = now.checked_sub(std::time::Duration::from_millis(millis)).unwrap();
            latency.waiting.push_back((sent_at, count));
        }
        latency.acked(50);
        latency.acked(50);
        assert!(latency.waiting.is_empty());
        let mut all = Latency::new();
        all.add(&latency);
        let percentiles = all.percentiles().unwrap();
        assert!((100.0..4000.0).contains(&percentiles.p50), "{percentiles:?}");
        assert!((5000.0..9000.0).contains(&percentiles.max), "{percentiles:?}");
        assert_eq!(all.micros.len(), 100);
    }
}
