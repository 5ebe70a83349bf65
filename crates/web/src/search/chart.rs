//! How many events there are, and their shape over time: an SVG from here, and the same as a table.

use std::time::Duration;

use askama::Template;
use event::Timestamp;
use store::{Bar, Count, Histogram, Quality, SearchError};

use super::{ask::Asked, status::events};
use crate::{number::grouped, problem::Problem, state::State, time};

const BUCKETS: usize = 120;
/// Beyond this the page says that it does not know.
const BUDGET: Duration = Duration::from_secs(3);
/// Estimates below this are no better than "few".
const FEW: u64 = 5000;

/// Pixels of a bucket in the drawing, with the gap, and of the whole height.
const STEP: usize = 10;
const HEIGHT: f64 = 80.0;
/// What is severe is seen however little it is.
const SEVERE_MIN: f64 = 2.0;

/// The shape of what a search selects.
pub(super) struct Shape {
    histogram: Result<Histogram, Problem>,
    count: Result<Count, Problem>,
}

/// A count in words.
pub(super) struct Told {
    pub(super) text: String,
    /// Counting them all takes longer.
    pub(super) is_estimate: bool,
}

#[derive(Template)]
#[template(path = "search/chart.html")]
pub(super) struct Chart {
    failure: Option<String>,
    /// It is of all events of the range, as the search found none.
    is_of_all: bool,
    width: usize,
    columns: Vec<Column>,
    rows: Vec<Row>,
    legend: [(&'static str, &'static str, String); 4],
    basis: &'static str,
    from: String,
    to: String,
    from_ms: i64,
    bucket_ms: u128,
    series: [(&'static str, String); 4],
    summary: String,
}

/// A bucket with something in it.
struct Column {
    href: String,
    title: String,
    rects: Vec<Rect>,
}

struct Rect {
    class: &'static str,
    x: usize,
    y: String,
    height: String,
}

/// The same as a line of the table.
struct Row {
    href: String,
    time: String,
    counts: [String; 4],
}

const CLASSES: [&str; 4] = ["crit", "err", "warning", "other"];
const NAMES: [&str; 4] = ["crit+", "err", "warning", "other"];

const fn counts(bar: &Bar) -> [u64; 4] {
    [bar.crit, bar.err, bar.warning, bar.other]
}

impl Shape {
    pub(super) async fn of(state: &State, asked: &Asked) -> Self {
        let what = &asked.request.selection;
        let histogram = state.store.histogram(what, BUCKETS, false, BUDGET);
        let count = state.store.count(what, false, BUDGET);
        let (histogram, count) = tokio::join!(histogram, count);
        let told = |error: SearchError| Problem::from(error);
        Self {
            histogram: histogram.map_err(told),
            count: count.map_err(told),
        }
    }

    /// How many there are, where that is known.
    pub(super) fn count(&self) -> Option<Told> {
        self.count.as_ref().ok().map(|count| Told {
            text: told(count),
            is_estimate: matches!(count.quality, Quality::Planner | Quality::Sample),
        })
    }

    pub(super) fn chart(&self, asked: &Asked) -> Chart {
        match &self.histogram {
            Ok(histogram) => drawn(histogram, asked),
            Err(problem) => Chart::failed(problem.detail()),
        }
    }
}

/// A count with what it is made from.
fn told(count: &Count) -> String {
    match count.quality {
        Quality::Exact | Quality::Rollup => events(count.events),
        Quality::Planner | Quality::Sample if count.events < FEW => "few events (estimate)".to_owned(),
        Quality::Planner | Quality::Sample => format!("about {} (estimate)", events(count.events)),
    }
}

/// What the numbers of a chart are made from.
const fn basis(quality: Quality) -> &'static str {
    match quality {
        Quality::Exact => "counted",
        Quality::Rollup => "counted by the minute",
        Quality::Planner => "estimate",
        Quality::Sample => "from a sample",
    }
}

impl Chart {
    pub(super) fn of_all_events(self) -> Self {
        Self {
            is_of_all: true,
            ..self
        }
    }

    fn failed(why: &str) -> Self {
        Self {
            failure: Some(why.to_owned()),
            is_of_all: false,
            width: 0,
            columns: Vec::new(),
            rows: Vec::new(),
            legend: Default::default(),
            basis: "",
            from: String::new(),
            to: String::new(),
            from_ms: 0,
            bucket_ms: 0,
            series: Default::default(),
            summary: String::new(),
        }
    }
}

fn drawn(histogram: &Histogram, asked: &Asked) -> Chart {
    let bars = &histogram.bars;
    let total = |bar: &Bar| counts(bar).iter().sum::<u64>();
    let most = bars.iter().map(total).max().unwrap_or(0);
    let bucket = i64::try_from(histogram.bucket.as_micros()).unwrap_or(i64::MAX);
    let start = |index: usize| {
        let passed = bucket.saturating_mul(i64::try_from(index).unwrap_or(i64::MAX));
        Timestamp::from_micros(histogram.from.as_micros().saturating_add(passed))
    };
    let filled = || bars.iter().enumerate().filter(|(_, bar)| total(bar) > 0);
    let href = |index| asked.ask.between(start(index), start(index + 1)).href();
    let at = |index| time::seconds(start(index), &asked.zone);
    let columns = filled().map(|(index, bar)| Column {
        href: href(index),
        title: format!("{}: {}", at(index), named(&counts(bar))),
        rects: rects(index, &counts(bar), most),
    });
    let rows = filled().map(|(index, bar)| Row {
        href: href(index),
        time: at(index),
        counts: counts(bar).map(grouped),
    });
    let sums = bars.iter().map(counts).fold([0_u64; 4], |mut sums, counts| {
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        sums
    });
    let series = |of: usize| {
        let counts = bars
            .iter()
            .map(|bar| counts(bar).get(of).copied().unwrap_or(0).to_string());
        counts.collect::<Vec<_>>().join(",")
    };
    let [crit, err, warning, other] = sums.map(grouped);
    Chart {
        failure: None,
        is_of_all: false,
        width: bars.len().max(1) * STEP,
        columns: columns.collect(),
        rows: rows.collect(),
        legend: [
            (CLASSES[0], NAMES[0], crit),
            (CLASSES[1], NAMES[1], err),
            (CLASSES[2], NAMES[2], warning),
            (CLASSES[3], NAMES[3], other),
        ],
        basis: basis(histogram.quality),
        from: time::seconds(histogram.from, &asked.zone),
        to: time::seconds(histogram.to, &asked.zone),
        from_ms: histogram.from.as_micros().div_euclid(1000),
        bucket_ms: histogram.bucket.as_millis(),
        series: [
            (CLASSES[0], series(0)),
            (CLASSES[1], series(1)),
            (CLASSES[2], series(2)),
            (CLASSES[3], series(3)),
        ],
        summary: format!(
            "{} in {} bars of {}",
            named(&sums),
            bars.len(),
            time::rough(bucket)
        ),
    }
}

/// "5 err, 12 warning".
fn named(counts: &[u64; 4]) -> String {
    let parts = NAMES.iter().zip(counts).filter(|(_, count)| **count > 0);
    let parts: Vec<_> = parts
        .map(|(name, count)| format!("{} {name}", grouped(*count)))
        .collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    }
}

/// The parts of a bar, the most severe at the base line, where it is seen best.
fn rects(index: usize, counts: &[u64; 4], most: u64) -> Vec<Rect> {
    let mut bottom = HEIGHT;
    let mut rects = Vec::new();
    for ((class, count), is_severe) in CLASSES.iter().zip(counts).zip([true, true, false, false]) {
        if *count == 0 {
            continue;
        }
        let exact = *count as f64 / most.max(1) as f64 * HEIGHT;
        let least = if is_severe { SEVERE_MIN } else { 0.5 };
        let height = exact.max(least).min(bottom);
        bottom -= height;
        rects.push(Rect {
            class,
            x: index * STEP,
            y: format!("{bottom:.1}"),
            height: format!("{height:.1}"),
        });
    }
    rects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_severe_is_at_the_base_and_seen() {
        let rects = rects(3, &[1, 0, 0, 1_000_000], 1_000_001);
        let drawn: Vec<_> = rects
            .iter()
            .map(|rect| (rect.class, &*rect.y, &*rect.height))
            .collect();
        assert_eq!(drawn, [("crit", "78.0", "2.0"), ("other", "0.0", "78.0")]);
        assert_eq!(rects[0].x, 30);
    }

    #[test]
    fn a_count_tells_what_it_is_made_from() {
        let count = |events, quality| told(&Count { events, quality });
        assert_eq!(count(1, Quality::Exact), "1 event");
        assert_eq!(count(12_345, Quality::Rollup), "12\u{2009}345 events");
        assert_eq!(count(700, Quality::Planner), "few events (estimate)");
        assert_eq!(
            count(701_000, Quality::Planner),
            "about 701\u{2009}000 events (estimate)"
        );
    }
}
