//! The bars of a histogram, and what is counted in them.

use super::plan::Range;
use crate::summary::Counts;

/// Bars of a histogram at most.
pub const BUCKETS_MAX: usize = 400;

/// Widths of bars that people can read, up to a day; then whole days.
const WIDTHS: [i64; 18] = {
    const S: i64 = 1_000_000;
    const M: i64 = 60 * S;
    const H: i64 = 60 * M;
    [
        S,
        2 * S,
        5 * S,
        10 * S,
        15 * S,
        30 * S,
        M,
        2 * M,
        5 * M,
        10 * M,
        15 * M,
        30 * M,
        H,
        2 * H,
        3 * H,
        6 * H,
        12 * H,
        24 * H,
    ]
};
const DAY_MICROS: i64 = 86_400_000_000;

/// Events of a part of the range, by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bar {
    /// emerg, alert and crit.
    pub crit: u64,
    /// err.
    pub err: u64,
    /// warning.
    pub warning: u64,
    /// The others, and events without a severity.
    pub other: u64,
}

impl Bar {
    pub(crate) fn add(&mut self, counts: &Counts, wanted: [bool; 9]) {
        for ((severity, count), _) in (0..).zip(counts).zip(wanted).filter(|(_, is_wanted)| *is_wanted) {
            let group = match severity {
                0..=2 => &mut self.crit,
                3 => &mut self.err,
                4 => &mut self.warning,
                _ => &mut self.other,
            };
            *group += count.unsigned_abs();
        }
    }

    pub(crate) fn scaled(self, sample: f64) -> Self {
        let scaled = |count| scale(count, sample);
        Self {
            crit: scaled(self.crit),
            err: scaled(self.err),
            warning: scaled(self.warning),
            other: scaled(self.other),
        }
    }

    pub(crate) const fn sum(&self) -> u64 {
        self.crit + self.err + self.warning + self.other
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, of a number that is not negative"
)]
fn scale(count: u64, sample: f64) -> u64 {
    (count as f64 / sample).round() as u64
}

/// The bars of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bars {
    pub(crate) origin: i64,
    pub(crate) width: i64,
    pub(crate) count: usize,
}

impl Bars {
    /// About `wanted` bars over the range, of a width that people can read.
    pub(crate) fn over((from, to): Range, wanted: usize) -> Self {
        let wanted = i64::try_from(wanted.clamp(1, BUCKETS_MAX)).unwrap_or(1);
        let length = to.saturating_sub(from).max(1);
        let needed = length / wanted + i64::from(length % wanted != 0);
        let readable = WIDTHS.into_iter().find(|width| *width >= needed);
        let days = needed / DAY_MICROS + i64::from(needed % DAY_MICROS != 0);
        let width = readable.unwrap_or_else(|| days.saturating_mul(DAY_MICROS));
        let origin = from.div_euclid(width).saturating_mul(width);
        let count = to.saturating_sub(origin).max(1) / width
            + i64::from(to.saturating_sub(origin).max(1) % width != 0);
        Self {
            origin,
            width,
            count: usize::try_from(count).unwrap_or(BUCKETS_MAX),
        }
    }

    /// One bar for the whole.
    pub(crate) const fn one((from, to): Range) -> Self {
        Self {
            origin: from,
            width: to.saturating_sub(from),
            count: 1,
        }
    }

    /// Where each begins.
    pub(crate) fn starts(&self) -> impl Iterator<Item = i64> {
        let (origin, width) = (self.origin, self.width);
        (0..self.count).map(move |bar| origin + width * i64::try_from(bar).unwrap_or(0))
    }
}

/// Rows that were counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted {
    /// Those that fit, for each bar.
    pub(crate) bars: Vec<Counts>,
    /// Those that were looked at; only a sample says.
    pub(crate) scanned: u64,
}

impl Counted {
    pub(crate) fn none(bars: &Bars) -> Self {
        Self {
            bars: vec![Counts::default(); bars.count],
            scanned: 0,
        }
    }

    /// `count` rows more in a bar; of a bar that is not there, none.
    pub(crate) fn add(&mut self, bar: i64, severity: i64, count: i64) {
        let bar = usize::try_from(bar).ok().and_then(|bar| self.bars.get_mut(bar));
        let severity = usize::try_from(severity).ok();
        let counts = bar.zip(severity);
        if let Some(sum) = counts.and_then(|(bar, severity)| bar.get_mut(severity)) {
            *sum += count;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
/// Which part of `rows` was looked at.
pub(crate) fn part(scanned: u64, rows: u64) -> f64 {
    if scanned == 0 || scanned >= rows {
        1.0
    } else {
        scanned as f64 / rows as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;
    const H: i64 = 3600 * S;

    #[test]
    fn bars_have_widths_that_people_can_read() {
        for (range, wanted, origin, width, count) in [
            ((0, 24 * H), 120, 0, 900 * S, 96),
            ((H / 2, 7 * 24 * H), 120, 0, 2 * H, 84),
            ((5 * S, 6 * S), 400, 5 * S, S, 1),
            ((-1, 1), 10, -S, S, 2),
            ((0, 400 * 24 * H), 100, 0, 96 * H, 100),
            ((7, 7), 10, 0, S, 1),
        ] {
            let bars = Bars::over(range, wanted);
            assert_eq!(
                (bars.origin, bars.width, bars.count),
                (origin, width, count),
                "{range:?}"
            );
        }
        assert!(Bars::over((i64::MIN, i64::MAX), usize::MAX).count <= BUCKETS_MAX + 1);
    }

    #[test]
    fn severities_are_grouped_and_scaled() {
        let mut bar = Bar::default();
        bar.add(&[1, 2, 3, 4, 5, 6, 7, 8, 9], [true; 9]);
        assert_eq!(
            bar,
            Bar {
                crit: 6,
                err: 4,
                warning: 5,
                other: 30
            }
        );
        assert_eq!(bar.scaled(0.5).sum(), 90);
    }
}
