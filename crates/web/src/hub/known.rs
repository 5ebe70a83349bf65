//! One process, as far as it is known.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use service::Heartbeat;

/// Heartbeats whose counters are kept: five minutes.
const HISTORY: usize = 61;
/// Rates are those of the last so many heartbeats.
const RATE_OVER: usize = 3;
/// Heartbeats that may fail to come before a process is silent.
const PATIENCE: u32 = 3;

/// The last heartbeat of one process, and the counters of those before.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) beat: Heartbeat,
    pub(crate) heard_at: Instant,
    /// So many seconds its clock is ahead of ours; what is under way for a while makes it less.
    pub(crate) clock_ahead_s: i64,
    history: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    received: u64,
    sent: u64,
    dropped: u64,
    dead: u64,
    retried: u64,
}

/// Per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Pace {
    pub(crate) received: f64,
    pub(crate) sent: f64,
    pub(crate) dropped: f64,
    pub(crate) dead: f64,
    pub(crate) retried: f64,
}

impl Sample {
    fn of(beat: &Heartbeat, at: Instant) -> Self {
        let counters = &beat.counters;
        Self {
            at,
            received: counters.received,
            sent: counters.sent,
            dropped: counters.dropped.values().sum(),
            dead: counters.dead_lettered.values().sum(),
            retried: counters.retried.values().sum(),
        }
    }

    /// What came since `before`; `None` when the process counts anew.
    fn since(self, before: Self) -> Option<Pace> {
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
        let rate = |now: u64, then: u64| now.checked_sub(then).map(|n| n as f64 / seconds);
        Some(Pace {
            received: rate(self.received, before.received)?,
            sent: rate(self.sent, before.sent)?,
            dropped: rate(self.dropped, before.dropped)?,
            dead: rate(self.dead, before.dead)?,
            retried: rate(self.retried, before.retried)?,
        })
    }
}

fn clock_ahead_s(beat: &Heartbeat) -> i64 {
    beat.at.duration_since(jiff::Timestamp::now()).as_secs()
}

impl Pace {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            sent: self.sent + other.sent,
            dropped: self.dropped + other.dropped,
            dead: self.dead + other.dead,
            retried: self.retried + other.retried,
        }
    }
}

impl Known {
    pub(crate) fn new(beat: Heartbeat, now: Instant) -> Self {
        let history = VecDeque::from([Sample::of(&beat, now)]);
        Self {
            clock_ahead_s: clock_ahead_s(&beat),
            beat,
            heard_at: now,
            history,
        }
    }

    pub(crate) fn hear(&mut self, beat: Heartbeat, now: Instant) {
        let sample = Sample::of(&beat, now);
        if self
            .history
            .back()
            .is_some_and(|last| sample.received < last.received)
        {
            self.history.clear();
        }
        self.history.push_back(sample);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        self.clock_ahead_s = clock_ahead_s(&beat);
        self.beat = beat;
        self.heard_at = now;
    }

    /// Whether heartbeats fail to come.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        let period = Duration::from_millis(self.beat.period_ms.clamp(100, 600_000));
        now.saturating_duration_since(self.heard_at) > period * PATIENCE
    }

    /// Its rates of late; `None` when they are not known.
    pub(crate) fn pace(&self, now: Instant) -> Option<Pace> {
        if self.is_silent(now) || self.beat.is_stopping {
            return None;
        }
        let last = *self.history.back()?;
        let before = self
            .history
            .iter()
            .rev()
            .nth(RATE_OVER.min(self.history.len() - 1))?;
        last.since(*before)
    }

    /// What it sent per second, heartbeat by heartbeat, the last one last.
    pub(crate) fn curve(&self) -> Vec<f64> {
        let pairs = self.history.iter().zip(self.history.iter().skip(1));
        pairs
            .map(|(before, after)| after.since(*before).map_or(0.0, |pace| pace.sent))
            .collect()
    }
}
