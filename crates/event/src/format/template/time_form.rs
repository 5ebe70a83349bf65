//! `%Y-%m-%d` and its like, checked once and written without a formatting machine.

use super::super::{
    json::put_integer,
    rfc3164::MONTHS,
    time::{digit, put_fraction, two},
};
use crate::time::{Civil, EventTime, Timestamp};

/// For error messages.
pub(super) const ALLOWED: &str =
    "%Y %y %m %d %e %j %H %I %p %M %S %3f %6f %f %s %b %B %a %A %u %F %T %z %Z %%";

const MONTHS_LONG: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// 1970-01-01 was a Thursday.
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// The form of a time, in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeForm(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Literal(String),
    /// Four digits.
    Year,
    YearOfCentury,
    Month,
    MonthName,
    MonthNameLong,
    Day,
    /// The day with a blank for its first zero.
    DayPadded,
    DayOfYear,
    /// Monday is 1.
    DayOfWeek,
    DayName,
    DayNameLong,
    Hour,
    Hour12,
    /// `AM` or `PM`.
    HalfDay,
    Minute,
    Second,
    Fraction(u8),
    /// Seconds since 1970.
    Epoch,
}

impl TimeForm {
    /// The error is the unknown directive.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let (mut items, mut rest) = (Vec::new(), text);
        while let Some((plain, directive)) = rest.split_once('%') {
            push_literal(&mut items, plain);
            let mut chars = directive.chars();
            match chars.next() {
                Some('F') => items.extend([Item::Year, dash(), Item::Month, dash(), Item::Day]),
                Some('T') => items.extend([Item::Hour, colon(), Item::Minute, colon(), Item::Second]),
                Some('z') => push_literal(&mut items, "+0000"),
                Some('Z') => push_literal(&mut items, "UTC"),
                Some('%') => push_literal(&mut items, "%"),
                Some(digits @ ('3' | '6')) => {
                    if chars.next() != Some('f') {
                        return Err(format!("%{digits}"));
                    }
                    items.push(Item::Fraction(if digits == '3' { 3 } else { 6 }));
                }
                Some(letter) => items.push(item(letter).ok_or_else(|| format!("%{letter}"))?),
                None => return Err("%".to_owned()),
            }
            rest = chars.as_str();
        }
        push_literal(&mut items, rest);
        Ok(Self(items))
    }

    pub(super) fn write(&self, at: Timestamp, out: &mut Vec<u8>) {
        let civil = EventTime::utc(at).civil();
        for item in &self.0 {
            put(item, at, &civil, out);
        }
    }
}

fn push_literal(items: &mut Vec<Item>, text: &str) {
    match items.last_mut() {
        Some(Item::Literal(literal)) => literal.push_str(text),
        _ if text.is_empty() => {}
        _ => items.push(Item::Literal(text.to_owned())),
    }
}

fn dash() -> Item {
    Item::Literal("-".to_owned())
}

fn colon() -> Item {
    Item::Literal(":".to_owned())
}

fn item(letter: char) -> Option<Item> {
    Some(match letter {
        'Y' => Item::Year,
        'y' => Item::YearOfCentury,
        'm' => Item::Month,
        'b' => Item::MonthName,
        'B' => Item::MonthNameLong,
        'd' => Item::Day,
        'e' => Item::DayPadded,
        'j' => Item::DayOfYear,
        'u' => Item::DayOfWeek,
        'a' => Item::DayName,
        'A' => Item::DayNameLong,
        'H' => Item::Hour,
        'I' => Item::Hour12,
        'p' => Item::HalfDay,
        'M' => Item::Minute,
        'S' => Item::Second,
        'f' => Item::Fraction(6),
        's' => Item::Epoch,
        _ => return None,
    })
}

fn put(item: &Item, at: Timestamp, civil: &Civil, out: &mut Vec<u8>) {
    match item {
        Item::Literal(text) => out.extend_from_slice(text.as_bytes()),
        Item::Year => {
            out.extend_from_slice(&two(civil.year / 100));
            out.extend_from_slice(&two(civil.year));
        }
        Item::YearOfCentury => out.extend_from_slice(&two(civil.year)),
        Item::Month => out.extend_from_slice(&two(civil.month)),
        Item::MonthName => put_name(out, &MONTHS, civil.month - 1, usize::MAX),
        Item::MonthNameLong => put_name(out, &MONTHS_LONG, civil.month - 1, usize::MAX),
        Item::Day => out.extend_from_slice(&two(civil.day)),
        Item::DayPadded if civil.day < 10 => out.extend_from_slice(&[b' ', digit(civil.day)]),
        Item::DayPadded => out.extend_from_slice(&two(civil.day)),
        Item::DayOfYear => {
            let day = day_of_year(civil);
            out.push(digit(day / 100));
            out.extend_from_slice(&two(day));
        }
        Item::DayOfWeek => out.push(digit((civil.weekday() + 3) % 7 + 1)),
        Item::DayName => put_name(out, &DAYS, civil.weekday(), 3),
        Item::DayNameLong => put_name(out, &DAYS, civil.weekday(), usize::MAX),
        Item::Hour => out.extend_from_slice(&two(civil.hour)),
        Item::Hour12 => out.extend_from_slice(&two((civil.hour + 11) % 12 + 1)),
        Item::HalfDay => out.extend_from_slice(if civil.hour < 12 { b"AM" } else { b"PM" }),
        Item::Minute => out.extend_from_slice(&two(civil.minute)),
        Item::Second => out.extend_from_slice(&two(civil.second)),
        Item::Fraction(digits) => put_fraction(out, civil.micros, *digits),
        Item::Epoch => put_integer(out, at.as_micros().div_euclid(1_000_000)),
    }
}

fn put_name(out: &mut Vec<u8>, names: &[&str], index: u32, letters: usize) {
    let name = usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
        .unwrap_or(&"");
    out.extend(name.bytes().take(letters));
}

fn day_of_year(civil: &Civil) -> u32 {
    let is_leap =
        civil.year.is_multiple_of(4) && (!civil.year.is_multiple_of(100) || civil.year.is_multiple_of(400));
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let month = usize::try_from(civil.month - 1).unwrap_or(0);
    let leap_day = u32::from(is_leap && civil.month > 2);
    before.get(month).unwrap_or(&0) + leap_day + civil.day
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_calendar_library(second in -60_000_000_000_i64..250_000_000_000, micros in 0_i64..1_000_000) {
            let text = "%Y %y %m %d %e %j %H %I %p %M %S %3f %6f %b %B %a %A %u %F %T %%";
            let micros = second * 1_000_000 + micros;
            let expected = jiff::Timestamp::from_microsecond(micros).unwrap().strftime(text).to_string();
            let mut out = Vec::new();
            TimeForm::new(text).unwrap().write(Timestamp::from_micros(micros), &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn seconds_since_1970_are_rounded_down() {
        let mut out = Vec::new();
        TimeForm::new("%s")
            .unwrap()
            .write(Timestamp::from_micros(-1), &mut out);
        assert_eq!(out, b"-1");
    }

    #[test]
    fn unknown_directives_are_named() {
        assert_eq!(TimeForm::new("%Y-%Q"), Err("%Q".to_owned()));
        assert_eq!(TimeForm::new("%"), Err("%".to_owned()));
        assert_eq!(TimeForm::new("%3x"), Err("%3".to_owned()));
        for directive in ALLOWED.split(' ') {
            assert!(TimeForm::new(directive).is_ok(), "{directive}");
        }
    }
}
