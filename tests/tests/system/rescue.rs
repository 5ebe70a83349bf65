//! The broker goes in mid-load: acknowledgements go on through Redis, then through the file, until that is full;
//! when the broker is back everything is returned, and each answered line is there once.

use testkit::{Database, Pipeline, RabbitMq, Redis, RelpLoad, Service, eventually};

use crate::support::{Counts, PATIENCE, Rows, assert_counts, each_once, lines};

/// A pipeline over servers of its own, which a test takes away.
struct Place {
    broker: RabbitMq,
    redis: Redis,
    pipeline: Pipeline,
    rows: Rows,
    _database: Database,
}

impl Place {
    /// `more` follows in the section `rescue` of the settings.
    async fn start(more: &str) -> Self {
        let redis = Redis::start_private().await;
        Self::start_with(redis, more).await
    }

    async fn start_with(redis: Redis, more: &str) -> Self {
        let broker = RabbitMq::start_private().await;
        let database = testkit::postgres();
        let rescue = format!(
            "[rescue]\nurl = \"{}\"\npatience = \"100ms\"\ntimeout = \"2s\"\n{more}",
            redis.url()
        );
        let pipeline = Pipeline::over(&broker.url(), database.url())
            .settings(&rescue)
            .start()
            .await;
        Self {
            rows: Rows::connect(database.url()).await,
            broker,
            redis,
            pipeline,
            _database: database,
        }
    }

    async fn in_force(&self, durability: &str) {
        let label = format!("durability=\"{durability}\"");
        eventually(PATIENCE, || async {
            let parts = ["logferry_durability{", &label];
            self.pipeline.metric(Service::SyslogServer, &parts).await > 0.5
        })
        .await;
    }

    /// What a rescue queue took so far.
    async fn rescued(&self, queue: &str) -> f64 {
        let label = format!("queue=\"{queue}\"");
        let parts = ["logferry_intake_batches_rescued_total", &label];
        self.pipeline.metric(Service::SyslogServer, &parts).await
    }

    fn load(&self, name: &str, count: usize) -> RelpLoad {
        RelpLoad::start(self.pipeline.relp(), lines(name, count))
    }

    /// Returns when each line is answered.
    async fn send(&self, name: &str, count: usize) {
        self.load(name, count).finish().await;
    }

    /// Waits until as many lines are there, and checks that it is these, each once.
    async fn all_there_once(&self, sent: &[(&str, usize)]) {
        let expected: Counts = sent
            .iter()
            .flat_map(|(name, count)| each_once(name, *count))
            .collect();
        eventually(PATIENCE, || async {
            self.rows.counts().await.len() >= expected.len()
        })
        .await;
        // What comes twice comes from a rescue queue.
        eventually(PATIENCE, || async {
            let parts = ["logferry_rescue_batches{"];
            self.pipeline.metric(Service::Collector, &parts).await < 0.5
        })
        .await;
        assert_counts(&self.rows.counts().await, &expected);
    }
}

#[tokio::test]
async fn the_broker_dies_then_redis_then_the_file_is_full() {
    let place = Place::start("file_bytes_max = \"64KiB\"").await;
    place.in_force("quorum").await;
    let load = place.load("mid", 20_000);
    eventually(PATIENCE, || async { load.acked() >= 2000 }).await;

    place.broker.kill().await;
    load.finish().await;
    place.in_force("rescue-redis").await;
    place.send("redis", 500).await;
    assert!(place.rescued("redis").await > 0.0);

    place.redis.kill().await;
    place.send("file", 500).await;
    place.in_force("rescue-file").await;
    assert!(place.rescued("file").await > 0.0);

    let stuck = place.load("full", 40_000);
    place.in_force("refusing").await;

    place.redis.start().await;
    place.broker.start().await;
    stuck.finish().await;
    place.in_force("quorum").await;
    let sent = [("mid", 20_000), ("redis", 500), ("file", 500), ("full", 40_000)];
    place.all_there_once(&sent).await;
    for service in Service::ALL {
        assert!(place.pipeline.terminate(service).await.success());
    }
}

#[tokio::test]
async fn answers_go_on_under_an_alarm_and_when_the_queue_refuses() {
    let place = Place::start("").await;
    place.send("before", 100).await;

    place.broker.set_alarm(true).await;
    place.send("alarm", 1000).await;
    place.in_force("rescue-redis").await;
    place.broker.set_alarm(false).await;
    place.in_force("quorum").await;

    // Nobody takes from the queue, which holds one batch.
    place.pipeline.kill(Service::Parser).await;
    place.broker.set_queue_length_max(Some(1)).await;
    let refused: Vec<_> = (0..20).map(|number| format!("refused{number}")).collect();
    for name in &refused {
        place.send(name, 50).await;
    }
    place.in_force("rescue-redis").await;
    place.broker.set_queue_length_max(None).await;

    // The collector dies while it returns, and another goes on with its batches.
    place.pipeline.kill(Service::Collector).await;
    place.pipeline.start(Service::Parser).await;
    place.pipeline.start(Service::Collector).await;
    place.pipeline.start_another(Service::Collector).await;

    let mut sent = vec![("before", 100), ("alarm", 1000)];
    sent.extend(refused.iter().map(|name| (name.as_str(), 50)));
    place.all_there_once(&sent).await;
    place.in_force("quorum").await;
}

#[tokio::test]
async fn a_redis_that_does_not_sync_is_passed_over() {
    let redis = Redis::start_private().await;
    redis.configure("appendfsync", "everysec").unwrap();
    let place = Place::start_with(redis, "").await;
    place.broker.kill().await;
    place.send("weak", 200).await;
    place.in_force("rescue-file").await;
    assert!(place.rescued("redis").await < 0.5);
    place.broker.start().await;
    place.all_there_once(&[("weak", 200)]).await;
}
