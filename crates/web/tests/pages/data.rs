//! Events for the pages to show.

use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, EventTime, Severity, Timestamp, Value};
use store::Store;

/// Puts events into the store, one second apart, the last of them now; their ids, the oldest first.
pub(crate) async fn put(store: &Store, events: Vec<Event<'static>>) -> Vec<EventId> {
    let (id, source) = (BatchId::mint(), BatchId::mint());
    let mut batch = EventBatchBuilder::new(id, source, "tcp", "default");
    let now = Timestamp::now().as_micros();
    let count = i64::try_from(events.len()).expect("are few");
    let mut ids = Vec::new();
    for (position, mut event) in (0..).zip(events) {
        let at = Timestamp::from_micros(now - (count - i64::from(position)) * 1_000_000);
        event.id = EventId::derive(source, position, at);
        event.position = position;
        event.received_at = at;
        event.timestamp = Some(EventTime::utc(at));
        ids.push(event.id);
        batch.push(&event);
    }
    let mut group = store.group(1 << 26);
    group
        .push(batch.finish(Compression::Lz4).into())
        .expect("is whole");
    let (_, appended) = store.append(group).await;
    appended.expect("is written");
    ids
}

/// An event of a host with a message.
pub(crate) fn event(host: &'static str, severity: u8, message: impl Into<String>) -> Event<'static> {
    let id = EventId::from_uuid(uuid::Uuid::nil());
    let mut event = Event::received(id, 0, Timestamp::from_micros(0), "192.0.2.7:40000", "tcp");
    event.hostname = Some(host.into());
    event.app_name = Some("app".into());
    event.severity = Severity::new(severity);
    event.message = Some(message.into().into());
    event
}

/// With a custom field.
pub(crate) fn with_field(
    mut event: Event<'static>,
    name: &'static str,
    value: &'static str,
) -> Event<'static> {
    event.fields.push((name.into(), Value::String(value.into())));
    event
}
