//! The listener's time zone, for timestamps that name none.

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::tz::TimeZone;

use super::wall_time::{Offset, WallTime};
use crate::time::{EventTime, Timestamp};

/// Transitions of the zone are worked out up to here (2200-01-01); lines from later times get its last offset.
const WORKED_OUT_UNTIL: i64 = 7_258_118_400;

/// A time zone, its transitions worked out ahead: looking up is a search in a short table, and not even that for a
/// line from the same time of the year as the one before.
#[derive(Debug)]
pub(super) struct Zone {
    /// Seconds east of UTC in 1970.
    first: i32,
    switches: Vec<Switch>,
    /// How many of them lay behind the wall time that was looked up last.
    passed_last: AtomicUsize,
    /// What the zone calls its offsets, and which they are.
    names: Vec<(String, i16)>,
}

/// One change of the offset, as a clock on the wall goes through it.
#[derive(Debug, Clone, Copy)]
struct Switch {
    /// The first wall time that has the new offset.
    from: i64,
    /// Wall times from `from` to here (exclusive) are shown twice: with the old offset, then with the new one.
    /// Where the clock is put forward it is `from` itself; wall times that are skipped count with the old offset.
    shown_twice_until: i64,
    before: i32,
    after: i32,
}

impl Zone {
    pub(super) fn new(time_zone: &TimeZone) -> Self {
        let epoch = jiff::Timestamp::UNIX_EPOCH;
        let in_1970 = time_zone.to_offset_info(epoch);
        let mut zone = Self {
            first: in_1970.offset().seconds(),
            switches: Vec::new(),
            passed_last: AtomicUsize::new(0),
            names: Vec::new(),
        };
        zone.learn_name(in_1970.abbreviation(), zone.first);
        let mut before = zone.first;
        for transition in time_zone.following(epoch) {
            let at = transition.timestamp().as_second();
            if at >= WORKED_OUT_UNTIL {
                break;
            }
            let after = transition.offset().seconds();
            zone.learn_name(transition.abbreviation(), after);
            let (old, new) = (at + i64::from(before), at + i64::from(after));
            if after != before {
                zone.switches.push(Switch {
                    from: new,
                    shown_twice_until: old.max(new),
                    before,
                    after,
                });
            }
            before = after;
        }
        zone
    }

    /// A name that meant something else in the past means what it means now.
    fn learn_name(&mut self, name: &str, offset: i32) {
        // Zones without names of their own are listed with their numerical offset.
        if name.starts_with(|first: char| first.is_ascii_uppercase()) {
            self.names.retain(|(known, _)| known != name);
            self.names.push((name.to_owned(), minutes(offset)));
        }
    }

    /// The instant of `wall`, read as `offset` says or else in this zone. Of two instants with the same wall
    /// time (clocks put back) it is the one nearer to `near`.
    pub(super) fn resolve(&self, wall: WallTime, offset: Offset, near: Timestamp) -> EventTime {
        if offset != Offset::Absent {
            return wall.at(offset);
        }
        let (before, after) = self.candidates(wall.seconds);
        if (before, after) == (0, 0) && self.switches.is_empty() {
            return wall.at(Offset::Utc);
        }
        let distance =
            |offset: i32| (wall.seconds - i64::from(offset)).abs_diff(near.as_micros() / 1_000_000);
        let nearest = if distance(after) < distance(before) {
            after
        } else {
            before
        };
        wall.at(Offset::Minutes(minutes(nearest)))
    }

    /// What a zone's abbreviation means: UTC, what this zone calls its own offsets, or what means the same
    /// wherever it is used. `None` for anything else.
    pub(super) fn named(&self, name: &str) -> Option<Offset> {
        if matches!(name, "UTC" | "GMT" | "UT" | "Z") {
            return Some(Offset::Utc);
        }
        if let Some((_, minutes)) = self.names.iter().find(|(known, _)| known == name) {
            return Some(Offset::Minutes(*minutes));
        }
        let hours = match name {
            "WET" => 0,
            "CET" | "WEST" => 1,
            "CEST" | "EET" => 2,
            "EEST" | "MSK" => 3,
            "HKT" | "SGT" => 8,
            "JST" | "KST" => 9,
            "AEST" => 10,
            "AEDT" => 11,
            "NZST" => 12,
            "NZDT" => 13,
            // RFC 5322 section 4.3 settles what these mean.
            "EDT" => -4,
            "EST" | "CDT" => -5,
            "CST" | "MDT" => -6,
            "MST" | "PDT" => -7,
            "PST" | "AKDT" => -8,
            "AKST" => -9,
            "HST" => -10,
            _ => return None,
        };
        Some(Offset::Minutes(hours * 60))
    }

    /// The offset in seconds at a wall time; two different ones where it is shown twice.
    fn candidates(&self, wall_seconds: i64) -> (i32, i32) {
        match self
            .passed(wall_seconds)
            .checked_sub(1)
            .and_then(|last| self.switches.get(last))
        {
            None => (self.first, self.first),
            Some(switch) if wall_seconds < switch.shown_twice_until => (switch.before, switch.after),
            Some(switch) => (switch.after, switch.after),
        }
    }

    /// How many switches lie behind a wall time.
    fn passed(&self, wall_seconds: i64) -> usize {
        let is_behind = |switch: &Switch| switch.from <= wall_seconds;
        let last = self.passed_last.load(Ordering::Relaxed);
        if self
            .switches
            .get(..last)
            .and_then(<[_]>::last)
            .is_none_or(is_behind)
            && !self.switches.get(last).is_some_and(is_behind)
        {
            return last;
        }
        let passed = self.switches.partition_point(is_behind);
        self.passed_last.store(passed, Ordering::Relaxed);
        passed
    }
}

/// Offsets have been whole minutes since 1972.
fn minutes(seconds: i32) -> i16 {
    i16::try_from(seconds / 60).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(zone: &str, wall: &str, near: &str, expected: &str) {
        let zone = Zone::new(&TimeZone::get(zone).unwrap());
        let (wall, offset, _) = super::super::wall_time::iso(wall.as_bytes()).unwrap();
        let near: jiff::Timestamp = near.parse().unwrap();
        let time = zone.resolve(wall, offset, Timestamp::from_micros(near.as_microsecond()));
        assert_eq!(time.to_string(), expected);
    }

    #[test]
    fn wall_times_are_tied_to_the_zone() {
        let near = "2026-01-01T00:00:00Z";
        check("UTC", "2026-07-01T10:00:00", near, "2026-07-01T10:00:00Z");
        check(
            "Asia/Kolkata",
            "2026-07-01T10:00:00",
            near,
            "2026-07-01T10:00:00+05:30",
        );
        check(
            "Europe/London",
            "2026-01-01T10:00:00",
            near,
            "2026-01-01T10:00:00+00:00",
        );
        check(
            "Europe/London",
            "2026-07-01T10:00:00",
            near,
            "2026-07-01T10:00:00+01:00",
        );
        check(
            "Europe/London",
            "2026-07-01T10:00:00-03:00",
            near,
            "2026-07-01T10:00:00-03:00",
        );
        check(
            "America/New_York",
            "2087-07-01T10:00:00",
            near,
            "2087-07-01T10:00:00-04:00",
        );
    }

    #[test]
    fn wall_times_shown_twice_are_the_nearer_one() {
        check(
            "Europe/Berlin",
            "2026-10-25T02:30:00",
            "2026-10-25T00:30:10Z",
            "2026-10-25T02:30:00+02:00",
        );
        check(
            "Europe/Berlin",
            "2026-10-25T02:30:00",
            "2026-10-25T01:30:10Z",
            "2026-10-25T02:30:00+01:00",
        );
        check(
            "Europe/Berlin",
            "2026-10-25T03:00:00",
            "2026-10-25T00:30:00Z",
            "2026-10-25T03:00:00+01:00",
        );
    }

    #[test]
    fn skipped_wall_times_count_with_the_old_offset() {
        check(
            "Europe/Berlin",
            "2026-03-29T02:30:00",
            "2026-03-29T01:30:00Z",
            "2026-03-29T02:30:00+01:00",
        );
        check(
            "Europe/Berlin",
            "2026-03-29T03:00:00",
            "2026-03-29T01:00:00Z",
            "2026-03-29T03:00:00+02:00",
        );
    }

    #[test]
    fn agrees_with_a_calendar_library() {
        for name in [
            "Europe/Berlin",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "Africa/Casablanca",
        ] {
            let time_zone = TimeZone::get(name).unwrap();
            let zone = Zone::new(&time_zone);
            for hours in (40 * 8766..60 * 8766).step_by(5) {
                let instant = jiff::Timestamp::from_second(hours * 3600 + 600).unwrap();
                let offset = time_zone.to_offset(instant).seconds();
                let seconds = instant.as_second() + i64::from(offset);
                let wall = WallTime {
                    seconds,
                    micros: 0,
                    fraction_digits: 0,
                };
                let near = Timestamp::from_micros(instant.as_microsecond());
                assert_eq!(
                    zone.resolve(wall, Offset::Absent, near).at,
                    near,
                    "{name} {instant}"
                );
            }
        }
    }

    #[test]
    fn abbreviations_mean_what_the_listener_s_zone_says_first() {
        let zone = |name| Zone::new(&TimeZone::get(name).unwrap());
        assert_eq!(zone("UTC").named("CST"), Some(Offset::Minutes(-360)));
        assert_eq!(zone("Asia/Shanghai").named("CST"), Some(Offset::Minutes(480)));
        assert_eq!(zone("UTC").named("IST"), None);
        assert_eq!(zone("Asia/Kolkata").named("IST"), Some(Offset::Minutes(330)));
        assert_eq!(zone("Europe/London").named("BST"), Some(Offset::Minutes(60)));
        assert_eq!(zone("Europe/London").named("UTC"), Some(Offset::Utc));
    }
}
