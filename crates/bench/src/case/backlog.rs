//! Full queues: how fast they are emptied, beside the rate of messages that find them empty.

use std::time::Instant;

use serde_json::json;
use testkit::Service;

use super::throughput::send;
use super::{Case, Outcome, series};
use crate::check;
use crate::line::{Line, Spread, Target, number};
use crate::load::{Load, Shape};
use crate::place::{Place, Side};
use crate::route::{Route, Way, to_f64, used};
use crate::series::Run;

/// Emptying is to be no slower than the live rate.
const RATIO: f64 = 1.0;

pub(super) async fn measure(place: &Place, side: &Side) -> anyhow::Result<Outcome> {
    let ours = series(place, "/s", async || once(place, side).await).await?;
    let live = ours.detail("/live");
    let drained = ours.detail("/drained");
    let ratios = drained.iter().zip(&live).map(|(drained, live)| drained / live);
    let what = format!(
        "backlog of {}drained into rows | live rate",
        number(to_f64(place.measuring.backlog), "")
    );
    let line = Line {
        ratio: Spread::of(ratios.collect()),
        reference: Spread::of(live).map(|spread| spread.median),
        ..Line::alone(what, "/s", super::median(drained)?).reaching(Target::Ratio(RATIO))
    };
    Ok(Outcome::of(Case::Backlog, &ours, vec![line]))
}

pub(super) async fn once(place: &Place, side: &Side) -> anyhow::Result<Run> {
    let live = {
        let way = Way::open(Route::Rows, place, side).await?;
        let count = Case::Rows.count(&place.measuring);
        let live = send(&way, place, Shape::tcp(count)).await?;
        check::arrived(&way, count).await?;
        live.value
    };
    let way = Way::open(Route::Rows, place, side).await?;
    let half = place.measuring.backlog / 2;
    // One half waits for the shipper, the other for the parser.
    way.pipeline.terminate(Service::ShipperPgsql).await;
    fill(&way, place, half, Service::Parser).await?;
    way.pipeline.terminate(Service::Parser).await;
    fill(&way, place, half, Service::SyslogServer).await?;
    eprintln!("  queues hold {}messages", number(to_f64(half * 2), ""));
    let start = Instant::now();
    way.pipeline.start(Service::ShipperPgsql).await;
    way.pipeline.start(Service::Parser).await;
    let watched = way.watch();
    let passed = way.pass(half * 2).await?;
    let elapsed = passed.end.duration_since(start);
    check::loads(way.database()?.url(), half * 2, 2).await?;
    let drained = to_f64(half * 2) / elapsed.as_secs_f64();
    Ok(Run {
        value: drained,
        usage: used(&watched),
        details: json!({ "live": live, "drained": drained, "messages": half * 2 }),
    })
}

/// Sends until a stage has passed on as many more.
pub(super) async fn fill(way: &Way, place: &Place, count: u64, stage: Service) -> anyhow::Result<()> {
    let shape = Shape::tcp(count);
    // Intake counts both halves.
    let before = way.sent_by(stage).await?;
    let load = Load::start(place, way.entrance(shape.protocol), shape)?;
    let passed = way.pass_stage(stage, before + to_f64(count));
    tokio::try_join!(load.finish(), passed)?;
    Ok(())
}
