//! Values of the last hour: all those of the last five minutes, and one in thirty seconds of the time before.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// All values are kept for so long, and a little longer: they do not come to the second.
const FINE: Duration = Duration::from_secs(315);
/// However many come in that time.
const FINE_MAX: usize = 80;
/// Of those before, one in so long is kept.
const COARSE_STEP: Duration = Duration::from_secs(27);
/// An hour, and what the fine ones do not have.
const COARSE_MAX: usize = 135;
/// Between two that are further apart nothing is known.
const GAP_MAX: Duration = Duration::from_secs(45);
/// The newest value is not older than this, as a rule.
const LATE: Duration = Duration::from_secs(6);

/// Values, the oldest first.
#[derive(Debug, Clone)]
pub(crate) struct Past<T> {
    coarse: VecDeque<(Instant, T)>,
    fine: VecDeque<(Instant, T)>,
}

/// Equal steps of time, up to a moment not long ago.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) end: Instant,
    pub(crate) step: Duration,
    pub(crate) steps: u32,
}

impl Grid {
    /// The last `steps` that are over, of `window` in all. They begin when the clock of the day has a multiple of a step,
    /// so that the same moments are in one step whenever somebody looks.
    pub(crate) fn over(window: Duration, steps: u32, now: Instant) -> Self {
        let step = window / steps.max(1);
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let into_step = clock.saturating_sub(LATE).as_millis() % step.as_millis().max(1);
        let into_step = Duration::from_millis(u64::try_from(into_step).unwrap_or(0));
        Self {
            end: now.checked_sub(LATE + into_step).unwrap_or(now),
            step,
            steps,
        }
    }

    /// Where each step begins and ends.
    pub(crate) fn each(self) -> impl Iterator<Item = (Instant, Instant)> {
        (0..self.steps).rev().filter_map(move |back| {
            let to = self.end.checked_sub(self.step * back)?;
            Some((to.checked_sub(self.step)?, to))
        })
    }
}

impl<T> Default for Past<T> {
    fn default() -> Self {
        Self {
            coarse: VecDeque::new(),
            fine: VecDeque::new(),
        }
    }
}

impl<T: Copy> Past<T> {
    pub(crate) fn push(&mut self, at: Instant, value: T) {
        self.fine.push_back((at, value));
        while let Some((old, value)) = self.fine.front().copied()
            && (self.fine.len() > FINE_MAX || at.saturating_duration_since(old) > FINE)
        {
            self.fine.pop_front();
            let is_due = self
                .coarse
                .back()
                .is_none_or(|(last, _)| old.saturating_duration_since(*last) >= COARSE_STEP);
            if is_due {
                self.coarse.push_back((old, value));
            }
        }
        while self.coarse.len() > COARSE_MAX {
            self.coarse.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.coarse.clear();
        self.fine.clear();
    }

    pub(crate) fn last(&self) -> Option<(Instant, T)> {
        self.fine.back().copied()
    }

    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = (Instant, T)> {
        self.coarse.iter().chain(&self.fine).copied()
    }

    /// The two that `at` is between; `None` where nothing is known.
    pub(crate) fn around(&self, at: Instant) -> Option<[(Instant, T); 2]> {
        let place = self.place(at);
        let after = self.get(place)?;
        if after.0 == at {
            return Some([after, after]);
        }
        let before = self.get(place.checked_sub(1)?)?;
        (after.0 - before.0 <= GAP_MAX).then_some([before, after])
    }

    /// Those of a step, or else the one that held when it ended.
    pub(crate) fn of_step(&self, from: Instant, to: Instant) -> impl Iterator<Item = T> {
        let (begin, end) = (self.place(from), self.place(to));
        let held = (begin == end).then(|| end.checked_sub(1)).flatten();
        let held = held
            .and_then(|place| self.get(place))
            .filter(|(at, _)| to.saturating_duration_since(*at) <= GAP_MAX);
        let inside = (begin..end).filter_map(|place| self.get(place));
        inside.chain(held).map(|(_, value)| value)
    }

    /// The place of the first that is not before `at`.
    fn place(&self, at: Instant) -> usize {
        let is_before = |(when, _): &(Instant, T)| *when < at;
        let coarse = self.coarse.partition_point(is_before);
        if coarse < self.coarse.len() {
            coarse
        } else {
            coarse + self.fine.partition_point(is_before)
        }
    }

    fn get(&self, place: usize) -> Option<(Instant, T)> {
        match place.checked_sub(self.coarse.len()) {
            None => self.coarse.get(place).copied(),
            Some(place) => self.fine.get(place).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One value every five seconds, which is the second it came in.
    fn filled(start: Instant, until: u64) -> Past<u64> {
        let mut past = Past::default();
        for second in (0..=until).step_by(5) {
            past.push(start + seconds(second), second);
        }
        past
    }

    #[test]
    fn an_hour_is_kept_and_not_more_than_that() {
        let start = Instant::now();
        let past = filled(start, 4 * 3600);
        let all: Vec<_> = past.all().collect();
        assert!(all.len() <= FINE_MAX + COARSE_MAX, "{}", all.len());
        assert!(all.windows(2).all(|two| two[0].0 < two[1].0));
        let (first, _) = all[0];
        assert!(start + seconds(4 * 3600) - first >= seconds(3600));
        for ago in [0, 7, 299, 301, 1800, 3599] {
            let at = start + seconds(4 * 3600 - ago);
            let [before, after] = past.around(at).unwrap();
            assert!(before.0 <= at && at <= after.0 && after.0 - before.0 <= GAP_MAX);
        }
    }

    #[test]
    fn nothing_is_known_of_silence() {
        let start = Instant::now();
        let mut past = filled(start, 60);
        past.push(start + seconds(200), 200);
        assert!(past.around(start + seconds(100)).is_none());
        assert!(past.around(start + seconds(201)).is_none());
        assert_eq!(
            past.of_step(start + seconds(11), start + seconds(21)).max(),
            Some(20)
        );
        let held = |at| past.of_step(start + seconds(at - 1), start + seconds(at)).max();
        assert_eq!((held(63), held(150)), (Some(60), None));
    }

    #[test]
    fn steps_follow_each_other_up_to_now() {
        let now = Instant::now() + seconds(10_000);
        let grid = Grid::over(seconds(300), 30, now);
        let each: Vec<_> = grid.each().collect();
        assert_eq!(each.len(), 30);
        assert!(each.windows(2).all(|two| two[0].1 == two[1].0));
        let late = now - each[29].1;
        assert!(late >= LATE && late < LATE + seconds(10), "{late:?}");
    }
}
