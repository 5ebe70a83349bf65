//! Durations such as `500ms`, `90s`, `1h30m`, and ranges of them.

/// From the first microsecond to the one behind the last; at least one bound is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DurationRange {
    /// Microseconds at least.
    pub min: Option<i64>,
    /// Microseconds that are too many.
    pub end: Option<i64>,
}

impl DurationRange {
    /// Whether so many microseconds are in the range.
    #[must_use]
    pub fn contains(&self, micros: i64) -> bool {
        self.min.is_none_or(|min| micros >= min) && self.end.is_none_or(|end| micros < end)
    }
}

/// Units with their microseconds, the largest first. A unit that begins another one's name stands behind it.
const UNITS: [(&str, i64); 7] = [
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("ms", 1000),
    ("m", 60_000_000),
    ("us", 1),
    ("s", 1_000_000),
];

/// Microseconds of `1h30m`, `-10s`, `+5m`; fractions are allowed.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total = 0_i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let (unit, micros) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        total = total.checked_add(part(number, *micros)?)?;
        rest = tail.strip_prefix(unit)?;
    }
    Some(sign * total)
}

/// `number` units of `micros` each.
fn part(number: &str, micros: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut total = whole.parse::<i64>().ok()?.checked_mul(micros)?;
    let mut unit = micros;
    for digit in fraction.chars() {
        unit /= 10;
        total = total.checked_add(i64::from(digit.to_digit(10)?) * unit)?;
    }
    Some(total)
}

/// `micros` as [`duration`] reads it, in the largest unit that it is a whole number of.
pub(crate) fn write(micros: i64) -> String {
    let by_size = {
        let mut units = UNITS;
        units.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        units
    };
    let (unit, size) = by_size
        .into_iter()
        .find(|(_, size)| micros % size == 0 && micros != 0)
        .unwrap_or(("s", 1_000_000));
    format!("{}{unit}", micros / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, micros, written) in [
            ("500ms", 500_000, "500ms"),
            ("90s", 90_000_000, "90s"),
            ("5m", 300_000_000, "5m"),
            ("1h30m", 5_400_000_000, "90m"),
            ("1.5h", 5_400_000_000, "90m"),
            ("-10s", -10_000_000, "-10s"),
            ("+1w", 604_800_000_000, "1w"),
            ("7us", 7, "7us"),
            ("0s", 0, "0s"),
        ] {
            assert_eq!(duration(text), Some(micros), "{text}");
            assert_eq!(write(micros), written);
            assert_eq!(duration(written), Some(micros));
        }
    }

    #[test]
    fn other_text_is_none() {
        for text in [
            "",
            "-",
            "5",
            "m",
            "5 m",
            "5x",
            "1..5s",
            "99999999999999w",
            "lots",
            "5.s.",
            "é",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
