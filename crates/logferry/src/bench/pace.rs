//! Which messages a connection sends, and when.

use std::time::{Duration, Instant};

/// The part of one connection in a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// Which connection, from 0.
    pub(crate) number: u32,
    /// Of how many.
    pub(crate) of: u32,
    /// Messages of all connections.
    pub(crate) count: Option<u64>,
    pub(crate) until: Option<Instant>,
    /// Messages a second of all connections.
    pub(crate) rate: Option<u32>,
}

/// Hands out numbers: connection `i` of `n` has `i`, `i + n`, `i + 2n`, so that all together leave none out.
#[derive(Debug)]
pub(crate) struct Pace {
    next: u64,
    step: u64,
    left: u64,
    until: Option<Instant>,
    rate: Option<Rate>,
}

#[derive(Debug)]
struct Rate {
    /// Shifted for each connection, so that they do not all send at the same moment.
    start: Instant,
    per_second: f64,
    taken: u64,
    /// Messages are due in bursts this far apart: fine for few connections, coarse for many, which wakes the
    /// generator less.
    tick: Duration,
}

/// What a connection may do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send so many.
    Now(u64),
    /// Nothing before then.
    At(Instant),
    /// Nothing ever again.
    Done,
}

impl Pace {
    pub(crate) fn new(share: Share) -> Self {
        let (number, of) = (u64::from(share.number), u64::from(share.of));
        let rate = share.rate.map(|rate| {
            let tick = (Duration::from_micros(100) * share.of)
                .clamp(Duration::from_millis(1), Duration::from_millis(100));
            Rate {
                start: Instant::now() + tick * share.number / share.of,
                per_second: f64::from(rate) / f64::from(share.of),
                taken: 0,
                tick,
            }
        });
        Self {
            next: number,
            step: of,
            left: share
                .count
                .map_or(u64::MAX, |count| count / of + u64::from(number < count % of)),
            until: share.until,
            rate,
        }
    }

    /// How many messages may be sent now, `max` at most.
    pub(crate) fn due(&self, max: u64) -> Due {
        let now = Instant::now();
        if self.left == 0 || self.until.is_some_and(|until| now >= until) {
            return Due::Done;
        }
        let max = max.min(self.left);
        let Some(rate) = &self.rate else {
            return Due::Now(max);
        };
        let ticks = now
            .saturating_duration_since(rate.start)
            .div_duration_f64(rate.tick)
            .floor();
        let wanted = (ticks + 1.0) * rate.tick.as_secs_f64() * rate.per_second;
        let ahead = wanted - to_f64(rate.taken);
        if ahead >= 1.0 {
            return Due::Now(max.min(to_u64(ahead)));
        }
        // The tick in which the next one is due.
        let tick = ((to_f64(rate.taken) + 1.0) / rate.per_second / rate.tick.as_secs_f64()).ceil() - 1.0;
        let due = rate.start + rate.tick.mul_f64(tick.max(ticks + 1.0));
        Due::At(self.until.map_or(due, |until| due.min(until)))
    }

    /// The number of the next message.
    pub(crate) fn take(&mut self) -> u64 {
        let number = self.next;
        self.next += self.step;
        self.left = self.left.saturating_sub(1);
        if let Some(rate) = &mut self.rate {
            rate.taken += 1;
        }
        number
    }
}

/// Counts of messages are far below where floats get coarse.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn to_f64(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounding down is meant, and what is too large becomes the largest"
)]
const fn to_u64(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn share(number: u32, of: u32) -> Share {
        Share {
            number,
            of,
            count: Some(10),
            until: None,
            rate: None,
        }
    }

    #[test]
    fn connections_leave_no_number_out() {
        for of in [1, 3, 10, 20] {
            let mut numbers = BTreeSet::new();
            for number in 0..of {
                let mut pace = Pace::new(share(number, of));
                while let Due::Now(count) = pace.due(2) {
                    for _ in 0..count {
                        assert!(numbers.insert(pace.take()));
                    }
                }
                assert_eq!(pace.due(2), Due::Done);
            }
            assert_eq!(numbers, (0..10).collect());
        }
    }

    #[test]
    fn a_rate_is_kept_and_time_that_was_lost_is_made_up_for() {
        let mut pace = Pace::new(Share {
            count: None,
            rate: Some(10_000),
            ..share(0, 1)
        });
        let Some(rate) = &mut pace.rate else {
            unreachable!()
        };
        // A second and a half of a millisecond ago.
        rate.start -= Duration::from_micros(1_000_500);
        let Due::Now(due) = pace.due(u64::MAX) else {
            unreachable!()
        };
        assert!((10_010..10_100).contains(&due), "{due}");
        for _ in 0..due {
            pace.take();
        }
        // Unless this thread was away for a tick in between, nothing more is due, and soon something is.
        if let Due::At(next) = pace.due(u64::MAX) {
            assert!(next.saturating_duration_since(Instant::now()) <= Duration::from_millis(1));
        }
    }

    #[test]
    fn less_than_one_a_tick_waits_for_its_tick() {
        let mut pace = Pace::new(Share {
            count: None,
            rate: Some(1),
            ..share(0, 1)
        });
        let Due::At(first) = pace.due(u64::MAX) else {
            unreachable!()
        };
        let wait = first.saturating_duration_since(Instant::now());
        assert!((900..=1000).contains(&wait.as_millis()), "{wait:?}");
        pace.until = Some(Instant::now());
        assert_eq!(pace.due(u64::MAX), Due::Done);
    }
}
