//! The cases: what each measures, how long it takes, and what it is to reach.

mod backlog;
mod ceiling;
mod connections;
mod idle;
mod latency;
mod parse;
mod parsers;
mod reference;
mod rescue;
mod search;
mod soak;
mod throughput;
mod web;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::{Map, Value};

pub(crate) use self::search::Kind as SearchedStore;
use crate::arguments::{MeasuringArgs, RunArgs};
use crate::line::{Line, Target};
use crate::place::{Place, Side};
use crate::report::Report;
use crate::series::{Run, Series};
use crate::usage::Used;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Case {
    /// Parsing alone on one core, beside the crate syslog_loose
    Parse,
    /// RELP, one connection with a window of 1000, answered after the confirm of a quorum queue
    Relp,
    /// RELP, 4 connections with a window of 128
    Relp4,
    /// TCP, one connection, until all is confirmed by RabbitMQ
    Rabbitmq,
    /// TCP, parser with a small rule, until every row is committed in PostgreSQL
    Rows,
    /// Rules that take time: one parser, two and four, each with one thread
    Parsers,
    /// TCP, until every event is in a file as JSON, synced
    Files,
    /// TCP into `logferry run`, until every row is committed in SQLite
    Embedded,
    /// From sent to committed in PostgreSQL, at a fixed rate
    Latency,
    /// Memory and CPU of every service that has nothing to do
    Idle,
    /// 2,000 connections of 50 messages a second each, beside 1 of the same total
    Connections,
    /// Emptying full queues, beside the live rate
    Backlog,
    /// RabbitMQ away: into Redis over RELP, beside into RabbitMQ, and back
    Rescue,
    /// The pages: memory at rest and with 50 live tails, JavaScript, first paint; only when named
    Web,
    /// Searching a week of 10 million events in PostgreSQL and SQLite; only when named
    Search,
    /// Rate and memory minute by minute over a long run; only when named
    Soak,
}

impl Case {
    /// What runs when no case is named.
    pub(crate) fn usual() -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|case| !matches!(case, Self::Web | Self::Search | Self::Soak))
            .collect()
    }

    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn describe(self) -> String {
        let help = self.to_possible_value();
        help.and_then(|value| Some(value.get_help()?.to_string()))
            .unwrap_or_default()
    }

    /// Of the figure that a run gives.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Latency | Self::Search => "ms",
            Self::Idle | Self::Web => "MB",
            _ => "/s",
        }
    }

    /// Messages of a run.
    pub(crate) fn count(self, measuring: &MeasuringArgs) -> u64 {
        let own = match self {
            Self::Relp | Self::Relp4 | Self::Parsers => 500_000,
            Self::Rabbitmq => 2_000_000,
            Self::Search => 10_000_000,
            Self::Soak => 100_000_000,
            _ => 1_000_000,
        };
        measuring.count.unwrap_or(own)
    }

    /// Bytes of disk that a run takes at most, roughly.
    pub(crate) fn disk_bytes(self, measuring: &MeasuringArgs) -> u64 {
        /// A row or a JSON line with its share of indexes and logs, beside the message in the queues.
        const OF_A_MESSAGE: u64 = 800;
        /// A searchable event, which is of its own length, with its indexes and a log while they are built.
        const OF_A_SEARCHABLE_EVENT: u64 = 1200;
        if self == Self::Search {
            return self.count(measuring) * OF_A_SEARCHABLE_EVENT;
        }
        let size = u64::from(measuring.size);
        let messages = match self {
            Self::Parse | Self::Idle => 0,
            Self::Backlog => measuring.backlog,
            Self::Soak => self.count(measuring).min(soak::ROWS_MAX),
            Self::Latency | Self::Connections => measuring.rate * measuring.seconds * 10,
            Self::Web => measuring.seconds * 1000,
            _ => self.count(measuring),
        };
        messages * (size + OF_A_MESSAGE)
    }

    /// Seconds that a run takes with what goes around it, on two cores of 2020 or later, roughly.
    fn seconds(self, measuring: &MeasuringArgs) -> u64 {
        let sending = |rate| self.count(measuring) / rate;
        match self {
            Self::Parse => 6,
            Self::Idle => 90 / u64::from(measuring.runs),
            Self::Relp | Self::Relp4 => 20 + sending(50_000),
            Self::Rabbitmq => 10 + sending(200_000),
            Self::Rows => 20 + sending(60_000),
            Self::Parsers => 30 + sending(10_000),
            Self::Files => 10 + sending(80_000),
            Self::Embedded => 10 + sending(40_000),
            Self::Latency => 6 + measuring.seconds,
            Self::Connections => 4 * (measuring.seconds + 4),
            Self::Backlog => 20 + measuring.backlog / 60_000,
            Self::Rescue => 30 + 3 * sending(60_000),
            Self::Web => 60 + measuring.seconds,
            Self::Search => (120 + sending(15_000)) / u64::from(measuring.runs),
            Self::Soak => sending(100_000) / u64::from(measuring.runs),
        }
    }

    /// One run of ours.
    ///
    /// # Errors
    /// If it did not end, or a message is not where it belongs.
    pub(crate) async fn once(self, place: &Place, side: &Side) -> anyhow::Result<Run> {
        match self {
            Self::Relp | Self::Relp4 | Self::Rabbitmq | Self::Rows | Self::Files | Self::Embedded => {
                throughput::once(self, place, side).await
            }
            Self::Latency => latency::once(place, side).await,
            Self::Connections => connections::once(place, side).await,
            Self::Parsers => parsers::once(place, side).await,
            Self::Backlog => backlog::once(place, side).await,
            Self::Rescue => rescue::once(place, side).await,
            Self::Parse => parse::once(),
            Self::Idle => idle::once(place, side).await,
            Self::Web => web::once(place, side).await,
            Self::Search => search::once(place, side).await,
            Self::Soak => soak::once(place, side).await,
        }
        .with_context(|| format!("measure {}", self.name()))
    }

    async fn measure(self, place: &Place, side: &Side) -> anyhow::Result<Outcome> {
        match self {
            Self::Relp | Self::Relp4 | Self::Rabbitmq | Self::Rows | Self::Files | Self::Embedded => {
                throughput::measure(self, place, side).await
            }
            Self::Latency => latency::measure(place, side).await,
            Self::Connections => connections::measure(place, side).await,
            Self::Parsers => parsers::measure(place, side).await,
            Self::Backlog => backlog::measure(place, side).await,
            Self::Rescue => rescue::measure(place, side).await,
            Self::Parse => parse::measure(place),
            Self::Idle => idle::measure(place, side).await,
            Self::Web => web::measure(place, side).await,
            Self::Search => search::measure(place, side).await,
            Self::Soak => soak::measure(place, side).await,
        }
        .with_context(|| format!("measure {}", self.name()))
    }
}

/// What a case measured: lines for the table, and everything for the file.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) case: Case,
    pub(crate) lines: Vec<Line>,
    pub(crate) usage: Vec<Used>,
    pub(crate) details: Map<String, Value>,
}

impl Outcome {
    /// Of our runs alone.
    fn of(case: Case, ours: &Series, lines: Vec<Line>) -> Self {
        let mut details = Map::new();
        details.insert("logferry".to_owned(), ours.to_json());
        Self {
            case,
            lines,
            usage: ours.usage().cloned().collect(),
            details,
        }
    }
}

/// `make bench`.
///
/// # Errors
/// If a case cannot be measured; what was measured before is printed and written all the same.
pub(crate) async fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let cases = if arguments.cases.is_empty() {
        Case::usual()
    } else {
        arguments.cases.clone()
    };
    let side = Side::here(&arguments.settings)?;
    side.check()?;
    let place = Place::new(&arguments.measuring, !arguments.no_reference)?;
    place.check_disk(&cases)?;
    let runs = u64::from(place.measuring.runs);
    let seconds: u64 = cases
        .iter()
        .map(|case| case.seconds(&place.measuring) * runs)
        .sum();
    eprintln!(
        "{} cases, {runs} runs each: about {} minutes",
        cases.len(),
        seconds.div_ceil(60)
    );
    let mut report = Report::new(arguments, &place, &side)?;
    for case in cases {
        eprintln!("{}: {}", case.name(), case.describe());
        match case.measure(&place, &side).await {
            Ok(outcome) => report.add(outcome)?,
            Err(error) => {
                report.finish()?;
                return Err(error);
            }
        }
    }
    report.finish()
}

/// Runs `once` as often as asked.
async fn series<F>(place: &Place, unit: &str, mut once: F) -> anyhow::Result<Series>
where
    F: AsyncFnMut() -> anyhow::Result<Run>,
{
    let mut series = Series::default();
    for round in 1..=place.measuring.runs {
        let run = once().await?;
        tell(round, "logferry", &run, unit);
        series.push(run);
    }
    Ok(series)
}

/// Progress, for who waits.
fn tell(round: u32, who: &str, run: &Run, unit: &str) {
    eprintln!("  run {round}: {who} {}", crate::line::number(run.value, unit));
}

/// The median of a figure, where there is one.
fn median(figures: Vec<f64>) -> anyhow::Result<f64> {
    let spread = crate::line::Spread::of(figures).context("measure at least once")?;
    Ok(spread.median)
}

/// Lines about the memory of all services at their largest under the loads that were measured.
pub(crate) fn memory_lines(outcomes: &[Outcome]) -> Vec<Line> {
    /// What a service may take under load, in megabytes.
    const PEAK_MAX: f64 = 200.0;
    let loads = [
        Case::Relp,
        Case::Relp4,
        Case::Rabbitmq,
        Case::Rows,
        Case::Files,
        Case::Embedded,
    ];
    let under_load = outcomes.iter().filter(|outcome| loads.contains(&outcome.case));
    let mut peaks: std::collections::BTreeMap<&str, f64> = std::collections::BTreeMap::new();
    for used in under_load.flat_map(|outcome| &outcome.usage) {
        if used.name != "rabbitmq" {
            let peak = peaks.entry(&used.name).or_default();
            *peak = peak.max(used.peak());
        }
    }
    let line = |(name, peak)| {
        Line::alone(format!("memory under load: {name}"), "MB", peak).reaching(Target::AtMost(PEAK_MAX))
    };
    peaks.into_iter().map(line).collect()
}
