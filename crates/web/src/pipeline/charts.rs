//! The last hour of one box, minute by minute: as drawings, and as a table that says the same.

use std::{fmt::Write as _, time::Instant};

use jiff::{SignedDuration, Timestamp};

use super::{
    map::escape,
    picture::{Curve, Curves, Kind, Node, Picture},
    words,
};
use crate::number::grouped;

/// What a drawing has for its lines; above them stands the largest number, below them the time.
const WIDTH: usize = 300;
const TOP: usize = 14;
const BOTTOM: usize = 78;
const HEIGHT: usize = 94;

/// The drawings of one box, and their table.
#[derive(Debug)]
pub(super) struct Charts {
    pub(super) drawings: Vec<Drawing>,
    /// The names of the columns, after that of the time.
    pub(super) columns: Vec<&'static str>,
    /// The newest minute first.
    pub(super) rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Drawing {
    pub(super) title: &'static str,
    /// Names of its lines and their classes; empty when there is but one.
    pub(super) legend: Vec<(&'static str, &'static str)>,
    pub(super) svg: String,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) time: String,
    pub(super) values: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Rate,
    Batches,
    Seconds,
}

struct Line {
    name: &'static str,
    class: &'static str,
    unit: Unit,
    curve: Curve,
}

impl Unit {
    fn show(self, value: Option<f64>) -> String {
        match (self, value) {
            (Self::Rate, rate) => words::rate(rate),
            (Self::Batches | Self::Seconds, None) => words::unknown(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a number of batches is whole and not negative"
            )]
            (Self::Batches, Some(batches)) => grouped(batches as u64),
            (Self::Seconds, Some(seconds)) => format!("{seconds:.1} s"),
        }
    }
}

impl Charts {
    /// Of `node`, over the steps of `curves`, at `now`, which is `as_of` by the clock of the day.
    pub(super) fn new(
        node: &Node,
        picture: &Picture,
        curves: Curves<'_>,
        now: Instant,
        as_of: Timestamp,
    ) -> Self {
        let line = |name, class, unit, curve| Line {
            name,
            class,
            unit,
            curve,
        };
        let into = line("in", "into", Unit::Rate, curves.came_in(node, picture));
        let out = || line("out", "out", Unit::Rate, curves.went_out(node, picture));
        let drawings = match node.kind {
            Kind::Stage => {
                let oldest = line("oldest", "into", Unit::Seconds, curves.oldest(node));
                vec![
                    ("Events a second", vec![into, out()]),
                    ("Age of the oldest", vec![oldest]),
                ]
            }
            Kind::Queue => {
                let depth = line("waiting", "into", Unit::Batches, curves.depth(node));
                vec![
                    ("Events a second", vec![into, out()]),
                    ("Batches that wait", vec![depth]),
                ]
            }
            Kind::Store => vec![("Events a second", vec![into])],
        };
        let clock = |at: Instant| {
            let ago = SignedDuration::try_from(now.saturating_duration_since(at)).unwrap_or_default();
            let at = as_of.checked_sub(ago).unwrap_or(as_of);
            at.strftime("%H:%M").to_string()
        };
        let times: Vec<_> = curves.grid.each().map(|(from, _)| clock(from)).collect();
        let lines: Vec<_> = drawings.iter().flat_map(|(_, lines)| lines).collect();
        let rows = times.iter().enumerate().rev().map(|(step, time)| Row {
            time: time.clone(),
            values: lines
                .iter()
                .map(|line| line.unit.show(line.curve.get(step).copied().flatten()))
                .collect(),
        });
        let (begin, end) = (times.first().cloned().unwrap_or_default(), clock(curves.grid.end));
        Self {
            rows: rows.collect(),
            columns: lines.iter().map(|line| line.name).collect(),
            drawings: drawings
                .iter()
                .map(|(title, lines)| draw(title, lines, &begin, &end))
                .collect(),
        }
    }
}

fn draw(title: &'static str, lines: &[Line], begin: &str, end: &str) -> Drawing {
    let steps = lines.iter().map(|line| line.curve.len()).max().unwrap_or(0);
    let known = lines.iter().flat_map(|line| line.curve.iter().flatten().copied());
    let most = known.reduce(f64::max);
    let mut svg = format!(
        "<svg class=\"chart-hour\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(&in_words(title, lines, begin, end))
    );
    let mut put = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("a string takes all text");
    let left = |step: usize| step * WIDTH / steps.max(1);
    for (from, to) in gaps(lines, steps) {
        let (x, width) = (left(from), left(to) - left(from));
        put(format_args!(
            "<rect class=\"unknown\" x=\"{x}\" y=\"{TOP}\" width=\"{width}\" height=\"{}\"/>",
            BOTTOM - TOP
        ));
    }
    put(format_args!("<path class=\"base\" d=\"M0 {BOTTOM}H{WIDTH}\"/>"));
    for line in lines {
        put(format_args!(
            "<path class=\"{}\" d=\"{}\"/>",
            line.class,
            path(&line.curve, most.unwrap_or(0.0), left)
        ));
    }
    let unit = lines.first().map_or(Unit::Rate, |line| line.unit);
    put(format_args!(
        "<text x=\"0\" y=\"10\">{}</text><text x=\"0\" y=\"{HEIGHT}\">{begin}</text><text x=\"{WIDTH}\" y=\"{HEIGHT}\" text-anchor=\"end\">{end} UTC</text>",
        unit.show(most)
    ));
    put(format_args!("</svg>"));
    let legend = lines.iter().map(|line| (line.name, line.class));
    Drawing {
        title,
        legend: legend.filter(|_| lines.len() > 1).collect(),
        svg,
    }
}

/// What a drawing shows, for whoever does not see it.
fn in_words(title: &str, lines: &[Line], begin: &str, end: &str) -> String {
    let each = lines.iter().map(|line| {
        let known = || line.curve.iter().flatten().copied();
        let unknown = line.curve.len() - known().count();
        let mut words = match (known().reduce(f64::min), known().reduce(f64::max)) {
            (Some(least), Some(most)) => format!(
                "{} from {} to {}, last {}",
                line.name,
                line.unit.show(Some(least)),
                line.unit.show(Some(most)),
                line.unit.show(line.curve.last().copied().flatten())
            ),
            _ => return format!("{} unknown", line.name),
        };
        if unknown > 0 {
            write!(words, ", unknown in {unknown} of {} minutes", line.curve.len())
                .expect("a string takes all text");
        }
        words
    });
    let each: Vec<_> = each.collect();
    format!("{title}, {begin} to {end} UTC: {}", each.join("; "))
}

/// Runs of steps of which no line knows anything.
fn gaps(lines: &[Line], steps: usize) -> Vec<(usize, usize)> {
    let mut gaps: Vec<(usize, usize)> = Vec::new();
    let is_known = |step: usize| {
        lines
            .iter()
            .any(|line| line.curve.get(step).is_some_and(Option::is_some))
    };
    for step in (0..steps).filter(|step| !is_known(*step)) {
        match gaps.last_mut() {
            Some((_, end)) if *end == step => *end = step + 1,
            _ => gaps.push((step, step + 1)),
        }
    }
    gaps
}

/// A stair: each minute has one number.
fn path(curve: &[Option<f64>], most: f64, left: impl Fn(usize) -> usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "these are small")]
    let (bottom, height) = (BOTTOM as f64, (BOTTOM - TOP) as f64);
    let mut path = String::new();
    let mut is_on = false;
    for (step, value) in curve.iter().enumerate() {
        if let Some(value) = value {
            let y = bottom - if most > 0.0 { height * value / most } else { 0.0 };
            let pen = if is_on { 'L' } else { 'M' };
            write!(path, "{pen}{} {y:.1}H{}", left(step), left(step + 1)).expect("a string takes all text");
        }
        is_on = value.is_some();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &'static str, curve: &[Option<f64>]) -> Line {
        Line {
            name,
            class: "into",
            unit: Unit::Rate,
            curve: curve.to_vec(),
        }
    }

    #[test]
    fn what_is_not_known_is_hollow_and_said() {
        let lines = [
            line("in", &[None, None, Some(10.0), Some(20.0)]),
            line("out", &[None, None, None, Some(0.0)]),
        ];
        assert_eq!(gaps(&lines, 4), [(0, 2)]);
        assert_eq!(
            in_words("Events", &lines, "07:00", "07:04"),
            "Events, 07:00 to 07:04 UTC: in from 10/s to 20/s, last 20/s, unknown in 2 of 4 minutes; out from 0/s to 0/s, last 0/s, unknown in 3 of 4 minutes"
        );
        let drawn = draw("Events", &lines, "07:00", "07:04").svg;
        assert!(
            drawn.contains("class=\"unknown\" x=\"0\" y=\"14\" width=\"150\" height=\"64\""),
            "{drawn}"
        );
        assert!(drawn.contains("d=\"M150 46.0H225L225 14.0H300\""), "{drawn}");
    }

    #[test]
    fn nothing_at_all_is_no_zero() {
        let lines = [line("in", &[None, None])];
        let drawing = draw("Events", &lines, "a", "b");
        assert!(drawing.svg.contains(">unknown</text>"), "{}", drawing.svg);
        assert!(drawing.legend.is_empty());
        assert_eq!(
            in_words("Events", &lines, "a", "b"),
            "Events, a to b UTC: in unknown"
        );
    }
}
