//! The shipper on the embedded broker, with both stores.

use std::{path::PathBuf, time::Duration};

use broker::{BindingKey, Broker, Delivery, Disposition, Exchange, Message, QueueName, RoutingKey, Topology};
use bytes::Bytes;
use event::{BatchId, Compression, Event, EventBatch, EventBatchBuilder, EventId, PayloadKind, Timestamp};
use service::Context;
use settings::{
    BrokerSettings, PostgresSettings, Secret, ShipperPgsqlSettings, SqliteSettings, StoreSettings,
};
use store::{SearchRequest, Store};
use testkit::eventually;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(30);

/// A broker with the shipper's queue, and a store.
struct Scene {
    broker: Broker,
    store: Store,
    settings: ShipperPgsqlSettings,
    folder: tempfile::TempDir,
}

/// A shipper that runs.
struct Running {
    ctx: Context,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Scene {
    async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("events");
        Self::new(
            folder,
            &StoreSettings::Sqlite(SqliteSettings { dir, searches_max: 8 }),
        )
        .await
    }

    async fn on_postgres(url: &str) -> Self {
        let settings = StoreSettings::Postgres(PostgresSettings {
            url: Secret::new(url.to_owned()),
            tls_ca_file: None,
            pool_size: 4,
            connect_timeout: Duration::from_secs(5),
            partition: Duration::from_secs(86_400),
            partitions_ahead: 1,
            searches_max: 8,
        });
        Self::new(tempfile::tempdir().unwrap(), &settings).await
    }

    async fn new(folder: tempfile::TempDir, store: &StoreSettings) -> Self {
        let broker = Broker::connect(&embedded(folder.path().join("queues")), "test")
            .await
            .unwrap();
        let queue = QueueName::new("shipper-pgsql").unwrap();
        broker
            .declare(&Topology::new([(queue, vec![BindingKey::all()])]))
            .await
            .unwrap();
        let store = Store::connect(store).unwrap();
        store.migrate().await.unwrap();
        let settings = ShipperPgsqlSettings {
            queue: "shipper-pgsql".to_owned(),
            binding_keys: vec!["#".to_owned()],
            when_full: settings::WhenFull::Wait,
            prefetch: 16,
            transaction_rows_max: 1000,
            transaction_age_max: Duration::from_millis(20),
            writers: 2,
            batch_bytes_max: 1 << 20,
            upkeep: settings::Settings::default().shipper_pgsql.upkeep,
        };
        Self {
            broker,
            store,
            settings,
            folder,
        }
    }

    fn start(&self) -> Running {
        let ctx = Context::new(Duration::from_secs(5));
        let (settings, store, broker) = (self.settings.clone(), self.store.clone(), self.broker.clone());
        let task = tokio::spawn({
            let ctx = ctx.clone();
            async move { super::run(&settings, store, broker, ctx).await }
        });
        Running { ctx, task }
    }

    async fn publish(&self, body: Bytes) {
        let message = Message {
            id: uuid_of(&body),
            exchange: Exchange::Parsed,
            routing_key: RoutingKey::new("default").unwrap(),
            content_type: PayloadKind::Events.content_type(),
            body,
            death: None,
        };
        self.broker.publisher(16).deliver(&message).await.unwrap();
    }

    async fn messages(&self) -> Vec<String> {
        let request = SearchRequest {
            limit: 10_000,
            ..SearchRequest::default()
        };
        let mut found: Vec<_> = (self.store.page(request).await.unwrap().rows.into_iter())
            .map(|row| row.event.message.unwrap_or_default().into_owned())
            .collect();
        found.sort();
        found
    }

    /// Waits until all that was delivered is settled and `rows` rows are there.
    async fn shipped(&self, rows: usize, acked: u64) {
        eventually(SOON, || async {
            let counted = self.broker.counters();
            counted.acked >= acked && counted.unsettled == 0
        })
        .await;
        assert_eq!(self.messages().await.len(), rows);
    }

    /// The next dead letter.
    async fn dead(&self) -> Delivery {
        let mut consumer = self.broker.consume(&QueueName::dead(), 16, "test").await.unwrap();
        tokio::time::timeout(SOON, consumer.next())
            .await
            .unwrap()
            .unwrap()
    }

    async fn close(self) {
        self.broker.close().await;
        self.store.close().await;
        self.folder.close().unwrap();
    }
}

impl Running {
    async fn stop(self) {
        self.ctx.stop.cancel();
        tokio::time::timeout(SOON, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

fn embedded(dir: PathBuf) -> BrokerSettings {
    BrokerSettings::Embedded {
        dir,
        queue_bytes_max: 1 << 30,
        delivery_limit: 20,
    }
}

fn uuid_of(body: &Bytes) -> uuid::Uuid {
    let mut scratch = Vec::new();
    EventBatch::decode(body, &mut scratch, 1 << 20)
        .map_or_else(|_| BatchId::mint(), |batch| batch.id())
        .as_uuid()
}

fn batch(messages: &[&str]) -> Bytes {
    let (id, now) = (BatchId::mint(), Timestamp::now());
    let mut builder = EventBatchBuilder::new(id.derive("default"), id, "tcp", "default");
    for (position, message) in (0..).zip(messages) {
        let mut event = Event::received(
            EventId::derive(id, position, now),
            position,
            now,
            "192.0.2.1:4",
            "tcp",
        );
        event.message = Some((*message).into());
        builder.push(&event);
    }
    builder.finish(Compression::Lz4).into()
}

#[tokio::test]
async fn batches_become_rows_and_a_repeated_one_adds_none() {
    let scene = Scene::on_sqlite().await;
    let running = scene.start();
    let batches: Vec<_> = (0..20).map(|number| batch(&["a", &number.to_string()])).collect();
    for body in batches.iter().chain(&batches) {
        scene.publish(body.clone()).await;
    }
    scene.shipped(40, 40).await;
    let metrics = running.ctx.metrics.encode();
    for line in [
        "logferry_events_received_total{stage=\"shipper-pgsql\"} 80",
        "logferry_events_sent_total{stage=\"shipper-pgsql\"} 40",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(running.ctx.health.is_ready());
    running.stop().await;
    scene.close().await;
}

#[tokio::test]
async fn what_is_no_batch_is_dead_lettered_and_the_rest_goes_on() {
    let scene = Scene::on_sqlite().await;
    let running = scene.start();
    scene.publish(batch(&["before"])).await;
    scene.publish(Bytes::from_static(b"not a batch")).await;
    scene.publish(batch(&["after"])).await;
    let dead = scene.dead().await;
    assert_eq!(&dead.body[..], b"not a batch");
    let death = dead.death.clone().unwrap();
    assert_eq!((&*death.stage, &*death.reason), ("shipper-pgsql", "undecodable"));
    assert_eq!(death.exchange, Exchange::Parsed);
    dead.settle(Disposition::Ack).await;
    eventually(SOON, || async { scene.messages().await == ["after", "before"] }).await;
    running.stop().await;
    scene.close().await;
}

#[tokio::test]
async fn a_refused_row_is_dead_lettered_with_the_databases_words() {
    let database = testkit::postgres();
    let scene = Scene::on_postgres(database.url()).await;
    database.query("ALTER TABLE events ADD CONSTRAINT no_poison CHECK (message <> 'poison')");
    let running = scene.start();
    scene.publish(batch(&["one", "poison", "two"])).await;
    scene.publish(batch(&["three"])).await;
    scene.shipped(3, 2).await;
    let dead = scene.dead().await;
    let death = dead.death.clone().unwrap();
    assert_eq!((&*death.stage, &*death.reason), ("shipper-pgsql", "refused"));
    assert!(
        death.text.contains("no_poison") && death.text.contains("23514"),
        "{}",
        death.text
    );
    let mut scratch = Vec::new();
    let mut letter = EventBatch::decode(&dead.body, &mut scratch, 1 << 20).unwrap();
    assert_eq!(dead.id.unwrap(), letter.id().as_uuid());
    let event = letter.next_event().unwrap().unwrap();
    assert_eq!((event.position, event.message.as_deref()), (1, Some("poison")));
    assert_eq!(letter.next_event().unwrap(), None);
    dead.settle(Disposition::Ack).await;
    running.stop().await;
    scene.close().await;
}

#[tokio::test]
async fn a_store_that_is_away_loses_and_doubles_nothing() {
    let server = testkit::Postgres::start_private().await;
    let database = server.database();
    let scene = Scene::on_postgres(database.url()).await;
    let running = scene.start();
    scene.publish(batch(&["before"])).await;
    scene.shipped(1, 1).await;
    server.kill().await;
    for number in 0..5 {
        scene.publish(batch(&["while away", &number.to_string()])).await;
    }
    eventually(SOON, || async { !running.ctx.health.is_ready() }).await;
    assert_eq!(scene.broker.counters().acked, 1);
    server.start().await;
    eventually(SOON, || async { scene.broker.counters().acked == 6 }).await;
    assert_eq!(scene.messages().await.len(), 11);
    assert!(running.ctx.health.is_ready());
    running.stop().await;
    scene.close().await;
}

#[tokio::test]
async fn a_drain_writes_what_was_gathered() {
    let mut scene = Scene::on_sqlite().await;
    // Without the stop nothing would be written for a minute.
    scene.settings.transaction_age_max = Duration::from_secs(60);
    let running = scene.start();
    scene.publish(batch(&["one", "two"])).await;
    eventually(SOON, || async { scene.broker.counters().unsettled == 1 }).await;
    assert_eq!(scene.messages().await.len(), 0);
    running.stop().await;
    assert_eq!(scene.messages().await, ["one", "two"]);
    assert_eq!(scene.broker.counters().acked, 1);
    scene.close().await;
}

#[tokio::test]
async fn a_drain_gives_back_what_the_store_does_not_take() {
    let server = testkit::Postgres::start_private().await;
    let database = server.database();
    let scene = Scene::on_postgres(database.url()).await;
    server.stop().await;
    let running = scene.start();
    scene.publish(batch(&["one"])).await;
    eventually(SOON, || async { scene.broker.counters().unsettled == 1 }).await;
    running.stop().await;
    assert_eq!(scene.broker.counters().requeued, 1);
    server.start().await;
    let running = scene.start();
    scene.shipped(1, 1).await;
    running.stop().await;
    scene.close().await;
}

#[tokio::test]
async fn shippers_side_by_side_write_each_row_once() {
    let database = testkit::postgres();
    let scene = Scene::on_postgres(database.url()).await;
    let running: Vec<_> = (0..3).map(|_| scene.start()).collect();
    for number in 0..60 {
        let body = batch(&[&format!("{number:03}"), "x"]);
        scene.publish(body.clone()).await;
        if number % 3 == 0 {
            scene.publish(body).await;
        }
    }
    scene.shipped(120, 80).await;
    for running in running {
        running.stop().await;
    }
    assert_eq!(database.query("SELECT sum(none) FROM rollup_hour"), ["120"]);
    scene.close().await;
}
