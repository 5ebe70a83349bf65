//! When a source was quiet in the last week: whole hours without an event, beside what is usual of them. As a drawing, and
//! the same as a table.

use std::fmt::Write as _;

use event::Timestamp;
use jiff::tz::TimeZone;
use store::Profile;

use super::{
    judge::{GAPS, Judged},
    rhythm::{Past, WEEK_HOURS, expected, hour_of},
};
use crate::time;

/// Hours of the store that tell the gaps of the last week: that one, and the four before.
pub(super) const HOURS: usize = 5 * 7 * 24;
/// Gaps that are listed; of more, the longest.
const LISTED_MAX: usize = 50;
const HOUR_MICROS: i64 = 3_600_000_000;

/// Pixels of an hour, and the heights of the drawing and of a bar.
const STEP: usize = 4;
const HEIGHT: u64 = 40;
/// A gap without an excuse is drawn so high.
const GAP_HEIGHT: u64 = 12;

/// Hours in a row without an event.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Gap {
    from: i64,
    to: i64,
    /// What usually comes in these hours.
    usual: Option<f64>,
}

/// The last week of a source.
#[derive(Debug)]
pub(super) struct Week {
    pub(super) svg: String,
    pub(super) gaps: Vec<Row>,
    /// Gaps that are not listed.
    pub(super) left_out: usize,
    pub(super) summary: String,
}

/// A gap in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) hours: i64,
    pub(super) usual: String,
    pub(super) word: &'static str,
    pub(super) class: &'static str,
}

impl Gap {
    fn is_unusual(&self) -> bool {
        self.usual.is_some_and(|usual| usual > GAPS)
    }

    fn word(&self) -> &'static str {
        match self.usual {
            None => "? unknown",
            Some(_) if self.is_unusual() => "✕ silent",
            Some(_) => "✓ usual",
        }
    }

    fn class(&self) -> &'static str {
        match self.usual {
            None => "muted",
            Some(_) if self.is_unusual() => "bad",
            Some(_) => "ok",
        }
    }

    fn row(&self, now: i64, zone: &TimeZone) -> Row {
        let show = |hour: i64| time::show(Timestamp::from_micros(hour * HOUR_MICROS), zone, "%a %m-%d %H:%M");
        Row {
            from: show(self.from),
            to: if self.to > now {
                "now".to_owned()
            } else {
                show(self.to)
            },
            hours: self.to - self.from,
            usual: match self.usual {
                None => "unknown".to_owned(),
                Some(usual) if usual < 1.0 => "nothing".to_owned(),
                Some(usual) => format!("about {usual:.0} events"),
            },
            word: self.word(),
            class: self.class(),
        }
    }
}

impl Week {
    pub(super) fn of(source: &Judged, profile: &Profile, now_micros: i64, zone: &TimeZone) -> Self {
        let count = |hour: i64| {
            let place = usize::try_from(hour - profile.from).ok();
            place
                .and_then(|place| profile.hours.get(place))
                .copied()
                .unwrap_or(0)
        };
        let seen = (
            source.row.first_seen.as_micros(),
            source.row.last_seen.as_micros(),
        );
        let past = Past::new(
            seen,
            profile.known_from.map(|from| from.max(profile.from)),
            |hour| u32::try_from(count(hour)).unwrap_or(u32::MAX),
        );
        let now = hour_of(now_micros);
        let begin = now + 1 - WEEK_HOURS;
        // The hour that is under way may yet have an event, unless it is quiet for longer.
        let end = if source.quiet_micros > HOUR_MICROS {
            now + 1
        } else {
            now
        };
        let mut gaps = gaps(begin..end, &past, count);
        let svg = svg(begin, now, &gaps, &past, count);
        let unusual = gaps.iter().filter(|gap| gap.is_unusual()).count();
        let summary = match (gaps.len(), unusual) {
            (0, _) => "No whole hour without an event in the last 7 days.".to_owned(),
            (all, unusual) => format!(
                "{all} {} of whole hours without an event in the last 7 days, {unusual} of them unusual.",
                if all == 1 { "gap" } else { "gaps" }
            ),
        };
        let left_out = gaps.len().saturating_sub(LISTED_MAX);
        if left_out > 0 {
            gaps.sort_by_key(|gap| (!gap.is_unusual(), gap.from - gap.to));
            gaps.truncate(LISTED_MAX);
        }
        gaps.sort_by_key(|gap| -gap.from);
        Self {
            svg,
            gaps: gaps.iter().map(|gap| gap.row(now, zone)).collect(),
            left_out,
            summary,
        }
    }
}

/// Hours in a row without an event, of those of which anything is known.
fn gaps<E: Fn(i64) -> u32>(
    hours: std::ops::Range<i64>,
    past: &Past<E>,
    count: impl Fn(i64) -> u64,
) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    for hour in hours.filter(|hour| past.knows(*hour) && count(*hour) == 0) {
        let usual = past.usual(hour);
        let usual = usual.map(|usual| f64::from(expected(usual, past.usual(hour - 1))));
        match gaps.last_mut().filter(|gap| gap.to == hour) {
            Some(gap) => {
                gap.to = hour + 1;
                gap.usual = match (gap.usual, usual) {
                    (Some(sum), Some(usual)) => Some(sum + usual),
                    (one, other) => one.or(other),
                };
            }
            None => gaps.push(Gap {
                from: hour,
                to: hour + 1,
                usual,
            }),
        }
    }
    gaps
}

/// How high a bar is: by the root, so that small is seen next to large.
fn root(events: u64, most: u64) -> u64 {
    let square = u128::from(HEIGHT * HEIGHT) * u128::from(events) / u128::from(most);
    u64::try_from(square.isqrt()).unwrap_or(HEIGHT).clamp(1, HEIGHT)
}

/// A bar for each hour with events, on a line from which gaps hang.
fn svg<E: Fn(i64) -> u32>(
    begin: i64,
    now: i64,
    gaps: &[Gap],
    past: &Past<E>,
    count: impl Fn(i64) -> u64,
) -> String {
    let hours = usize::try_from(now + 1 - begin).unwrap_or(0);
    let x = |hour: i64| usize::try_from(hour - begin).unwrap_or(0) * STEP;
    let most = (begin..=now).map(&count).max().unwrap_or(0).max(1);
    let all = HEIGHT + GAP_HEIGHT;
    let mut svg = format!(
        "<svg class=\"week\" viewBox=\"0 0 {} {all}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
        hours * STEP
    );
    let mut rect = |class: &str, hour: i64, hours: usize, y: u64, height: u64| {
        let (x, width) = (x(hour), hours * STEP);
        write!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        )
        .expect("a string takes all text");
    };
    let unknown = (begin..=now).take_while(|hour| !past.knows(*hour)).count();
    if unknown > 0 {
        rect("unknown", begin, unknown, HEIGHT, GAP_HEIGHT);
    }
    for hour in begin..=now {
        let events = count(hour);
        if events > 0 {
            let height = root(events, most);
            rect("b-other", hour, 1, HEIGHT - height, height);
        }
    }
    for gap in gaps {
        let hours = usize::try_from(gap.to - gap.from).unwrap_or(0);
        rect(
            gap.class(),
            gap.from,
            hours,
            HEIGHT,
            if gap.is_unusual() {
                GAP_HEIGHT
            } else {
                GAP_HEIGHT / 3
            },
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use store::{SOURCE_HOURS, SourceRow};

    use super::*;
    use crate::sources::rhythm::{Rhythm, WEEKS};

    /// Monday, 2026-11-23, 12:30.
    const NOW: i64 = 1_795_392_000_000_000 + 12 * HOUR_MICROS + HOUR_MICROS / 2;

    fn week(first_hours_ago: i64, events: impl Fn(i64) -> u64) -> Week {
        let now = hour_of(NOW);
        let from = now + 1 - HOURS as i64;
        let hours: Vec<_> = (from..=now)
            .map(|hour| {
                if now - hour > first_hours_ago {
                    0
                } else {
                    events(hour)
                }
            })
            .collect();
        let last = hours.iter().rposition(|events| *events > 0).expect("it sent");
        let row = SourceRow {
            hostname: "web01".to_owned(),
            apps: 1,
            peers: Vec::new(),
            first_seen: Timestamp::from_micros(NOW - first_hours_ago * HOUR_MICROS),
            last_seen: Timestamp::from_micros((from + last as i64) * HOUR_MICROS + HOUR_MICROS / 4),
            hours: [0; SOURCE_HOURS],
        };
        let source = Judged::new(row, &Rhythm::default(), NOW);
        let profile = Profile {
            known_from: Some(0),
            from,
            hours,
            ..Profile::default()
        };
        Week::of(&source, &profile, NOW, &TimeZone::UTC)
    }

    #[test]
    fn all_weeks_that_tell_are_read() {
        assert_eq!(HOURS as i64, (WEEKS + 1) * WEEK_HOURS);
    }

    #[test]
    fn silence_is_told_from_usual_nights() {
        let night = |hour: i64| !(8..18).contains(&hour.rem_euclid(24));
        let today = hour_of(NOW) - 12;
        // Quiet at night; on Friday it was away from ten to one.
        let of = week(20_000, |hour| {
            let is_away = (today - 3 * 24 + 10..today - 3 * 24 + 13).contains(&hour);
            if night(hour) || is_away { 0 } else { 100 }
        });
        let told: Vec<_> = of
            .gaps
            .iter()
            .map(|gap| (&*gap.from, gap.hours, gap.word))
            .collect();
        assert_eq!(told.len(), 8, "{told:?}");
        assert_eq!(told[0], ("Sun 11-22 18:00", 14, "✓ usual"));
        let away = of
            .gaps
            .iter()
            .find(|gap| gap.word == "✕ silent")
            .expect("is told");
        assert_eq!(
            (&*away.from, &*away.to, away.hours, &*away.usual),
            ("Fri 11-20 10:00", "Fri 11-20 13:00", 3, "about 300 events")
        );
        assert!(of.summary.ends_with("1 of them unusual."), "{}", of.summary);
        assert!(of.svg.contains("class=\"bad\"") && !of.svg.contains("unknown"));
    }

    #[test]
    fn who_stopped_is_quiet_until_now() {
        let of = week(20_000, |hour| if hour > hour_of(NOW) - 5 { 0 } else { 60 });
        let gap = &of.gaps[0];
        assert_eq!((&*gap.to, gap.hours, gap.word), ("now", 5, "✕ silent"));
        let of = week(20_000, |_| 60);
        assert!(of.gaps.is_empty() && of.summary.starts_with("No whole hour"));
    }

    #[test]
    fn nothing_is_said_of_hours_before_it_came() {
        let of = week(20, |hour| if hour == hour_of(NOW) - 3 { 0 } else { 60 });
        assert_eq!(of.gaps.len(), 1, "{:?}", of.gaps);
        assert_eq!((of.gaps[0].word, &*of.gaps[0].usual), ("? unknown", "unknown"));
        assert!(of.svg.contains("class=\"unknown\""));
    }
}
