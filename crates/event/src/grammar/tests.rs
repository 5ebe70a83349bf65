//! Table tests of the grammar: what each line says, written out by [`describe`].

mod devices;
mod json;
mod rfc3164;
mod rfc5424;

use super::*;
use crate::{FrameDefects, Timestamp, Value};

/// 2026-11-21T12:00:00Z.
const RECEIVED_AT: i64 = 1_795_262_400_000_000;

fn parse<'a>(grammar: &Grammar, line: &'a [u8]) -> Event<'a> {
    let frame = Frame {
        position: 0,
        received_at: Timestamp::from_micros(RECEIVED_AT),
        peer_addr: "192.0.2.1:40000",
        tls_peer: None,
        defects: FrameDefects::empty(),
        bytes: line,
    };
    let event = grammar.parse(&frame, BatchId::from_uuid(uuid::Uuid::nil()), "tcp");
    assert_eq!(event.raw.as_deref(), Some(line));
    event
}

/// What is present, one `name=value` after the other, in a fixed order.
fn describe(event: &Event<'_>) -> String {
    let mut parts = Vec::new();
    if let (Some(facility), Some(severity)) = (event.facility, event.severity) {
        parts.push(format!("{facility}.{severity}"));
    }
    parts.extend(event.timestamp.map(|time| time.to_string()));
    let texts = [
        ("host", &event.hostname),
        ("app", &event.app_name),
        ("procid", &event.procid),
        ("msgid", &event.msgid),
    ];
    for (name, text) in texts {
        parts.extend(text.as_ref().map(|text| format!("{name}={text}")));
    }
    for element in &event.structured_data {
        let params = element
            .params
            .iter()
            .map(|param| format!(" {}={:?}", param.name, param.value));
        parts.push(format!("[{}{}]", element.id, params.collect::<String>()));
    }
    if event.has_bom {
        parts.push("BOM".to_owned());
    }
    parts.extend(event.message.as_ref().map(|message| format!("msg={message:?}")));
    parts.extend(event.tags.iter().map(|tag| format!("#{tag}")));
    parts.extend(
        event
            .fields
            .iter()
            .map(|(name, value)| format!("{name}:{}", show(value))),
    );
    parts.extend(event.defects.words().map(|word| format!("!{word}")));
    parts.join(" ")
}

fn show(value: &Value<'_>) -> String {
    let list = |parts: Vec<String>| parts.join(",");
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Unsigned(value) => format!("{value}u"),
        Value::Float(value) => format!("{value:?}"),
        Value::String(value) => format!("{value:?}"),
        Value::Array(items) => format!("[{}]", list(items.iter().map(show).collect())),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{name}:{}", show(value)));
            format!("{{{}}}", list(members.collect()))
        }
    }
}

#[track_caller]
fn check(line: impl AsRef<[u8]>, expected: &str) {
    check_in("UTC", line, expected);
}

#[track_caller]
fn check_in(time_zone: &str, line: impl AsRef<[u8]>, expected: &str) {
    let time_zone = TimeZone::get(time_zone).unwrap();
    let grammar = Grammar::new(GrammarOptions { time_zone });
    assert_eq!(describe(&parse(&grammar, line.as_ref())), expected);
}

#[test]
fn frame_defects_stay() {
    let frame = Frame {
        position: 7,
        received_at: Timestamp::from_micros(RECEIVED_AT),
        peer_addr: "192.0.2.1:40000",
        tls_peer: Some("client.example.com"),
        defects: FrameDefects::TRUNCATED,
        bytes: b"<13>1 - - - - - - x\xff",
    };
    let source = BatchId::mint();
    let event = Grammar::new(GrammarOptions::default()).parse(&frame, source, "tls");
    assert_eq!(event.defects, Defects::TRUNCATED | Defects::INVALID_UTF8);
    assert_eq!(event.tls_peer.as_deref(), Some("client.example.com"));
    assert_eq!(event.id, EventId::derive(source, 7, frame.received_at));
}

#[test]
fn broken_clocks_of_ours_stop_nothing() {
    for micros in [
        i64::MIN,
        i64::MIN + 1,
        -62_167_219_200_000_001,
        0,
        i64::MAX - 1,
        i64::MAX,
    ] {
        let grammar = Grammar::new(GrammarOptions {
            time_zone: TimeZone::get("Europe/Berlin").unwrap(),
        });
        for line in [
            "<13>Nov 21 10:00:00 h",
            "<13>Feb 29 10:00:00 h",
            "<13>Dec 31 23:59:59 h",
        ] {
            let frame = Frame {
                position: 0,
                received_at: Timestamp::from_micros(micros),
                peer_addr: "",
                tls_peer: None,
                defects: FrameDefects::empty(),
                bytes: line.as_bytes(),
            };
            let event = grammar.parse(&frame, BatchId::mint(), "tcp");
            assert_eq!(event.hostname.as_deref(), Some("h"), "{micros}");
        }
    }
}

#[test]
fn without_a_grammar_the_line_is_the_message() {
    let grammar = Grammar::none();
    let event = parse(
        &grammar,
        b"<34>1 2003-10-11T22:14:15.003Z host su - ID47 - text\r",
    );
    let message = "<34>1 2003-10-11T22:14:15.003Z host su - ID47 - text";
    assert_eq!(event.message.as_deref(), Some(message));
    assert_eq!(
        (event.facility, event.hostname, event.defects),
        (None, None, Defects::empty())
    );
    let defects = parse(&grammar, b"a\0\xff").defects;
    assert_eq!(defects, Defects::NUL | Defects::INVALID_UTF8);
}
