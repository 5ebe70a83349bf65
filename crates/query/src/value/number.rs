//! Numbers and ranges of them.

/// A range's end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Where it is; finite.
    pub value: f64,
    /// Whether `value` is in the range.
    pub is_inside: bool,
}

/// Numbers from one bound to another; at least one is there.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NumberRange {
    /// The smallest.
    pub min: Option<Bound>,
    /// The greatest.
    pub max: Option<Bound>,
}

impl NumberRange {
    /// Whether `value` is in the range.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        let above = |min: Bound| value > min.value || min.is_inside && value == min.value;
        let below = |max: Bound| value < max.value || max.is_inside && value == max.value;
        self.min.is_none_or(above) && self.max.is_none_or(below)
    }
}

/// A decimal number as people and JSON write it: no hexadecimal, no infinity.
pub(crate) fn number(text: &str) -> Option<f64> {
    let starts = text
        .strip_prefix(['-', '+'])
        .unwrap_or(text)
        .starts_with(|char: char| char.is_ascii_digit() || char == '.');
    let value: f64 = text.parse().ok().filter(|_| starts)?;
    // `-0` is not another number.
    value.is_finite().then_some(value + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_nothing_else() {
        for (text, expected) in [
            ("500", Some(500.0)),
            ("-1.5e3", Some(-1500.0)),
            (".5", Some(0.5)),
            ("-0", Some(0.0)),
            ("inf", None),
            ("NaN", None),
            ("0x10", None),
            ("1e999", None),
            ("10k", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn bounds_are_in_or_out() {
        let bound = |value, is_inside| Some(Bound { value, is_inside });
        let range = NumberRange {
            min: bound(1.0, false),
            max: bound(2.0, true),
        };
        assert_eq!(
            [1.0, 1.5, 2.0, 2.1].map(|value| range.contains(value)),
            [false, true, true, false]
        );
    }
}
