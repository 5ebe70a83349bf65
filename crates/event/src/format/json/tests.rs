//! The JSON event against its schema and against a JSON reader.

use proptest::prelude::*;
use serde_json::json;

use super::{
    super::tests::{any_event, bare, sample},
    *,
};
use crate::{Defects, Facility, Severity};

const SCHEMA: &str = include_str!("../../../../../proto/event.schema.json");

fn schema() -> serde_json::Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn written(event: &Event<'_>) -> serde_json::Value {
    let mut out = Vec::new();
    write_event(event, &mut out);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", out.escape_ascii()))
}

fn to_json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => json!(value),
        Value::Integer(value) => json!(value),
        Value::Unsigned(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::String(value) => json!(value),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(name, value)| (name.to_string(), to_json(value)))
            .collect(),
    }
}

#[test]
fn every_key_of_a_full_event() {
    assert_eq!(
        written(&sample()),
        json!({
            "id": sample().id.to_string(),
            "received_at": "2003-10-11T22:14:16.000042Z",
            "peer_addr": "192.0.2.1:40000",
            "tls_peer": "mymachine.example.com",
            "listener": "tls",
            "facility": "local4",
            "severity": "notice",
            "timestamp": "2003-10-11T22:14:15.003Z",
            "hostname": "mymachine.example.com",
            "app_name": "evntslog",
            "procid": "231",
            "msgid": "ID47",
            "structured_data": {
                "exampleSDID@32473": {"iut": "3", "eventSource": "App \"x\"]\\", "ip": ["::1", "::2"]}
            },
            "message": "An application\nevent log entry\t…",
            "tags": ["login", "a \"b\""],
            "fields": {"user": "ann\r", "geo": {"lat": 52.5, "n": null}, "list": [-1, u64::MAX, true]},
            "defects": ["truncated"],
            "raw": "<165>1 raw"
        })
    );
}

#[test]
fn absent_keys_are_left_out() {
    assert_eq!(
        written(&bare()),
        json!({
            "id": bare().id.to_string(),
            "received_at": "2003-10-11T22:14:16.000042Z",
            "peer_addr": "[::1]:514",
            "listener": "udp"
        })
    );
}

#[test]
fn raw_that_is_no_text_is_base64() {
    for (raw, base64) in [
        (b"\xff".as_slice(), "/w=="),
        (b"\xff\x00", "/wA="),
        (b"\xff\x00a", "/wBh"),
    ] {
        let mut event = bare();
        event.raw = Some(raw.into());
        let value = written(&event);
        assert_eq!(value["raw_base64"], base64);
        assert!(value.get("raw").is_none());
    }
}

#[test]
fn schema_knows_every_word() {
    let schema = schema();
    let words = |pointer: &str| -> Vec<String> {
        serde_json::from_value(schema.pointer(pointer).unwrap().clone()).unwrap()
    };
    let facilities: Vec<_> = (0..24).map(|code| Facility::new(code).unwrap().name()).collect();
    let severities: Vec<_> = (0..8).map(|code| Severity::new(code).unwrap().name()).collect();
    let defects: Vec<_> = Defects::all().words().collect();
    assert_eq!(words("/properties/facility/enum"), facilities);
    assert_eq!(words("/properties/severity/enum"), severities);
    assert_eq!(words("/properties/defects/items/enum"), defects);
}

#[test]
fn schema_refuses_what_we_never_write() {
    let schema = schema();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let good = written(&sample());
    assert!(validator.is_valid(&good));
    let refused = |key: &str, value: serde_json::Value| {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(!validator.is_valid(&bad), "{key}");
    };
    refused("misspelt", json!(1));
    refused("hostname", json!(null));
    refused("severity", json!("warn"));
    refused("received_at", json!("2003-10-11 22:14:16"));
    refused("structured_data", json!({"a": {"b": ["only one"]}}));
    refused("defects", json!(["nul", "nul"]));
    refused("tags", json!([]));
    refused("raw_base64", json!("AA=="));
    let mut bad = good.clone();
    bad.as_object_mut().unwrap().remove("id");
    assert!(!validator.is_valid(&bad));
}

proptest! {
    #[test]
    fn any_event_fits_the_schema_and_reads_back(event in any_event()) {
        static VALIDATOR: std::sync::LazyLock<jsonschema::Validator> =
            std::sync::LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());
        let value = written(&event);
        if let Err(error) = VALIDATOR.validate(&value) {
            return Err(TestCaseError::fail(format!("{error}: {value}")));
        }
        let text = |key: &str| value.get(key).map(|value| value.as_str().unwrap());
        prop_assert_eq!(text("message"), event.message.as_deref());
        prop_assert_eq!(text("hostname"), event.hostname.as_deref());
        prop_assert_eq!(text("tls_peer"), event.tls_peer.as_deref());
        prop_assert_eq!(text("timestamp").map(str::to_owned), event.timestamp.map(|time| time.to_string()));
        if let (Some(raw), Some(text)) = (&event.raw, text("raw")) {
            prop_assert_eq!(text.as_bytes(), raw.as_ref());
        }
        for (name, expected) in &event.fields {
            prop_assert_eq!(&value["fields"][name.as_ref()], &to_json(expected));
        }
        let params = event.structured_data.iter().map(|element| element.params.len()).sum::<usize>();
        let written: usize = value["structured_data"].as_object().map_or(0, |ids| {
            ids.values().flat_map(|id| id.as_object().unwrap().values())
                .map(|value| value.as_array().map_or(1, Vec::len)).sum()
        });
        prop_assert_eq!(written, params);
    }
}
