//! Whether what a program wrote fits the event; brings it into the form in which the next program finds it.

use event::{Facility, Severity, Value as FieldValue};
use vrl::value::Value;

use crate::{
    schema::Field,
    slots::{Layout, Slots},
    target::Fault,
};

/// Bytes that the programs may write into one event, names included: a frame can be made larger by a rule, but
/// not without end.
const WRITTEN_BYTES_MAX: usize = 1 << 20;

/// Tags of one event.
const TAGS_MAX: usize = 64;

/// Checks all that the program wrote.
pub(crate) fn check_written(layout: &Layout, slots: &mut Slots) -> Result<(), Fault> {
    let mut room = WRITTEN_BYTES_MAX;
    for index in slots.written().iter() {
        let Some(slot) = slots.written_mut(index) else {
            continue;
        };
        match Field::ALL.get(index) {
            Some(field) => check_field(*field, slot, &mut room)?,
            None => {
                let name = layout.name_of(index).unwrap_or_default();
                take_room(&mut room, name.len())?;
                if let Some(value) = slot {
                    check_free(value, FieldValue::DEPTH_MAX, &mut room)?;
                }
            }
        }
    }
    Ok(())
}

fn check_field(field: Field, slot: &mut Option<Value>, room: &mut usize) -> Result<(), Fault> {
    let wrong = |expected| Fault::WrongType {
        field: field.name(),
        expected,
    };
    // Absent is absent: there are no nulls and no empty texts in an event's own fields.
    let Some(value) = slot.take_if(|value| !is_nothing(value)) else {
        *slot = None;
        return Ok(());
    };
    let checked = match field {
        Field::Facility => {
            let facility = parse_code(&value, Facility::new).ok_or_else(|| wrong("a facility"))?;
            Value::from_static_str(facility.name())
        }
        Field::Severity => {
            let severity = parse_code(&value, Severity::new).ok_or_else(|| wrong("a severity"))?;
            Value::from_static_str(severity.name())
        }
        Field::Timestamp if matches!(value, Value::Timestamp(_)) => value,
        Field::Timestamp => return Err(wrong("a timestamp")),
        Field::Hostname | Field::AppName | Field::Procid | Field::Msgid | Field::Message => {
            let text = value.as_bytes().ok_or_else(|| wrong("a string"))?;
            take_room(room, text.len())?;
            value
        }
        Field::Tags => check_tags(value, room)?.ok_or_else(|| wrong("a list of strings"))?,
        Field::StructuredData => {
            check_structured_data(&value, room)?.ok_or_else(|| wrong("an object of objects of strings"))?;
            value
        }
        Field::Fields => {
            if !matches!(value, Value::Object(_)) {
                return Err(wrong("an object"));
            }
            // The object itself is not part of the depth of its values.
            check_free(&value, FieldValue::DEPTH_MAX + 1, room)?;
            value
        }
        Field::Raw => {
            return Err(wrong(
                "null: the bytes as received can be deleted and not be replaced",
            ));
        }
        Field::Id
        | Field::ReceivedAt
        | Field::PeerAddr
        | Field::TlsPeer
        | Field::Listener
        | Field::Defects => {
            return Err(Fault::ReadOnly(field.name()));
        }
    };
    *slot = Some(checked);
    Ok(())
}

fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Null) || value.as_bytes().is_some_and(|text| text.is_empty())
}

/// A keyword or its alias, or the numerical code.
fn parse_code<T: std::str::FromStr>(value: &Value, new: fn(u8) -> Option<T>) -> Option<T> {
    match value {
        Value::Integer(code) => new(u8::try_from(*code).ok()?),
        text => text.to_str_lossy()?.parse().ok(),
    }
}

fn take_room(room: &mut usize, bytes: usize) -> Result<(), Fault> {
    *room = room
        .checked_sub(bytes)
        .ok_or(Fault::TooLarge(WRITTEN_BYTES_MAX))?;
    Ok(())
}

/// The tags, each once; `None` for what is no list of strings.
fn check_tags(value: Value, room: &mut usize) -> Result<Option<Value>, Fault> {
    let Value::Array(items) = value else {
        return Ok(None);
    };
    let mut tags: Vec<Value> = Vec::with_capacity(items.len().min(TAGS_MAX));
    for item in items {
        let Some(text) = item.as_bytes() else {
            return Ok(None);
        };
        take_room(room, text.len())?;
        if !text.is_empty() && !tags.contains(&item) {
            tags.push(item);
        }
        if tags.len() > TAGS_MAX {
            return Err(Fault::TooManyTags(TAGS_MAX));
        }
    }
    Ok(Some(Value::Array(tags)))
}

fn check_structured_data(value: &Value, room: &mut usize) -> Result<Option<()>, Fault> {
    let Value::Object(elements) = value else {
        return Ok(None);
    };
    for (id, element) in elements {
        take_room(room, id.len())?;
        let Value::Object(params) = element else {
            return Ok(None);
        };
        for (name, value) in params {
            take_room(room, name.len())?;
            let values = match value {
                Value::Array(values) => values.as_slice(),
                single => std::slice::from_ref(single),
            };
            for value in values {
                let Some(text) = value.as_bytes() else {
                    return Ok(None);
                };
                take_room(room, text.len())?;
            }
        }
    }
    Ok(Some(()))
}

/// `depth` is how much deeper values may go, counted as the batch encoding counts.
fn check_free(value: &Value, depth: usize, room: &mut usize) -> Result<(), Fault> {
    let deeper = depth.checked_sub(1).ok_or(Fault::TooDeep(Field::Fields.name()))?;
    match value {
        Value::Object(entries) => entries.iter().try_for_each(|(name, value)| {
            take_room(room, name.len())?;
            check_free(value, deeper, room)
        }),
        Value::Array(items) => items.iter().try_for_each(|item| check_free(item, deeper, room)),
        Value::Bytes(text) => take_room(room, text.len()),
        Value::String(text) => take_room(room, text.len()),
        Value::Regex(regex) => take_room(room, regex.as_str().len()),
        Value::Float(number) if !number.is_finite() => Err(Fault::WrongType {
            field: Field::Fields.name(),
            expected: "a finite number",
        }),
        // As many numbers as there is room for bytes: an array of nulls is no way around the bound.
        Value::Float(_) | Value::Integer(_) | Value::Boolean(_) | Value::Timestamp(_) | Value::Null => {
            take_room(room, 1)
        }
    }
}
