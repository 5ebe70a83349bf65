//! The service `web`: what it takes at rest and with fifty live tails, how much JavaScript of ours the pages have, and how
//! soon a browser on this machine paints.

mod page;
mod paint;
mod tails;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use testkit::{Pipeline, Service};

use super::{Case, Outcome, median, series};
use crate::line::{Line, Target};
use crate::load::{Load, Shape};
use crate::place::{Place, Side};
use crate::route::{arguments, to_f64};
use crate::series::Run;
use crate::usage::Watched;

const TAILS: usize = 50;
/// Events a second.
const RATE: u64 = 500;
/// Connections are made and pools are filled.
const SETTLING: Duration = Duration::from_secs(10);
/// How long is watched at rest.
const RESTING: Duration = Duration::from_secs(15);

/// Megabytes, percent of a core, kilobytes and milliseconds that are the most.
const RESIDENT_MAX: f64 = 30.0;
const TAILING_MAX: f64 = 150.0;
const CPU_MAX: f64 = 100.0;
const SCRIPTS_MAX: f64 = 100.0;
const PAINT_MAX: f64 = 200.0;

const SERVICES: [Service; 4] = [
    Service::SyslogServer,
    Service::Parser,
    Service::ShipperPgsql,
    Service::Web,
];

pub(super) async fn measure(place: &Place, side: &Side) -> anyhow::Result<Outcome> {
    let ours = series(place, "MB with tails", async || once(place, side).await).await?;
    let line = |what: &str, unit, pointer, most| -> anyhow::Result<Line> {
        let value = median(ours.detail(pointer))?;
        Ok(Line::alone(what, unit, value).reaching(Target::AtMost(most)))
    };
    let tails = format!("{TAILS} tails at {RATE} /s");
    let mut lines = vec![
        line("web at rest: memory", "MB", "/rest/megabytes", RESIDENT_MAX)?,
        line(
            &format!("web, {tails}: memory"),
            "MB",
            "/tails/megabytes",
            TAILING_MAX,
        )?,
        line(&format!("web, {tails}: CPU"), "%", "/tails/percent", CPU_MAX)?,
        line(
            "web: JavaScript of ours, all modules",
            "kB",
            "/scripts/kilobytes",
            SCRIPTS_MAX,
        )?,
    ];
    match line(
        "web: first paint of a search, on loopback",
        "ms",
        "/paint/milliseconds",
        PAINT_MAX,
    ) {
        Ok(paint) => {
            lines.push(paint);
            let empty = median(ours.detail("/paint/empty_page_milliseconds"))?;
            lines.push(Line::alone(
                "web: first paint of an empty page, the same browser",
                "ms",
                empty,
            ));
        }
        Err(_none) => eprintln!("  no first paint: chromedriver is not installed"),
    }
    Ok(Outcome::of(Case::Web, &ours, lines))
}

pub(super) async fn once(place: &Place, side: &Side) -> anyhow::Result<Run> {
    let (vhost, database) = (place.vhost().await?, place.database().await?);
    let pipeline = Pipeline::over(vhost.url(), database.url())
        .services(&SERVICES)
        .output(Service::ShipperPgsql)
        .measured(&side.programs, place.dir())
        .arguments(&arguments(side))
        .try_start()
        .await?;
    let pid = pipeline.pid(Service::Web).context("web runs")?;
    tokio::time::sleep(SETTLING).await;
    let resting = Watched::start("web at rest", pid);
    tokio::time::sleep(RESTING).await;
    let rest = resting.used();
    let scripts = page::scripts(pipeline.web()).await?;
    let (tailing, tails) = with_tails(place, &pipeline, pid).await?;
    let paint = paint::first(pipeline.web()).await?;
    Ok(Run {
        value: tailing.peak(),
        details: json!({
            "rest": { "megabytes": rest.resident(), "percent": rest.cpu_percent() },
            "tails": tails,
            "scripts": { "kilobytes": to_f64(scripts.bytes) / 1000.0, "modules": scripts.modules },
            "paint": paint.map(|paint| json!({
                "milliseconds": paint.painted, "first_byte_milliseconds": paint.first_byte,
                "empty_page_milliseconds": paint.empty,
            })),
        }),
        usage: vec![rest, tailing],
    })
}

/// The load with all tails open; each must see every event, or be told how many it did not.
async fn with_tails(
    place: &Place,
    pipeline: &Pipeline,
    pid: u32,
) -> anyhow::Result<(crate::usage::Used, serde_json::Value)> {
    let count = RATE * place.measuring.seconds;
    let web: SocketAddr = pipeline.web();
    let tails = tails::open(web, TAILS).await?;
    let watched = Watched::start("web with tails", pid);
    let shape = Shape {
        rate: Some(RATE),
        ..Shape::tcp(count)
    };
    let load = Load::start(place, pipeline.tcp(), shape)?;
    let (_, seen) = tokio::try_join!(load.finish(), tails::account(tails, count))?;
    let used = watched.used();
    let all = to_f64(count) * to_f64(TAILS as u64);
    ensure!(
        to_f64(seen.rows + seen.missed) >= all,
        "of {all} rows {} were seen and {} told to be missed",
        seen.rows,
        seen.missed
    );
    let details = json!({
        "megabytes": used.peak(),
        "percent": used.cpu_percent(),
        "rows": seen.rows,
        "missed": seen.missed,
    });
    Ok((used, details))
}
