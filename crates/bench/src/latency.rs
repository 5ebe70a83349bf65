//! How long a message takes from its sender to its committed row, at a rate that everybody keeps up with.
//!
//! The sender writes its time into the message, and PostgreSQL keeps the time of each commit.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Map, Value, json};
use testkit::{Service, eventually};

use crate::case::{Case, Line, Outcome, Run, median, repeat};
use crate::database::{Looker, PERCENTILES};
use crate::load::{Load, Protocol};
use crate::place::Place;
use crate::reference::{Reference, Work};
use crate::throughput::{Setup, await_reference};

/// Beyond the time that sending takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn measure(place: &Place) -> anyhow::Result<Outcome> {
    let ours = repeat(place.runs, || ours(place)).await?;
    let theirs = if place.measures(Work::Rows) {
        eprintln!("  rsyslog:");
        repeat(place.runs, || theirs(place)).await?
    } else {
        Vec::new()
    };
    let mine = median(&ours).context("measure at least once")?;
    let lines = PERCENTILES.iter().enumerate().filter_map(|(n, percentile)| {
        Some(Line {
            what: format!(
                "sent to committed at {} /s, {}th percentile",
                place.rate,
                percentile * 100.0
            ),
            unit: "ms",
            logferry: at(mine, n)?,
            reference: median(&theirs).and_then(|run| at(run, n)),
            is_time: true,
        })
    });
    let lines = lines.collect();
    let details = |runs: Vec<Run>| runs.into_iter().map(|run| run.details).collect::<Vec<_>>();
    Ok(Outcome {
        case: Case::Latency,
        lines,
        details: json!({ "logferry": details(ours), "rsyslog": details(theirs) }),
    })
}

fn at(run: &Run, n: usize) -> Option<f64> {
    run.details.get("milliseconds")?.get(n)?.as_f64()
}

async fn ours(place: &Place) -> anyhow::Result<Run> {
    let setup = Setup::start(Case::Latency, place).await?;
    let count = place.rate * place.seconds;
    let watched = setup.watch(Case::Latency, place).await?;
    let start = Instant::now();
    let load = Load::start(
        place,
        Protocol::Tcp,
        setup.pipeline.tcp(),
        count,
        Some(place.rate),
    )?;
    let report = load.finish().await?;
    let looker = Looker::connect(setup.database.url()).await?;
    let all = "SELECT count(*) FROM events";
    eventually(PATIENCE, || async {
        looker.number(all).await.is_ok_and(|rows| rows >= count)
    })
    .await;
    let elapsed = start.elapsed();
    let usage: Map<String, Value> = watched.iter().map(|watched| watched.finish(elapsed)).collect();
    let milliseconds = looker.latencies("events", "timestamp").await?;
    anyhow::ensure!(
        setup.pipeline.pid(Service::ShipperPgsql).is_some(),
        "the shipper runs"
    );
    Ok(run(
        milliseconds,
        json!({ "load": report, "usage": usage, "arrived": count }),
    ))
}

async fn theirs(place: &Place) -> anyhow::Result<Run> {
    let reference = Reference::start(Work::Rows, place).await?;
    let count = place.rate * place.seconds;
    let load = Load::start(
        place,
        Protocol::Tcp,
        reference.rsyslog.addr(),
        count,
        Some(place.rate),
    )?;
    let report = load.finish().await?;
    await_reference(&reference, count).await?;
    let database = reference.database.as_ref().context("rows need a database")?;
    let looker = Looker::connect(database.url()).await?;
    let milliseconds = looker.latencies("events", "timestamp").await?;
    Ok(run(milliseconds, json!({ "load": report, "arrived": count })))
}

/// The median run is the one in the middle by its own median.
fn run(milliseconds: Vec<f64>, mut details: Value) -> Run {
    let value = milliseconds.first().copied().unwrap_or_default();
    if let Some(details) = details.as_object_mut() {
        details.insert("percentiles".to_owned(), PERCENTILES.to_vec().into());
        details.insert("milliseconds".to_owned(), milliseconds.into());
    }
    Run { value, details }
}
