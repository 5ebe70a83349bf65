//! RabbitMQ away: how fast intake puts messages into Redis, beside the rate at which it puts them into RabbitMQ, and how
//! fast they come back.

use std::time::Instant;

use anyhow::Context;
use serde_json::json;
use testkit::{Redis, Service};

use super::throughput::send;
use super::{Case, Outcome, median, series};
use crate::check;
use crate::line::{Line, Spread, Target};
use crate::load::Shape;
use crate::place::{Place, Side};
use crate::route::{Route, Way, to_f64};
use crate::series::Run;

/// The part of RabbitMQ's rate that Redis is to take.
const RATIO: f64 = 0.5;

pub(super) async fn measure(place: &Place, side: &Side) -> anyhow::Result<Outcome> {
    let ours = series(place, "/s", async || once(place, side).await).await?;
    let (into_redis, into_rabbitmq) = (ours.values(), ours.detail("/into_rabbitmq"));
    let ratios = into_redis
        .iter()
        .zip(&into_rabbitmq)
        .map(|(redis, rabbitmq)| redis / rabbitmq);
    let into = Line {
        ratio: Spread::of(ratios.collect()),
        reference: Some(median(into_rabbitmq)?),
        ..Line::alone(
            "RELP → synced Redis, RabbitMQ away | → RabbitMQ",
            "/s",
            median(into_redis)?,
        )
        .reaching(Target::Ratio(RATIO))
    };
    let back = Line::alone(
        "Redis → RabbitMQ, once it is there again",
        "/s",
        median(ours.detail("/back"))?,
    );
    Ok(Outcome::of(Case::Rescue, &ours, vec![into, back]))
}

pub(super) async fn once(place: &Place, side: &Side) -> anyhow::Result<Run> {
    // 4 connections, so that it is not the senders' window that limits.
    let shape = Shape::relp(Case::Rescue.count(&place.measuring), 4, 1000);
    let into_rabbitmq = {
        let way = Way::open(Route::Broker, place, side).await?;
        let run = send(&way, place, shape).await?;
        check::arrived(&way, shape.count).await?;
        run.value
    };
    let redis = Redis::launch_in(place.dir()).context("start Redis")?;
    let mut side = side.clone();
    side.settings.extend([
        format!("rescue.url={}", redis.url()),
        "rescue.order=redis".to_owned(),
        // How long RabbitMQ is waited for is not what is measured,
        "rescue.patience=0ms".to_owned(),
        // nor how much of its rate is left to live traffic.
        "collector.bytes_per_second_max=1GiB".to_owned(),
    ]);
    let way = Way::open(Route::Broker, place, &side).await?;
    let rabbitmq = place.rabbitmq().await?;
    rabbitmq.stop().await;
    let sent = send(&way, place, shape).await;
    // The cases that follow need it, whatever became of this one.
    rabbitmq.start().await;
    let mut run = sent?;
    let start = Instant::now();
    way.pipeline.start(Service::Collector).await;
    check::arrived(&way, shape.count).await?;
    let back = to_f64(shape.count) / start.elapsed().as_secs_f64();
    run.details = json!({ "into_rabbitmq": into_rabbitmq, "back": back, "sent": run.details });
    Ok(run)
}
