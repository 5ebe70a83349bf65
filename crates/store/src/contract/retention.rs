//! Retention: what is to go goes, and nothing else.

use event::BatchId;
use rusqlite::Connection;
use settings::{RouteSettings, StoreSettings, UpkeepSettings};

use super::{
    fixture::{DAY, Fixture, append, batch, batch_by, event},
    upkeep::{TODAY, events, keeping_all, later, tidy},
};
use crate::Store;

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
