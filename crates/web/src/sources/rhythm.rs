//! What is usual of a source at an hour of the week: the events that it had in that hour in the weeks before. From this
//! follows how many it missed while it was quiet, so that a night in which it never speaks is no silence.

use std::ops::Range;

const HOUR_MICROS: i64 = 3_600_000_000;
pub(super) const DAY_HOURS: i64 = 24;
pub(super) const WEEK_HOURS: i64 = 168;
/// Weeks that are looked back on.
pub(super) const WEEKS: i64 = 4;
/// Days that are looked back on, of a source that is younger than a week.
const DAYS: i64 = 6;
/// Hours of a quiet time that are looked at, beside the one that is under way.
pub(super) const LOOKED_AT: i64 = DAY_HOURS;

/// What a source had in hours before, and how long it has been there.
pub(super) struct Past<E> {
    /// Whole hours in which it is known to have been alive.
    life: Range<i64>,
    events: E,
}

/// Events that each of the last hours usually has, the one that is under way last; `None` where nothing tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rhythm {
    usual: Vec<Option<u32>>,
    /// The hour that is under way, since 1970.
    now: i64,
}

/// What did not come in a quiet time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Missed {
    pub(super) events: f64,
    /// How long of that time are hours in which something usually comes.
    pub(super) active_micros: f64,
}

/// The number of an hour since 1970.
pub(super) const fn hour_of(micros: i64) -> i64 {
    micros.div_euclid(HOUR_MICROS)
}

/// Hours whose counts tell what is usual now, in order and apart: those of the last week, and of each week before those
/// at the same time.
pub(super) fn hours_to_know(now: i64) -> Vec<Range<i64>> {
    let first = now - LOOKED_AT;
    let same = (2..=WEEKS).rev().map(|weeks| {
        let back = weeks * WEEK_HOURS;
        first - back..now - back + 1
    });
    same.chain(std::iter::once(first - WEEK_HOURS..now)).collect()
}

impl<E: Fn(i64) -> u32> Past<E> {
    /// Of a source that was seen first and last at these times; the store knows nothing from before `known_from`.
    pub(super) fn new((first_micros, last_micros): (i64, i64), known_from: Option<i64>, events: E) -> Self {
        // The hours in which it began and stopped are not whole.
        let begin = (hour_of(first_micros) + 1).max(known_from.unwrap_or(i64::MIN));
        Self {
            life: begin..hour_of(last_micros),
            events,
        }
    }

    /// Events that an hour usually has: the middle of the same hours of the weeks before, or of the days before while it is
    /// younger than a week. Of two in the middle it is the smaller one.
    pub(super) fn usual(&self, hour: i64) -> Option<u32> {
        let of = |step: i64, count: i64| -> Vec<u32> {
            let before = (1..=count).map(|number| hour - number * step);
            let alive = before.filter(|hour| self.life.contains(hour));
            alive.map(&self.events).collect()
        };
        let mut samples = of(WEEK_HOURS, WEEKS);
        if samples.is_empty() {
            samples = of(DAY_HOURS, DAYS);
        }
        samples.sort_unstable();
        let middle = samples.len().checked_sub(1)? / 2;
        samples.get(middle).copied()
    }

    /// Whether it is known of an hour what came in it.
    pub(super) fn knows(&self, hour: i64) -> bool {
        hour >= self.life.start
    }

    pub(super) fn rhythm(&self, now: i64) -> Rhythm {
        Rhythm {
            usual: (now - LOOKED_AT..=now).map(|hour| self.usual(hour)).collect(),
            now,
        }
    }
}

/// What is missed in an hour of which a part went by without an event. Nobody starts work on the stroke: of an hour before
/// which nothing is usual one event at most is missed.
pub(super) fn expected(usual: u32, before: Option<u32>) -> u32 {
    if before == Some(0) { usual.min(1) } else { usual }
}

impl Rhythm {
    /// Between two events in the hour that is under way; `None` where nothing is usual, and where nothing tells.
    pub(super) fn gap_micros(&self) -> Option<i64> {
        let usual = self.usual_now().filter(|usual| *usual > 0)?;
        Some(HOUR_MICROS / i64::from(usual))
    }

    /// Events in the hour that is under way.
    pub(super) fn usual_now(&self) -> Option<u32> {
        self.usual.last().copied().flatten()
    }

    /// What is missed since the last event; `None` where nothing tells. Of a time that is longer than a day the last day
    /// stands for each.
    pub(super) fn missed(&self, last_micros: i64, now_micros: i64) -> Option<Missed> {
        const DAY_MICROS: i64 = DAY_HOURS * HOUR_MICROS;
        let begin = last_micros.max(now_micros - DAY_MICROS);
        let (mut missed, mut is_known) = (Missed::default(), false);
        let mut before = None;
        for (hour, usual) in (self.now - LOOKED_AT..).zip(&self.usual) {
            let (start, end) = (hour * HOUR_MICROS, (hour + 1) * HOUR_MICROS);
            let quiet = end.min(now_micros) - start.max(begin);
            if let Some(usual) = usual.filter(|_| quiet > 0) {
                is_known = true;
                missed.add(expected(usual, before), quiet);
            }
            before = *usual;
        }
        let days = (ratio(now_micros - last_micros, DAY_MICROS)).max(1.0);
        is_known.then_some(Missed {
            events: missed.events * days,
            active_micros: missed.active_micros * days,
        })
    }
}

impl Missed {
    /// Adds a part of an hour.
    fn add(&mut self, expected: u32, quiet_micros: i64) {
        let part = ratio(quiet_micros, HOUR_MICROS);
        self.events += f64::from(expected) * part;
        if expected > 0 {
            self.active_micros += part * 3.6e9;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of some days")]
fn ratio(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-11-23, 00:00.
    const MONDAY: i64 = 1_795_392_000_000_000 / HOUR_MICROS;

    fn rhythm(now: i64, life: (i64, i64), events: impl Fn(i64) -> u32) -> Rhythm {
        let (first, last) = life;
        Past::new((first * HOUR_MICROS, last * HOUR_MICROS), None, events).rhythm(now)
    }

    /// Somebody's office: weekdays from eight to six.
    fn office(hour: i64) -> u32 {
        let (day, of_day) = ((hour - MONDAY).rem_euclid(WEEK_HOURS) / 24, hour.rem_euclid(24));
        if day < 5 && (8..18).contains(&of_day) {
            100
        } else {
            0
        }
    }

    #[track_caller]
    fn missed(of: &Rhythm, since: i64, quiet_s: i64) -> f64 {
        let last = since * HOUR_MICROS;
        of.missed(last, last + quiet_s * 1_000_000)
            .expect("is known")
            .events
    }

    #[test]
    fn nights_and_weekends_are_no_silence_of_an_office() {
        let long_ago = MONDAY - 60 * 24;
        // Friday's last event at six; it is Saturday noon, Monday night, Monday at half past eight.
        let friday = MONDAY - 3 * 24 + 18;
        for (now, quiet_s) in [
            (MONDAY - 2 * 24 + 12, 18 * 3600),
            (MONDAY + 3, 57 * 3600),
            (MONDAY + 8, 62 * 3600 + 1800),
        ] {
            let of = rhythm(now, (long_ago, friday), office);
            assert!(missed(&of, friday, quiet_s) < 6.0, "{now}");
        }
        // At ten somebody should have been there.
        let of = rhythm(MONDAY + 10, (long_ago, friday), office);
        assert!(missed(&of, friday, 64 * 3600) > 6.0);
        assert_eq!(of.gap_micros(), Some(36_000_000));
        let night = rhythm(MONDAY + 3, (long_ago, friday), office);
        assert_eq!((night.gap_micros(), night.usual_now()), (None, Some(0)));
    }

    #[test]
    fn who_speaks_each_second_is_missed_at_once() {
        let of = rhythm(MONDAY + 3, (MONDAY - 9 * 24, MONDAY + 3), |_| 3600);
        let missed = of.missed(
            (MONDAY + 3) * HOUR_MICROS,
            (MONDAY + 3) * HOUR_MICROS + 301_000_000,
        );
        let missed = missed.expect("is known");
        assert!((missed.events - 301.0).abs() < 1.0, "{missed:?}");
        assert!((missed.active_micros - 301e6).abs() < 1e6, "{missed:?}");
    }

    #[test]
    fn who_is_new_is_not_known_for_a_day_and_then_by_its_days() {
        let of = rhythm(MONDAY + 20, (MONDAY, MONDAY + 20), |_| 60);
        assert_eq!(
            of.missed((MONDAY + 20) * HOUR_MICROS, (MONDAY + 20) * HOUR_MICROS + 1),
            None
        );
        assert_eq!(of.usual_now(), None);
        let of = rhythm(MONDAY + 26, (MONDAY, MONDAY + 26), |_| 60);
        assert_eq!(of.usual_now(), Some(60), "the same hour yesterday");
    }

    #[test]
    fn hours_after_its_end_and_before_the_store_begins_say_nothing() {
        let now = MONDAY + 12;
        let events = |hour: i64| if hour < MONDAY - 20 * 24 { 60 } else { 0 };
        let of = rhythm(now, (MONDAY - 60 * 24, MONDAY - 20 * 24), events);
        assert_eq!(
            of.usual_now(),
            Some(60),
            "three weeks without it are none of its weeks"
        );
        let times = ((MONDAY - 60 * 24) * HOUR_MICROS, now * HOUR_MICROS);
        let past = Past::new(times, Some(MONDAY - 10 * 24), |hour: i64| {
            if hour < MONDAY - 10 * 24 { 0 } else { 60 }
        });
        assert_eq!(past.usual(now), Some(60), "what was deleted was not zero");
        assert!(past.knows(MONDAY - 240) && !past.knows(MONDAY - 241));
    }

    #[test]
    fn seldom_sources_are_missed_after_days() {
        let at_two = |hour: i64| u32::from(hour.rem_euclid(24) == 2);
        let last = MONDAY - 8 * 24 + 2;
        let of = rhythm(MONDAY + 12, (MONDAY - 60 * 24, last), at_two);
        let missed = missed(&of, last, (8 * 24 + 10) * 3600);
        assert!((8.0..9.0).contains(&missed), "{missed}");
    }

    #[test]
    fn all_hours_that_are_asked_for_are_read() {
        let now = MONDAY + 12;
        let known = hours_to_know(now);
        assert!(known.windows(2).all(|two| two[0].end <= two[1].start));
        for looked_at in now - LOOKED_AT..=now {
            let weeks = (1..=WEEKS).map(|weeks| looked_at - weeks * WEEK_HOURS);
            let days = (1..=DAYS).map(|days| looked_at - days * DAY_HOURS);
            for hour in weeks.chain(days) {
                assert!(known.iter().any(|range| range.contains(&hour)), "{hour}");
            }
        }
    }
}
