//! Fields of an event to VRL values and back.

mod back;
mod check;

use chrono::DateTime;
use event::{Event, SdElement, Timestamp, Value as FieldValue};
use vrl::{
    prelude::NotNan,
    value::{ObjectMap, Value},
};

pub(crate) use self::{back::write_back, check::check_written};
use crate::{schema::Field, slots::Layout};

/// The value of a slot; `None` where the event has none.
pub(crate) fn read(layout: &Layout, event: &Event<'_>, index: usize) -> Option<Value> {
    let Some(field) = Field::ALL.get(index) else {
        let name = layout.name_of(index)?;
        let (_, value) = event.fields.iter().find(|(known, _)| known == name)?;
        return Some(from_field(value));
    };
    match field {
        Field::Id => Some(Value::from(event.id.to_string())),
        Field::ReceivedAt => from_time(event.received_at),
        Field::PeerAddr => Some(Value::from(&*event.peer_addr)),
        Field::TlsPeer => event.tls_peer.as_deref().map(Value::from),
        Field::Listener => Some(Value::from(&*event.listener)),
        Field::Facility => event
            .facility
            .map(|facility| Value::from_static_str(facility.name())),
        Field::Severity => event
            .severity
            .map(|severity| Value::from_static_str(severity.name())),
        Field::Timestamp => event.timestamp.and_then(|time| from_time(time.at)),
        Field::Hostname => event.hostname.as_deref().map(Value::from),
        Field::AppName => event.app_name.as_deref().map(Value::from),
        Field::Procid => event.procid.as_deref().map(Value::from),
        Field::Msgid => event.msgid.as_deref().map(Value::from),
        Field::StructuredData => Some(Value::Object(from_structured_data(&event.structured_data))),
        Field::Message => event.message.as_deref().map(Value::from),
        Field::Raw => event.raw.as_deref().map(Value::from),
        Field::Tags => Some(Value::Array(
            event.tags.iter().map(|tag| Value::from(&**tag)).collect(),
        )),
        Field::Fields => Some(Value::Object(from_entries(&event.fields))),
        Field::Defects => Some(Value::Array(
            event.defects.words().map(Value::from_static_str).collect(),
        )),
    }
}

fn from_time(time: Timestamp) -> Option<Value> {
    DateTime::from_timestamp_micros(time.as_micros()).map(Value::Timestamp)
}

/// Element id to parameter name to value; a list of values where a name is repeated.
fn from_structured_data(elements: &[SdElement<'_>]) -> ObjectMap {
    let mut object = ObjectMap::new();
    for element in elements {
        let entry = object
            .entry((&*element.id).into())
            .or_insert_with(|| Value::Object(ObjectMap::new()));
        let Value::Object(params) = entry else { continue };
        for param in &element.params {
            let value = Value::from(&*param.value);
            match params.get_mut(&*param.name) {
                None => {
                    params.insert((&*param.name).into(), value);
                }
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.clone(), value]),
            }
        }
    }
    object
}

fn from_entries(entries: &[(std::borrow::Cow<'_, str>, FieldValue<'_>)]) -> ObjectMap {
    entries
        .iter()
        .map(|(name, value)| ((&**name).into(), from_field(value)))
        .collect()
}

fn from_field(value: &FieldValue<'_>) -> Value {
    match value {
        FieldValue::Null => Value::Null,
        FieldValue::Bool(value) => Value::Boolean(*value),
        FieldValue::Integer(value) => Value::Integer(*value),
        FieldValue::Unsigned(value) => from_unsigned(*value),
        FieldValue::Float(value) => Value::from_f64_or_zero(*value),
        FieldValue::String(value) => Value::from(&**value),
        FieldValue::Array(items) => Value::Array(items.iter().map(from_field).collect()),
        FieldValue::Object(entries) => Value::Object(from_entries(entries)),
    }
}

/// VRL has no unsigned numbers: what is above its integers is the nearest float.
fn from_unsigned(value: u64) -> Value {
    i64::try_from(value).map_or_else(|_| Value::Float(nearest_float(value)), Value::Integer)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the nearest float is what is asked for"
)]
fn nearest_float(value: u64) -> NotNan<f64> {
    NotNan::new(value as f64).expect("a whole number is a number")
}
