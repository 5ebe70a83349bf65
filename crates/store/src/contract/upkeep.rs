//! Sealing: what is found stays the same, and nobody waits.

use std::time::Duration;

use event::{Event, EventTime, SdElement, SdParam, Severity, Timestamp, Value};
use rusqlite::Connection;
use settings::{StoreSettings, UpkeepSettings};
use testkit::eventually;

use super::fixture::{DAY, Fixture, NOON, event, messages, selection};
use crate::{Clock, Order, ReadBy, SearchRequest, Selection, Store, Tidied};

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
pub(super) const TODAY: i64 = NOON - 400 * DAY;

/// Days after [`TODAY`].
pub(super) fn later(days: i64) -> Timestamp {
    Timestamp::from_micros(TODAY + days * DAY)
}

pub(super) async fn tidy(store: &Store, settings: &UpkeepSettings, now: Timestamp) -> Tidied {
    let tidied = store.tidy(settings, now).await.unwrap();
    assert!(!tidied.is_elsewhere);
    tidied
}

/// Events of all kinds, some on each of three days.
pub(super) fn events() -> Vec<Event<'static>> {
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

#[tokio::test]
async fn a_sealed_file_has_no_log_beside_it() {
    let fixture = Fixture::sqlite().await;
    fixture.put(&events()).await;
    let StoreSettings::Sqlite(settings) = &fixture.settings else {
        panic!("SQLite");
    };
    let log = settings.dir.join("events-2025-10-17.db-wal");
    assert!(log.try_exists().unwrap());
    assert_eq!(tidy(&fixture.store, &keeping_all(), later(1)).await.sealed, 3);
    assert!(!log.try_exists().unwrap());
    fixture.put(&[event(TODAY, "came late")]).await;
    assert_eq!(fixture.messages("\"came late\"").await, ["came late"]);
    fixture.close().await;
}

pub(super) async fn hours_of_a_day_that_is_written_are_indexed(fixture: &Fixture) {
    const HOUR: i64 = 3_600_000_000;
    fixture.put(&events()).await;
    let early: Vec<_> = (0..40)
        .map(|number| event(TODAY - 3 * HOUR + number, "early bird"))
        .collect();
    fixture.put(&early).await;
    let before = answers(fixture).await;
    let at = |hours: i64| Timestamp::from_micros(TODAY + hours * HOUR);
    let hours = async || match &fixture.settings {
        StoreSettings::Postgres(_) => {
            let sql = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                       WHERE c.relname LIKE 'events_20251017_hours_%_text' AND indisvalid";
            fixture.sql(sql).await.remove(0)
        }
        StoreSettings::Sqlite(settings) => {
            let file = Connection::open(settings.dir.join("events-2025-10-17.db")).unwrap();
            let sql = "SELECT count(*) FROM index_state WHERE upto < ?1";
            let count: i64 = file.query_row(sql, [i64::MAX], |row| row.get(0)).unwrap();
            count.to_string()
        }
    };
    tidy(&fixture.store, &keeping_all(), at(-1)).await;
    assert_eq!(hours().await, "1", "the early ones");
    assert_eq!(answers(fixture).await, before);
    let late = [
        event(TODAY - 3 * HOUR + 7, "late bird"),
        event(TODAY + 9, "new bird"),
    ];
    fixture.put(&late).await;
    let birds = SearchRequest {
        selection: selection("\"late bird\""),
        ..SearchRequest::default()
    };
    // Another process, which has not looked yet at what there is.
    let other = Store::connect(&fixture.settings).unwrap();
    let page = other.page(birds.clone()).await.unwrap();
    assert_eq!(
        (messages(&page), page.end.how),
        (vec!["late bird".to_owned()], ReadBy::Text)
    );
    assert_eq!(fixture.messages("bird").await.len(), 42);
    let oldest_first = SearchRequest {
        order: Order::OldestFirst,
        ..birds
    };
    assert_eq!(messages(&other.page(oldest_first).await.unwrap()), ["late bird"]);
    other.close().await;
    tidy(&fixture.store, &keeping_all(), at(2)).await;
    assert_eq!(fixture.messages("\"new bird\"").await, ["new bird"]);
    assert_eq!(
        tidy(&fixture.store, &keeping_all(), later(1)).await.kept.sealed,
        3
    );
    assert_eq!(hours().await, "0", "the day has an index");
    assert_eq!(fixture.messages("bird").await.len(), 42);
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
async fn who_writes_late_does_not_wait_for_an_index() {
    let fixture = Fixture::postgres().await;
    fixture.put(&[event(TODAY, "early needle")]).await;
    // A transaction that an index which is built at once waits for, and so would all who write behind it.
    let slow = fixture.client().await;
    slow.batch_execute("BEGIN; DELETE FROM events_20251017 WHERE false")
        .await
        .unwrap();
    let (settings, store) = (keeping_all(), fixture.store.clone());
    let sealing = tokio::spawn(async move { tidy(&store, &settings, later(1)).await });
    let waits = || async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ShareLock' \
                       AND relation = 'events_20251017'::regclass";
        match fixture.sql(waiting).await.remove(0).as_str() {
            "1" => Ok(()),
            other => Err(other.to_owned()),
        }
    };
    eventually(SOON, waits).await;
    let late = [event(TODAY + 1, "late needle")];
    tokio::time::timeout(SOON, fixture.put(&late)).await.unwrap();
    slow.batch_execute("COMMIT").await.unwrap();
    assert_eq!(sealing.await.unwrap().sealed, 1);
    assert_eq!(fixture.messages("needle").await, ["late needle", "early needle"]);
    let indexes = "SELECT count(*) FROM pg_index WHERE indrelid = 'events_20251017'::regclass AND indisvalid";
    assert_eq!(fixture.sql(indexes).await, ["7"]);
    fixture.close().await;
}

#[tokio::test]
async fn hours_with_few_rows_are_put_together() {
    const HOUR: i64 = 3_600_000_000;
    let fixture = Fixture::postgres().await;
    let mut expected = 0;
    for (hour, rows, covered) in [
        (0, 30, "1"),
        (1, 10, "1"),
        (2, 20, "1"),
        (3, 90, "2"),
        (4, 30, "3"),
    ] {
        let texts: Vec<_> = (0..rows).map(|row| format!("needle {hour} {row}")).collect();
        let events: Vec<_> = (0..)
            .zip(&texts)
            .map(|(row, text)| event(TODAY + hour * HOUR + row, text))
            .collect();
        fixture.put(&events).await;
        expected += events.len();
        let over = Timestamp::from_micros(TODAY + (hour + 1) * HOUR);
        tidy(&fixture.store, &keeping_all(), over).await;
        for suffix in ["sent", "host", "text"] {
            let indexes = format!(
                "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                 WHERE c.relname LIKE 'events_20251017_hours_%_{suffix}' AND indisvalid"
            );
            assert_eq!(fixture.sql(&indexes).await, [covered], "{hour} {suffix}");
        }
        let other = Store::connect(&fixture.settings).unwrap();
        for clock in [Clock::Arrival, Clock::Sender] {
            let all = SearchRequest {
                selection: Selection {
                    clock,
                    ..selection("needle")
                },
                limit: 1000,
                ..SearchRequest::default()
            };
            assert_eq!(other.page(all).await.unwrap().rows.len(), expected);
        }
        other.close().await;
    }
    fixture.close().await;
}
