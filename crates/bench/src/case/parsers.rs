//! Rules that take time: how much one parser carries, two and four, each with one thread.
//!
//! The queue is filled first, so that the cores are the parsers' and RabbitMQ's alone. With more parsers than cores the
//! rate ends at what the cores carry, so the lines say how many there are.

use std::num::NonZero;

use anyhow::ensure;
use serde_json::{Map, Value, json};
use testkit::{Another, Service};

use super::backlog::fill;
use super::{Case, Outcome, median, series};
use crate::check;
use crate::line::{Line, Spread};
use crate::place::{Place, Side};
use crate::route::{Route, Way, to_f64, used};
use crate::series::Run;
use crate::usage::{Used, Watched};

const PARSERS: [u32; 3] = [1, 2, 4];

/// Batches that a parser holds: few, so that at the end none has much left while the others have nothing.
const PREFETCH: u32 = 8;

pub(super) async fn measure(place: &Place, side: &Side) -> anyhow::Result<Outcome> {
    let ours = series(place, "/s", async || once(place, side).await).await?;
    let rates = |parsers: u32| ours.detail(&format!("/{parsers}"));
    let one = rates(1);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut lines = vec![Line::alone(
        format!("heavy rules, {cores} cores: 1 parser of 1 thread"),
        "/s",
        median(one.clone())?,
    )];
    for parsers in PARSERS.into_iter().filter(|parsers| *parsers > 1) {
        let several = rates(parsers);
        let ratios = several.iter().zip(&one).map(|(several, one)| several / one);
        lines.push(Line {
            ratio: Spread::of(ratios.collect()),
            reference: Some(median(one.clone())?),
            ..Line::alone(
                format!("heavy rules, {cores} cores: {parsers} parsers | 1 parser"),
                "/s",
                median(several)?,
            )
        });
    }
    Ok(Outcome::of(Case::Parsers, &ours, lines))
}

/// Its figure is the rate of the most parsers.
pub(super) async fn once(place: &Place, side: &Side) -> anyhow::Result<Run> {
    let mut side = side.clone();
    side.settings.extend([
        "parser.threads=1".to_owned(),
        format!("parser.prefetch={PREFETCH}"),
    ]);
    let mut rates = Map::new();
    let mut run = Run {
        value: 0.0,
        usage: Vec::new(),
        details: Value::Null,
    };
    for parsers in PARSERS {
        let way = Way::open(Route::HeavyRules, place, &side).await?;
        let count = Case::Parsers.count(&place.measuring);
        fill(&way, place, count, Service::SyslogServer).await?;
        let (rate, usage) = empty(&way, count, parsers).await?;
        way.pipeline.start(Service::ShipperFs).await;
        way.pass(count).await?;
        check::arrived(&way, count).await?;
        rates.insert(parsers.to_string(), json!(rate));
        run = Run {
            value: rate,
            usage,
            ..run
        };
    }
    run.details = Value::Object(rates);
    Ok(run)
}

/// Starts so many parsers, and measures from when all of them work until the queue is empty.
async fn empty(way: &Way, count: u64, parsers: u32) -> anyhow::Result<(f64, Vec<Used>)> {
    way.pipeline.start(Service::Parser).await;
    let mut others = Vec::new();
    for _ in 1..parsers {
        others.push(way.pipeline.start_another(Service::Parser).await);
    }
    let pids = way.pipeline.pid(Service::Parser).into_iter();
    let watched: Vec<Watched> = (1..)
        .zip(pids.chain(others.iter().map(Another::pid)))
        .map(|(n, pid)| Watched::start(&format!("parser {n} of {parsers}"), pid))
        .collect();
    let passed = way
        .await_count(to_f64(count), async || parsed(way, &others).await)
        .await?;
    ensure!(
        passed.at_first <= to_f64(count) / 2.0,
        "{} of {count} messages were parsed before {parsers} parsers ran: name a larger --count",
        passed.at_first
    );
    let rate = (to_f64(count) - passed.at_first) / passed.since_first().as_secs_f64();
    Ok((rate, used(&watched)))
}

/// What all parsers have passed on together.
async fn parsed(way: &Way, others: &[Another]) -> anyhow::Result<f64> {
    let mut sum = way.sent_by(Service::Parser).await?;
    for other in others {
        sum += way.sent_by_another(other).await?;
    }
    Ok(sum)
}
