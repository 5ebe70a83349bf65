//! Searching ten million events of seven days, on PostgreSQL and on SQLite: all days sealed but the newest, whose last
//! hours have no index.
//!
//! The stores are used as the services use them, in this process: events go in by `Store::append`, are sealed by
//! `Store::tidy` and searched by what the web pages call.

mod asking;
mod kept;
mod watching;
mod writing;

use clap::ValueEnum;
use serde_json::{Value, json};

use self::{asking::Asking, kept::Kept};
use super::{Case, Outcome, tell};
use crate::line::{Line, Target};
use crate::place::{Place, Side};
use crate::series::{Run, Series};

/// Milliseconds that nineteen of twenty may take.
const PAGE_MAX: f64 = 300.0;
const ONE_MAX: f64 = 50.0;
const HISTOGRAM_MAX: f64 = 100.0;
const PROGRESS_MAX: f64 = 1000.0;
const CANCEL_MAX: f64 = 200.0;
/// Percent by which the write rate may fall.
const FALL_SEARCHING_MAX: f64 = 15.0;
const FALL_SEALING_MAX: f64 = 20.0;
/// Seconds for a partition of [`SEALED_ROWS`].
const SEALING_MAX: f64 = 300.0;
const SEALED_ROWS: f64 = 10_000_000.0;

/// Where events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Postgres,
    Sqlite,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        }
    }
}

/// What was measured, in the order of the table.
#[derive(Debug, Default)]
struct Figures(Vec<Figure>);

#[derive(Debug)]
struct Figure {
    what: &'static str,
    unit: &'static str,
    value: f64,
    target: Option<Target>,
}

impl Figures {
    fn add(&mut self, what: &'static str, unit: &'static str, value: f64, target: Option<Target>) {
        eprintln!("    {what}: {}", crate::line::number(value, unit));
        self.0.push(Figure {
            what,
            unit,
            value,
            target,
        });
    }

    fn to_json(&self) -> Value {
        let figures = self
            .0
            .iter()
            .map(|figure| (figure.what.to_owned(), json!(figure.value)));
        Value::Object(figures.collect())
    }
}

/// Once: each figure is of many searches already.
pub(super) async fn measure(place: &Place, _side: &Side) -> anyhow::Result<Outcome> {
    let both = both(place).await?;
    let lines = both.iter().flat_map(|(kind, figures)| {
        figures.0.iter().map(|figure| {
            let line = Line::alone(
                format!("{}: {}", kind.name(), figure.what),
                figure.unit,
                figure.value,
            );
            match figure.target {
                Some(target) => line.reaching(target),
                None => line,
            }
        })
    });
    let lines = lines.collect();
    let mut ours = Series::default();
    let run = run_of(&both);
    tell(1, "logferry", &run, Case::Search.unit());
    ours.push(run);
    Ok(Outcome::of(Case::Search, &ours, lines))
}

pub(super) async fn once(place: &Place, _side: &Side) -> anyhow::Result<Run> {
    Ok(run_of(&both(place).await?))
}

async fn both(place: &Place) -> anyhow::Result<Vec<(Kind, Figures)>> {
    let mut both = Vec::new();
    let only = place.measuring.store;
    let asked = [Kind::Postgres, Kind::Sqlite].into_iter();
    for kind in asked.filter(|kind| only.is_none_or(|only| only == *kind)) {
        eprintln!("  {}", kind.name());
        both.push((kind, Box::pin(of(kind, place)).await?));
    }
    Ok(both)
}

/// By its slowest search a run is compared with another one.
fn run_of(both: &[(Kind, Figures)]) -> Run {
    let all = both.iter().flat_map(|(_, figures)| &figures.0);
    let slowest = all
        .filter(|figure| figure.unit == "ms")
        .map(|figure| figure.value);
    Run {
        value: slowest.fold(0.0, f64::max),
        usage: Vec::new(),
        details: both
            .iter()
            .map(|(kind, figures)| (kind.name().to_owned(), figures.to_json()))
            .collect(),
    }
}

async fn of(kind: Kind, place: &Place) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let kept = Kept::open(kind, place).await?;
    let loaded = kept.load().await?;
    figures.add("rows written, without searches", "/s", loaded.per_second(), None);
    let sealed = kept.seal_all_but_the_newest().await?;
    let for_all = sealed.seconds / sealed.rows * SEALED_ROWS;
    figures.add(
        "sealing 10 M rows",
        "s",
        for_all,
        Some(Target::AtMost(SEALING_MAX)),
    );
    figures.add("disk, with the indexes", "MB", kept.megabytes().await?, None);
    Asking::new(&kept).ask_all(&mut figures).await?;
    Box::pin(writing::measure(&kept, place, &mut figures)).await?;
    kept.close().await;
    Ok(figures)
}
