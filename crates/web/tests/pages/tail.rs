//! The live tail: rows, gaps, slow readers, filters.

use broker::{Exchange, Message, RoutingKey};
use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, PayloadKind, Timestamp};

use crate::{
    browser::{DEADLINE, Pages},
    data::{event, put},
    stream::Stream,
};

/// Publishes events as the parser does, durably.
pub(crate) async fn publish(pages: &Pages, events: Vec<Event<'static>>) {
    let (id, source) = (BatchId::mint(), BatchId::mint());
    let mut batch = EventBatchBuilder::new(id, source, "tcp", "default");
    for (position, mut event) in (0..).zip(events) {
        event.received_at = Timestamp::now();
        event.id = EventId::derive(source, position, event.received_at);
        batch.push(&event);
    }
    let message = Message {
        id: id.as_uuid(),
        exchange: Exchange::Parsed,
        routing_key: RoutingKey::new("default").expect("is a key"),
        content_type: PayloadKind::Events.content_type(),
        body: batch.finish(Compression::Lz4).into(),
        death: None,
    };
    let confirm = pages.broker.publisher(1).publish(&message).await;
    confirm.expect("is published").await.expect("is confirmed");
}

/// Rows that came and events that were said not to, until they are `all`.
async fn account(stream: &mut Stream, all: usize) -> (usize, usize) {
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < all {
        let piece = stream.until("\n\n").await;
        seen += piece.matches("\"received_at\"").count();
        if let Some((_, gap)) = piece.split_once("event: gap\ndata: ") {
            let gap: serde_json::Value = serde_json::from_str(gap.trim()).expect("is JSON");
            missed += usize::try_from(gap["n"].as_u64().expect("is counted")).expect("fits");
        }
    }
    (seen, missed)
}

#[tokio::test]
async fn what_is_published_is_shown_to_those_whose_filter_it_passes() {
    let pages = Pages::start().await;
    let mut all = pages.open("/api/v1/tail?backfill=0").await;
    let mut web = pages.open("/api/v1/tail?backfill=0&q=host:web01&html=1").await;
    for stream in [&mut all, &mut web] {
        stream.until("\"mode\":\"broker\"").await;
    }
    publish(
        &pages,
        vec![event("db01", 6, "<i>one"), event("web01", 3, "<b>two")],
    )
    .await;
    let rows = all.until("two").await;
    assert!(
        rows.contains("event: rows\nid: ") && rows.contains("\"hostname\":\"db01\""),
        "{rows}"
    );
    let rows = web.until("two").await;
    assert!(!rows.contains("one") && !rows.contains("<b>two"), "{rows}");
    let stat = all.until("\"in_s\":2").await;
    assert!(stat.contains("\"match_s\":2"), "{stat}");
    drop((all, web));
    pages.stop().await;
}

#[tokio::test]
async fn what_is_too_fast_is_a_counted_gap_and_nobody_waits() {
    let pages = Pages::start().await;
    let mut stream = pages.open("/api/v1/tail?backfill=0").await;
    stream.until("\"mode\":\"broker\"").await;
    let events = (0..2000).map(|number| event("web01", 6, format!("line {number}")));
    publish(&pages, events.collect()).await;
    let (seen, missed) = account(&mut stream, 2000).await;
    assert_eq!(seen + missed, 2000);
    assert!((800..=1200).contains(&seen), "{seen}");
    drop(stream);
    pages.stop().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_misses_and_is_told_how_much() {
    let pages = Pages::start().await;
    let mut slow = pages.open("/api/v1/tail?backfill=0").await;
    slow.until("\"mode\":\"broker\"").await;
    // Far more than sockets hold, in more portions than wait.
    let text = "x".repeat(2000);
    for round in 0..60 {
        let events = (0..500).map(|number| event("web01", 6, format!("{round} {number} {text}")));
        publish(&pages, events.collect()).await;
    }
    let (seen, missed) = account(&mut slow, 30_000).await;
    assert_eq!(seen + missed, 30_000);
    assert!(missed > 20_000, "{missed}");
    drop(slow);
    pages.stop().await;
}

#[tokio::test]
async fn it_begins_with_what_is_stored_and_goes_on_where_it_was() {
    let pages = Pages::start().await;
    put(
        &pages.store,
        vec![event("web01", 6, "stored one"), event("web01", 6, "stored two")],
    )
    .await;
    let page = pages.get("/tail").await;
    assert!(
        page.body.contains("stored one") && page.body.contains("Refresh"),
        "{}",
        page.body
    );
    let mut stream = pages.open("/api/v1/tail").await;
    let rows = stream.until("stored two").await;
    let (_, after) = rows.split_once("\nid: ").expect("has an id");
    let id = after.lines().next().expect("a line").to_owned();
    drop(stream);
    put(&pages.store, vec![event("web01", 6, "stored three")]).await;
    let mut stream = pages.open_with("/api/v1/tail", &[("Last-Event-ID", &id)]).await;
    let rows = stream.until("stored three").await;
    assert!(!rows.contains("stored one"), "{rows}");
    drop(stream);
    pages.stop().await;
}

#[tokio::test]
async fn bad_questions_get_answers() {
    let pages = Pages::with(|settings| settings.tails_max = 1).await;
    let refused = pages.get("/api/v1/tail?q=severity%3A%3D").await;
    assert_eq!((refused.status, &refused.json()["code"]), (422, &"query".into()));
    assert_eq!(pages.get("/api/v1/tail?after=x").await.status, 400);
    let page = pages.get("/tail?q=severity%3A%3D%3Cb%3E").await;
    assert!(page.status == 200 && page.body.contains("role=\"alert\"") && !page.body.contains("<b>"));
    let mut first = pages.open("/api/v1/tail").await;
    first.until("\"mode\"").await;
    let second = pages.get("/api/v1/tail").await;
    assert_eq!((second.status, second.header("retry-after")), (429, Some("10")));
    drop(first);
    // The place is free again once the server has seen that the reader is gone.
    testkit::eventually(DEADLINE, || async { pages.open("/api/v1/tail").await.is_ok() }).await;
    pages.stop().await;
}
