//! What programs wrote, back into the event. The texts are borrowed from the values.

use std::borrow::Cow;

use chrono::SecondsFormat;
use event::{Event, EventTime, SdElement, SdParam, Timestamp, Value as FieldValue};
use vrl::value::{ObjectMap, Value};

use super::from_unsigned;
use crate::{
    schema::Field,
    slots::{Layout, Slots},
};

/// Writes the committed slots into `event`; [`check_written`](super::check_written) has passed them.
pub(crate) fn write_back<'s>(layout: &'s Layout, slots: &'s Slots, event: &mut Event<'s>) {
    for index in slots.committed().iter() {
        let value = slots.converted(index);
        match (Field::ALL.get(index), layout.name_of(index)) {
            (Some(field), _) => write_field(*field, value, event),
            (None, Some(name)) => write_named(name, value, &mut event.fields),
            (None, None) => {}
        }
    }
}

fn write_field<'s>(field: Field, value: Option<&'s Value>, event: &mut Event<'s>) {
    match field {
        Field::Facility => {
            event.facility = value
                .and_then(Value::to_str_lossy)
                .and_then(|name| name.parse().ok())
        }
        Field::Severity => {
            event.severity = value
                .and_then(Value::to_str_lossy)
                .and_then(|name| name.parse().ok())
        }
        Field::Timestamp => event.timestamp = to_time(value, event.timestamp),
        Field::Hostname => event.hostname = value.and_then(Value::to_str_lossy),
        Field::AppName => event.app_name = value.and_then(Value::to_str_lossy),
        Field::Procid => event.procid = value.and_then(Value::to_str_lossy),
        Field::Msgid => event.msgid = value.and_then(Value::to_str_lossy),
        Field::Message => {
            event.message = value.and_then(Value::to_str_lossy);
            event.has_bom &= event.message.is_some();
        }
        Field::Raw => event.raw = None,
        Field::Tags => {
            event.tags.clear();
            event
                .tags
                .extend(items(value).iter().filter_map(Value::to_str_lossy));
        }
        Field::StructuredData => write_structured_data(entries(value), &mut event.structured_data),
        Field::Fields => write_entries(entries(value), &mut event.fields),
        // Refused before they are written.
        Field::Id
        | Field::ReceivedAt
        | Field::PeerAddr
        | Field::TlsPeer
        | Field::Listener
        | Field::Defects => {}
    }
}

fn items(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(items)) => items,
        _ => &[],
    }
}

fn entries(value: Option<&Value>) -> Option<&ObjectMap> {
    value.and_then(Value::as_object)
}

/// The sender's way of writing the time is kept when the time is.
fn to_time(value: Option<&Value>, old: Option<EventTime>) -> Option<EventTime> {
    let at = Timestamp::from_micros(value?.as_timestamp()?.timestamp_micros());
    Some(old.filter(|old| old.at == at).unwrap_or(EventTime::utc(at)))
}

/// Elements and parameters that were there keep their order, new ones come behind.
fn write_structured_data<'s>(new: Option<&'s ObjectMap>, elements: &mut Vec<SdElement<'s>>) {
    let Some(new) = new else { return elements.clear() };
    let mut seen = 0;
    let mut order: Vec<&str> = Vec::with_capacity(new.len());
    let old = std::mem::take(elements);
    for id in old.iter().map(|element| &*element.id) {
        if let Some((id, _)) = new.get_key_value(id)
            && !order.contains(&id.as_str())
        {
            order.push(id);
        }
    }
    seen += order.len();
    for id in new.keys() {
        if !order.iter().take(seen).any(|known| *known == id.as_str()) {
            order.push(id);
        }
    }
    for id in order {
        let known = old.iter().find(|element| element.id == id);
        let params = new.get(id).and_then(Value::as_object);
        let params = params.map_or_else(Vec::new, |params| to_params(params, known));
        let id = Cow::Borrowed(id);
        elements.push(SdElement { id, params });
    }
}

fn to_params<'s>(new: &'s ObjectMap, old: Option<&SdElement<'_>>) -> Vec<SdParam<'s>> {
    let mut params: Vec<SdParam<'s>> = Vec::with_capacity(new.len());
    let mut push = |name: &'s str, value: &'s Value| {
        if params.iter().any(|known| known.name == name) {
            return;
        }
        let values = match value {
            Value::Array(values) => values.as_slice(),
            single => std::slice::from_ref(single),
        };
        let of_name = |value: Cow<'s, str>| SdParam {
            name: Cow::Borrowed(name),
            value,
        };
        params.extend(values.iter().filter_map(Value::to_str_lossy).map(of_name));
    };
    for param in old.into_iter().flat_map(|element| &element.params) {
        if let Some((name, value)) = new.get_key_value(&*param.name) {
            push(name, value);
        }
    }
    for (name, value) in new {
        push(name, value);
    }
    params
}

type Entries<'s> = Vec<(Cow<'s, str>, FieldValue<'s>)>;

fn write_named<'s>(name: &'s str, value: Option<&'s Value>, fields: &mut Entries<'s>) {
    let at = fields.iter().position(|(known, _)| known == name);
    match (value, at) {
        (Some(value), Some(at)) => {
            if let Some((_, old)) = fields.get_mut(at).filter(|(_, old)| !is_same(old, value)) {
                *old = to_field(value);
            }
        }
        (Some(value), None) => fields.push((Cow::Borrowed(name), to_field(value))),
        (None, Some(at)) => {
            fields.remove(at);
        }
        (None, None) => {}
    }
}

/// Entries that are still the same stay as they are, in their order and with their exact numbers.
fn write_entries<'s>(new: Option<&'s ObjectMap>, fields: &mut Entries<'s>) {
    let Some(new) = new else { return fields.clear() };
    fields.retain_mut(|(name, old)| match new.get(&**name) {
        None => false,
        Some(value) => {
            if !is_same(old, value) {
                *old = to_field(value);
            }
            true
        }
    });
    if fields.len() == new.len() {
        return;
    }
    let known: std::collections::BTreeSet<String> = fields.iter().map(|(name, _)| name.to_string()).collect();
    for (name, value) in new {
        if !known.contains(name.as_str()) {
            fields.push((Cow::Borrowed(name), to_field(value)));
        }
    }
}

fn is_same(old: &FieldValue<'_>, new: &Value) -> bool {
    match (old, new) {
        (FieldValue::Null, Value::Null) => true,
        (FieldValue::Bool(old), Value::Boolean(new)) => old == new,
        (FieldValue::Integer(old), Value::Integer(new)) => old == new,
        (FieldValue::Unsigned(old), new) => from_unsigned(*old) == *new,
        (FieldValue::Float(old), Value::Float(new)) => old.to_bits() == new.to_bits(),
        (FieldValue::String(old), new) => new.as_bytes().is_some_and(|new| **new == *old.as_bytes()),
        (FieldValue::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_same(old, new))
        }
        (FieldValue::Object(old), Value::Object(new)) => {
            let is_same =
                |(name, old): &(Cow<'_, str>, _)| new.get(&**name).is_some_and(|new| is_same(old, new));
            old.len() == new.len() && old.iter().all(is_same)
        }
        _ => false,
    }
}

fn to_field(value: &Value) -> FieldValue<'_> {
    match value {
        Value::Null => FieldValue::Null,
        Value::Boolean(value) => FieldValue::Bool(*value),
        Value::Integer(value) => FieldValue::Integer(*value),
        Value::Float(value) => FieldValue::Float(value.into_inner()),
        Value::String(text) => FieldValue::String(Cow::Borrowed(text)),
        Value::Bytes(text) => FieldValue::String(String::from_utf8_lossy(text)),
        Value::Regex(regex) => FieldValue::String(Cow::Borrowed(regex.as_str())),
        Value::Timestamp(time) => {
            FieldValue::String(time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
        }
        Value::Array(items) => FieldValue::Array(items.iter().map(to_field).collect()),
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(name, value)| (Cow::Borrowed(name.as_str()), to_field(value)));
            FieldValue::Object(entries.collect())
        }
    }
}
