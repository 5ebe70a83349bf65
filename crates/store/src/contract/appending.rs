//! Writing: exactly once, whatever comes twice.

use crate::{Appended, SearchRequest, Store, Written};
use bytes::Bytes;
use event::{BatchId, DecodeError};

use super::fixture::{DAY, Fixture, NOON, append, batch, event, messages};

pub(super) async fn a_repeated_batch_is_not_written_twice(fixture: &Fixture) {
    let payload = batch(BatchId::mint(), &[event(NOON, "one"), event(NOON, "two")]);
    let first = fixture.append([payload.clone()]).await;
    assert_eq!(first, Written { rows: 2, repeated: 0 });
    let second = fixture.append([payload]).await;
    assert_eq!(second, Written { rows: 0, repeated: 1 });
    assert_eq!(fixture.messages("").await.len(), 2);
}

pub(super) async fn a_group_with_new_and_repeated_batches_adds_the_new_ones(fixture: &Fixture) {
    let old = batch(BatchId::mint(), &[event(NOON, "old")]);
    fixture.append([old.clone()]).await;
    let new = batch(
        BatchId::mint(),
        &[event(NOON + 1, "new"), event(NOON + 2, "newer")],
    );
    // `new` stands twice in the group, as after a connection that was lost and came back.
    let written = fixture.append([new.clone(), old, new]).await;
    assert_eq!(written.rows, 2);
    assert_eq!(fixture.messages("").await, ["newer", "new", "old"]);
}

pub(super) async fn two_writers_with_the_same_batch_write_it_once(fixture: &Fixture) {
    let other = Store::connect(&fixture.settings).unwrap();
    let payloads: Vec<Bytes> = (0..20)
        .map(|number| {
            batch(
                BatchId::mint(),
                &[event(NOON + number, "x"), event(NOON + number, "y")],
            )
        })
        .collect();
    let backwards = payloads.iter().rev().cloned();
    let (left, right) = tokio::join!(
        append(&fixture.store, payloads.iter().cloned()),
        append(&other, backwards)
    );
    assert_eq!(left.rows + right.rows, 40);
    assert_eq!(left.repeated + right.repeated, 20);
    assert_eq!(fixture.messages("").await.len(), 40);
    other.close().await;
}

pub(super) async fn a_damaged_batch_leaves_the_group_as_it_was(fixture: &Fixture) {
    let mut group = fixture.store.group(1 << 20);
    group
        .push(batch(BatchId::mint(), &[event(NOON, "good")]))
        .unwrap();
    assert_eq!(
        group.push(Bytes::from_static(b"LFE")),
        Err(DecodeError::NotABatch)
    );
    let id = BatchId::mint();
    let mut builder = event::EventBatchBuilder::new(id, id, "tcp", "default");
    builder.push(&event(NOON, "before the damage"));
    let mut damaged = builder.finish(event::Compression::None);
    let len = damaged.len();
    damaged.truncate(len - 1);
    assert_eq!(group.push(damaged.into()), Err(DecodeError::Truncated));
    group
        .push(batch(BatchId::mint(), &[event(NOON, "also good")]))
        .unwrap();
    assert_eq!((group.len(), group.rows()), (2, 2));
    let (_, appended) = fixture.store.append(group).await;
    assert_eq!(
        appended.unwrap(),
        Appended::Written(Written { rows: 2, repeated: 0 })
    );
    assert_eq!(fixture.messages("").await.len(), 2);
}

pub(super) async fn an_empty_group_is_written(fixture: &Fixture) {
    assert_eq!(fixture.append([]).await, Written::default());
    let empty = batch(BatchId::mint(), &[]);
    assert_eq!(fixture.append([empty]).await.rows, 0);
}

pub(super) async fn days_far_apart_go_in_one_group(fixture: &Fixture) {
    let payload = batch(
        BatchId::mint(),
        &[
            event(0, "a clock that was not set"),
            event(NOON - 400 * DAY, "last year"),
            event(NOON, "today"),
            event(NOON + DAY, "tomorrow"),
            event(NOON + 40_000 * DAY, "a clock that jumped"),
        ],
    );
    assert_eq!(fixture.append([payload.clone()]).await.rows, 5);
    assert_eq!(fixture.append([payload]).await.rows, 0);
    let expected = [
        "a clock that jumped",
        "tomorrow",
        "today",
        "last year",
        "a clock that was not set",
    ];
    assert_eq!(fixture.messages("").await, expected);
}

pub(super) async fn writers_of_a_new_day_do_not_trip_over_each_other(fixture: &Fixture) {
    for day in 0..10 {
        let write = || async move {
            let payload = batch(
                BatchId::mint(),
                &[event(NOON - (100 + day) * DAY, "first of the day")],
            );
            assert_eq!(append(&fixture.store, [payload]).await.rows, 1);
        };
        tokio::join!(write(), write(), write(), write());
    }
    assert_eq!(fixture.messages("first").await.len(), 40);
}

pub(super) async fn the_catalogue_of_sources_is_bounded(fixture: &Fixture) {
    let names: Vec<String> = (0..21_000).map(|number| format!("host-{number:05}")).collect();
    let events: Vec<_> = names
        .iter()
        .map(|name| {
            let mut event = event(NOON, "made up");
            event.hostname = Some(name.into());
            event
        })
        .collect();
    let payloads = events.chunks(1000).map(|events| batch(BatchId::mint(), events));
    assert_eq!(fixture.append(payloads).await.rows, 21_000);
    // Beyond the bound a host is still found, by its field and by text.
    for query in [
        "hostname:host-20999",
        "host-20999",
        "-host:host-0*",
        "-host-0 -host-1",
    ] {
        let found = fixture.messages(query).await.len();
        assert_eq!(found, if query.starts_with('-') { 100 } else { 1 }, "{query}");
    }
    let all = SearchRequest {
        limit: 10_000,
        ..SearchRequest::default()
    };
    assert_eq!(messages(&fixture.search(&all).await).len(), 10_000);
}

pub(super) async fn refused_rows_do_not_hold_up_the_others(fixture: &Fixture) {
    fixture.refuse_poison().await;
    let before = fixture.messages("").await.len();
    let texts: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    let mut events: Vec<_> = texts.iter().map(|text| event(NOON, text)).collect();
    for place in [0, 7, 8, 49] {
        events[place].message = Some("poison".into());
    }
    let mut group = fixture.store.group(1 << 20);
    group
        .push(batch(
            BatchId::mint(),
            &[event(NOON, "good"), event(NOON, "poison")],
        ))
        .unwrap();
    group.push(batch(BatchId::mint(), &events)).unwrap();
    let (mut group, refused) = fixture.store.append(group).await;
    let Appended::Refused(refused) = refused.unwrap() else {
        panic!("rows are refused");
    };
    let places: Vec<_> = refused
        .iter()
        .map(|row| (row.place.batch, row.place.event))
        .collect();
    assert_eq!(places, [(0, 1), (1, 0), (1, 7), (1, 8), (1, 49)]);
    assert!(
        refused.iter().all(|row| row.message.contains("no_poison")),
        "{refused:?}"
    );
    assert_eq!(fixture.messages("").await.len(), before, "nothing is written yet");

    group.skip(refused.iter().map(|row| row.place));
    let (_, appended) = fixture.store.append(group).await;
    assert_eq!(
        appended.unwrap(),
        Appended::Written(Written {
            rows: 47,
            repeated: 0
        })
    );
    assert_eq!(fixture.messages("").await.len(), before + 47);
}
