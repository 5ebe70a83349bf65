//! Points in time as people write them, and ranges of them.
//!
//! What is written without a zone is in the zone on screen. A literal means the whole of what it writes: `10:15` is a
//! minute, `2026-11-21` a day; `now` and `-15m` are instants and stay relative, so that a saved query moves with the
//! clock.

use event::Timestamp;
use jiff::{
    SignedDuration, ToSpan,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use super::duration;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instant {
    /// Microseconds since 1970 in UTC.
    At(i64),
    /// So many microseconds before the query runs; negative is after it.
    Ago(i64),
}

impl Instant {
    /// When that is, if the query runs at `now`.
    #[must_use]
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(micros) => Timestamp::from_micros(micros),
            Self::Ago(micros) => Timestamp::from_micros(now.as_micros().saturating_sub(micros)),
        }
    }
}

/// From one instant to the one that is not meant any more; at least one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// The first instant.
    pub from: Option<Instant>,
    /// The first instant behind the range.
    pub to: Option<Instant>,
}

impl TimeRange {
    /// Both ends, if the query runs at `now`.
    #[must_use]
    pub fn resolve(&self, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        let resolve = |instant: Option<Instant>| instant.map(|instant| instant.resolve(now));
        (resolve(self.from), resolve(self.to))
    }
}

/// Where and when a query is read.
#[derive(Debug)]
pub(crate) struct Here<'a> {
    pub(crate) zone: &'a TimeZone,
    pub(crate) now: Timestamp,
}

/// What a literal means: from its first instant to the one behind its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Literal {
    Span(i64, i64),
    Relative(i64),
}

impl Literal {
    pub(crate) fn start(self) -> Instant {
        match self {
            Self::Span(start, _) => Instant::At(start),
            Self::Relative(ago) => Instant::Ago(ago),
        }
    }

    /// Behind the whole of it.
    pub(crate) fn end(self) -> Instant {
        match self {
            Self::Span(_, end) => Instant::At(end),
            Self::Relative(ago) => Instant::Ago(ago),
        }
    }
}

/// `now`, `-15m`, `10:00`, `2026-11-21`, `2026-11-21T10:00:00.5+01:00`, or the last with a space for the `T`.
pub(crate) fn literal(text: &str, here: &Here<'_>) -> Option<Literal> {
    if text.eq_ignore_ascii_case("now") {
        return Some(Literal::Relative(0));
    }
    if text.starts_with(['-', '+']) {
        return duration::duration(text).and_then(|micros| micros.checked_neg().map(Literal::Relative));
    }
    let mut rest = Rest(text);
    let date = rest.date();
    let (date, needs_time) = match date {
        Some(date) => (date, rest.skip(['T', 't', ' '])),
        None => (today(here)?, true),
    };
    let clock = if needs_time { Some(rest.clock()?) } else { None };
    let offset = rest.offset();
    if !rest.0.is_empty() {
        return None;
    }
    let (time, length) = clock.map_or((Time::midnight(), None), |(time, length)| (time, Some(length)));
    let start = DateTime::from_parts(date, time);
    let micros = |at: DateTime| -> Option<i64> {
        match offset {
            Some(minutes) => TimeZone::UTC
                .to_timestamp(at)
                .ok()?
                .as_microsecond()
                .checked_sub(minutes * 60_000_000),
            None => Some(here.zone.to_timestamp(at).ok()?.as_microsecond()),
        }
    };
    let from = micros(start)?;
    let end = match length {
        Some(length) => from.checked_add(length)?,
        None => micros(start.checked_add(1.day()).ok()?)?,
    };
    Some(Literal::Span(from, end))
}

fn today(here: &Here<'_>) -> Option<Date> {
    let now = jiff::Timestamp::from_microsecond(here.now.as_micros()).ok()?;
    Some(now.to_zoned(here.zone.clone()).date())
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// A number of exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<i16> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.0 = rest;
        digits.parse().ok()
    }

    fn byte(&mut self, count: usize) -> Option<i8> {
        self.digits(count).and_then(|number| i8::try_from(number).ok())
    }

    fn skip(&mut self, chars: impl Into<Chars>) -> bool {
        let chars = chars.into().0;
        let Some(rest) = self.0.strip_prefix(|char| chars.contains(&char)) else {
            return false;
        };
        self.0 = rest;
        true
    }

    /// `2026-11-21`; nothing is read when there is none.
    fn date(&mut self) -> Option<Date> {
        let before = self.0;
        let date = self.try_date();
        if date.is_none() {
            self.0 = before;
        }
        date
    }

    fn try_date(&mut self) -> Option<Date> {
        let year = self.digits(4)?;
        let month = self.skip(['-']).then(|| self.byte(2))??;
        let day = self.skip(['-']).then(|| self.byte(2))??;
        Date::new(year, month, day).ok()
    }

    /// `10:00`, `10:00:00`, `10:00:00.123456`, and how many microseconds that means.
    fn clock(&mut self) -> Option<(Time, i64)> {
        let hour = self.byte(2)?;
        let minute = self.skip([':']).then(|| self.byte(2))??;
        if !self.skip([':']) {
            return Some((Time::new(hour, minute, 0, 0).ok()?, 60_000_000));
        }
        let second = self.byte(2)?;
        if !self.skip(['.']) {
            return Some((Time::new(hour, minute, second, 0).ok()?, 1_000_000));
        }
        let (mut micros, mut unit, mut count) = (0_i32, 1_000_000_i32, 0);
        while let Some(digit) = self.digits(1) {
            unit /= 10;
            micros += i32::from(digit) * unit;
            count += 1;
        }
        if !(1..=9).contains(&count) {
            return None;
        }
        let time = Time::new(hour, minute, second, micros * 1000).ok()?;
        Some((time, i64::from(unit.max(1))))
    }

    /// Minutes east of UTC; `None` when no zone is written.
    fn offset(&mut self) -> Option<i64> {
        if self.skip(['Z', 'z']) {
            return Some(0);
        }
        let before = self.0;
        let sign = match self.0.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.skip(['+', '-']);
        let hours = self.digits(2);
        self.skip([':']);
        let minutes = self.digits(2);
        match (hours, minutes) {
            (Some(hours @ 0..=23), Some(minutes @ 0..=59)) => Some(sign * i64::from(hours * 60 + minutes)),
            _ => {
                self.0 = before;
                None
            }
        }
    }
}

/// A few characters, as [`Rest::skip`] takes them.
struct Chars(Vec<char>);

impl<const N: usize> From<[char; N]> for Chars {
    fn from(chars: [char; N]) -> Self {
        Self(chars.to_vec())
    }
}

/// Lengths that a literal can have, the longest first.
const LENGTHS: [i64; 4] = [86_400_000_000, 60_000_000, 1_000_000, 1];

/// A literal in UTC that begins at `micros`, the shortest one.
pub(crate) fn write_start(instant: Instant) -> String {
    match instant {
        Instant::At(micros) => written(micros, 0),
        Instant::Ago(ago) => write_ago(ago),
    }
}

/// A literal in UTC that ends where `instant` begins.
pub(crate) fn write_end(instant: Instant) -> String {
    match instant {
        Instant::At(micros) => written(micros, 1),
        Instant::Ago(ago) => write_ago(ago),
    }
}

/// The longest literal that begins (`back` is 0) or ends (`back` is 1) at `micros`.
fn written(micros: i64, back: i64) -> String {
    let length = LENGTHS
        .into_iter()
        .find(|length| micros.rem_euclid(*length) == 0)
        .unwrap_or(1);
    let start = micros.saturating_sub(back * length);
    let text = Timestamp::from_micros(start).to_string();
    // `2026-11-21T10:00:00.000000Z` with what the length does not need cut away.
    let keep = match length {
        86_400_000_000 => 10,
        60_000_000 => 16,
        1_000_000 => 19,
        _ => 26,
    };
    format!("{}Z", text.get(..keep).unwrap_or(&text))
}

fn write_ago(ago: i64) -> String {
    match ago {
        0 => "now".to_owned(),
        ago if ago > 0 => duration::write(-ago),
        ago => format!("+{}", duration::write(ago.saturating_neg())),
    }
}

/// Whether nothing can be inside `range` at `now`.
pub(crate) fn is_empty(range: &TimeRange, now: Timestamp) -> bool {
    match range.resolve(now) {
        (Some(from), Some(to)) => from >= to,
        _ => false,
    }
}

/// What the engine of dates can hold, so that canonical text reads back.
pub(crate) fn is_writable(instant: Instant) -> bool {
    let year = SignedDuration::from_hours(24 * 366).as_micros();
    match instant {
        Instant::At(micros) => {
            let (min, max) = (
                -62_167_219_200_000_000_i128 + year,
                253_402_300_799_000_000_i128 - year,
            );
            (min..max).contains(&i128::from(micros))
        }
        Instant::Ago(micros) => i128::from(micros).abs() < year * 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T10:02:11Z.
    const NOW: i64 = 1_795_255_331_000_000;

    fn read(text: &str, zone: &str) -> Option<Literal> {
        let zone = TimeZone::get(zone).unwrap();
        let here = Here {
            zone: &zone,
            now: Timestamp::from_micros(NOW),
        };
        literal(text, &here)
    }

    #[track_caller]
    fn check(text: &str, zone: &str, start: &str, end: &str) {
        let literal = read(text, zone).unwrap();
        assert_eq!(
            (write_start(literal.start()), write_start(literal.end())),
            (start.to_owned(), end.to_owned()),
            "{text}"
        );
    }

    #[test]
    fn literals_mean_the_whole_of_what_they_write() {
        check("10:00", "UTC", "2026-11-21T10:00Z", "2026-11-21T10:01Z");
        check("10:00:05", "UTC", "2026-11-21T10:00:05Z", "2026-11-21T10:00:06Z");
        check("2026-11-21", "UTC", "2026-11-21Z", "2026-11-22Z");
        check(
            "2026-11-21",
            "Europe/Berlin",
            "2026-11-20T23:00Z",
            "2026-11-21T23:00Z",
        );
        check(
            "2026-10-25",
            "Europe/Berlin",
            "2026-10-24T22:00Z",
            "2026-10-25T23:00Z",
        );
        check("2026-11-21Z", "Europe/Berlin", "2026-11-21Z", "2026-11-22Z");
        check(
            "2026-11-21T10:00+01:00",
            "UTC",
            "2026-11-21T09:00Z",
            "2026-11-21T09:01Z",
        );
        check(
            "2026-11-21 10:00:00.25",
            "UTC",
            "2026-11-21T10:00:00.250000Z",
            "2026-11-21T10:00:00.260000Z",
        );
        check("now", "UTC", "now", "now");
        check("-15m", "UTC", "-15m", "-15m");
        check("+1h", "UTC", "+1h", "+1h");
    }

    #[test]
    fn other_text_is_none() {
        for text in [
            "",
            "10",
            "10:60",
            "25:00",
            "2026-13-01",
            "2026-11-21T",
            "2026-11-21x",
            "10:00:00.",
            "yesterday",
            "-lots",
            "10:00:00.1234567890",
            "é",
            "9999-12-31",
        ] {
            assert_eq!(read(text, "UTC"), None, "{text}");
        }
    }

    #[test]
    fn ends_are_written_as_the_literal_before_them() {
        let end = |text: &str| write_end(read(text, "UTC").unwrap().end());
        for text in [
            "2026-11-21Z",
            "2026-11-21T10:15Z",
            "2026-11-21T10:15:07Z",
            "-5m",
            "now",
        ] {
            assert_eq!(end(text), text);
        }
    }
}
