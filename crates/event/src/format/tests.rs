//! What all formats have in common, and the text of each for one event.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{BatchId, Defects, EventId, EventTime, Facility, SdElement, SdParam, Severity, Timestamp, Value};

/// The example of RFC 5424 section 6.5, with all of our own around it.
pub(super) fn sample() -> Event<'static> {
    let source: BatchId = "0190163d-8694-739b-aea5-966c26f8ad91".parse().unwrap();
    let received_at = Timestamp::from_micros(1_065_910_456_000_042);
    let mut event = Event::received(
        EventId::derive(source, 7, received_at),
        7,
        received_at,
        "192.0.2.1:40000",
        "tls",
    );
    event.tls_peer = Some("mymachine.example.com".into());
    event.facility = Facility::new(20);
    event.severity = Severity::new(5);
    event.timestamp = Some(EventTime {
        at: Timestamp::from_micros(1_065_910_455_003_000),
        offset_minutes: None,
        fraction_digits: 3,
    });
    event.hostname = Some("mymachine.example.com".into());
    event.app_name = Some("evntslog".into());
    event.procid = Some("231".into());
    event.msgid = Some("ID47".into());
    let param = |name: &'static str, value: &'static str| SdParam {
        name: name.into(),
        value: value.into(),
    };
    event.structured_data = vec![SdElement {
        id: "exampleSDID@32473".into(),
        params: vec![
            param("iut", "3"),
            param("eventSource", r#"App "x"]\"#),
            param("ip", "::1"),
            param("ip", "::2"),
        ],
    }];
    event.message = Some("An application\nevent log entry\t…".into());
    event.has_bom = true;
    event.tags = vec!["login".into(), "a \"b\"".into()];
    event.fields = vec![
        ("user".into(), Value::String("ann\r".into())),
        (
            "geo".into(),
            Value::Object(vec![
                ("lat".into(), Value::Float(52.5)),
                ("n".into(), Value::Null),
            ]),
        ),
        (
            "list".into(),
            Value::Array(vec![
                Value::Integer(-1),
                Value::Unsigned(u64::MAX),
                Value::Bool(true),
            ]),
        ),
    ];
    event.defects = Defects::TRUNCATED;
    event.raw = Some(b"<165>1 raw".as_slice().into());
    event
}

/// An event of which almost nothing is known.
pub(super) fn bare() -> Event<'static> {
    let received_at = Timestamp::from_micros(1_065_910_456_000_042);
    let source = BatchId::from_uuid(uuid::Uuid::nil());
    Event::received(
        EventId::derive(source, 0, received_at),
        0,
        received_at,
        "[::1]:514",
        "udp",
    )
}

fn any_value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        (i64::MAX.unsigned_abs() + 1..=u64::MAX).prop_map(Value::Unsigned),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(Value::Float),
        any::<String>().prop_map(|text| Value::String(text.into())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            any_fields(inner).prop_map(Value::Object),
        ]
    })
}

type Fields = Vec<(std::borrow::Cow<'static, str>, Value<'static>)>;

fn any_fields(value: impl Strategy<Value = Value<'static>>) -> impl Strategy<Value = Fields> {
    proptest::collection::btree_map(any::<String>(), value, 0..4).prop_map(|map| {
        map.into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect()
    })
}

fn any_structured_data() -> impl Strategy<Value = Vec<SdElement<'static>>> {
    // Few names, so that repeats come up.
    let param = ("[abc\"]", any::<String>()).prop_map(|(name, value)| SdParam {
        name: name.into(),
        value: value.into(),
    });
    let element = ("[xyz\n]", vec(param, 0..5)).prop_map(|(id, params)| SdElement {
        id: id.into(),
        params,
    });
    vec(element, 0..4)
}

fn any_time() -> impl Strategy<Value = EventTime> {
    (any::<i64>(), option::of(-1439_i16..1440), 0_u8..=6).prop_map(
        |(micros, offset_minutes, fraction_digits)| EventTime {
            at: Timestamp::from_micros(micros),
            offset_minutes,
            fraction_digits,
        },
    )
}

/// Any event that the types allow, hostile ones more than likely.
pub(super) fn any_event() -> impl Strategy<Value = Event<'static>> {
    let text = || option::of(any::<String>());
    let header = (
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        any::<String>(),
        any::<String>(),
    );
    let codes = (
        option::of(0_u8..24),
        option::of(0_u8..8),
        option::of(any_time()),
        any::<i64>(),
        any::<bool>(),
    );
    let raw = option::of(prop_oneof![
        vec(any::<u8>(), 0..20),
        any::<String>().prop_map(String::into_bytes)
    ]);
    let rest = (
        any_structured_data(),
        vec(any::<String>(), 0..3),
        any_fields(any_value()),
        any::<u32>(),
        raw,
    );
    (header, codes, rest).prop_map(|(header, codes, rest)| {
        let (hostname, app_name, procid, msgid, message, tls_peer, peer, listener) = header;
        let (facility, severity, timestamp, received, has_bom) = codes;
        let (structured_data, tags, fields, defects, raw) = rest;
        let received_at = Timestamp::from_micros(received);
        Event {
            id: EventId::derive(BatchId::from_uuid(uuid::Uuid::max()), 3, received_at),
            position: 3,
            received_at,
            peer_addr: peer.into(),
            tls_peer: tls_peer.map(Into::into),
            listener: listener.into(),
            facility: facility.and_then(Facility::new),
            severity: severity.and_then(Severity::new),
            timestamp,
            hostname: hostname.map(Into::into),
            app_name: app_name.map(Into::into),
            procid: procid.map(Into::into),
            msgid: msgid.map(Into::into),
            structured_data,
            message: message.map(Into::into),
            has_bom,
            raw: raw.map(Into::into),
            tags: tags.into_iter().map(Into::into).collect(),
            fields,
            defects: Defects::from_bits_truncate(defects),
        }
    })
}

/// Each text begins where `out` ended.
#[track_caller]
fn check(format: &Format, event: &Event<'_>, expected: &str) {
    let mut out = b"before".to_vec();
    format.write(event, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), format!("before{expected}\n"));
}

fn formats_of_lines() -> Vec<Format> {
    let template = "{timestamp} {hostname} {syslogtag} {structured_data} {tags} {fields} {raw} {message} {peer_addr} \
                    {tls_peer} {listener} {procid} {msgid} {structured_data.x.a} {fields.a}";
    vec![
        Format::Json,
        Format::Ecs,
        Format::Rfc5424,
        Format::Rfc3164,
        Format::Rsyslog,
        Format::Template(Template::new(template).unwrap()),
    ]
}

proptest! {
    #[test]
    fn an_event_is_exactly_one_line_of_utf8(event in any_event()) {
        for format in formats_of_lines() {
            let mut out = Vec::new();
            format.write(&event, &mut out);
            // What is not UTF-8 can only come from `raw`, which only the template copies.
            if !matches!(format, Format::Template(_)) {
                prop_assert!(std::str::from_utf8(&out).is_ok());
            }
            prop_assert_eq!(out.pop(), Some(b'\n'));
            let is_control = |byte: &u8| byte.is_ascii_control() && !b"\t\x7f".contains(byte);
            prop_assert!(!out.iter().any(is_control), "{format:?}: {}", out.escape_ascii());
        }
    }
}

#[test]
fn rfc5424_writes_the_message_as_it_came() {
    check(
        &Format::Rfc5424,
        &sample(),
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog 231 ID47 [exampleSDID@32473 iut=\"3\" \
         eventSource=\"App \\\"x\\\"\\]\\\\\" ip=\"::1\" ip=\"::2\"] \u{feff}An application#012event log entry\t…",
    );
    let mut frame = Vec::new();
    rfc5424::write_frame(&sample(), &mut frame);
    assert!(frame.ends_with("\u{feff}An application\nevent log entry\t…".as_bytes()));
}

#[test]
fn rfc5424_is_valid_whatever_the_event() {
    check(&Format::Rfc5424, &bare(), "<13>1 - - - - - -");
    let mut event = bare();
    event.hostname = Some("my host\n".into());
    event.app_name = Some("ä".repeat(49).into());
    event.msgid = Some("".into());
    event.structured_data = vec![SdElement {
        id: "a=b]".into(),
        params: Vec::new(),
    }];
    event.message = Some("".into());
    let expected = format!("<13>1 - my_host_ {} - - [a_b_] ", "_".repeat(48));
    check(&Format::Rfc5424, &event, &expected);
}

#[test]
fn rfc3164_and_rsyslog_look_like_their_models() {
    let message = "evntslog[231]: An application#012event log entry#011…";
    check(
        &Format::Rfc3164,
        &sample(),
        &format!("<165>Oct 11 22:14:15 mymachine.example.com {message}"),
    );
    check(
        &Format::Rsyslog,
        &sample(),
        &format!("2003-10-11T22:14:15.003Z mymachine.example.com {message}"),
    );
    let mut event = bare();
    event.received_at = Timestamp::from_micros(951_782_400_000_000 + 86_400_000_000);
    event.message = Some("no header".into());
    check(&Format::Rfc3164, &event, "<13>Mar  1 00:00:00 ::1 no header");
    check(
        &Format::Rsyslog,
        &event,
        "2000-03-01T00:00:00.000000Z ::1 no header",
    );
    event.hostname = Some("two words".into());
    event.app_name = Some("a b".into());
    check(
        &Format::Rsyslog,
        &event,
        "2000-03-01T00:00:00.000000Z two_words a_b: no header",
    );
}

#[test]
fn raw_is_what_came_else_rfc5424() {
    check(&Format::Raw, &sample(), "<165>1 raw");
    check(&Format::Raw, &bare(), "<13>1 - - - - - -");
}

/// What a MessagePack reader makes of one map; bytes become a list of numbers.
fn unpack(reader: &mut &[u8]) -> serde_json::Value {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Packed {
        Json(serde_json::Value),
        #[serde(deserialize_with = "bytes")]
        Bytes(Vec<u8>),
    }
    fn bytes<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        reader.deserialize_bytes(Visitor)
    }
    let map: std::collections::BTreeMap<String, Packed> = rmp_serde::from_read(reader).unwrap();
    map.into_iter()
        .map(|(key, value)| match value {
            Packed::Json(value) => (key, value),
            Packed::Bytes(bytes) => (key, bytes.into()),
        })
        .collect()
}

proptest! {
    #[test]
    fn msgpack_is_the_json_event(event in any_event()) {
        let mut out = Vec::new();
        Format::Msgpack.write(&event, &mut out);
        Format::Msgpack.write(&bare(), &mut out);
        let mut expected = Vec::new();
        json::write_event(&event, &mut expected);
        let mut expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        if let (Some(raw), Some(object)) = (&event.raw, expected.as_object_mut()) {
            object.remove("raw_base64");
            object.insert("raw".to_owned(), raw.to_vec().into());
        }
        let mut reader = out.as_slice();
        prop_assert_eq!(unpack(&mut reader), expected);
        prop_assert_eq!(&unpack(&mut reader)["listener"], "udp");
        prop_assert!(reader.is_empty());
    }
}

#[test]
fn ecs_has_the_names_of_ecs() {
    let mut out = Vec::new();
    Format::Ecs.write(&sample(), &mut out);
    let ecs: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let expected = serde_json::json!({
        "@timestamp": "2003-10-11T22:14:15.003Z",
        "message": "An application\nevent log entry\t…",
        "ecs": {"version": "8.17.0"},
        "event": {"id": sample().id.to_string(), "created": "2003-10-11T22:14:16.000042Z", "original": "<165>1 raw"},
        "log": {
            "level": "notice",
            "syslog": {
                "priority": 165,
                "facility": {"code": 20, "name": "local4"},
                "severity": {"code": 5, "name": "notice"},
                "hostname": "mymachine.example.com",
                "appname": "evntslog",
                "procid": "231",
                "msgid": "ID47",
                "structured_data": {
                    "exampleSDID@32473": {"iut": "3", "eventSource": "App \"x\"]\\", "ip": ["::1", "::2"]}
                }
            }
        },
        "host": {"hostname": "mymachine.example.com", "name": "mymachine.example.com"},
        "process": {"name": "evntslog", "pid": 231},
        "source": {"address": "192.0.2.1", "ip": "192.0.2.1", "port": 40000},
        "tags": ["login", "a \"b\""],
        "logferry": {
            "listener": "tls",
            "tls_peer": "mymachine.example.com",
            "defects": ["truncated"],
            "fields": {"user": "ann\r", "geo": {"lat": 52.5, "n": null}, "list": [-1, u64::MAX, true]}
        }
    });
    assert_eq!(ecs, expected);
}

#[test]
fn ecs_of_a_bare_event_has_our_time_and_no_empty_names() {
    let mut event = bare();
    event.peer_addr = "/dev/log".into();
    event.procid = Some("main".into());
    let mut out = Vec::new();
    Format::Ecs.write(&event, &mut out);
    let ecs: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(ecs["@timestamp"], "2003-10-11T22:14:16.000042Z");
    assert_eq!(ecs["source"], serde_json::json!({"address": "/dev/log"}));
    assert_eq!(ecs["process"], serde_json::json!({}));
    assert_eq!(ecs["log"], serde_json::json!({"syslog": {"procid": "main"}}));
    assert!(ecs.get("host").is_none() && ecs.get("tags").is_none());
}

proptest! {
    #[test]
    fn ecs_is_json_without_repeated_keys(event in any_event()) {
        let mut out = Vec::new();
        Format::Ecs.write(&event, &mut out);
        let ecs: serde_json::Value = serde_json::from_slice(&out).unwrap();
        // serde_json keeps the last of repeated keys, so a repeat would be shorter when written again.
        let depth_free = |text: &str| text.matches("\":").count();
        let again = serde_json::to_string(&ecs).unwrap();
        prop_assert_eq!(depth_free(&again), depth_free(std::str::from_utf8(&out).unwrap()));
    }
}

#[test]
fn addresses_are_taken_apart() {
    #[track_caller]
    fn check(addr: &str, host: &str, port: Option<u16>) {
        assert_eq!((peer_host(addr), peer_port(addr)), (host, port));
    }
    check("192.0.2.1:40000", "192.0.2.1", Some(40000));
    check("[2001:db8::1]:514", "2001:db8::1", Some(514));
    check("2001:db8::1", "2001:db8::1", None);
    check("/run/log.sock", "/run/log.sock", None);
    check("/run/a:b", "/run/a:b", None);
    check("", "", None);
}
