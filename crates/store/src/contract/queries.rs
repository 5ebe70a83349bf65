//! One meaning: what a query finds in a store is what its test in memory finds, on events made to tell them apart.

use event::{
    BatchId, Event, EventBatch, EventTime, Facility, SdElement, SdParam, Severity, Timestamp, Value,
};
use query::{FieldNames, Options, Query, parse};

use super::{
    fixture::{DAY, Fixture, NOON, batch, event},
    upkeep::keeping_all,
};
use crate::{Order, SearchRequest, Selection};

/// Two minutes after the newest event.
const NOW: Timestamp = Timestamp::from_micros(NOON + 120_000_000);

/// A seeded generator: the same events on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> Option<&'t str> {
        match self.roll(texts.len() + 1) {
            0 => None,
            number => Some(texts[number - 1]),
        }
    }
}

const MESSAGES: &[&str] = &[
    "",
    "Connection REFUSED by peer",
    "connection refused",
    "100% of a_b",
    "axb 1000",
    "C:\\Windows\\System32 CORP\\alice 22:52:12",
    "Größe ÄRGER straße",
    "größe ärger",
    "ΟΔΟΣ οδος οδοσ",
    "nul \0 here",
    "line one\nline two",
    "tab\tand 'quotes' \"double\"",
    "Failed password for root",
    "failed publickey for alice",
    "timeout after 12345 ms",
    "timeout after 12 ms",
    "éfoo foo",
    "* ? . [x] (y) {z} ^ $ + |",
    "health check ok",
    "%LINK-3-UPDOWN: Interface GigabitEthernet1/0/6",
    "\u{1f980} crab",
    "'; DROP TABLE events; --",
    "10:02 http://x/?a=1",
];
const HOSTS: &[&str] = &[
    "web01",
    "WEB01",
    "web02",
    "db07",
    "Größe-1",
    "a_b",
    "axb",
    "%",
    "error",
    "host\\x",
    "",
];
const APPS: &[&str] = &["nginx", "cron", "CRON", "sshd", "su", "refused", "ärger"];

fn value(dice: &mut Dice) -> Value<'static> {
    let scalar = |dice: &mut Dice| match dice.roll(12) {
        0 => Value::Null,
        1 => Value::Bool(true),
        2 => Value::Integer(500),
        3 => Value::Integer(-7),
        4 => Value::Unsigned(u64::MAX),
        5 => Value::Float(0.5),
        6 => Value::Float(1e300),
        7 => Value::Float(3.0),
        8 => Value::String("500".into()),
        9 => Value::String("Alice".into()),
        10 => Value::String("ALICE_%".into()),
        _ => Value::String("ärger\0".into()),
    };
    match dice.roll(6) {
        0 => Value::Array((0..dice.roll(4)).map(|_| scalar(dice)).collect()),
        1 => Value::Object(vec![("status".into(), scalar(dice)), ("0".into(), scalar(dice))]),
        2 => Value::Array(vec![
            Value::Array(vec![Value::Integer(500)]),
            Value::Object(Vec::new()),
        ]),
        _ => scalar(dice),
    }
}

fn made(dice: &mut Dice, number: i64) -> Event<'static> {
    let mut event = event(NOON - number * (3 * DAY / 400), "").into_owned();
    event.message = dice.of(MESSAGES).map(Into::into);
    event.hostname = dice.of(HOSTS).map(Into::into);
    event.app_name = dice.of(APPS).map(Into::into);
    event.procid = dice.of(&["1", "4711", "a_b", "100%"]).map(Into::into);
    event.msgid = dice.of(&["ID47", "id47", "ÄB"]).map(Into::into);
    event.tls_peer = dice.of(&["CN=web01"]).map(Into::into);
    event.listener = dice.of(&["tcp", "relp", "unix"]).unwrap_or("udp").into();
    let peers = [
        "10.2.3.4:514",
        "10.3.0.1:6",
        "[2001:db8::1]:9",
        "[::ffff:10.2.0.9]:1",
        "/dev/log",
        "10.2.3.4",
    ];
    event.peer_addr = dice.of(&peers).unwrap_or("192.0.2.1:1").into();
    event.severity = Severity::new(u8::try_from(dice.roll(10)).unwrap());
    event.facility = Facility::new(u8::try_from(dice.roll(26)).unwrap());
    let lags = [0, 1, 999_999, -10_000_001, 7_200_000_000, 2 * DAY];
    event.timestamp = (dice.roll(4) > 0).then(|| {
        let lag = lags[dice.roll(lags.len())];
        EventTime::utc(Timestamp::from_micros(event.received_at.as_micros() - lag))
    });
    event.tags = (0..dice.roll(3))
        .filter_map(|_| dice.of(&["auth", "AUTH", "a_b", "ärger"]))
        .map(Into::into)
        .collect();
    for name in ["status", "user", "http", "list", "a b", "src_ip"] {
        if dice.roll(2) > 0 {
            event.fields.push((name.into(), value(dice)));
        }
    }
    event.structured_data = (0..dice.roll(3))
        .map(|_| SdElement {
            id: dice.of(&["origin@32473", "meta"]).unwrap_or("x").into(),
            params: (0..dice.roll(3))
                .map(|_| SdParam {
                    name: dice.of(&["ip"]).unwrap_or("y").into(),
                    value: dice.of(&["10.0.0.1", "ärger", ""]).unwrap_or("Z").into(),
                })
                .collect(),
        })
        .collect();
    event
}

/// The examples of the language, and terms that tell the evaluators apart.
const TERMS: &[&str] = &[
    "error",
    "\"connection refused\"",
    "-app:cron",
    "host:web* severity>=warning",
    "severity:(err, crit) -\"health check\"",
    "app:nginx status>=500 -src_ip:10.0.0.1",
    "status:400..500",
    "/timeout after \\d{4,} ms/",
    "message:/Failed (password|publickey)/i user:*",
    "tag:auth (user:alice OR user:500)",
    "-app:*",
    "lag>1h",
    "lag<0s",
    "lag:0s..1s",
    "time:2026-11-21 host:db07",
    "received>=-15m time<-1d",
    "received>=-1d OR lag>1d",
    "peer:10.2.0.0/16",
    "peer:10.2.3.4",
    "-peer:2001:db8::/32",
    "sd.\"origin@32473\".ip:10.0.0.1",
    "CORP\\alice 22:52:12",
    "refused",
    "ÄRGER",
    "größe",
    "οδοΣ",
    "%",
    "a_b",
    "a?b",
    "*",
    "\\*",
    "x*1",
    "nul*here",
    "one*two",
    "host:web01",
    "host:GRÖSSE-1",
    "host:größe-1",
    "host:?EB01",
    "host:\"\"",
    "host:*b*",
    "host:/^web/",
    "host:/^WEB/i",
    "app:(cron, ärger)",
    "pid:100%",
    "pid:/^4/",
    "pid:*",
    "msgid:äb",
    "msgid:ID47",
    "tls:cn=*",
    "listener:relp",
    "message:*",
    "-message:refused",
    "message:(foo, crab)",
    "/\\bfoo\\b/",
    "/ä/i",
    "/Ä/",
    "/[^a-z]$/",
    "/^$/",
    "/one.line/",
    "/\\[x\\] \\(y\\)/",
    "tags:*",
    "tag:A_B",
    "tag:a*",
    "tag:/^A/",
    "-tag:ärger",
    "severity<=3",
    "severity:*",
    "-severity:*",
    "-severity>err",
    "fac:(auth, 5)",
    "fac:*",
    "status:*",
    "-status:500",
    "status:5*",
    "status:true",
    "status<0",
    "status>1e299",
    "status:18446744073709551615",
    "status:0.5",
    "status:3",
    "user:alice_%",
    "user:ärger*",
    "user:/lic/",
    "http.status:500",
    "fields.http.0:*",
    "fields.list.0:*",
    "fields.http:*",
    "list:500",
    "list>=500",
    "fields.\"a b\":*",
    "fields.none:*",
    "sd.meta:*",
    "sd.\"origin@32473\".ip:*",
    "sd.meta.ip:ÄRGER",
    "sd.x.y:z",
    "sd.x.y:\"\"",
    "time:*",
    "lag:*",
    "-time:2026-11-20",
    "id:*",
    "id:0*",
    "error OR -error",
    "NOT (host:web01 OR app:cron) OR status:500",
    "-(refused -host:*)",
    "(ärger OR 100%) -(severity>=err OR tag:auth)",
    // One part that no event fits beside one with a value.
    "(status:500 host:nowhere) OR refused",
    "(time<-1d app:nowhere) OR pid:4711",
];

/// Queries of several terms.
const JOINED: usize = 40;

fn query(text: &str) -> Query {
    let options = Options {
        fields: FieldNames::new(["status", "user", "list", "src_ip", "http.status"]),
        now: NOW,
        ..Options::default()
    };
    parse(text, &options)
        .unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
        .query
}

/// The events' ids that a search finds, a few at a time.
async fn found(fixture: &Fixture, query: &Query, order: Order) -> Vec<String> {
    let mut request = SearchRequest {
        selection: Selection {
            query: query.clone(),
            now: NOW,
            ..Selection::default()
        },
        order,
        limit: 150,
        ..SearchRequest::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = fixture.search(&request).await;
        ids.extend(page.rows.iter().map(|row| row.event.id.to_string()));
        match page.end.next {
            Some(next) => request.after = Some(next),
            None => return ids,
        }
    }
}

pub(super) async fn a_query_means_the_same_everywhere(fixture: &Fixture) {
    let mut dice = Dice(7);
    let made: Vec<_> = (0..400).map(|number| made(&mut dice, number)).collect();
    let payload = batch(BatchId::mint(), &made);
    let mut scratch = Vec::new();
    let mut decoded = EventBatch::decode(&payload, &mut scratch, 1 << 24).unwrap();
    let mut events = Vec::new();
    while let Some(event) = decoded.next_event().unwrap() {
        events.push(event.into_owned());
    }
    fixture.append([payload]).await;
    all_agree(fixture, &events).await;
    // Indexes find the same as reading does: of whole days, and of some hours of the newest.
    let tidied = fixture.store.tidy(&keeping_all(), NOW).await.unwrap();
    assert!(
        tidied.sealed >= 2 && tidied.kept.sealed < tidied.kept.partitions,
        "{tidied:?}"
    );
    all_agree(fixture, &events).await;
}

/// The terms, and some of them joined, all the same on every run.
fn texts() -> Vec<String> {
    let mut dice = Dice(11);
    let mut texts: Vec<_> = TERMS.iter().map(|term| (*term).to_owned()).collect();
    for _ in 0..JOINED {
        let mut term = || TERMS[dice.roll(TERMS.len())];
        let (one, two, three) = (term(), term(), term());
        texts.push(match dice.roll(4) {
            0 => format!("({one}) OR ({two})"),
            1 => format!("({one}) ({two})"),
            2 => format!("({one}) -({two}) (({three}) OR ({one}))"),
            _ => format!("NOT (({one}) ({two})) OR ({three})"),
        });
    }
    texts
}

/// Every query, and what it leaves out, finds in the store what it finds in memory.
async fn all_agree(fixture: &Fixture, events: &[Event<'_>]) {
    for text in texts() {
        for query in [query(&text), query(&text).negated()] {
            let matcher = query.matcher(NOW);
            let expected: Vec<_> = events
                .iter()
                .filter(|event| matcher.matches(event))
                .map(|event| event.id.to_string())
                .collect();
            // The events are made newest first.
            let found = found(fixture, &query, Order::NewestFirst).await;
            let differ: Vec<_> = events
                .iter()
                .filter(|event| {
                    let id = event.id.to_string();
                    found.contains(&id) != expected.contains(&id)
                })
                .collect();
            assert!(differ.is_empty(), "{}: {differ:#?}", query.canonical());
            assert_eq!(found, expected, "{}", query.canonical());
        }
    }
    let all = query("");
    let mut oldest_first = found(fixture, &all, Order::OldestFirst).await;
    oldest_first.reverse();
    assert_eq!(oldest_first, found(fixture, &all, Order::NewestFirst).await);
}
