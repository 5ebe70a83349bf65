//! Events for the pages to show.

use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, EventTime, Severity, Timestamp, Value};
use store::Store;

/// Puts events into the store, one second apart, the last of them now; their ids, the oldest first.
pub(crate) async fn put(store: &Store, events: Vec<Event<'static>>) -> Vec<EventId> {
    put_every(store, 1_000_000, events).await
}

/// The same so many microseconds apart.
pub(crate) async fn put_every(store: &Store, step: i64, events: Vec<Event<'static>>) -> Vec<EventId> {
    const BATCH_EVENTS: usize = 1000;
    let now = Timestamp::now().as_micros();
    let count = i64::try_from(events.len()).expect("are few");
    let mut events = (0_i64..).zip(events);
    let mut ids = Vec::new();
    loop {
        let (id, source) = (BatchId::mint(), BatchId::mint());
        let mut batch = EventBatchBuilder::new(id, source, "tcp", "default");
        let before = ids.len();
        for (position, (number, mut event)) in (0..).zip(events.by_ref().take(BATCH_EVENTS)) {
            let at = Timestamp::from_micros(now - (count - number) * step);
            event.id = EventId::derive(source, position, at);
            event.position = position;
            event.received_at = at;
            event.timestamp = Some(EventTime::utc(at));
            ids.push(event.id);
            batch.push(&event);
        }
        if ids.len() == before {
            return ids;
        }
        let mut group = store.group(1 << 26);
        group
            .push(batch.finish(Compression::Lz4).into())
            .expect("is whole");
        let (_, appended) = store.append(group).await;
        appended.expect("is written");
    }
}

/// A day of a small company: who talks how much, and an hour in which a gateway was away.
pub(crate) fn day(count: usize) -> Vec<Event<'static>> {
    const HOSTS: [&str; 12] = [
        "web01",
        "web02",
        "web03",
        "web04",
        "db01",
        "db02",
        "mail01",
        "fw-edge-1",
        "build07",
        "cache01",
        "queue01",
        "batch-eu-central-1.internal.example.net",
    ];
    // Its weight, app, severity and message; `#` is a number.
    const LINES: [(u32, &str, u8, &str); 11] = [
        (
            400,
            "nginx",
            6,
            "10.4.#.# - - \"GET /api/v2/orders/#0# HTTP/1.1\" 200 #4# 0.0#",
        ),
        (
            200,
            "postgres",
            6,
            "duration: #.# ms  statement: SELECT * FROM orders WHERE id = #7#",
        ),
        (110, "app", 7, "cache miss key=user:#4# ttl=300"),
        (
            90,
            "sshd",
            6,
            "Accepted publickey for deploy from 10.2.0.# port 4#2 ssh2",
        ),
        (
            60,
            "sshd",
            4,
            "Failed password for invalid user admin from 203.0.113.# port 5#1 ssh2",
        ),
        (50, "systemd", 5, "Started session #1 of user deploy."),
        (40, "cron", 6, "(root) CMD (run-parts /etc/cron.hourly)"),
        (
            30,
            "nginx",
            4,
            "upstream timed out (110: Connection timed out), client: 10.4.#.#",
        ),
        (
            10,
            "postgres",
            3,
            "could not receive data from client: Connection reset by peer",
        ),
        (
            2,
            "kernel",
            2,
            "EXT4-fs error (device sda1): ext4_find_entry: inode #70#: reading directory lblock 0",
        ),
        (
            0,
            "app",
            3,
            "payment #4# failed: connection refused by gateway.internal:8443",
        ),
    ];
    // Any numbers will do, as long as they are the same each time.
    let mut state = 7_u32;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let line = |number: usize| {
        let is_away = (number * 24 / count) == 19;
        let weight = |(weight, _, _, _): &(u32, _, _, _)| match weight {
            0 if is_away => 150,
            weight => *weight,
        };
        let mut left = random(LINES.iter().map(weight).sum());
        let found = LINES.iter().find(|&line| {
            let weight = weight(line);
            let is_it = left < weight;
            left = left.saturating_sub(weight);
            is_it
        });
        let (_, app, severity, text) = found.expect("weights sum up");
        let mut message = String::new();
        for char in text.chars() {
            match char {
                '#' => message.push_str(&random(250).to_string()),
                char => message.push(char),
            }
        }
        let host = random(144).isqrt() as usize;
        let mut event = event(HOSTS[host], *severity, message);
        event.app_name = Some((*app).into());
        event.procid = Some((1000 + random(9000)).to_string().into());
        event
    };
    (0..count).map(line).collect()
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
