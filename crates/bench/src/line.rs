//! One line of the table: a figure, what it is compared with, and what it is to reach.

use serde_json::{Value, json};

/// A figure of ours.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) logferry: f64,
    /// Of who does the same work.
    pub(crate) reference: Option<f64>,
    /// Ours over the reference, round by round.
    pub(crate) ratio: Option<Spread>,
    pub(crate) target: Option<Target>,
}

/// What a figure is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// So many times the reference.
    Ratio(f64),
    AtLeast(f64),
    AtMost(f64),
    /// So many times the reference, or this figure itself.
    RatioOr(f64, f64),
}

/// A median between its extremes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of no figures.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        Some(Self {
            // Of two, the worse of a rate.
            median: *figures.get(figures.len().saturating_sub(1) / 2)?,
            min: *figures.first()?,
            max: *figures.last()?,
        })
    }
}

impl Line {
    /// A figure that is compared with nothing.
    pub(crate) fn alone(what: impl Into<String>, unit: &'static str, logferry: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            logferry,
            reference: None,
            ratio: None,
            target: None,
        }
    }

    pub(crate) fn reaching(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// Whether the target is reached; `None` where there is none, or nothing to compare with.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        let ratio = self.ratio.map(|ratio| ratio.median);
        Some(match self.target? {
            Target::Ratio(least) => ratio? >= least,
            Target::AtLeast(least) => self.logferry >= least,
            Target::AtMost(most) => self.logferry <= most,
            Target::RatioOr(times, least) => {
                self.logferry >= least || ratio.is_some_and(|ratio| ratio >= times)
            }
        })
    }

    /// What is to be reached, in words.
    pub(crate) fn target_text(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::Ratio(times)) => format!("≥ {times} ×"),
            Some(Target::AtLeast(least)) => format!("≥ {}", number(least, self.unit)),
            Some(Target::AtMost(most)) => format!("≤ {}", number(most, self.unit)),
            Some(Target::RatioOr(times, least)) => format!("≥ {times} × or {}", number(least, self.unit)),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": self.unit,
            "logferry": self.logferry,
            "reference": self.reference,
            "ratio": self.ratio.map(|ratio| json!({
                "median": ratio.median, "min": ratio.min, "max": ratio.max,
            })),
            "target": self.target.map(|_| self.target_text()),
            "reached": self.is_reached(),
        })
    }
}

/// A number that can be read: thousands apart for large ones, fractions for small ones.
pub(crate) fn number(value: f64, unit: &str) -> String {
    let text = if value.abs() < 10.0 {
        format!("{value:.2}")
    } else if value.abs() < 1000.0 {
        format!("{value:.1}")
    } else {
        let digits = format!("{value:.0}");
        let mut text = String::new();
        for (n, digit) in digits.chars().enumerate() {
            if n > 0 && (digits.len() - n).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    };
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(target: Target) -> Line {
        Line {
            reference: Some(100.0),
            ratio: Spread::of(vec![1.4, 1.6, 1.5]),
            ..Line::alone("", "/s", 150.0).reaching(target)
        }
    }

    #[test]
    fn a_target_is_reached_or_not() {
        for (target, is_reached) in [
            (Target::Ratio(1.5), true),
            (Target::Ratio(1.51), false),
            (Target::AtLeast(150.0), true),
            (Target::AtLeast(151.0), false),
            (Target::AtMost(150.0), true),
            (Target::AtMost(149.0), false),
            (Target::RatioOr(2.0, 140.0), true),
            (Target::RatioOr(1.0, 1000.0), true),
            (Target::RatioOr(2.0, 1000.0), false),
        ] {
            assert_eq!(line(target).is_reached(), Some(is_reached), "{target:?}");
        }
    }

    #[test]
    fn without_a_reference_a_ratio_is_not_judged() {
        let alone = Line::alone("", "/s", 1.0).reaching(Target::Ratio(2.0));
        assert_eq!(alone.is_reached(), None);
    }

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(number(1_234_567.4, "/s"), "1,234,567 /s");
        assert_eq!(number(100_000.0, "/s"), "100,000 /s");
        assert_eq!(number(40.0, "ms"), "40 ms");
        assert_eq!(number(1.234, "ms"), "1.23 ms");
    }

    #[test]
    fn a_median_lies_between_its_extremes() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.0, 3.0));
        assert_eq!(Spread::of(vec![2.0, 1.0]).unwrap().median, 1.0);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
