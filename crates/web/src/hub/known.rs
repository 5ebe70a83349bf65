//! One process, as far as it is known.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use service::{Heartbeat, heartbeat::Trouble};

use super::{
    custodies::Custodies,
    drops::Drops,
    past::{Grid, Past},
};

/// Heartbeats may come so much later than they should.
const SLACK: Duration = Duration::from_millis(2500);
/// Heartbeats that may fail to come before a process is silent.
const PATIENCE: u32 = 3;
/// Warnings and errors of a log that are kept.
const TROUBLES_MAX: usize = 10;

/// The last heartbeat of one process, and what those before told. What takes room is shared by clones.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) beat: Heartbeat,
    pub(crate) heard_at: Instant,
    /// So many seconds its clock is ahead of ours; what is under way for a while makes it less.
    pub(crate) clock_ahead_s: i64,
    /// Its last warnings and errors, the newest last.
    pub(crate) troubles: Arc<VecDeque<Trouble>>,
    /// What its answers meant; empty of what is no intake.
    pub(crate) custodies: Arc<Custodies>,
    past: Arc<Past<Sample>>,
    drops: Arc<Drops>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    received: u64,
    sent: u64,
    oldest_s: Option<f64>,
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
    fn of(beat: &Heartbeat) -> Self {
        let counters = &beat.counters;
        Self {
            received: counters.received,
            sent: counters.sent,
            oldest_s: beat.oldest_unsettled_s,
            dropped: counters.dropped.values().sum(),
            dead: counters.dead_lettered.values().sum(),
            retried: counters.retried.values().sum(),
        }
    }

    /// What came since `before`, so long ago; `None` when the process counts anew.
    fn since(self, before: Self, time: Duration) -> Option<Pace> {
        let seconds = time.as_secs_f64();
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

/// Which of the rates of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Received,
    Sent,
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
        let mut known = Self {
            clock_ahead_s: 0,
            beat: beat.clone(),
            heard_at: now,
            troubles: Arc::default(),
            custodies: Arc::default(),
            past: Arc::default(),
            drops: Arc::default(),
        };
        known.hear(beat, now);
        known
    }

    pub(crate) fn hear(&mut self, beat: Heartbeat, now: Instant) {
        let sample = Sample::of(&beat);
        let past = Arc::make_mut(&mut self.past);
        if past
            .last()
            .is_some_and(|(_, last)| sample.received < last.received)
        {
            past.clear();
        }
        past.push(now, sample);
        if let Some(trouble) = &beat.last_error
            && self.troubles.back() != Some(trouble)
        {
            let troubles = Arc::make_mut(&mut self.troubles);
            troubles.push_back(trouble.clone());
            if troubles.len() > TROUBLES_MAX {
                troubles.pop_front();
            }
        }
        if let Some(durability) = &beat.durability {
            Arc::make_mut(&mut self.custodies).hear(durability, jiff::Timestamp::now());
        }
        Arc::make_mut(&mut self.drops).hear(&beat, now);
        self.clock_ahead_s = clock_ahead_s(&beat);
        self.beat = beat;
        self.heard_at = now;
    }

    /// Datagrams that the kernel dropped since the process was started, by listener.
    pub(crate) fn kernel_drops(&self) -> impl Iterator<Item = (&str, f64)> {
        self.drops.all()
    }

    /// The same per minute, in the last one; nothing while that is not known.
    pub(crate) fn kernel_drops_per_min(&self) -> Vec<(String, f64)> {
        self.drops.per_min()
    }

    /// This one takes the place of another.
    pub(super) fn inherit(&mut self, older: &Self) {
        Arc::make_mut(&mut self.custodies).inherit(Custodies::clone(&older.custodies));
    }

    /// Whether heartbeats fail to come.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        let period = Duration::from_millis(self.beat.period_ms.clamp(100, 600_000));
        now.saturating_duration_since(self.heard_at) > period * PATIENCE
    }

    /// Its rates of late, over so long or as long as it is known; `None` when they are not known.
    pub(crate) fn pace(&self, over: Duration, now: Instant) -> Option<Pace> {
        if self.is_silent(now) || self.beat.is_stopping {
            return None;
        }
        let (at, last) = self.past.last()?;
        let is_in = |(then, _): &(Instant, Sample)| at.saturating_duration_since(*then) <= over + SLACK;
        let first = self.past.all().find(is_in).filter(|(then, _)| *then < at);
        let (then, before) = first.or_else(|| self.past.all().rev().nth(1))?;
        last.since(before, at - then)
    }

    /// Its rate in each step; `None` where it is not known.
    pub(crate) fn rates(&self, way: Way, grid: Grid) -> Vec<Option<f64>> {
        let count = |at: Instant| {
            let [(before, from), (after, to)] = self.past.around(at)?;
            let of = |sample: Sample| match way {
                Way::Received => sample.received,
                Way::Sent => sample.sent,
            };
            let share = if after > before {
                (at - before).as_secs_f64() / (after - before).as_secs_f64()
            } else {
                0.0
            };
            #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
            let (from, more) = (of(from) as f64, of(to).checked_sub(of(from))? as f64);
            Some(from + more * share)
        };
        grid.each()
            .map(|(from, to)| Some((count(to)? - count(from)?) / grid.step.as_secs_f64()))
            .collect()
    }

    /// In each step the age of the oldest that it held, in seconds; `None` where it is not known.
    pub(crate) fn oldest(&self, grid: Grid) -> Vec<Option<f64>> {
        let of_step = |(from, to)| {
            let ages = self.past.of_step(from, to).map(|sample| sample.oldest_s);
            ages.reduce(|a, b| Some(a?.max(b?))).flatten()
        };
        grid.each().map(of_step).collect()
    }
}
