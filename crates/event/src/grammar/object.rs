//! JSON objects: which of their members are the event's own fields, by our names and by the common aliases.

use std::{borrow::Cow, mem};

use smallvec::{SmallVec, smallvec};

use super::{
    cursor::Cursor,
    header,
    json::{self, Members},
    scan::SD_NAME,
    stamp, without_terminators,
    zone::Zone,
};
use crate::{
    defects::Defects,
    event::{Event, SdElement, SdParam},
    priority::{Facility, Severity},
    time::{EventTime, Timestamp},
    value::Value,
};

/// What says that a JSON object comes: Common Event Expression, as rsyslog, syslog-ng and their libraries write it.
pub(super) const COOKIE: &str = "@cee:";

/// The text behind a header: the message, or what a JSON object behind the cookie says. Where that is no object, the
/// text is the message, cookie and all.
pub(super) fn read_message<'a>(cursor: Cursor<'a>, event: &mut Event<'a>, zone: &Zone) {
    let mut ahead = cursor;
    ahead.skip_spaces();
    if ahead.eat(COOKIE) {
        read(ahead, cursor, event, zone);
    } else {
        event.message = cursor.rest_as_text();
    }
}

/// Reads an object into `event`; where it is none, `text` is the message.
pub(super) fn read<'a>(object: Cursor<'a>, text: Cursor<'a>, event: &mut Event<'a>, zone: &Zone) {
    match json::object(object.rest()) {
        Ok(object) => {
            event.defects |= object.defects;
            take_members(object.members, event, zone);
        }
        Err(defect) => {
            event.defects |= defect;
            event.message = text.rest_as_text();
        }
    }
}

/// A field of the event that a member may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Priority,
    Facility,
    Severity,
    Timestamp,
    Hostname,
    AppName,
    Procid,
    Msgid,
    StructuredData,
    Message,
    Tags,
    Fields,
}

/// Longest name in [`slot`].
const NAME_BYTES_MAX: usize = 20;

/// The slot of a member's name in any case, and whether the name is our own.
fn slot(name: &str) -> Option<(Slot, bool)> {
    let mut lower = [0; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    let own = match &*lower {
        b"facility" => Slot::Facility,
        b"severity" => Slot::Severity,
        b"timestamp" => Slot::Timestamp,
        b"hostname" => Slot::Hostname,
        b"app_name" => Slot::AppName,
        b"procid" => Slot::Procid,
        b"msgid" => Slot::Msgid,
        b"structured_data" => Slot::StructuredData,
        b"message" => Slot::Message,
        b"tags" => Slot::Tags,
        b"fields" => Slot::Fields,
        _ => return alias(lower).map(|slot| (slot, false)),
    };
    Some((own, true))
}

/// Names that logging libraries and other collectors use: Elastic Common Schema, GELF, journald, rsyslog, bunyan
/// and pino, zap, Docker, Fluentd.
fn alias(name: &[u8]) -> Option<Slot> {
    Some(match name {
        b"pri" => Slot::Priority,
        b"syslog_facility" | b"syslogfacility" => Slot::Facility,
        b"level" | b"log.level" | b"loglevel" | b"log_level" | b"lvl" | b"priority" | b"syslogseverity" => {
            Slot::Severity
        }
        b"@timestamp" | b"time" | b"ts" | b"datetime" | b"timereported" | b"__realtime_timestamp" => {
            Slot::Timestamp
        }
        b"host" | b"host.name" | b"_hostname" => Slot::Hostname,
        b"app" | b"appname" | b"app-name" | b"application" | b"program" | b"programname" | b"ident"
        | b"service" | b"service.name" | b"process.name" | b"syslog_identifier" => Slot::AppName,
        b"pid" | b"_pid" | b"process_id" | b"process.pid" | b"syslog_pid" => Slot::Procid,
        b"msg_id" | b"message_id" => Slot::Msgid,
        b"msg" | b"short_message" | b"log" => Slot::Message,
        _ => return None,
    })
}

/// Our own names first, then aliases, each in the order in which they came; what finds its slot taken or has a
/// value that the slot does not take goes to `fields`, like all the others.
fn take_members<'a>(mut members: Members<'a>, event: &mut Event<'a>, zone: &Zone) {
    let mut is_taken: SmallVec<[_; 32]> = smallvec![false; members.len()];
    let slots: SmallVec<[_; 32]> = members.iter().map(|(name, _)| slot(name)).collect();
    for own in [true, false] {
        for (((_, value), slot), is_taken) in members.iter_mut().zip(&slots).zip(&mut is_taken) {
            if let Some((slot, is_own)) = *slot
                && is_own == own
            {
                *is_taken = fill(slot, value, event, zone);
            }
        }
    }
    let mut is_taken = is_taken.into_iter();
    members.retain(|_| is_taken.next() == Some(false));
    if event.fields.is_empty() {
        event.fields = members;
    } else {
        event.fields.append(&mut members);
        json::keep_last(&mut event.fields);
    }
}

/// Moves `value` to the slot. False, with both as they were, where that cannot be.
fn fill<'a>(slot: Slot, value: &mut Value<'a>, event: &mut Event<'a>, zone: &Zone) -> bool {
    if is_absent(slot, value) {
        return true;
    }
    let near = event.received_at;
    let defects = &mut event.defects;
    match slot {
        Slot::Priority => match priority(value) {
            Some((facility, severity)) if event.facility.is_none() && event.severity.is_none() => {
                (event.facility, event.severity) = (facility, severity);
                true
            }
            _ => false,
        },
        Slot::Facility => set(&mut event.facility, || facility(value)),
        Slot::Severity => set(&mut event.severity, || severity(value)),
        Slot::Timestamp => set(&mut event.timestamp, || timestamp(value, zone, near)),
        Slot::Hostname => set(&mut event.hostname, || text(value, defects)),
        Slot::AppName => set(&mut event.app_name, || text(value, defects)),
        Slot::Procid => set(&mut event.procid, || match value {
            Value::Integer(number) => Some(Cow::Owned(itoa::Buffer::new().format(*number).to_owned())),
            _ => text(value, defects),
        }),
        Slot::Msgid => set(&mut event.msgid, || text(value, defects)),
        Slot::StructuredData => {
            let elements = structured_data(value).filter(|_| event.structured_data.is_empty());
            elements
                .map(|elements| event.structured_data = elements)
                .is_some()
        }
        Slot::Message => set(&mut event.message, || message(value)),
        Slot::Tags => strings(value)
            .map(|mut tags| event.tags.append(&mut tags))
            .is_some(),
        Slot::Fields => match value {
            Value::Object(members) => {
                event.fields.append(members);
                true
            }
            _ => false,
        },
    }
}

/// What senders write for a value that they do not have.
fn is_absent(slot: Slot, value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || (text == "-" && slot != Slot::Message),
        _ => false,
    }
}

fn set<T>(slot: &mut Option<T>, value: impl FnOnce() -> Option<T>) -> bool {
    if slot.is_some() {
        return false;
    }
    *slot = value();
    slot.is_some()
}

fn text<'a>(value: &mut Value<'a>, defects: &mut Defects) -> Option<Cow<'a, str>> {
    match value {
        Value::String(text) => Some(header::field(mem::take(text), defects)),
        _ => None,
    }
}

fn priority(value: &Value<'_>) -> Option<(Option<Facility>, Option<Severity>)> {
    match value {
        Value::Integer(code) => {
            let code = u8::try_from(*code).ok().filter(|code| *code < 192)?;
            Some((Facility::new(code / 8), Severity::new(code % 8)))
        }
        _ => None,
    }
}

fn facility(value: &Value<'_>) -> Option<Facility> {
    match value {
        Value::String(name) => name.parse().ok(),
        Value::Integer(code) => Facility::new(u8::try_from(*code).ok()?),
        _ => None,
    }
}

/// A keyword, a code of syslog, or a level of bunyan and pino.
fn severity(value: &Value<'_>) -> Option<Severity> {
    let code = match value {
        Value::String(name) => return name.parse().ok(),
        Value::Integer(code @ 0..8) => u8::try_from(*code).ok()?,
        Value::Integer(10 | 20) => 7,
        Value::Integer(30) => 6,
        Value::Integer(40) => 4,
        Value::Integer(50) => 3,
        Value::Integer(60) => 2,
        _ => return None,
    };
    Severity::new(code)
}

/// A text that is a timestamp and nothing else, or a number since 1970 in seconds, milliseconds, microseconds or
/// nanoseconds, told apart by its size. Numbers that would be before 1973 are something else, such as a duration.
fn timestamp(value: &Value<'_>, zone: &Zone, near: Timestamp) -> Option<EventTime> {
    const EARLIEST: i64 = 100_000_000;
    let since_1970 = |number: i64| {
        let (micros, fraction_digits) = match number {
            EARLIEST..100_000_000_000 => (number * 1_000_000, 0),
            100_000_000_000..100_000_000_000_000 => (number * 1000, 3),
            100_000_000_000_000..100_000_000_000_000_000 => (number, 6),
            100_000_000_000_000_000.. => (number / 1000, 6),
            _ => return None,
        };
        Some((Timestamp::from_micros(micros), fraction_digits))
    };
    let (at, fraction_digits) = match value {
        Value::String(text) => {
            if let Ok(number) = text.parse() {
                since_1970(number)?
            } else {
                let mut cursor = Cursor::new(text);
                let stamp = stamp::read(&mut cursor, zone, near)?;
                return stamp.time.filter(|_| cursor.is_at_end());
            }
        }
        Value::Integer(number) => since_1970(*number)?,
        Value::Float(number) => {
            let micros = match *number {
                seconds @ 1e8..1e11 => seconds * 1e6,
                millis @ 1e11..1e14 => millis * 1e3,
                _ => return None,
            };
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most 1e17, far inside the type"
            )]
            let micros = micros.round() as i64;
            (Timestamp::from_micros(micros), 6)
        }
        _ => return None,
    };
    Some(EventTime {
        at,
        offset_minutes: None,
        fraction_digits,
    })
}

/// Text without the line's end, which Docker keeps.
fn message<'a>(value: &mut Value<'a>) -> Option<Cow<'a, str>> {
    let Value::String(text) = value else {
        return None;
    };
    Some(match mem::take(text) {
        Cow::Borrowed(text) => Cow::Borrowed(without_terminators(text)),
        Cow::Owned(mut text) => {
            text.truncate(without_terminators(&text).len());
            Cow::Owned(text)
        }
    })
}

/// The strings of a list; `None`, with `value` as it was, where something in it is none.
fn strings<'a>(value: &mut Value<'a>) -> Option<Vec<Cow<'a, str>>> {
    let Value::Array(items) = value else {
        return None;
    };
    if !items.iter().all(|item| matches!(item, Value::String(_))) {
        return None;
    }
    let texts = items.iter_mut().filter_map(|item| match item {
        Value::String(text) => Some(mem::take(text)),
        _ => None,
    });
    Some(texts.collect())
}

/// An object of objects of strings or lists of strings, with names that RFC 5424 allows; `None`, with `value` as it
/// was, for anything else.
fn structured_data<'a>(value: &mut Value<'a>) -> Option<Vec<SdElement<'a>>> {
    let Value::Object(elements) = value else {
        return None;
    };
    let is_name = |text: &str| !text.is_empty() && SD_NAME.contains_all_of(text);
    let is_text = |value: &Value<'_>| matches!(value, Value::String(_));
    let is_param = |(name, value): &(Cow<'_, str>, Value<'_>)| match value {
        Value::Array(items) => is_name(name) && items.iter().all(is_text),
        value => is_name(name) && is_text(value),
    };
    let is_element = |(id, value): &(Cow<'_, str>, Value<'_>)| match value {
        Value::Object(params) => is_name(id) && params.iter().all(is_param),
        _ => false,
    };
    if !elements.iter().all(is_element) {
        return None;
    }
    let elements = mem::take(elements).into_iter().map(|(id, value)| {
        let mut params = Vec::new();
        let Value::Object(members) = value else {
            return SdElement { id, params };
        };
        for (name, mut value) in members {
            match &mut value {
                Value::String(text) => params.push(SdParam {
                    name,
                    value: mem::take(text),
                }),
                list => {
                    let texts = strings(list).unwrap_or_default().into_iter();
                    params.extend(texts.map(|value| SdParam {
                        name: name.clone(),
                        value,
                    }));
                }
            }
        }
        SdElement { id, params }
    });
    Some(elements.collect())
}
