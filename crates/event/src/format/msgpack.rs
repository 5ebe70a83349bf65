//! The JSON event as a MessagePack map: the same keys and values, but that `raw` is `bin` and never Base64.
//!
//! Maps stand one after the other; MessagePack needs nothing between them.

use rmp::{Marker, encode};

use super::{grouped::group, time::put_event_time};
use crate::{
    event::{Event, SdElement},
    time::EventTime,
    value::Value,
};

/// Writing to memory cannot fail.
const INFALLIBLE: &str = "a Vec takes any number of bytes";

/// Appends the event as one map.
pub(super) fn put_event(event: &Event<'_>, out: &mut Vec<u8>) {
    let mut map = Map::open(out);
    let mut id = uuid::Uuid::encode_buffer();
    map.str("id", event.id.as_uuid().hyphenated().encode_lower(&mut id));
    map.time("received_at", EventTime::utc(event.received_at));
    map.str("peer_addr", &event.peer_addr);
    map.opt("tls_peer", event.tls_peer.as_deref());
    map.str("listener", &event.listener);
    map.opt("facility", event.facility.map(|code| code.name()));
    map.opt("severity", event.severity.map(|code| code.name()));
    if let Some(timestamp) = event.timestamp {
        map.time("timestamp", timestamp);
    }
    map.opt("hostname", event.hostname.as_deref());
    map.opt("app_name", event.app_name.as_deref());
    map.opt("procid", event.procid.as_deref());
    map.opt("msgid", event.msgid.as_deref());
    if !event.structured_data.is_empty() {
        put_structured_data(map.key("structured_data"), &event.structured_data);
    }
    map.opt("message", event.message.as_deref());
    if !event.tags.is_empty() {
        put_strings(map.key("tags"), event.tags.iter().map(AsRef::as_ref));
    }
    if !event.fields.is_empty() {
        put_object(map.key("fields"), &event.fields);
    }
    if !event.defects.is_empty() {
        put_strings(
            map.key("defects"),
            event.defects.words().collect::<Vec<_>>().into_iter(),
        );
    }
    if let Some(raw) = &event.raw {
        encode::write_bin(map.key("raw"), raw).expect(INFALLIBLE);
    }
    map.close();
}

/// A map whose number of entries is known at its end.
struct Map<'o> {
    out: &'o mut Vec<u8>,
    count_at: usize,
    count: u16,
}

impl<'o> Map<'o> {
    fn open(out: &'o mut Vec<u8>) -> Self {
        out.extend_from_slice(&[Marker::Map16.to_u8(), 0, 0]);
        let count_at = out.len() - 2;
        Self {
            out,
            count_at,
            count: 0,
        }
    }

    /// Writes the key; the caller writes one value behind it.
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.count += 1;
        put_str(self.out, key);
        self.out
    }

    fn str(&mut self, key: &str, value: &str) {
        put_str(self.key(key), value);
    }

    fn opt(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.str(key, value);
        }
    }

    fn time(&mut self, key: &str, value: EventTime) {
        let out = self.key(key);
        out.extend_from_slice(&[Marker::Str8.to_u8(), 0]);
        let start = out.len();
        put_event_time(out, value);
        let len = u8::try_from(out.len() - start).expect("at most 32 characters");
        if let Some(slot) = out.get_mut(start - 1) {
            *slot = len;
        }
    }

    fn close(self) {
        if let Some(slot) = self.out.get_mut(self.count_at..self.count_at + 2) {
            slot.copy_from_slice(&self.count.to_be_bytes());
        }
    }
}

fn put_str(out: &mut Vec<u8>, value: &str) {
    encode::write_str(out, value).expect(INFALLIBLE);
}

/// Lengths over `u32::MAX` cannot come up: sizes of frames and batches are capped far below.
fn len32(len: usize) -> u32 {
    u32::try_from(len).expect("batches are capped far below 4 GiB")
}

fn put_map_len(out: &mut Vec<u8>, len: usize) {
    encode::write_map_len(out, len32(len)).expect(INFALLIBLE);
}

fn put_strings<'v>(out: &mut Vec<u8>, values: impl ExactSizeIterator<Item = &'v str>) {
    encode::write_array_len(out, len32(values.len())).expect(INFALLIBLE);
    values.for_each(|value| put_str(out, value));
}

fn put_structured_data(out: &mut Vec<u8>, elements: &[SdElement<'_>]) {
    let ids = group(elements);
    put_map_len(out, ids.len());
    for (id, params) in ids.iter() {
        put_str(out, id);
        put_map_len(out, params.len());
        for (name, values) in params.iter() {
            put_str(out, name);
            match values.as_slice() {
                [value] => put_str(out, value),
                values => put_strings(out, values.iter().copied()),
            }
        }
    }
}

fn put_object<N: AsRef<str>>(out: &mut Vec<u8>, entries: &[(N, Value<'_>)]) {
    put_map_len(out, entries.len());
    for (name, value) in entries {
        put_str(out, name.as_ref());
        put_value(out, value);
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => encode::write_nil(out).expect(INFALLIBLE),
        Value::Bool(value) => encode::write_bool(out, *value).expect(INFALLIBLE),
        Value::Integer(value) => drop(encode::write_sint(out, *value).expect(INFALLIBLE)),
        Value::Unsigned(value) => drop(encode::write_uint(out, *value).expect(INFALLIBLE)),
        Value::Float(value) => encode::write_f64(out, *value).expect(INFALLIBLE),
        Value::String(value) => put_str(out, value),
        Value::Array(items) => {
            encode::write_array_len(out, len32(items.len())).expect(INFALLIBLE);
            items.iter().for_each(|item| put_value(out, item));
        }
        Value::Object(entries) => put_object(out, entries),
    }
}
