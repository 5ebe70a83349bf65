//! Elastic Common Schema, one JSON object a line.
//!
//! `@timestamp` is the sender's time, ours where there is none; `event.created` is when intake read the line.
//! `event.ingested` is left to Elasticsearch: by ECS it is when the event reached the central store. What ECS has no
//! name for is below `logferry`: `listener`, `tls_peer`, `defects` and the free `fields` with their types
//! (`labels` would make text of them and cannot nest).

use std::net::IpAddr;

use super::{
    escape::put_json_str,
    json::{put_integer, put_key, put_list, put_object, put_structured_data, put_uuid},
    peer_host, peer_port,
    rfc3164::time_of,
    time::{put_event_time, put_timestamp},
};
use crate::{event::Event, time::EventTime};

/// The version of ECS whose names these are.
const ECS_VERSION: &str = "8.17.0";

/// Appends the event as one JSON object, without a line end.
pub(super) fn put_event(event: &Event<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    put_time(out, "@timestamp", time_of(event));
    put_opt(out, "message", event.message.as_deref());
    object(out, "ecs", |out| put_opt(out, "version", Some(ECS_VERSION)));
    object(out, "event", |out| put_event_object(event, out));
    object(out, "log", |out| put_log(event, out));
    if let Some(hostname) = &event.hostname {
        object(out, "host", |out| {
            put_opt(out, "hostname", Some(hostname));
            put_opt(out, "name", Some(hostname));
        });
    }
    if event.app_name.is_some() || event.procid.is_some() {
        object(out, "process", |out| put_process(event, out));
    }
    object(out, "source", |out| put_source(&event.peer_addr, out));
    if !event.tags.is_empty() {
        put_key(out, "tags");
        put_list(out, event.tags.iter(), |out, tag| put_json_str(out, tag));
    }
    object(out, "logferry", |out| put_ours(event, out));
    out.push(b'}');
}

fn put_event_object(event: &Event<'_>, out: &mut Vec<u8>) {
    put_key(out, "id");
    out.push(b'"');
    put_uuid(out, event.id.as_uuid());
    out.push(b'"');
    put_key(out, "created");
    out.push(b'"');
    put_timestamp(out, event.received_at);
    out.push(b'"');
    let raw = event.raw.as_deref();
    let original = raw.map(String::from_utf8_lossy);
    put_opt(out, "original", original.as_deref());
}

/// `log.level` and `log.syslog`.
fn put_log(event: &Event<'_>, out: &mut Vec<u8>) {
    put_opt(out, "level", event.severity.map(|severity| severity.name()));
    let has_priority = event.facility.is_some() && event.severity.is_some();
    object(out, "syslog", |out| {
        if has_priority {
            put_key(out, "priority");
            put_integer(out, super::priority(event));
        }
        if let Some(facility) = event.facility {
            object(out, "facility", |out| {
                put_code(out, facility.code(), facility.name())
            });
        }
        if let Some(severity) = event.severity {
            object(out, "severity", |out| {
                put_code(out, severity.code(), severity.name())
            });
        }
        put_opt(out, "hostname", event.hostname.as_deref());
        put_opt(out, "appname", event.app_name.as_deref());
        put_opt(out, "procid", event.procid.as_deref());
        put_opt(out, "msgid", event.msgid.as_deref());
        if !event.structured_data.is_empty() {
            put_key(out, "structured_data");
            put_structured_data(out, &event.structured_data);
        }
    });
}

fn put_code(out: &mut Vec<u8>, code: u8, name: &str) {
    put_key(out, "code");
    put_integer(out, code);
    put_opt(out, "name", Some(name));
}

/// `process.pid` is a number in ECS; a procid that is none stands in `log.syslog.procid` alone.
fn put_process(event: &Event<'_>, out: &mut Vec<u8>) {
    put_opt(out, "name", event.app_name.as_deref());
    if let Some(pid) = event
        .procid
        .as_deref()
        .and_then(|procid| procid.parse::<u32>().ok())
    {
        put_key(out, "pid");
        put_integer(out, pid);
    }
}

fn put_source(peer_addr: &str, out: &mut Vec<u8>) {
    let host = peer_host(peer_addr);
    put_opt(out, "address", Some(host));
    if host.parse::<IpAddr>().is_ok() {
        put_opt(out, "ip", Some(host));
    }
    if let Some(port) = peer_port(peer_addr) {
        put_key(out, "port");
        put_integer(out, port);
    }
}

fn put_ours(event: &Event<'_>, out: &mut Vec<u8>) {
    put_opt(out, "listener", Some(&event.listener));
    put_opt(out, "tls_peer", event.tls_peer.as_deref());
    if !event.defects.is_empty() {
        put_key(out, "defects");
        put_list(out, event.defects.words(), put_json_str);
    }
    if !event.fields.is_empty() {
        put_key(out, "fields");
        put_object(out, &event.fields);
    }
}

fn object(out: &mut Vec<u8>, key: &str, put: impl FnOnce(&mut Vec<u8>)) {
    put_key(out, key);
    out.push(b'{');
    put(out);
    out.push(b'}');
}

fn put_opt(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        put_key(out, key);
        put_json_str(out, value);
    }
}

fn put_time(out: &mut Vec<u8>, key: &str, time: EventTime) {
    put_key(out, key);
    out.push(b'"');
    put_event_time(out, time);
    out.push(b'"');
}
