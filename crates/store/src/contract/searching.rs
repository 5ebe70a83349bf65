//! Finding: what went in comes out, in order, page by page, by everything that can be asked.

use std::time::Duration;

use crate::{Clock, Found, Order, SearchError, SearchRequest, Selection};
use event::{BatchId, Defects, Event, EventTime, Facility, SdElement, SdParam, Severity, Timestamp, Value};

use super::fixture::{DAY, Fixture, NOON, batch, event, messages, selection};

/// An event with everything in it. Names in objects are in the order in which both stores give them back.
pub(super) fn full() -> Event<'static> {
    let param = |name, value| SdParam {
        name: std::borrow::Cow::Borrowed(name),
        value: std::borrow::Cow::Borrowed(value),
    };
    let mut event = event(NOON, "Ünicode and 'quotes' and \\ and %");
    event.tls_peer = Some("CN=web01".into());
    event.facility = Facility::new(4);
    event.severity = Severity::new(2);
    event.timestamp = Some(EventTime {
        at: Timestamp::from_micros(NOON - 3_600_000_003),
        offset_minutes: Some(-420),
        fraction_digits: 3,
    });
    event.hostname = Some("web01.example.net".into());
    event.app_name = Some("su".into());
    event.procid = Some("4711".into());
    event.msgid = Some("ID47".into());
    event.structured_data = vec![
        SdElement {
            id: "meta".into(),
            params: vec![],
        },
        SdElement {
            id: "origin".into(),
            params: vec![
                param("ip", "192.0.2.7"),
                param("ip", "192.0.2.8"),
                param("swVersion", "a\"b]c\\d"),
            ],
        },
    ];
    event.has_bom = true;
    event.raw = Some(b"<34>1 \xff\x00 raw".as_slice().into());
    event.tags = vec!["auth".into(), "zone \"x\", {1}".into()];
    event.fields = vec![
        ("a".into(), Value::Null),
        (
            "b".into(),
            Value::Array(vec![
                Value::Integer(-3),
                Value::Unsigned(u64::MAX),
                Value::Bool(true),
            ]),
        ),
        (
            "user".into(),
            Value::Object(vec![
                ("id".into(), Value::Integer(7)),
                ("name".into(), Value::String("O'Neil".into())),
            ]),
        ),
        ("ratio".into(), Value::Float(0.1)),
    ];
    event.fields.sort_by_key(|(name, _)| (name.len(), name.clone()));
    event.defects = Defects::BAD_TIMESTAMP | Defects::TRUNCATED;
    event
}

pub(super) async fn an_event_comes_back_as_it_went_in(fixture: &Fixture) {
    let mut bare = event(NOON - 1, "");
    bare.message = None;
    let id = BatchId::mint();
    let payload = batch(id, &[full(), bare]);
    let mut scratch = Vec::new();
    let mut sent = event::EventBatch::decode(&payload, &mut scratch, 1 << 20).unwrap();
    let sent = [
        sent.next_event().unwrap().unwrap(),
        sent.next_event().unwrap().unwrap(),
    ];
    fixture.append([payload.clone()]).await;
    let found = fixture.search(&SearchRequest::default()).await.rows;
    let events: Vec<_> = found.iter().map(|row| row.event.clone()).collect();
    assert_eq!(events, sent);
    assert!(found.iter().all(|row| row.route == "default"));
}

pub(super) async fn what_cannot_be_stored_is_marked(fixture: &Fixture) {
    let mut event = event(NOON, "nul \0 here");
    event.hostname = Some("ho\0st".into());
    event.tags = vec!["t\0".into()];
    event.fields = vec![("k\0".into(), Value::String("v\0".into()))];
    event.structured_data = vec![SdElement {
        id: "s\0".into(),
        params: vec![SdParam {
            name: "n\0".into(),
            value: "v\0".into(),
        }],
    }];
    event.raw = Some(b"raw \0".as_slice().into());
    event.timestamp = Some(EventTime::utc(Timestamp::from_micros(i64::MAX)));
    fixture.put(&[event]).await;
    let found = fixture
        .search(&SearchRequest::default())
        .await
        .rows
        .remove(0)
        .event;
    assert_eq!(found.message.unwrap(), "nul \u{2400} here");
    assert_eq!(found.hostname.unwrap(), "ho\u{2400}st");
    assert_eq!(found.tags, ["t\u{2400}"]);
    assert_eq!(
        found.fields,
        [("k\u{2400}".into(), Value::String("v\u{2400}".into()))]
    );
    assert_eq!(found.structured_data[0].id, "s\u{2400}");
    assert_eq!(found.structured_data[0].params[0].value, "v\u{2400}");
    assert_eq!(found.timestamp, None);
    assert_eq!(found.raw.unwrap(), b"raw \0".as_slice());
    assert_eq!(found.defects, Defects::UNSTORABLE);

    // Where the bytes were not kept, the event is kept as it was.
    let mut event = super::fixture::event(NOON + 1, "made by a rule");
    event.fields = vec![("made".into(), Value::String("a\0b".into()))];
    fixture.put(&[event]).await;
    let found = fixture
        .search(&SearchRequest::default())
        .await
        .rows
        .remove(0)
        .event;
    let raw: serde_json::Value = serde_json::from_slice(&found.raw.unwrap()).unwrap();
    assert_eq!(raw["fields"]["made"], "a\0b");
}

pub(super) async fn times_at_the_edge_of_the_calendar_are_stored(fixture: &Fixture) {
    fixture
        .put(&[
            event(i64::MIN, "first"),
            event(i64::MAX, "last"),
            event(-1, "before 1970"),
        ])
        .await;
    let found = fixture.search(&SearchRequest::default()).await;
    assert_eq!(messages(&found), ["last", "before 1970", "first"]);
    assert_eq!(
        found.rows[0].event.received_at.to_string(),
        "9999-12-31T23:59:59.999999Z"
    );
    assert_eq!(found.rows[1].event.received_at, Timestamp::from_micros(-1));
    assert_eq!(
        found.rows[2].event.received_at.to_string(),
        "0000-01-01T00:00:00.000000Z"
    );
    assert_eq!(found.rows[0].event.defects, Defects::UNSTORABLE);
    assert_eq!(found.rows[1].event.defects, Defects::empty());
}

pub(super) async fn pages_follow_each_other_in_both_orders(fixture: &Fixture) {
    let names: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    let events: Vec<_> = (0..)
        .zip(&names)
        .map(|(number, name)| event(NOON + number * DAY / 20, name))
        .collect();
    for events in events.chunks(7) {
        fixture.put(events).await;
    }
    let mut expected: Vec<_> = names.clone();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut request = SearchRequest {
            order,
            limit: 9,
            ..SearchRequest::default()
        };
        let mut all = Vec::new();
        loop {
            let page = fixture.search(&request).await;
            assert!(page.rows.len() <= 9);
            all.extend(messages(&page));
            match page.end.next {
                Some(next) => request.after = Some(next),
                None => break,
            }
        }
        assert_eq!(all, expected);
        expected.reverse();
    }
    let range = SearchRequest {
        selection: Selection {
            from: Some(Timestamp::from_micros(NOON + 10 * DAY / 20)),
            to: Some(Timestamp::from_micros(NOON + 13 * DAY / 20)),
            ..Selection::default()
        },
        ..SearchRequest::default()
    };
    assert_eq!(messages(&fixture.search(&range).await), ["12", "11", "10"]);
}

pub(super) async fn many_events_of_one_instant_are_paged_in_order(fixture: &Fixture) {
    let names: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    for names in names.chunks(100) {
        let events: Vec<_> = names.iter().map(|name| event(NOON, name)).collect();
        fixture.put(&events).await;
    }
    let mut request = SearchRequest {
        order: Order::OldestFirst,
        limit: 33,
        ..SearchRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let page = fixture.search(&request).await;
        all.extend(messages(&page));
        match page.end.next {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    assert_eq!(all, names);
}

pub(super) async fn texts_are_found_in_any_case(fixture: &Fixture) {
    let mut by_host = event(NOON + 2, "by host");
    by_host.hostname = Some("Mailserver".into());
    let mut by_app = event(NOON + 1, "by app");
    by_app.app_name = Some("mailer".into());
    fixture
        .put(&[
            event(NOON, "Connection REFUSED, mail lost"),
            by_host,
            by_app,
            event(NOON, "other"),
        ])
        .await;
    assert_eq!(
        fixture.messages("refused").await,
        ["Connection REFUSED, mail lost"]
    );
    assert_eq!(
        fixture.messages("MAIL").await,
        ["by host", "by app", "Connection REFUSED, mail lost"]
    );
    assert_eq!(fixture.messages("mail lost").await.len(), 1);
    assert_eq!(fixture.messages("mail nowhere").await.len(), 0);
    assert_eq!(fixture.messages("").await.len(), 4);
}

pub(super) async fn special_characters_in_texts_mean_themselves(fixture: &Fixture) {
    let texts = [
        "100% done",
        "a_b",
        "axb",
        "C:\\Windows",
        "'; DROP TABLE events; --",
        "%",
    ];
    let events: Vec<_> = (0..)
        .zip(texts)
        .map(|(number, text)| event(NOON - number, text))
        .collect();
    fixture.put(&events).await;
    assert_eq!(fixture.messages("%").await, ["100% done", "%"]);
    assert_eq!(fixture.messages("a_b").await, ["a_b"]);
    assert_eq!(fixture.messages("a?b").await, ["a_b", "axb"]);
    assert_eq!(fixture.messages("c:\\w").await, ["C:\\Windows"]);
    assert_eq!(fixture.messages("\"'; drop\"").await.len(), 1);
    assert_eq!(fixture.messages("fields.\"x' OR 1=1\":1").await.len(), 0);
    assert_eq!(fixture.messages("").await.len(), 6);
}

pub(super) async fn an_event_is_found_by_its_id(fixture: &Fixture) {
    fixture
        .put(&[event(NOON, "one"), event(NOON, "two"), event(-5, "old")])
        .await;
    for row in fixture.search(&SearchRequest::default()).await.rows {
        let found = fixture.messages(&format!("id:{}", row.event.id)).await;
        assert_eq!(found, [&*row.event.message.unwrap()]);
    }
}

pub(super) async fn the_senders_clock_orders_too(fixture: &Fixture) {
    let sent = |arrival, sent, message| {
        let mut event = event(arrival, message);
        event.timestamp = Some(EventTime::utc(Timestamp::from_micros(sent)));
        event
    };
    fixture
        .put(&[
            sent(NOON, NOON - 5 * DAY, "late by days"),
            sent(NOON + 1, NOON + DAY, "ahead"),
            event(NOON + 2, "no clock"),
            sent(NOON + 2 * DAY, NOON + 1, "late"),
        ])
        .await;
    let mut request = SearchRequest {
        selection: Selection {
            clock: Clock::Sender,
            ..Selection::default()
        },
        limit: 1,
        ..SearchRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let page = fixture.search(&request).await;
        all.extend(messages(&page));
        match page.end.next {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    assert_eq!(all, ["ahead", "no clock", "late", "late by days"]);
    let request = SearchRequest {
        selection: Selection {
            clock: Clock::Sender,
            from: Some(Timestamp::from_micros(NOON)),
            to: Some(Timestamp::from_micros(NOON + DAY)),
            ..Selection::default()
        },
        order: Order::OldestFirst,
        ..SearchRequest::default()
    };
    assert_eq!(messages(&fixture.search(&request).await), ["late", "no clock"]);
}

pub(super) async fn a_search_whose_time_is_up_says_how_far_it_came(fixture: &Fixture) {
    let long = "x".repeat(2000);
    for day in 0..3 {
        let events: Vec<_> = (0..3000)
            .map(|number| event(NOON - day * DAY + number, &long))
            .collect();
        fixture.put(&events).await;
    }
    fixture.put(&[event(NOON - 3 * DAY, "y at last")]).await;
    let mut request = SearchRequest {
        selection: selection("\"y at last\""),
        budget: Duration::ZERO,
        ..SearchRequest::default()
    };
    let page = fixture.store.page(request.clone()).await.unwrap();
    assert!(!page.end.complete && page.rows.is_empty(), "{page:?}");
    assert_eq!(page.end.next, None, "it did not begin");
    // Continued again and again, it comes to its end, and finds what there is once.
    let mut found = Vec::new();
    request.budget = Duration::from_millis(2);
    loop {
        let page = fixture.store.page(request.clone()).await.unwrap();
        found.extend(messages(&page));
        request.after = page.end.next.or(request.after);
        if page.end.complete {
            break;
        }
        request.budget *= 2;
    }
    assert_eq!(found, ["y at last"]);
    // The connection is of use again.
    assert_eq!(fixture.messages("\"y at last\"").await.len(), 1);
}

pub(super) async fn a_search_tells_its_progress(fixture: &Fixture) {
    for day in 0..3 {
        fixture.put(&[event(NOON - day * DAY, "x")]).await;
    }
    let request = SearchRequest {
        selection: selection("zz"),
        ..SearchRequest::default()
    };
    let mut search = fixture.store.search(request);
    let mut scanned = Vec::new();
    let end = loop {
        match search.next().await.unwrap().unwrap() {
            Found::Rows(rows) => panic!("{rows:?}"),
            Found::Progress { scanned_to, matched } => {
                assert_eq!(matched, 0);
                scanned.push(scanned_to);
            }
            Found::End(end) => break end,
        }
    };
    assert!(end.complete && end.next.is_none() && end.stopped_at.is_none());
    assert!(
        !scanned.is_empty() && scanned.is_sorted_by(|a, b| a > b),
        "{scanned:?}"
    );
    assert!(scanned.last().unwrap().as_micros() <= NOON - 2 * DAY);
    assert!(search.next().await.is_none());
}

pub(super) async fn bad_requests_are_told_before_they_run(fixture: &Fixture) {
    for limit in [0, 10_001] {
        let request = SearchRequest {
            limit,
            ..SearchRequest::default()
        };
        assert!(matches!(
            fixture.store.page(request).await,
            Err(SearchError::Limit(_))
        ));
    }
}
