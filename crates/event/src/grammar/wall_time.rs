//! Dates and times of day as lines show them, not yet tied to a zone.

use crate::time::{EventTime, Timestamp, days_from_civil};

/// A date and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WallTime {
    /// Since 1970, as if it were UTC.
    pub(super) seconds: i64,
    /// Within the second.
    pub(super) micros: u32,
    /// Digits of the fraction as written, at most 6.
    pub(super) fraction_digits: u8,
}

/// What a timestamp says of its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offset {
    /// Nothing.
    Absent,
    /// `Z`, or `-00:00`, which RFC 9557 section 2 gives the same meaning.
    Utc,
    /// Minutes east of UTC.
    Minutes(i16),
}

impl WallTime {
    /// `None` for a day or time that no calendar or clock shows. Second 60, a leap second, is the first of the
    /// next minute, as POSIX clocks count it.
    pub(super) fn new(
        year: u32,
        month: u32,
        day: u32,
        (hour, minute, second): (u32, u32, u32),
    ) -> Option<Self> {
        if day == 0 || day > days_in_month(year, month)? || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let days = days_from_civil(i64::from(year), i64::from(month), i64::from(day));
        Some(Self {
            seconds: days * 86_400 + i64::from(hour * 3600 + minute * 60 + second),
            micros: 0,
            fraction_digits: 0,
        })
    }

    /// Reads a fraction, its point included, off the front of `bytes`; returns its length.
    pub(super) fn fraction(&mut self, bytes: &[u8]) -> usize {
        let [b'.' | b',', digits @ ..] = bytes else {
            return 0;
        };
        let mut scale = 100_000;
        let mut len = 0;
        for digit in digits
            .iter()
            .map(|byte| byte.wrapping_sub(b'0'))
            .take_while(|digit| *digit <= 9)
        {
            self.micros += u32::from(digit) * scale;
            self.fraction_digits += u8::from(scale > 0);
            scale /= 10;
            len += 1;
        }
        if len == 0 { 0 } else { len + 1 }
    }

    /// The instant, where no offset means UTC.
    pub(super) fn at(self, offset: Offset) -> EventTime {
        let offset_minutes = match offset {
            Offset::Absent | Offset::Utc => None,
            Offset::Minutes(minutes) => Some(minutes),
        };
        let seconds = self.seconds - i64::from(offset_minutes.unwrap_or(0)) * 60;
        EventTime {
            at: Timestamp::from_micros(seconds * 1_000_000 + i64::from(self.micros)),
            offset_minutes,
            fraction_digits: self.fraction_digits,
        }
    }
}

fn days_in_month(year: u32, month: u32) -> Option<u32> {
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => return None,
    })
}

/// Reads an ISO 8601 date and time in the extended form off the front of `bytes`: `2003-10-11T22:14:15.003Z`,
/// also with a space for the `T`, a comma for the point, more than six digits of a fraction (those past the
/// sixth are ignored), and with or without an offset (`+01:00`, `+0100`). Returns it and its length.
pub(super) fn iso(bytes: &[u8]) -> Option<(WallTime, Offset, usize)> {
    let (head, rest) = bytes.split_first_chunk::<19>()?;
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't' | b' ',
        clock @ ..,
    ] = head
    else {
        return None;
    };
    let year = year(&[y1, y2, y3, y4])?;
    let mut wall = WallTime::new(year, two(m1, m2)?, two(d1, d2)?, time_of_day(&clock)?)?;
    let fraction_len = wall.fraction(rest);
    let (offset, offset_len) = offset(rest.get(fraction_len..)?);
    Some((wall, offset, 19 + fraction_len + offset_len))
}

/// `22:14:15`.
pub(super) fn time_of_day(clock: &[u8; 8]) -> Option<(u32, u32, u32)> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = clock else {
        return None;
    };
    Some((two(h1, h2)?, two(m1, m2)?, two(s1, s2)?))
}

/// `Z`, `+01:00` or `+0100` at the front of `bytes`, and its length.
pub(super) fn offset(bytes: &[u8]) -> (Offset, usize) {
    let (sign, hours, minutes, len) = match *bytes {
        [b'Z' | b'z', ..] => return (Offset::Utc, 1),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, ..] => (sign, two(h1, h2), two(m1, m2), 6),
        [sign @ (b'+' | b'-'), h1, h2, m1, m2, ..] => (sign, two(h1, h2), two(m1, m2), 5),
        _ => return (Offset::Absent, 0),
    };
    let (Some(hours @ ..24), Some(minutes @ ..60)) = (hours, minutes) else {
        return (Offset::Absent, 0);
    };
    let total = i16::try_from(hours * 60 + minutes).unwrap_or(0);
    let offset = match (sign, total) {
        (b'-', 0) => Offset::Utc,
        (b'-', _) => Offset::Minutes(-total),
        _ => Offset::Minutes(total),
    };
    (offset, len)
}

/// Four digits.
pub(super) fn year(&[a, b, c, d]: &[u8; 4]) -> Option<u32> {
    Some(two(a, b)? * 100 + two(c, d)?)
}

/// A number of two digits.
pub(super) fn two(tens: u8, units: u8) -> Option<u32> {
    let (tens, units) = (tens.wrapping_sub(b'0'), units.wrapping_sub(b'0'));
    (tens <= 9 && units <= 9).then(|| u32::from(tens) * 10 + u32::from(units))
}
