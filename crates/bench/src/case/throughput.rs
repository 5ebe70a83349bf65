//! As many messages as are taken: from the first byte sent until the last one is through.

use std::time::Instant;

use anyhow::Context;
use serde_json::{Map, json};

use super::reference::{self, Work};
use super::{Case, Outcome, ceiling, tell};
use crate::check;
use crate::line::{Line, Spread, Target};
use crate::load::{Load, Protocol, Shape};
use crate::place::{Place, Side};
use crate::route::{Route, Way, to_f64, used};
use crate::series::{Run, Series};

/// What a case is to reach, beside whom.
struct Goal {
    what: &'static str,
    beside: Option<Work>,
    target: Target,
}

const fn beside(what: &'static str, work: Work, target: Target) -> Goal {
    Goal {
        what,
        beside: Some(work),
        target,
    }
}

const fn alone(what: &'static str, least: f64) -> Goal {
    Goal {
        what,
        beside: None,
        target: Target::AtLeast(least),
    }
}

const RELP: &[Goal] = &[
    beside(
        "RELP, 1 connection, window 1000 | rsyslog: memory queue",
        Work::RelpMemory,
        Target::Ratio(1.5),
    ),
    beside(
        "RELP, 1 connection, window 1000 | rsyslog: synced disk queue",
        Work::RelpDisk,
        Target::Ratio(100.0),
    ),
];
const RELP4: &[Goal] = &[
    beside(
        "RELP, 4 connections, window 128 | rsyslog: memory queue",
        Work::RelpMemory,
        Target::Ratio(1.5),
    ),
    beside(
        "RELP, 4 connections, window 128 | rsyslog: synced disk queue",
        Work::RelpDisk,
        Target::Ratio(100.0),
    ),
];
const RABBITMQ: &[Goal] = &[beside(
    "TCP, 1 connection → confirmed | rsyslog: imtcp → omfile",
    Work::TcpFile,
    Target::RatioOr(0.4, 350_000.0),
)];
const ROWS: &[Goal] = &[
    beside(
        "TCP → rule → rows committed | rsyslog: ompgsql",
        Work::TcpRows,
        Target::Ratio(15.0),
    ),
    alone("TCP → rule → rows committed", 130_000.0),
];
const FILES: &[Goal] = &[beside(
    "TCP → JSON lines synced | rsyslog: imtcp → omfile",
    Work::TcpFile,
    Target::Ratio(0.4),
)];
const EMBEDDED: &[Goal] = &[alone("TCP → `logferry run` → rows committed", 100_000.0)];

fn goals(case: Case) -> &'static [Goal] {
    match case {
        Case::Relp => RELP,
        Case::Relp4 => RELP4,
        Case::Rabbitmq => RABBITMQ,
        Case::Rows => ROWS,
        Case::Files => FILES,
        Case::Embedded => EMBEDDED,
        _ => &[],
    }
}

fn route(case: Case) -> Route {
    match case {
        Case::Rows => Route::Rows,
        Case::Files => Route::Files,
        Case::Embedded => Route::Embedded,
        _ => Route::Broker,
    }
}

/// Of the case `relp4`.
const CONNECTIONS4: u32 = 4;
const WINDOW4: u32 = 128;

fn shape(case: Case, count: u64) -> Shape {
    match case {
        Case::Relp => Shape::relp(count, 1, 1000),
        Case::Relp4 => Shape::relp(count, CONNECTIONS4, WINDOW4),
        _ => Shape::tcp(count),
    }
}

/// We and rsyslog in turn.
pub(super) async fn measure(case: Case, place: &Place, side: &Side) -> anyhow::Result<Outcome> {
    let goals = goals(case);
    let works = goals.iter().filter_map(|goal| goal.beside);
    let mut theirs: Vec<(Work, Series)> = works
        .filter(|work| reference::is_measured(*work, place))
        .map(|work| (work, Series::default()))
        .collect();
    let mut ours = Series::default();
    let mut ceilings = Vec::new();
    for round in 1..=place.measuring.runs {
        let run = once(case, place, side).await?;
        tell(round, "logferry", &run, "/s");
        ours.push(run);
        for (work, series) in &mut theirs {
            let load = shape(case, work.count(case.count(&place.measuring)));
            let run = reference::once(*work, load, place).await?;
            tell(round, &format!("rsyslog ({work:?})"), &run, "/s");
            series.push(run);
        }
        if case == Case::Relp4 {
            ceilings.push(ceiling::of_window(WINDOW4 * CONNECTIONS4, place).await?);
        }
    }
    let logferry = ours.spread().context("measure at least once")?.median;
    let lines = goals.iter().map(|goal| {
        let series = theirs.iter().find(|(work, _)| Some(*work) == goal.beside);
        Line {
            reference: series.and_then(|(_, series)| Some(series.spread()?.median)),
            ratio: series.and_then(|(_, series)| ours.over(series)),
            ..Line::alone(goal.what, "/s", logferry).reaching(goal.target)
        }
    });
    let ceiling = beside_ceiling(&ours, ceilings);
    let mut outcome = Outcome::of(case, &ours, lines.chain(ceiling).collect());
    let theirs = theirs
        .iter()
        .map(|(work, series)| (format!("rsyslog {work:?}"), series.to_json()));
    outcome.details.extend(theirs.collect::<Map<_, _>>());
    Ok(outcome)
}

/// Beside RabbitMQ with nothing of ours before it: what part of its rate becomes answers.
fn beside_ceiling(ours: &Series, ceilings: Vec<f64>) -> Option<Line> {
    let ratios = ours.values().into_iter().zip(&ceilings);
    let ratio = Spread::of(ratios.map(|(rate, ceiling)| rate / ceiling).collect())?;
    Some(Line {
        reference: Some(Spread::of(ceilings)?.median),
        ratio: Some(ratio),
        ..Line::alone(
            "RELP, 4 connections, window 128 | RabbitMQ alone, as many under way",
            "/s",
            ours.spread()?.median,
        )
    })
}

pub(super) async fn once(case: Case, place: &Place, side: &Side) -> anyhow::Result<Run> {
    let way = Way::open(route(case), place, side).await?;
    let run = send(&way, place, shape(case, case.count(&place.measuring))).await?;
    check::arrived(&way, case.count(&place.measuring)).await?;
    Ok(run)
}

/// Sends a load and waits until it is through: over RELP until the last answer, else until the last stage is done.
pub(super) async fn send(way: &Way, place: &Place, shape: Shape) -> anyhow::Result<Run> {
    let watched = way.watch();
    let start = Instant::now();
    let load = Load::start(place, way.entrance(shape.protocol), shape)?;
    let (report, elapsed) = if shape.protocol == Protocol::Relp {
        let report = load.finish().await?;
        (report, start.elapsed())
    } else {
        // A generator that fails ends the wait.
        let (report, passed) = tokio::try_join!(load.finish(), way.pass(shape.count))?;
        (report, passed.end.duration_since(start))
    };
    Ok(Run {
        value: to_f64(shape.count) / elapsed.as_secs_f64(),
        usage: used(&watched),
        details: json!({ "seconds": elapsed.as_secs_f64(), "messages": shape.count, "load": report }),
    })
}
