//! A pipeline with its broker and its database, lines that can be told apart, and counting them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testkit::{Database, Pipeline, RabbitVhost, Service, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_postgres::{Client, NoTls};

/// Far above what any wait here takes, even with both cores busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Lines by their key, with how often each was found.
pub(crate) type Counts = BTreeMap<String, u32>;

/// A pipeline over a vhost and a database of its own on the shared servers.
pub(crate) struct System {
    pub(crate) pipeline: Pipeline,
    pub(crate) rows: Rows,
    pub(crate) vhost: RabbitVhost,
    pub(crate) database: Database,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// `settings` are added to the generated `logferry.toml`.
    pub(crate) async fn start_with(settings: &str) -> Self {
        Self::start_services(settings, &Service::ALL).await
    }

    pub(crate) async fn start_services(settings: &str, services: &[Service]) -> Self {
        let (vhost, database) = (testkit::rabbitmq(), testkit::postgres());
        let pipeline = Pipeline::over(vhost.url(), database.url())
            .settings(settings)
            .services(services)
            .start()
            .await;
        let rows = Rows::connect(database.url()).await;
        Self {
            pipeline,
            rows,
            vhost,
            database,
        }
    }

    /// Ends every service in the order of the flow; each must drain and end cleanly.
    pub(crate) async fn drain(&self) {
        for service in Service::ALL {
            let status = self.pipeline.terminate(service).await;
            assert!(status.success(), "{} ended with {status}", service.name());
            let log = self.pipeline.log(service);
            assert!(log.contains("drained in_flight=0"), "{}: {log}", service.name());
        }
    }
}

/// The events table.
pub(crate) struct Rows {
    client: Client,
}

impl Rows {
    pub(crate) async fn connect(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        // Ends with the client; a broken connection shows in the next query.
        tokio::spawn(connection);
        Self { client }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The only column of each row of `sql`.
    pub(crate) async fn column(&self, sql: &str) -> Vec<String> {
        let rows = self.client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The rows there are, by the keys in their messages.
    pub(crate) async fn counts(&self) -> Counts {
        count(
            self.column("SELECT message FROM events WHERE message IS NOT NULL")
                .await,
        )
    }

    pub(crate) async fn total(&self) -> usize {
        let row = self
            .client
            .query_one("SELECT count(*) FROM events", &[])
            .await
            .unwrap();
        usize::try_from(row.get::<_, i64>(0)).unwrap()
    }

    /// Waits for a row whose message has `key`. Later rows of a flow come after earlier ones.
    pub(crate) async fn await_key(&self, key: &str) {
        let sql = "SELECT 1 FROM events WHERE message LIKE '%' || $1";
        eventually(PATIENCE, || async {
            !self.client.query(sql, &[&key]).await.unwrap().is_empty()
        })
        .await;
    }

    /// Waits until there are as many rows.
    pub(crate) async fn await_total(&self, total: usize) {
        eventually(PATIENCE, || async { self.total().await >= total }).await;
    }
}

/// `count` lines of RFC 5424, each with a key of its own at its end.
pub(crate) fn lines(name: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| {
            let host = n % 16;
            format!(
                "<134>1 2026-03-01T10:00:00.123456Z host-{host} app 123 ID47 - a line of the test {}",
                key(name, n)
            )
        })
        .collect()
}

pub(crate) fn key(name: &str, n: usize) -> String {
    format!("{name}-{n:06}")
}

/// Each key of `lines(name, count)`, once.
pub(crate) fn each_once(name: &str, count: usize) -> Counts {
    (0..count).map(|n| (key(name, n), 1)).collect()
}

/// Messages by their last word, which is the key.
pub(crate) fn count(messages: impl IntoIterator<Item = String>) -> Counts {
    let mut counts = Counts::new();
    for message in messages {
        let key = message.split_whitespace().next_back().unwrap_or_default();
        *counts.entry(key.to_owned()).or_default() += 1;
    }
    counts
}

/// The whole events in a file of JSON lines; a last line without its end is not whole.
pub(crate) fn events(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The events of a file by the keys in their messages.
pub(crate) fn file_counts(file: &Path) -> Counts {
    let messages = events(file)
        .into_iter()
        .filter_map(|event| event.get("message")?.as_str().map(str::to_owned));
    count(messages)
}

/// What `logferry search` finds, by the keys in the messages.
pub(crate) fn search(pipeline: &Pipeline) -> Counts {
    let output = pipeline.logferry(&["search", "--json", "--limit", "1000000", "line of the test"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    count(events.filter_map(|event| event.get("message")?.as_str().map(str::to_owned)))
}

/// Waits until a file has as many whole events.
pub(crate) async fn await_events(file: &Path, total: usize) {
    eventually(PATIENCE, || async { events(file).len() >= total }).await;
}

/// Sends lines over plain TCP, ended by LF.
pub(crate) async fn send_tcp(addr: std::net::SocketAddr, lines: &[String]) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut text = lines.join("\n");
    text.push('\n');
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// The counts that differ from what was expected, few enough to read.
#[track_caller]
pub(crate) fn assert_counts(found: &Counts, expected: &Counts) {
    let missing: Vec<_> = expected
        .keys()
        .filter(|key| !found.contains_key(*key))
        .take(5)
        .collect();
    let wrong: Vec<_> = found
        .iter()
        .filter(|(key, n)| expected.get(*key) != Some(n))
        .take(5)
        .collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{} found, {} expected; missing: {missing:?}; too many or strange: {wrong:?}",
        found.len(),
        expected.len()
    );
}
