//! What the answers of one intake meant in the last 24 hours, as far as somebody heard it.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use service::heartbeat::InForce;

/// So long is told of.
pub(crate) const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Changes that are kept; what was before those of a day that had more is unknown.
const SPANS_MAX: usize = 100;
/// A reason that is longer is cut.
const WHY_BYTES_MAX: usize = 500;

/// A time for which it was known, and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    /// As it was told, with when it began by the clock of the intake.
    pub(crate) told: InForce,
}

/// Spans that do not overlap, the oldest first. Nothing is known of the time between them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Custodies(VecDeque<Span>);

impl Custodies {
    pub(super) fn hear(&mut self, told: &InForce, now: Timestamp) {
        let is_same = |last: &&mut Span| {
            let (last, now) = (&last.told, told);
            last.since == now.since && last.in_force == now.in_force && last.weaker == now.weaker
        };
        if let Some(last) = self.0.back_mut().filter(is_same) {
            // It says itself that nothing changed, also of a time in which it was not heard.
            last.until = now.max(last.until);
        } else {
            let mut told = told.clone();
            told.why.truncate(told.why.floor_char_boundary(WHY_BYTES_MAX));
            let begin = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
            let free = self.0.back().map_or(begin, |last| last.until.max(begin));
            self.0.push_back(Span {
                from: told.since.clamp(free.min(now), now),
                until: now,
                told,
            });
        }
        self.forget(now);
    }

    /// Those of the process that was there before, on the same host.
    pub(super) fn inherit(&mut self, older: Self) {
        let begin = self.0.front().map_or(Timestamp::MAX, |first| first.from);
        for mut span in older.0.into_iter().rev() {
            span.until = span.until.min(begin);
            if span.from < span.until && self.0.len() < SPANS_MAX {
                self.0.push_front(span);
            }
        }
    }

    /// The oldest first.
    pub(crate) fn spans(&self) -> impl DoubleEndedIterator<Item = &Span> {
        self.0.iter()
    }

    fn forget(&mut self, now: Timestamp) {
        let begin = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        while self
            .0
            .front()
            .is_some_and(|first| first.until < begin || self.0.len() > SPANS_MAX)
        {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn told(level: &str, since: i64) -> InForce {
        InForce {
            in_force: level.to_owned(),
            weaker: None,
            since: at(since),
            why: "of a reason".to_owned(),
        }
    }

    fn spans(custodies: &Custodies) -> Vec<(i64, i64, &str)> {
        let second = |at: Timestamp| at.as_second() - 1_000_000;
        let spans = custodies.spans();
        spans
            .map(|span| (second(span.from), second(span.until), &*span.told.in_force))
            .collect()
    }

    #[test]
    fn changes_are_kept_and_silence_is_not_filled() {
        let mut custodies = Custodies::default();
        custodies.hear(&told("quorum", -50), at(0));
        custodies.hear(&told("quorum", -50), at(5));
        custodies.hear(&told("rescue-redis", 7), at(10));
        // It was not heard for long, and another began meanwhile.
        custodies.hear(&told("quorum", 90), at(100));
        assert_eq!(
            spans(&custodies),
            [(-50, 5, "quorum"), (7, 10, "rescue-redis"), (90, 100, "quorum")]
        );
        // Nothing changed while it was not heard.
        custodies.hear(&told("quorum", 90), at(500));
        assert_eq!(spans(&custodies).last(), Some(&(90, 500, "quorum")));
    }

    #[test]
    fn a_clock_that_is_off_begins_nothing_in_the_future_nor_before_what_was_heard() {
        let mut custodies = Custodies::default();
        custodies.hear(&told("quorum", 9000), at(0));
        custodies.hear(&told("refusing", -9000), at(5));
        assert_eq!(spans(&custodies), [(0, 0, "quorum"), (0, 5, "refusing")]);
    }

    #[test]
    fn a_day_is_kept_and_so_many_changes() {
        let mut custodies = Custodies::default();
        custodies.hear(&told("quorum", -500_000), at(0));
        assert_eq!(spans(&custodies), [(-86_400, 0, "quorum")]);
        for change in 1..300 {
            custodies.hear(&told("refusing", change), at(change));
        }
        assert_eq!(custodies.spans().count(), SPANS_MAX);
        custodies.hear(&told("quorum", 100_000), at(100_001));
        assert_eq!(spans(&custodies), [(100_000, 100_001, "quorum")]);
    }

    #[test]
    fn who_takes_the_place_of_another_knows_what_that_told() {
        let mut older = Custodies::default();
        older.hear(&told("quorum", 0), at(10));
        older.hear(&told("refusing", 20), at(60));
        let mut newer = Custodies::default();
        newer.hear(&told("quorum", 50), at(70));
        newer.inherit(older);
        assert_eq!(
            spans(&newer),
            [(0, 10, "quorum"), (20, 50, "refusing"), (50, 70, "quorum")]
        );
    }
}
