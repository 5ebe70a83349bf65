//! Points in time: microseconds since 1970 in UTC, and the sender's own way of writing them.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch; before 1970 is negative.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Our clock.
    #[must_use]
    pub fn now() -> Self {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with six digits, `2026-11-21T09:43:19.818000Z`. Years outside 0000 to 9999 are written
    /// as the nearest instant inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EventTime::utc(*self).fmt(f)
    }
}

/// The sender's timestamp: the instant, and what is needed to write it as it came (RFC 5424 section 6.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// The instant.
    pub at: Timestamp,
    /// Minutes east of UTC that the sender wrote; `None` for `Z`.
    pub offset_minutes: Option<i16>,
    /// How many digits of a second's fraction the sender wrote, 0 to 6.
    pub fraction_digits: u8,
}

/// Microseconds of the first and the last instant that four digits of a year can write.
const YEAR_0000: i64 = -62_167_219_200_000_000;
const YEAR_9999_END: i64 = 253_402_300_799_999_999;

impl EventTime {
    /// `at`, written with `Z` and six digits.
    #[must_use]
    pub const fn utc(at: Timestamp) -> Self {
        Self {
            at,
            offset_minutes: None,
            fraction_digits: 6,
        }
    }

    /// What the sender's calendar and clock showed.
    pub(crate) fn civil(&self) -> Civil {
        let offset_micros = i64::from(self.offset_minutes.unwrap_or(0)) * 60_000_000;
        let local = self
            .at
            .0
            .saturating_add(offset_micros)
            .clamp(YEAR_0000, YEAR_9999_END);
        let (seconds, micros) = (local.div_euclid(1_000_000), local.rem_euclid(1_000_000));
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let [second, micros] = [second, micros].map(|part| u32::try_from(part).unwrap_or(0));
        Civil {
            days,
            year,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            micros,
        }
    }
}

/// A calendar date and a time of day; years 0 to 9999.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Civil {
    /// Days since 1970-01-01.
    days: i64,
    pub(crate) year: u32,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    pub(crate) micros: u32,
}

impl Civil {
    /// Days since the last Thursday, which 1970-01-01 was.
    pub(crate) fn weekday(&self) -> u32 {
        u32::try_from(self.days.rem_euclid(7)).unwrap_or(0)
    }
}

impl fmt::Display for EventTime {
    /// The RFC 5424 form with the sender's offset and number of digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            micros,
            ..
        } = self.civil();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if self.fraction_digits > 0 {
            let digits = usize::from(self.fraction_digits.min(6));
            let dropped = u32::from(6 - self.fraction_digits.min(6));
            write!(f, ".{:0digits$}", micros / 10_u32.pow(dropped))?;
        }
        match self.offset_minutes {
            None => f.write_str("Z"),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.unsigned_abs();
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

/// Year, month, day of a day number since 1970-01-01, of year 0 or later (proleptic Gregorian; H. Hinnant,
/// "chrono-compatible low-level date algorithms", `civil_from_days`).
fn civil_from_days(days: i64) -> (u32, u32, u32) {
    // Days since March 1 of the year -400, so that no number is below zero.
    let shifted = u32::try_from(days + 719_468 + 146_097).unwrap_or(0);
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    (year_of_era + era * 400 + u32::from(month <= 2) - 400, month, day)
}

/// The day number since 1970-01-01 of a day of the proleptic Gregorian calendar, of year 0 or later; the inverse of
/// [`civil_from_days`].
pub(crate) fn days_from_civil(year: u32, month: u32, day: u32) -> i64 {
    // Years begin in March here, so that the day that comes every four years is a year's last; and 400 years later,
    // which is a whole turn of the calendar, so that no number is below zero.
    let (year, month) = if month > 2 {
        (year + 400, month - 3)
    } else {
        (year + 399, month + 9)
    };
    let days_of_months = (153 * month + 2) / 5;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + days_of_months + day;
    i64::from(days) - 719_469 - 146_097
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(micros: i64, offset_minutes: Option<i16>, fraction_digits: u8, expected: &str) {
        let time = EventTime {
            at: Timestamp::from_micros(micros),
            offset_minutes,
            fraction_digits,
        };
        assert_eq!(time.to_string(), expected);
    }

    #[test]
    fn writes_what_rfc_5424_writes() {
        check(482_196_050_520_000, None, 2, "1985-04-12T23:20:50.52Z");
        check(482_196_050_520_000, Some(-240), 2, "1985-04-12T19:20:50.52-04:00");
        check(1_065_910_455_003_000, None, 3, "2003-10-11T22:14:15.003Z");
        check(
            1_061_727_255_000_003,
            Some(-420),
            6,
            "2003-08-24T05:14:15.000003-07:00",
        );
        check(0, None, 0, "1970-01-01T00:00:00Z");
        check(951_782_400_000_000, Some(330), 0, "2000-02-29T05:30:00+05:30");
        check(-1, None, 6, "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn years_that_four_digits_cannot_write_are_clamped() {
        check(i64::MAX, Some(840), 6, "9999-12-31T23:59:59.999999+14:00");
        check(i64::MIN, None, 0, "0000-01-01T00:00:00Z");
    }

    #[test]
    fn day_numbers_read_back() {
        let first = YEAR_0000 / 86_400_000_000;
        for days in (first..first + 400 * 366).chain((0..2_000_000).step_by(7)) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn agrees_with_a_calendar_library() {
        for day in (-20_000..40_000).step_by(17) {
            let micros = i64::from(day) * 86_400_000_000 + 43_200_000_001;
            let expected = jiff::Timestamp::from_microsecond(micros)
                .unwrap()
                .strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
            assert_eq!(Timestamp::from_micros(micros).to_string(), expected.to_string());
        }
    }
}
