//! Sealing and retention: what is found stays the same, what is to go goes, and nobody waits.

use std::time::Duration;

use event::{BatchId, Event, EventTime, SdElement, SdParam, Severity, Timestamp, Value};
use rusqlite::Connection;
use settings::{RouteSettings, StoreSettings, UpkeepSettings};
use testkit::eventually;

use super::fixture::{DAY, Fixture, NOON, append, batch, batch_by, event, messages, selection};
use crate::{Clock, SearchRequest, Selection, Store, Tidied};

const SOON: Duration = Duration::from_secs(60);

/// Everything is kept, and what is over is sealed.
pub(super) fn keeping_all() -> UpkeepSettings {
    UpkeepSettings {
        seal_after: Duration::ZERO,
        seal_memory: 8 << 20,
        keep_days: None,
        keep_bytes: None,
        routes: Vec::new(),
    }
}

/// The last of the days of [`events`], 2025-10-17: long before the partitions that are made ahead.
const TODAY: i64 = NOON - 400 * DAY;

/// Days after [`TODAY`].
fn later(days: i64) -> Timestamp {
    Timestamp::from_micros(TODAY + days * DAY)
}

async fn tidy(store: &Store, settings: &UpkeepSettings, now: Timestamp) -> Tidied {
    let tidied = store.tidy(settings, now).await.unwrap();
    assert!(!tidied.is_elsewhere);
    tidied
}

/// Events of all kinds, some on each of three days.
fn events() -> Vec<Event<'static>> {
    let texts = [
        "Connection refused by 192.0.2.1",
        "connection accepted",
        "usb 1-3: new high-speed device",
        "ab",
        "Grüße aus KÖLN",
        "100% of \\ and _",
    ];
    let mut events = Vec::new();
    for number in 0..90_i64 {
        let mut event = event(TODAY - (number % 3) * DAY + number, "");
        let at = usize::try_from(number).unwrap();
        event.message = (number != 50).then(|| format!("{} {number}", texts[at % texts.len()]).into());
        event.hostname = Some(format!("Web{:02}", number % 4).into());
        event.app_name = Some(["sshd", "nginx"][at % 2].into());
        event.severity = Severity::new(u8::try_from(number % 8).unwrap());
        event.timestamp =
            (number % 5 != 0).then(|| EventTime::utc(Timestamp::from_micros(TODAY - number * 3_000_000_000)));
        event.tags = vec![["Auth", "zone \"x\""][at % 2].into()];
        event.fields = vec![
            ("status".into(), Value::Integer(200 + number % 7)),
            ("user".into(), Value::String(["Alice", "bob"][at % 2].into())),
        ];
        event.structured_data = vec![SdElement {
            id: "origin".into(),
            params: vec![SdParam {
                name: "ip".into(),
                value: format!("192.0.2.{}", number % 6).into(),
            }],
        }];
        events.push(event);
    }
    events
}

/// What is found by all kinds of searches.
async fn answers(fixture: &Fixture) -> Vec<Vec<String>> {
    let mut answers = Vec::new();
    for text in [
        "refused",
        "CONNECTION",
        "köln",
        "ab",
        "a",
        "100%",
        "_",
        "usb 1-3",
        "web01",
        "nothing",
    ] {
        answers.push(fixture.messages(&format!("\"{text}\"")).await);
    }
    for query in [
        "hostname:WEB02",
        "severity<=3",
        "fields.status:203",
        "fields.user:ALICE",
        "tags:AUTH",
        "sd.origin.ip:192.0.2.4",
        "-refused",
        "refused OR host:web02",
        "message:(refused, köln)",
    ] {
        answers.push(fixture.messages(query).await);
    }
    let by_sender = SearchRequest {
        selection: Selection {
            clock: Clock::Sender,
            ..Selection::default()
        },
        ..SearchRequest::default()
    };
    answers.push(messages(&fixture.search(&by_sender).await));
    answers
}

pub(super) async fn sealed_partitions_answer_as_before(fixture: &Fixture) {
    fixture.put(&events()).await;
    let before = answers(fixture).await;
    assert!(before.iter().filter(|found| !found.is_empty()).count() > 10);
    let tidied = tidy(&fixture.store, &keeping_all(), later(0)).await;
    assert_eq!((tidied.sealed, tidied.kept.sealed), (2, 2), "today is not over");
    assert_eq!(answers(fixture).await, before);
    let tidied = tidy(&fixture.store, &keeping_all(), later(1)).await;
    assert_eq!((tidied.sealed, tidied.kept.sealed), (1, 3));
    assert_eq!(answers(fixture).await, before);
    // Nothing is left to do, also for another process.
    let again = Store::connect(&fixture.settings).unwrap();
    assert_eq!(tidy(&again, &keeping_all(), later(1)).await.sealed, 0);
    again.close().await;
    assert!(fixture.store.check().await.unwrap().contains(" 3 sealed"));

    fixture.put(&[event(TODAY - DAY, "came late")]).await;
    assert_eq!(fixture.messages("\"CAME LATE\"").await, ["came late"]);
}

pub(super) async fn interrupted_sealing_goes_on_where_it_was(fixture: &Fixture) {
    fixture.put(&events()).await;
    let before = answers(fixture).await;
    for micros in [0, 300, 3_000, 20_000] {
        let store = Store::connect(&fixture.settings).unwrap();
        let patience = Duration::from_micros(micros);
        let settings = keeping_all();
        let tidying = store.tidy(&settings, later(1));
        // Dropped where it is.
        if let Ok(done) = tokio::time::timeout(patience, tidying).await {
            done.unwrap();
        }
    }
    let is_done = || async {
        match fixture.store.tidy(&keeping_all(), later(1)).await {
            // The work that was dropped may take a moment to stop.
            Ok(tidied) if tidied.is_elsewhere => Err("somebody else is at it".to_owned()),
            Ok(tidied) => Ok(tidied.kept.sealed),
            Err(error) => Err(format!("{error:?}")),
        }
    };
    assert_eq!(eventually(SOON, is_done).await, 3);
    assert_eq!(answers(fixture).await, before);
}

pub(super) async fn rows_are_written_while_a_partition_is_sealed(fixture: &Fixture) {
    let texts: Vec<_> = (0..20_000)
        .map(|number| format!("early needle-{number:05}"))
        .collect();
    let early: Vec<_> = texts.iter().map(|text| event(TODAY, text)).collect();
    for part in early.chunks(5000) {
        fixture.put(part).await;
    }
    let (settings, store) = (keeping_all(), fixture.store.clone());
    let sealing = tokio::spawn(async move { tidy(&store, &settings, later(1)).await });
    let mut late = 0;
    while !sealing.is_finished() && late < 5000 || late < 10 {
        fixture.put(&[event(TODAY + late % 3 - 1, "late needle")]).await;
        late += 1;
    }
    assert_eq!(sealing.await.unwrap().sealed, 1);
    let all = SearchRequest {
        selection: selection("\"LATE NEEDLE\""),
        limit: 10_000,
        ..SearchRequest::default()
    };
    assert_eq!(
        fixture.search(&all).await.rows.len(),
        usize::try_from(late).unwrap()
    );
    assert_eq!(fixture.messages("needle-19999").await.len(), 1);
    if let StoreSettings::Sqlite(settings) = &fixture.settings {
        // Compares the text index with the rows.
        let file = Connection::open(settings.dir.join("events-2025-10-17.db")).unwrap();
        file.execute_batch("INSERT INTO message_index (message_index, rank) VALUES ('integrity-check', 1)")
            .unwrap();
    }
}

pub(super) async fn old_partitions_are_dropped(fixture: &Fixture) {
    fixture.put(&events()).await;
    let settings = UpkeepSettings {
        keep_days: Some(2),
        ..keeping_all()
    };
    assert_eq!(tidy(&fixture.store, &settings, later(0)).await.dropped, 0);
    let partitions = tidy(&fixture.store, &settings, later(1)).await;
    assert_eq!(partitions.dropped, 1, "two days ago is three days ago now");
    assert_eq!(fixture.messages("").await.len(), 60);
    let partitions = tidy(&fixture.store, &settings, later(9)).await;
    assert_eq!(partitions.dropped, 2);
    assert_eq!(fixture.messages("").await.len(), 0);
    // What comes for a day that was dropped is kept until the next round.
    fixture.put(&[event(TODAY - DAY, "came late")]).await;
    assert_eq!(fixture.messages("late").await, ["came late"]);
    assert_eq!(tidy(&fixture.store, &settings, later(9)).await.dropped, 1);
    assert_eq!(fixture.messages("").await.len(), 0);
}

pub(super) async fn the_oldest_partitions_are_dropped_while_all_are_too_large(fixture: &Fixture) {
    fixture.put(&events()).await;
    let all = tidy(&fixture.store, &keeping_all(), later(0)).await.kept;
    let keeping = |bytes| UpkeepSettings {
        keep_bytes: Some(bytes),
        ..keeping_all()
    };
    assert_eq!(
        tidy(&fixture.store, &keeping(all.bytes), later(0)).await.dropped,
        0
    );
    assert_eq!(
        tidy(&fixture.store, &keeping(all.bytes - 1), later(0))
            .await
            .dropped,
        1
    );
    assert_eq!(fixture.messages("").await.len(), 60);
    // Today's is being written, however small the space is.
    assert_eq!(tidy(&fixture.store, &keeping(1), later(0)).await.dropped, 1);
    assert_eq!(fixture.messages("").await.len(), 30);
}

pub(super) async fn rows_of_a_route_go_before_the_others(fixture: &Fixture) {
    let all = events();
    let (debug, kept) = all.split_at(45);
    fixture.append([batch_by(BatchId::mint(), "debug", debug)]).await;
    fixture.append([batch(BatchId::mint(), kept)]).await;
    let settings = UpkeepSettings {
        keep_days: Some(10),
        routes: vec![RouteSettings {
            name: "debug".to_owned(),
            keep_days: 1,
        }],
        ..keeping_all()
    };
    // Sealed in this round, cleared in the next.
    assert_eq!(tidy(&fixture.store, &settings, later(0)).await.deleted, 0);
    let tidied = tidy(&fixture.store, &settings, later(0)).await;
    assert_eq!(
        (tidied.deleted, tidied.dropped),
        (15, 0),
        "the day before yesterday's"
    );
    assert_eq!(fixture.messages("").await.len(), 75);
    assert_eq!(tidy(&fixture.store, &settings, later(0)).await.deleted, 0);
    let deleted = tidy(&fixture.store, &settings, later(2)).await.deleted
        + tidy(&fixture.store, &settings, later(2)).await.deleted;
    assert_eq!(deleted, 30);
    let mut left = fixture.messages("").await;
    left.sort();
    let mut expected: Vec<_> = kept
        .iter()
        .map(|event| event.message.as_deref().unwrap_or("").to_owned())
        .collect();
    expected.sort();
    assert_eq!(left, expected);
    assert!(
        fixture
            .messages("\"usb 1-3: new high-speed device 2\"")
            .await
            .is_empty()
    );
    assert_eq!(fixture.counted().await, 45, "in the rollup");
}

pub(super) async fn two_at_once_do_it_once(fixture: &Fixture) {
    fixture.put(&events()).await;
    let other = Store::connect(&fixture.settings).unwrap();
    let settings = keeping_all();
    let (a, b) = tokio::join!(
        fixture.store.tidy(&settings, later(1)),
        other.tidy(&settings, later(1))
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.sealed + b.sealed, 3, "{a:?} {b:?}");
    other.close().await;
}

#[tokio::test]
async fn a_file_that_is_read_is_deleted_later() {
    let fixture = Fixture::sqlite().await;
    fixture.put(&[event(TODAY, "old")]).await;
    let StoreSettings::Sqlite(sqlite) = &fixture.settings else {
        panic!("SQLite");
    };
    let reader = Connection::open(sqlite.dir.join("events-2025-10-17.db")).unwrap();
    let read = |reader: &Connection| -> i64 {
        reader
            .query_row("SELECT count(*) FROM events", (), |row| row.get(0))
            .unwrap()
    };
    assert_eq!(read(&reader), 1);
    let settings = UpkeepSettings {
        keep_days: Some(1),
        ..keeping_all()
    };
    assert_eq!(tidy(&fixture.store, &settings, later(3)).await.dropped, 0);
    assert_eq!(read(&reader), 1);
    assert_eq!(fixture.messages("").await, ["old"]);
    drop(reader);
    assert_eq!(tidy(&fixture.store, &settings, later(3)).await.dropped, 1);
    let left: Vec<_> = std::fs::read_dir(&sqlite.dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["upkeep.lock"]);
    fixture.close().await;
}

#[tokio::test]
async fn without_trigrams_all_but_the_text_index_is_built() {
    let fixture = Fixture::postgres().await;
    fixture.put(&events()).await;
    let before = answers(&fixture).await;
    fixture.sql("DROP EXTENSION pg_trgm").await;
    let told = fixture.store.check().await.unwrap();
    assert!(told.contains("CREATE EXTENSION pg_trgm"), "{told}");
    assert_eq!(tidy(&fixture.store, &keeping_all(), later(1)).await.sealed, 3);
    assert_eq!(answers(&fixture).await, before);
    fixture.store.migrate().await.unwrap();
    assert!(!fixture.store.check().await.unwrap().contains("pg_trgm"));
    assert_eq!(tidy(&fixture.store, &keeping_all(), later(1)).await.sealed, 3);
    assert_eq!(answers(&fixture).await, before);
    let indexes = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE '%_text' AND indisvalid";
    assert_eq!(fixture.sql(indexes).await, ["3"]);
    fixture.close().await;
}

#[tokio::test]
async fn an_index_that_a_crash_left_unusable_is_built_again() {
    let fixture = Fixture::postgres().await;
    fixture.put(&[event(TODAY, "a needle")]).await;
    tidy(&fixture.store, &keeping_all(), later(1)).await;
    fixture
        .sql(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_20251017_text'::regclass; \
             DELETE FROM partition_upkeep",
        )
        .await;
    assert_eq!(tidy(&fixture.store, &keeping_all(), later(1)).await.sealed, 1);
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(fixture.sql(invalid).await, ["0"]);
    fixture.close().await;
}

#[tokio::test]
async fn rows_for_a_partition_that_is_leaving_get_another_one() {
    let fixture = Fixture::postgres().await;
    fixture.put(&[event(TODAY, "old")]).await;
    let (reader, dropper) = (fixture.client().await, fixture.client().await);
    reader
        .batch_execute("BEGIN; SELECT count(*) FROM events")
        .await
        .unwrap();
    let partition = fixture
        .sql("SELECT tableoid::regclass FROM events")
        .await
        .remove(0);
    // Waits for the reader, and gives up half-way.
    dropper.batch_execute("SET lock_timeout = '100ms'").await.unwrap();
    let detach = format!("ALTER TABLE events DETACH PARTITION {partition} CONCURRENTLY");
    assert!(dropper.batch_execute(&detach).await.is_err());
    reader.batch_execute("COMMIT").await.unwrap();
    // A writer that knows the partition, and one that does not.
    fixture.put(&[event(TODAY + 1, "new")]).await;
    let other = Store::connect(&fixture.settings).unwrap();
    assert_eq!(
        append(&other, [batch(BatchId::mint(), &[event(TODAY + 2, "newer")])])
            .await
            .rows,
        1
    );
    other.close().await;
    assert_eq!(fixture.messages("").await, ["newer", "new"]);
    fixture.close().await;
}
