//! `proto/asyncapi.yaml` against what is declared and published.

use std::collections::BTreeMap;

use bytes::Bytes;
use lapin::types::AMQPValue;
use serde_yaml_ng::Value;

use crate::{
    amqp::{
        declare::{Limits, queue_arguments},
        headers, listen,
    },
    listening::{Backlog, STATUS},
    message::{Death, Envelope},
    name::{BindingKey, Exchange, QueueName},
    topology::Topology,
};

const LIMITS: Limits = Limits {
    queue_bytes_max: 111,
    delivery_limit: 222,
};

fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/asyncapi.yaml");
    serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        other => other
            .as_str()
            .unwrap_or_else(|| panic!("{other:?} is no text"))
            .to_owned(),
    }
}

fn table(value: &Value) -> BTreeMap<String, String> {
    value
        .as_mapping()
        .unwrap()
        .iter()
        .map(|(key, value)| (text(key), text(value)))
        .collect()
}

#[test]
fn exchanges_are_as_documented() {
    let document = document();
    for (channel, exchange) in [
        ("received", Exchange::Received.name()),
        ("parsed", Exchange::Parsed.name()),
        ("dead", Exchange::Dead.name()),
        ("status", STATUS),
    ] {
        let channel = &document["channels"][channel];
        assert_eq!(text(&channel["address"]), exchange);
        let binding = &channel["bindings"]["amqp"]["exchange"];
        assert_eq!(text(&binding["name"]), exchange);
        assert_eq!(text(&binding["type"]), "topic");
        assert_eq!(binding["durable"], Value::Bool(true));
    }
}

#[test]
fn queues_and_their_arguments_are_as_documented() {
    let document = document();
    let shipper = QueueName::new("shipper-fs").unwrap();
    let topology = Topology::new([(shipper, vec![BindingKey::all()])]);
    let channels = ["parserQueue", "deadQueue", "shipperQueue"];
    assert_eq!(topology.queues().len(), channels.len());
    for (queue, channel) in topology.queues().iter().zip(channels) {
        let channel = &document["channels"][channel];
        let name = queue.name.as_str();
        assert_eq!(text(&channel["address"]).replace("{shipper}", "shipper-fs"), name);
        assert_eq!(text(&channel["x-bindings"][0]["exchange"]), queue.exchange.name());
        let declared: BTreeMap<String, String> = queue_arguments(queue, LIMITS)
            .inner()
            .iter()
            .map(|(key, value)| {
                let value = match value {
                    AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
                    AMQPValue::LongLongInt(111) => "broker.queue_bytes_max".into(),
                    AMQPValue::LongLongInt(222) => "broker.delivery_limit".into(),
                    AMQPValue::LongLongInt(number) => number.to_string(),
                    other => panic!("{other:?}"),
                };
                (key.to_string(), value.replace(&format!("{name}."), "<queue>."))
            })
            .collect();
        assert_eq!(declared, table(&channel["x-arguments"]), "{name}");
    }
}

#[test]
fn queues_of_listeners_are_as_documented() {
    let backlog = Backlog {
        messages: 5000,
        bytes: 1 << 20,
    };
    let document = document();
    let documented = table(&document["channels"]["listenerQueue"]["x-arguments"]);
    let declared = listen::arguments(backlog);
    let names: Vec<_> = declared.inner().keys().map(ToString::to_string).collect();
    assert_eq!(names, documented.keys().cloned().collect::<Vec<_>>());
    let overflow = declared.inner().get("x-overflow").unwrap();
    assert_eq!(
        *overflow,
        AMQPValue::LongString(documented["x-overflow"].as_str().into())
    );
}

#[test]
fn headers_of_dead_letters_are_as_documented() {
    let death = Death {
        stage: "s".into(),
        queue: "q".into(),
        reason: "r".into(),
        text: "t".into(),
        at_micros: 1,
        attempts: 1,
        exchange: Exchange::Parsed,
        routing_key: "k".into(),
        batch: Some(uuid::Uuid::from_u128(2)),
        position: Some(3),
    };
    let properties = headers::properties(&Envelope {
        id: Some(uuid::Uuid::from_u128(1)),
        queue: None,
        exchange: Exchange::Dead,
        routing_key: "s.r".into(),
        content_type: None,
        body: Bytes::new(),
        death: Some(death),
    });
    let published: BTreeMap<String, String> = properties
        .headers()
        .as_ref()
        .unwrap()
        .inner()
        .iter()
        .map(|(key, value)| {
            let kind = match value {
                AMQPValue::LongString(_) => "string",
                AMQPValue::LongLongInt(_) => "integer",
                other => panic!("{other:?}"),
            };
            (key.to_string(), kind.to_owned())
        })
        .collect();
    let document = document();
    let schema = &document["components"]["schemas"]["death"];
    let documented: BTreeMap<String, String> = schema["properties"]
        .as_mapping()
        .unwrap()
        .iter()
        .map(|(key, value)| (text(key), text(&value["type"])))
        .collect();
    assert_eq!(published, documented);
    let required: Vec<String> = schema["required"]
        .as_sequence()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    // A whole batch has no position, and what is not from us no batch id.
    assert_eq!(required.len() + 2, documented.len());
    assert!(required.iter().all(|name| documented.contains_key(name)));
    let exchanges: Vec<String> = schema["properties"]["logferry-dead-exchange"]["enum"]
        .as_sequence()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    assert_eq!(exchanges, Exchange::ALL.map(Exchange::name));
    assert_eq!(properties.app_id().as_ref().unwrap().as_str(), "logferry");
}
