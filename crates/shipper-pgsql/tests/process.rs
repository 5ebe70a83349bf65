//! The real process on a real RabbitMQ and a real PostgreSQL: killed in mid-load, side by side, and drained.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../shipper-fs/tests/support/queue.rs"]
mod queue;

use std::{fs, ops::Range, time::Duration};

use settings::{PostgresSettings, Secret, StoreSettings};
use store::Store;
use testkit::{Database, Process, eventually};

use crate::queue::Queue;

const SOON: Duration = Duration::from_secs(120);
const ROWS_A_BATCH: usize = 50;

struct Scene {
    queue: Queue,
    database: Database,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let (queue, database) = (Queue::new("shipper-pgsql").await, testkit::postgres());
        let store = Store::connect(&StoreSettings::Postgres(PostgresSettings {
            url: Secret::new(database.url().to_owned()),
            tls_ca_file: None,
            pool_size: 1,
            connect_timeout: Duration::from_secs(30),
            partition: Duration::from_secs(86_400),
            partitions_ahead: 1,
            searches_max: 8,
        }))
        .unwrap();
        store.migrate().await.unwrap();
        store.close().await;
        let folder = tempfile::tempdir().unwrap();
        // Small transactions, so that a kill falls into the middle of many.
        let settings = "[shipper_pgsql]\nhttp_addr = \"off\"\nprefetch = 16\ntransaction_rows_max = 200\n";
        fs::write(folder.path().join("logferry.toml"), settings).unwrap();
        Self {
            queue,
            database,
            folder,
        }
    }

    fn start(&self) -> Process {
        let config = self.folder.path().join("logferry.toml");
        let mut command = Process::command(env!("CARGO_BIN_EXE_shipper-pgsql"), &config);
        command
            .args(["--log-level", "error"])
            .env("LOGFERRY_BROKER__URL", self.queue.vhost.url())
            .env("LOGFERRY_STORE__URL", self.database.url());
        Process::start(&mut command)
    }

    /// Batches of rows whose numbers are in `batches`.
    async fn publish(&self, batches: Range<usize>) {
        let rows_of = |batch| (0..ROWS_A_BATCH).map(move |row| format!("{batch}.{row}"));
        self.queue.publish(batches, rows_of).await;
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

#[tokio::test]
async fn killed_again_and_again_every_row_is_there_once() {
    let scene = Scene::new().await;
    let mut published = 0;
    for _ in 0..5 {
        let before = scene.rows();
        let victims = [scene.start(), scene.start()];
        scene.publish(published..published + 100).await;
        published += 100;
        // In the middle of their work: something is written, and not all.
        eventually(SOON, || async { scene.rows() > before }).await;
        for victim in victims {
            victim.kill().await;
        }
    }
    let survivors = [scene.start(), scene.start()];
    scene.all_there_once(published).await;
    scene.publish(published..published + 10).await;
    scene.all_there_once(published + 10).await;
    for survivor in survivors {
        survivor.stop().await;
    }
    scene.queue.broker.close().await;
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
    shipper.stop().await;
    scene.queue.broker.close().await;
}
