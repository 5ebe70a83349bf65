//! Entries of the stream, as Redis answers with them.

use bytes::Bytes;
use fred::types::Value;
use uuid::Uuid;

use crate::batch::{Batch, Claimed, Damaged, Place, Receipt};

/// From the answer to `XAUTOCLAIM`: where to go on, the entries, and since Redis 7 the ids of deleted ones.
pub(super) fn from_autoclaim(answer: Value) -> Vec<Claimed> {
    let entries = answer.into_array().into_iter().nth(1);
    entries.map(entries_of).unwrap_or_default()
}

/// From the answer to `XREADGROUP`: a list of streams with their entries, or nothing.
pub(super) fn from_read(answer: Value) -> Vec<Claimed> {
    let streams: Vec<Value> = match answer {
        Value::Null => Vec::new(),
        Value::Map(map) => map.inner().into_values().collect(),
        answer => {
            let streams = answer.into_array().into_iter();
            streams
                .filter_map(|stream| stream.into_array().into_iter().nth(1))
                .collect()
        }
    };
    streams.into_iter().flat_map(entries_of).collect()
}

fn entries_of(entries: Value) -> Vec<Claimed> {
    let entries = entries.into_array().into_iter();
    let claimed = entries.filter_map(|entry| {
        let mut parts = entry.into_array().into_iter();
        let id = parts.next()?.into_string()?;
        // Redis 6 names entries that are gone and has nothing to show for them.
        let fields = parts.next().filter(|fields| !matches!(fields, Value::Null))?;
        Some(claimed(id, fields.into_array()))
    });
    claimed.collect()
}

fn claimed(id: String, fields: Vec<Value>) -> Claimed {
    let mut texts = fields
        .into_iter()
        .map(|value| value.into_bytes().unwrap_or_default());
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        fields.push((name, value));
    }
    let size = number(&fields, "size").unwrap_or_default();
    Claimed {
        receipt: Receipt {
            place: Place::Stream(id),
            size,
        },
        content: batch(&fields),
    }
}

fn batch(fields: &[(Bytes, Bytes)]) -> Result<Batch, Damaged> {
    let id = text(fields, "id").and_then(|id| Uuid::try_parse(id).ok());
    let damaged = |name: &str| Damaged {
        problem: format!("its field `{name}` is missing or no such thing"),
        id,
        body: field(fields, "body").unwrap_or_else(|| whole(fields)),
    };
    let batch = Batch {
        id: id.ok_or_else(|| damaged("id"))?,
        routing_key: text(fields, "routing_key")
            .ok_or_else(|| damaged("routing_key"))?
            .to_owned(),
        content_type: text(fields, "content_type")
            .ok_or_else(|| damaged("content_type"))?
            .to_owned(),
        body: field(fields, "body").ok_or_else(|| damaged("body"))?,
    };
    let checksum = number(fields, "checksum").and_then(|checksum| u32::try_from(checksum).ok());
    batch.verified(checksum.ok_or_else(|| damaged("checksum"))?)
}

fn field(fields: &[(Bytes, Bytes)], name: &str) -> Option<Bytes> {
    let field = fields.iter().find(|(known, _)| known == name.as_bytes());
    field.map(|(_, value)| value.clone())
}

fn text<'a>(fields: &'a [(Bytes, Bytes)], name: &str) -> Option<&'a str> {
    let (_, value) = fields.iter().find(|(known, _)| known == name.as_bytes())?;
    std::str::from_utf8(value).ok()
}

fn number(fields: &[(Bytes, Bytes)], name: &str) -> Option<u64> {
    text(fields, name)?.parse().ok()
}

/// All there is, a line for each field, for an entry that has no body.
fn whole(fields: &[(Bytes, Bytes)]) -> Bytes {
    let lines = fields
        .iter()
        .map(|(name, value)| [name, &b"="[..], value].concat());
    lines.collect::<Vec<_>>().join(&b'\n').into()
}
