//! Dates and times of day as lines show them, not yet tied to a zone.

use super::scan;
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
    pub(super) fn new(year: u32, month: u32, day: u32, clock: Clock) -> Option<Self> {
        let is_date =
            (1..=12).contains(&month) && day > 0 && (day <= 28 || day <= days_in_month(year, month));
        if !is_date || clock.hour > 23 || clock.minute > 59 || clock.second > 60 {
            return None;
        }
        let seconds = clock.hour * 3600 + clock.minute * 60 + clock.second;
        Some(Self {
            seconds: days_from_civil(year, month, day) * 86_400 + i64::from(seconds),
            micros: 0,
            fraction_digits: 0,
        })
    }

    /// Reads a fraction, its point included, off the front of `bytes`; returns its length. Digits past the sixth
    /// are overlooked.
    pub(super) fn fraction(&mut self, bytes: &[u8]) -> usize {
        let [b'.' | b',', behind @ ..] = bytes else {
            return 0;
        };
        let (len, hundredths_of_micros) = scan::fraction(behind);
        if len == 0 {
            return 0;
        }
        self.micros = hundredths_of_micros / 100;
        self.fraction_digits = u8::try_from(len.min(6)).unwrap_or(6);
        1 + len
    }

    /// The instant, where no offset means UTC.
    pub(super) fn at(self, offset: Offset) -> EventTime {
        let offset_minutes = match offset {
            Offset::Absent | Offset::Utc => None,
            Offset::Minutes(minutes) => Some(minutes),
        };
        let seconds = self.seconds - i64::from(offset_minutes.unwrap_or(0)) * 60;
        // A year that follows from a broken clock of ours may be past what the type holds.
        let micros = seconds
            .saturating_mul(1_000_000)
            .saturating_add(i64::from(self.micros));
        EventTime {
            at: Timestamp::from_micros(micros),
            offset_minutes,
            fraction_digits: self.fraction_digits,
        }
    }
}

/// Of a month from 1 to 12.
fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A time of day, whether or not a clock shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
}

impl Clock {
    /// `22:14:15`.
    pub(super) fn read(bytes: &[u8; 8]) -> Option<Self> {
        const SHAPE: Shape = Shape::new(b"00:00:00");
        let [hour, _, _, minute, _, _, second, _] = SHAPE.pairs(bytes)?;
        Some(Self {
            hour: hour.into(),
            minute: minute.into(),
            second: second.into(),
        })
    }
}

/// Eight bytes of digits and separators, read all at once in one register.
struct Shape {
    model: u64,
    /// What is to be added to a byte that differs from the model so that its high bit shows that it may not: any
    /// difference for a separator, more than 9 for a digit.
    slack: u64,
}

impl Shape {
    /// `0` stands for any digit.
    const fn new(model: &[u8; 8]) -> Self {
        let mut slack = 0;
        let mut rest = model.as_slice();
        while let [byte, behind @ ..] = rest {
            let high = if *byte == b'0' { 0x7f - 9 } else { 0x7f };
            slack = slack >> 8 | high << 56;
            rest = behind;
        }
        Self {
            model: u64::from_le_bytes(*model),
            slack,
        }
    }

    /// The number that each digit makes with the one behind it, where `bytes` have this shape.
    #[inline]
    fn pairs(&self, bytes: &[u8; 8]) -> Option<[u8; 8]> {
        const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
        // Digits become their values, separators 0. The sum carries into the next byte only where the high bit of
        // a difference is set, which `|` sees.
        let values = u64::from_le_bytes(*bytes) ^ self.model;
        if (values.wrapping_add(self.slack) | values) & HIGH != 0 {
            return None;
        }
        // No byte is above 99, so nothing carries.
        Some((values * 10 + (values >> 8)).to_le_bytes())
    }
}

/// Reads an ISO 8601 date and time in the extended form off the front of `bytes`: `2003-10-11T22:14:15.003Z`,
/// also with a space for the `T`, a comma for the point, more than six digits of a fraction (those past the
/// sixth are overlooked), and with or without an offset (`+01:00`, `+0100`). Returns it and its length.
pub(super) fn iso(bytes: &[u8]) -> Option<(WallTime, Offset, usize)> {
    const DATE: Shape = Shape::new(b"0000-00-");
    let (head, rest) = bytes.split_first_chunk::<19>()?;
    let (date, head) = head.split_first_chunk::<8>()?;
    let (&[tens, units, b'T' | b't' | b' '], clock) = head.split_first_chunk::<3>()? else {
        return None;
    };
    let [century, _, year, _, _, month, _, _] = DATE.pairs(date)?.map(u32::from);
    let clock = Clock::read(clock.first_chunk()?)?;
    let mut wall = WallTime::new(century * 100 + year, month, two(tens, units)?, clock)?;
    let fraction_len = wall.fraction(rest);
    let (offset, offset_len) = offset(rest.get(fraction_len..)?);
    Some((wall, offset, 19 + fraction_len + offset_len))
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
    if sign == b'+' {
        (Offset::Minutes(total), len)
    } else if total > 0 {
        (Offset::Minutes(-total), len)
    } else {
        (Offset::Utc, len)
    }
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
