//! The JSON event, `proto/event.schema.json`: what `search --json` prints and files hold.
//!
//! Control characters are escaped as JSON demands, so an event is one line. Keys of what is absent are left out.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::{
    escape::put_json_str,
    grouped::group,
    time::{put_event_time, put_timestamp},
};
use crate::{
    event::{Event, SdElement},
    value::Value,
};

/// Appends the event as one JSON object, without a line end.
pub fn write_event(event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    put_uuid(out, event.id.as_uuid());
    out.extend_from_slice(b"\",\"received_at\":\"");
    put_timestamp(out, event.received_at);
    out.extend_from_slice(b"\",\"peer_addr\":");
    put_json_str(out, &event.peer_addr);
    put_opt(out, b",\"tls_peer\":", event.tls_peer.as_deref());
    out.extend_from_slice(b",\"listener\":");
    put_json_str(out, &event.listener);
    put_opt(out, b",\"facility\":", event.facility.map(|code| code.name()));
    put_opt(out, b",\"severity\":", event.severity.map(|code| code.name()));
    if let Some(timestamp) = event.timestamp {
        out.extend_from_slice(b",\"timestamp\":\"");
        put_event_time(out, timestamp);
        out.push(b'"');
    }
    put_opt(out, b",\"hostname\":", event.hostname.as_deref());
    put_opt(out, b",\"app_name\":", event.app_name.as_deref());
    put_opt(out, b",\"procid\":", event.procid.as_deref());
    put_opt(out, b",\"msgid\":", event.msgid.as_deref());
    if !event.structured_data.is_empty() {
        out.extend_from_slice(b",\"structured_data\":");
        put_structured_data(out, &event.structured_data);
    }
    put_opt(out, b",\"message\":", event.message.as_deref());
    if !event.tags.is_empty() {
        out.extend_from_slice(b",\"tags\":");
        put_list(out, event.tags.iter(), |out, tag| put_json_str(out, tag));
    }
    if !event.fields.is_empty() {
        out.extend_from_slice(b",\"fields\":");
        put_object(out, &event.fields);
    }
    if !event.defects.is_empty() {
        out.extend_from_slice(b",\"defects\":");
        put_list(out, event.defects.words(), put_json_str);
    }
    if let Some(raw) = &event.raw {
        match simdutf8::basic::from_utf8(raw) {
            Ok(text) => put_opt(out, b",\"raw\":", Some(text)),
            Err(_) => {
                out.extend_from_slice(b",\"raw_base64\":\"");
                put_base64(out, raw);
                out.push(b'"');
            }
        }
    }
    out.push(b'}');
}

/// `prefix` holds the comma, the key and the colon.
fn put_opt(out: &mut Vec<u8>, prefix: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(prefix);
        put_json_str(out, value);
    }
}

pub(super) fn put_uuid(out: &mut Vec<u8>, uuid: uuid::Uuid) {
    let mut text = uuid::Uuid::encode_buffer();
    out.extend_from_slice(uuid.hyphenated().encode_lower(&mut text).as_bytes());
}

/// A comma, unless this is the first in its object or list; then the key and the colon.
pub(super) fn put_key(out: &mut Vec<u8>, key: &str) {
    put_comma(out);
    put_json_str(out, key);
    out.push(b':');
}

fn put_comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[')) {
        out.push(b',');
    }
}

pub(super) fn put_list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, put: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for item in items {
        put_comma(out);
        put(out, item);
    }
    out.push(b']');
}

/// SD-ID → parameter → its value, or the list of its values.
pub(super) fn put_structured_data(out: &mut Vec<u8>, elements: &[SdElement<'_>]) {
    out.push(b'{');
    for (id, params) in group(elements).iter() {
        put_key(out, id);
        out.push(b'{');
        for (name, values) in params.iter() {
            put_key(out, name);
            match values.as_slice() {
                [value] => put_json_str(out, value),
                values => put_list(out, values.iter(), |out, value| put_json_str(out, value)),
            }
        }
        out.push(b'}');
    }
    out.push(b'}');
}

pub(super) fn put_object<N: AsRef<str>>(out: &mut Vec<u8>, entries: &[(N, Value<'_>)]) {
    out.push(b'{');
    for (name, value) in entries {
        put_key(out, name.as_ref());
        put_value(out, value);
    }
    out.push(b'}');
}

pub(super) fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Integer(value) => put_integer(out, *value),
        Value::Unsigned(value) => put_integer(out, *value),
        Value::Float(value) => serde_json::to_writer(out, value).expect("a Vec takes any number of bytes"),
        Value::String(value) => put_json_str(out, value),
        Value::Array(items) => put_list(out, items.iter(), put_value),
        Value::Object(entries) => put_object(out, entries),
    }
}

pub(super) fn put_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let room = out.get_mut(start..).expect("just made");
    BASE64
        .encode_slice(bytes, room)
        .expect("padded Base64 has exactly this length");
}

#[cfg(test)]
mod tests;
