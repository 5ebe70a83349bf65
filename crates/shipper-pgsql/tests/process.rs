//! The real process on a real RabbitMQ and a real PostgreSQL: killed in mid-load, side by side, and drained.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, ops::Range, time::Duration};

use broker::{BindingKey, Broker, Exchange, Message, QueueName, RoutingKey, Topology};
use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, PayloadKind, Timestamp};
use settings::{AmqpSettings, BrokerSettings, PostgresSettings, Secret, StoreSettings};
use store::Store;
use testkit::{Database, RabbitVhost, eventually};
use tokio::process::{Child, Command};

const SOON: Duration = Duration::from_secs(120);
const ROWS_A_BATCH: usize = 50;

struct Scene {
    vhost: RabbitVhost,
    database: Database,
    broker: Broker,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let (vhost, database) = (testkit::rabbitmq(), testkit::postgres());
        let settings = BrokerSettings::Amqp(AmqpSettings {
            url: Secret::new(vhost.url().to_owned()),
            tls_ca_file: None,
            connect_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(30),
            reconnect_backoff_max: Duration::from_secs(1),
            confirm_timeout: Duration::from_secs(30),
            queue_bytes_max: 1 << 30,
            delivery_limit: 1000,
        });
        let broker = Broker::connect(&settings, "test").await.unwrap();
        broker.wait_ready(SOON).await.unwrap();
        let queue = QueueName::new("shipper-pgsql").unwrap();
        broker
            .declare(&Topology::new([(queue, vec![BindingKey::all()])]))
            .await
            .unwrap();
        let store = Store::connect(&StoreSettings::Postgres(PostgresSettings {
            url: Secret::new(database.url().to_owned()),
            tls_ca_file: None,
            pool_size: 1,
            connect_timeout: Duration::from_secs(30),
            partition: Duration::from_secs(86_400),
            partitions_ahead: 1,
        }))
        .unwrap();
        store.migrate().await.unwrap();
        store.close().await;
        let folder = tempfile::tempdir().unwrap();
        // Small transactions, so that a kill falls into the middle of many.
        let settings = "[shipper_pgsql]\nhttp_addr = \"off\"\nprefetch = 16\ntransaction_rows_max = 200\n";
        fs::write(folder.path().join("logferry.toml"), settings).unwrap();
        Self {
            vhost,
            database,
            broker,
            folder,
        }
    }

    fn start(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_shipper-pgsql"))
            .arg("--config")
            .arg(self.folder.path().join("logferry.toml"))
            .args(["--log-level", "error"])
            .env_clear()
            .env("LOGFERRY_BROKER__URL", self.vhost.url())
            .env("LOGFERRY_STORE__URL", self.database.url())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Batches of rows whose numbers are in `batches`.
    async fn publish(&self, batches: Range<usize>) {
        let publisher = self.broker.publisher(64);
        for number in batches {
            let (id, now) = (BatchId::mint(), Timestamp::now());
            let mut builder = EventBatchBuilder::new(id, id, "tcp", "default");
            for (position, row) in (0..).zip(0..ROWS_A_BATCH) {
                let id = EventId::derive(id, position, now);
                let mut event = Event::received(id, position, now, "192.0.2.1:4000", "tcp");
                event.message = Some(format!("{number}.{row}").into());
                builder.push(&event);
            }
            let message = Message {
                id: id.as_uuid(),
                exchange: Exchange::Parsed,
                routing_key: RoutingKey::new("default").unwrap(),
                content_type: PayloadKind::Events.content_type(),
                body: builder.finish(Compression::Lz4).into(),
                death: None,
            };
            publisher.deliver(&message).await.unwrap();
        }
    }

    fn rows(&self) -> usize {
        let count = self.database.query("SELECT count(*) FROM events").remove(0);
        count.parse().unwrap()
    }

    /// Waits until the rows of so many batches are there, and checks that each is there once and counted once.
    async fn all_there_once(&self, batches: usize) {
        let rows = batches * ROWS_A_BATCH;
        eventually(SOON, || async { self.rows() >= rows }).await;
        let counts = "SELECT count(*), count(DISTINCT message), count(DISTINCT id), \
                      (SELECT sum(none) FROM rollup_minute), (SELECT sum(none) FROM rollup_hour) FROM events";
        assert_eq!(
            self.database.query(counts),
            [format!("{rows}|{rows}|{rows}|{rows}|{rows}")]
        );
    }
}

/// Asks the process to end, and waits until it did so with success.
async fn stop(mut child: Child) {
    let pid = nix::unistd::Pid::from_raw(child.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let status = tokio::time::timeout(SOON, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn killed_again_and_again_every_row_is_there_once() {
    let scene = Scene::new().await;
    let mut published = 0;
    for _ in 0..5 {
        let before = scene.rows();
        let mut victims = [scene.start(), scene.start()];
        scene.publish(published..published + 100).await;
        published += 100;
        // In the middle of their work: something is written, and not all.
        eventually(SOON, || async { scene.rows() > before }).await;
        for victim in &mut victims {
            victim.kill().await.unwrap();
        }
    }
    let survivors = [scene.start(), scene.start()];
    scene.all_there_once(published).await;
    scene.publish(published..published + 10).await;
    scene.all_there_once(published + 10).await;
    for survivor in survivors {
        stop(survivor).await;
    }
    scene.broker.close().await;
}

#[tokio::test]
async fn backends_that_are_killed_cost_no_row() {
    let scene = Scene::new().await;
    let shipper = scene.start();
    for round in 0..5 {
        scene.publish(round * 60..(round + 1) * 60).await;
        scene.database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'logferry'",
        );
    }
    scene.all_there_once(300).await;
    stop(shipper).await;
    scene.broker.close().await;
}
