//! Durations and sizes, which need their unit: nobody can see whether a bare 5 means seconds.

use std::time::Duration;

const DURATION_UNITS: &[(&str, u64)] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads `5ms` or `1h30m`.
///
/// # Errors
///
/// What is wrong with it and how it is written.
pub fn duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "a duration is a number with a unit: us, ms, s, m, h or d, such as";
    match sum(text, DURATION_UNITS) {
        Ok(micros) => Ok(Duration::from_micros(micros)),
        Err(Wrong::NoUnit(number)) => Err(format!(
            "has no unit: write \"{number}s\" for seconds, \"{number}ms\" for milliseconds"
        )),
        Err(Wrong::Unit(unit)) => Err(format!("has an unknown unit {unit:?}: {FORM} \"5ms\"")),
        Err(Wrong::Form) => Err(format!("is not a duration: {FORM} \"5ms\" or \"1h30m\"")),
        Err(Wrong::TooLarge) => Err("is too long to be counted".to_owned()),
    }
}

/// Reads `128KiB`.
///
/// # Errors
///
/// What is wrong with it and how it is written.
pub fn size(text: &str) -> Result<u64, String> {
    const FORM: &str = "a size is a whole number with a unit: B, KiB, MiB, GiB or TiB, such as \"128KiB\"";
    match sum(text, SIZE_UNITS) {
        Ok(bytes) => Ok(bytes),
        Err(Wrong::NoUnit(number)) => Err(format!(
            "has no unit: write \"{number}B\" for bytes, \"{number}KiB\" for units of 1024 bytes"
        )),
        Err(Wrong::Unit(unit)) => match meant(&unit) {
            Some(meant) => Err(format!(
                "has an unknown unit {unit:?}: did you mean {meant:?}? {FORM}"
            )),
            None => Err(format!("has an unknown unit {unit:?}: {FORM}")),
        },
        Err(Wrong::Form) => Err(format!("is not a size: {FORM}")),
        Err(Wrong::TooLarge) => Err("is too large to be counted".to_owned()),
    }
}

/// Writes a duration as [`duration`] reads it, in the largest unit that divides it.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    show(
        u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        DURATION_UNITS,
    )
}

/// Writes a size as [`size`] reads it, in the largest unit that divides it.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show(bytes, SIZE_UNITS)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = units
        .iter()
        .rev()
        .find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor));
    let (unit, factor) = fits.or(units.first()).copied().unwrap_or(("", 1));
    format!("{}{unit}", amount / factor)
}

enum Wrong {
    NoUnit(String),
    Unit(String),
    Form,
    TooLarge,
}

/// Adds up pairs of a number and a unit.
fn sum(text: &str, units: &[(&str, u64)]) -> Result<u64, Wrong> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    if rest.is_empty() {
        return Err(Wrong::Form);
    }
    while !rest.is_empty() {
        let (digits, after) = split_where(rest, |c| !c.is_ascii_digit());
        if digits.is_empty() {
            return Err(Wrong::Form);
        }
        let (unit, after) = split_where(after.trim_start(), |c| !c.is_alphabetic());
        if unit.is_empty() {
            return Err(if after.is_empty() {
                Wrong::NoUnit(digits.to_owned())
            } else {
                Wrong::Form
            });
        }
        let factor = units
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| Wrong::Unit(unit.to_owned()))?;
        // Only digits are left, so a number that does not parse is one that does not fit.
        let number: u64 = digits.parse().unwrap_or(u64::MAX);
        total = number
            .checked_mul(factor)
            .and_then(|n| total.checked_add(n))
            .ok_or(Wrong::TooLarge)?;
        rest = after.trim_start();
    }
    Ok(total)
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

/// The unit that was meant by `KB`, `kib`, `M` and the like.
fn meant(unit: &str) -> Option<&'static str> {
    let wanted = unit.to_ascii_lowercase();
    let same = |name: &str| {
        let name = name.to_ascii_lowercase();
        name == wanted || name.replace('i', "") == wanted || name.trim_end_matches("ib") == wanted
    };
    SIZE_UNITS.iter().map(|(name, _)| *name).find(|name| same(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, micros) in [
            ("5ms", 5_000),
            ("5 ms", 5_000),
            ("10s", 10_000_000),
            ("1h30m", 5_400_000_000),
            ("1d", 86_400_000_000),
            ("250us", 250),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for (text, says) in [
            ("5", "\"5s\" for seconds"),
            ("5 seconds", "unknown unit \"seconds\""),
            ("", "is not a duration"),
            ("s", "is not a duration"),
            ("-5s", "is not a duration"),
            ("1.5s", "is not a duration"),
            ("5s7", "\"7s\" for seconds"),
            ("99999999999999999999s", "too long"),
            ("18446744073709551615d", "too long"),
        ] {
            let error = duration(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("128KiB", 131_072),
            ("1 GiB", 1 << 30),
            ("480B", 480),
            ("1MiB512KiB", 1_572_864),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, says) in [
            ("128", "\"128KiB\" for units"),
            ("128KB", "did you mean \"KiB\"?"),
            ("128k", "did you mean \"KiB\"?"),
            ("1gib", "did you mean \"GiB\"?"),
            ("1 potato", "unknown unit \"potato\""),
            ("KiB", "is not a size"),
            ("99999999TiB", "too large"),
        ] {
            let error = size(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn shown_as_they_are_read() {
        for text in ["5ms", "1m", "90s", "1h", "7d", "0us", "1500ms"] {
            assert_eq!(show_duration(duration(text).expect(text)), text);
        }
        for text in ["128KiB", "1000B", "16GiB", "0B"] {
            assert_eq!(show_size(size(text).expect(text)), text);
        }
    }
}
