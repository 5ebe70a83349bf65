//! The broker goes in mid-load: acknowledgements go on through Redis, then through the file, until that is full;
//! when the broker is back everything is returned, and each answered line is there once.

use testkit::{Pipeline, RabbitMq, Redis, RelpLoad, Service, eventually};

use crate::support::{PATIENCE, Rows, assert_counts, each_once, lines};

fn settings(redis: &Redis, more: &str) -> String {
    format!(
        "[rescue]\nurl = \"{}\"\npatience = \"100ms\"\ntimeout = \"2s\"\n{more}",
        redis.url()
    )
}

async fn in_force(pipeline: &Pipeline, durability: &str) {
    let label = format!("durability=\"{durability}\"");
    eventually(PATIENCE, || async {
        let parts = ["logferry_durability{", &label];
        pipeline.metric(Service::SyslogServer, &parts).await > 0.5
    })
    .await;
}

/// What each rescue queue took so far.
async fn rescued(pipeline: &Pipeline, queue: &str) -> f64 {
    let label = format!("queue=\"{queue}\"");
    let parts = ["logferry_intake_batches_rescued_total", &label];
    pipeline.metric(Service::SyslogServer, &parts).await
}

async fn send(pipeline: &Pipeline, name: &str, count: usize) {
    RelpLoad::start(pipeline.relp(), lines(name, count))
        .finish()
        .await;
}

#[tokio::test]
async fn the_broker_dies_then_redis_then_the_file_is_full() {
    let (broker, redis) = (RabbitMq::start_private().await, Redis::start_private().await);
    let database = testkit::postgres();
    let pipeline = Pipeline::over(&broker.url(), database.url())
        .settings(&settings(&redis, "file_bytes_max = \"64KiB\""))
        .start()
        .await;
    let rows = Rows::connect(database.url()).await;
    in_force(&pipeline, "quorum").await;
    let load = RelpLoad::start(pipeline.relp(), lines("mid", 20_000));
    eventually(PATIENCE, || async { load.acked() >= 2000 }).await;

    broker.kill().await;
    load.finish().await;
    in_force(&pipeline, "rescue-redis").await;
    send(&pipeline, "redis", 500).await;
    assert!(rescued(&pipeline, "redis").await > 0.0);

    redis.kill().await;
    send(&pipeline, "file", 500).await;
    in_force(&pipeline, "rescue-file").await;
    assert!(rescued(&pipeline, "file").await > 0.0);

    let stuck = RelpLoad::start(pipeline.relp(), lines("full", 40_000));
    in_force(&pipeline, "refusing").await;

    redis.start().await;
    broker.start().await;
    stuck.finish().await;
    in_force(&pipeline, "quorum").await;
    let mut expected = each_once("mid", 20_000);
    expected.extend(each_once("redis", 500));
    expected.extend(each_once("file", 500));
    expected.extend(each_once("full", 40_000));
    eventually(PATIENCE, || async { rows.counts().await.len() >= expected.len() }).await;
    eventually(PATIENCE, || async {
        pipeline
            .metric(Service::Collector, &["logferry_rescue_batches{"])
            .await
            < 0.5
    })
    .await;
    assert_counts(&rows.counts().await, &expected);
    for service in Service::ALL {
        assert!(pipeline.terminate(service).await.success());
    }
}

#[tokio::test]
async fn answers_go_on_under_an_alarm_and_when_the_queue_refuses() {
    let (broker, redis) = (RabbitMq::start_private().await, Redis::start_private().await);
    let database = testkit::postgres();
    let pipeline = Pipeline::over(&broker.url(), database.url())
        .settings(&settings(&redis, ""))
        .start()
        .await;
    let rows = Rows::connect(database.url()).await;
    send(&pipeline, "before", 100).await;

    broker.set_alarm(true).await;
    send(&pipeline, "alarm", 1000).await;
    in_force(&pipeline, "rescue-redis").await;
    broker.set_alarm(false).await;
    in_force(&pipeline, "quorum").await;

    // Nobody takes from the queue, which holds one batch.
    pipeline.kill(Service::Parser).await;
    broker.set_queue_length_max(Some(1)).await;
    for number in 0..20 {
        send(&pipeline, &format!("refused{number}"), 50).await;
    }
    in_force(&pipeline, "rescue-redis").await;
    broker.set_queue_length_max(None).await;

    // The collector dies while it returns, and another goes on with its batches.
    pipeline.kill(Service::Collector).await;
    pipeline.start(Service::Parser).await;
    pipeline.start(Service::Collector).await;
    pipeline.start_another(Service::Collector).await;

    let mut expected = each_once("before", 100);
    expected.extend(each_once("alarm", 1000));
    for number in 0..20 {
        expected.extend(each_once(&format!("refused{number}"), 50));
    }
    eventually(PATIENCE, || async { rows.counts().await.len() >= expected.len() }).await;
    in_force(&pipeline, "quorum").await;
    assert_counts(&rows.counts().await, &expected);
}

#[tokio::test]
async fn a_redis_that_does_not_sync_is_passed_over() {
    let (broker, redis) = (RabbitMq::start_private().await, Redis::start_private().await);
    redis.configure("appendfsync", "everysec").unwrap();
    let database = testkit::postgres();
    let pipeline = Pipeline::over(&broker.url(), database.url())
        .settings(&settings(&redis, ""))
        .start()
        .await;
    let rows = Rows::connect(database.url()).await;
    broker.kill().await;
    send(&pipeline, "weak", 200).await;
    in_force(&pipeline, "rescue-file").await;
    assert!(rescued(&pipeline, "redis").await < 0.5);
    broker.start().await;
    let expected = each_once("weak", 200);
    eventually(PATIENCE, || async { rows.counts().await.len() >= expected.len() }).await;
    assert_counts(&rows.counts().await, &expected);
}
