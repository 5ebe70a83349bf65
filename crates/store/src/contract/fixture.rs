//! A store of its own for each case, and events to put in.

use crate::{Appended, Condition, Page, SearchRequest, Store, Written};
use bytes::Bytes;
use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, Timestamp};
use settings::{SqliteSettings, StoreSettings};

/// 2026-11-21T09:43:19.818Z.
pub(super) const NOON: i64 = 1_795_254_199_818_000;

pub(super) const DAY: i64 = 86_400_000_000;

pub(super) struct Fixture {
    pub(super) settings: StoreSettings,
    pub(super) store: Store,
    /// Removed with the fixture.
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings::Sqlite(SqliteSettings {
            dir: folder.path().join("events"),
        });
        std::fs::create_dir(folder.path().join("events")).unwrap();
        Self {
            store: Store::connect(&settings).unwrap(),
            settings,
            _folder: folder,
        }
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
        self.store.search(request).await.unwrap()
    }

    /// The messages of what is found, newest first.
    pub(super) async fn messages(&self, text: &[&str], conditions: &[&str]) -> Vec<String> {
        let request = SearchRequest {
            text: text.iter().map(ToString::to_string).collect(),
            conditions: conditions
                .iter()
                .map(|condition| condition.parse::<Condition>().unwrap())
                .collect(),
            ..SearchRequest::default()
        };
        messages(&self.search(&request).await)
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
    let mut builder = EventBatchBuilder::new(id, id, "tcp", "default");
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
