//! A store of its own for each case, and events to put in.

use crate::summary::COUNT_COLUMNS;
use crate::{Appended, Page, SearchRequest, Selection, Store, Written};
use std::time::Duration;

use bytes::Bytes;
use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, Timestamp};
use settings::{PostgresSettings, Secret, SqliteSettings, StoreSettings};

/// 2026-11-21T09:43:19.818Z.
pub(super) const NOON: i64 = 1_795_254_199_818_000;

pub(super) const DAY: i64 = 86_400_000_000;

pub(super) struct Fixture {
    pub(super) settings: StoreSettings,
    pub(super) store: Store,
    /// Removed with the fixture.
    _place: Place,
}

enum Place {
    Folder { _folder: tempfile::TempDir },
    Database { _database: testkit::Database },
}

impl Fixture {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings::Sqlite(SqliteSettings {
            dir: folder.path().join("events"),
            searches_max: 8,
        });
        Self::start(settings, Place::Folder { _folder: folder }).await
    }

    pub(super) async fn postgres() -> Self {
        let database = testkit::postgres();
        let settings = StoreSettings::Postgres(postgres_at(database.url()));
        Self::start(settings, Place::Database { _database: database }).await
    }

    async fn start(settings: StoreSettings, place: Place) -> Self {
        let store = Store::connect(&settings).unwrap();
        store.migrate().await.unwrap();
        Self {
            settings,
            store,
            _place: place,
        }
    }

    /// Makes the store refuse events whose message is `poison`.
    pub(super) async fn refuse_poison(&self) {
        match &self.settings {
            StoreSettings::Postgres(_) => {
                self.sql("ALTER TABLE events ADD CONSTRAINT no_poison CHECK (message <> 'poison')")
                    .await;
            }
            StoreSettings::Sqlite(settings) => {
                // There is a file only once there is an event.
                self.put(&[event(NOON - 1, "first")]).await;
                let file = rusqlite::Connection::open(settings.dir.join("events-2026-11-21.db")).unwrap();
                file.execute_batch(
                    "CREATE TRIGGER no_poison BEFORE INSERT ON events WHEN NEW.message = 'poison' \
                     BEGIN SELECT RAISE(ABORT, 'no_poison'); END",
                )
                .unwrap();
            }
        }
    }

    /// Runs SQL on PostgreSQL, beside the store; returns the first column of each row as text.
    pub(super) async fn sql(&self, sql: &str) -> Vec<String> {
        let client = self.client().await;
        let mut values = Vec::new();
        for message in client.simple_query(sql).await.unwrap() {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                values.push(row.get(0).unwrap_or("").to_owned());
            }
        }
        values
    }

    /// Events in the rollup by minute.
    pub(super) async fn counted(&self) -> i64 {
        let sum = format!(
            "SELECT sum({}) FROM rollup_minute",
            COUNT_COLUMNS.map(|column| format!("\"{column}\"")).join(" + ")
        );
        match &self.settings {
            StoreSettings::Postgres(_) => self.sql(&sum).await.remove(0).parse().unwrap(),
            StoreSettings::Sqlite(settings) => {
                let mut counted = 0;
                for entry in std::fs::read_dir(&settings.dir).unwrap() {
                    let path = entry.unwrap().path();
                    if path.extension().is_some_and(|extension| extension == "db") {
                        let file = rusqlite::Connection::open(path).unwrap();
                        let of_day: Option<i64> = file.query_row(&sum, (), |row| row.get(0)).unwrap();
                        counted += of_day.unwrap_or(0);
                    }
                }
                counted
            }
        }
    }

    /// A connection of the test's own.
    pub(super) async fn client(&self) -> tokio_postgres::Client {
        let StoreSettings::Postgres(settings) = &self.settings else {
            panic!("only PostgreSQL has connections");
        };
        let (client, connection) = tokio_postgres::connect(settings.url.expose(), tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }

    pub(super) async fn close(self) {
        self.store.close().await;
    }

    /// Writes the payloads in one group; nothing may be refused.
    pub(super) async fn append(&self, payloads: impl IntoIterator<Item = Bytes>) -> Written {
        append(&self.store, payloads).await
    }

    /// One batch of these events.
    pub(super) async fn put(&self, events: &[Event<'_>]) {
        let written = self.append([batch(BatchId::mint(), events)]).await;
        assert_eq!(written.rows, events.len());
    }

    pub(super) async fn search(&self, request: &SearchRequest) -> Page {
        let page = self.store.page(request.clone()).await.unwrap();
        assert!(page.end.complete, "{:?}", page.end);
        page
    }

    /// The messages of what is found, newest first.
    pub(super) async fn messages(&self, query: &str) -> Vec<String> {
        let request = SearchRequest {
            selection: selection(query),
            ..SearchRequest::default()
        };
        messages(&self.search(&request).await)
    }
}

/// What the query asks, of all times.
pub(super) fn selection(query: &str) -> Selection {
    let parsed = query::parse(query, &query::Options::default());
    Selection {
        query: parsed
            .unwrap_or_else(|problem| panic!("{query}: {problem:?}"))
            .query,
        ..Selection::default()
    }
}

pub(super) fn postgres_at(url: &str) -> PostgresSettings {
    PostgresSettings {
        url: Secret::new(url.to_owned()),
        tls_ca_file: None,
        pool_size: 4,
        connect_timeout: Duration::from_secs(10),
        partition: Duration::from_secs(86_400),
        partitions_ahead: 2,
        searches_max: 8,
    }
}

pub(super) async fn append(store: &Store, payloads: impl IntoIterator<Item = Bytes>) -> Written {
    let mut group = store.group(1 << 24);
    for payload in payloads {
        group.push(payload).unwrap();
    }
    match store.append(group).await.1.unwrap() {
        Appended::Written(written) => written,
        Appended::Refused(rows) => panic!("refused: {rows:?}"),
    }
}

pub(super) fn messages(page: &Page) -> Vec<String> {
    page.rows
        .iter()
        .map(|row| row.event.message.as_deref().unwrap_or("").to_owned())
        .collect()
}

/// A batch of these events; `id` is its source's id too.
pub(super) fn batch(id: BatchId, events: &[Event<'_>]) -> Bytes {
    batch_by(id, "default", events)
}

/// A batch that the rules sent by `route`.
pub(super) fn batch_by(id: BatchId, route: &str, events: &[Event<'_>]) -> Bytes {
    let mut builder = EventBatchBuilder::new(id, id, "tcp", route);
    for (position, event) in (0..).zip(events) {
        let mut event = event.clone();
        event.position = position;
        builder.push(&event);
    }
    builder.finish(Compression::Lz4).into()
}

/// An event that arrived at `micros` and says `message`.
pub(super) fn event(micros: i64, message: &str) -> Event<'_> {
    let at = Timestamp::from_micros(micros);
    let id = EventId::derive(BatchId::mint(), 0, at);
    let mut event = Event::received(id, 0, at, "192.0.2.1:40000", "tcp");
    event.message = Some(message.into());
    event
}
