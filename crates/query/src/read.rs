//! What an event has in a field, as queries compare it.

use std::{borrow::Cow, net::SocketAddr};

use event::{Event, Value};

use crate::field::{Field, WordField};

/// Fields of one event that are told at most.
const FIELDS_MAX: usize = 1000;

/// The built-in fields whose values are worth counting; the others differ from event to event.
const COUNTED: [Field; 10] = [
    Field::Severity,
    Field::Facility,
    Field::Word(WordField::Hostname),
    Field::Word(WordField::AppName),
    Field::Word(WordField::Procid),
    Field::Word(WordField::Msgid),
    Field::Word(WordField::Listener),
    Field::Word(WordField::TlsPeer),
    Field::PeerAddr,
    Field::Tags,
];

impl Field {
    /// The fields that `event` has: built-in ones whose values are worth counting, parameters of structured data, and
    /// custom fields that are no objects. Each stands once.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Vec<Self> {
        let mut fields: Vec<Self> = COUNTED
            .into_iter()
            .filter(|field| !field.values(event).is_empty())
            .collect();
        for element in &event.structured_data {
            for param in &element.params {
                let field = Self::StructuredData {
                    id: element.id.to_string(),
                    param: Some(param.name.to_string()),
                };
                if !fields.contains(&field) && fields.len() < FIELDS_MAX {
                    fields.push(field);
                }
            }
        }
        let mut path = Vec::new();
        leaves(&event.fields, &mut path, &mut |path| {
            if fields.len() < FIELDS_MAX {
                fields.push(Self::Custom(path.to_vec()));
            }
        });
        fields
    }

    /// The texts that `event` has in this field, as a query would name them; more than one of tags and lists, none
    /// where the field is absent or holds no text. An address comes without its port.
    #[must_use]
    pub fn values<'e>(&self, event: &'e Event<'_>) -> Vec<Cow<'e, str>> {
        match self {
            Self::Message => one(event.message.as_deref().map(Cow::Borrowed)),
            Self::Severity => one(event.severity.map(|severity| severity.name().into())),
            Self::Facility => one(event.facility.map(|facility| facility.name().to_owned().into())),
            Self::Word(field) => one(word(event, *field)),
            Self::PeerAddr => {
                let addr = &*event.peer_addr;
                let host = addr.parse::<SocketAddr>();
                vec![host.map_or_else(|_| addr.into(), |addr| addr.ip().to_string().into())]
            }
            Self::Tags => event.tags.iter().map(|tag| Cow::Borrowed(&**tag)).collect(),
            Self::StructuredData { id, param } => event
                .structured_data
                .iter()
                .filter(|element| element.id == *id)
                .flat_map(|element| &element.params)
                .filter(|found| param.as_ref().is_some_and(|param| found.name == *param))
                .map(|found| Cow::Borrowed(&*found.value))
                .collect(),
            Self::Custom(path) => custom(event, path)
                .into_iter()
                .flat_map(items)
                .filter_map(scalar_text)
                .collect(),
            Self::Time(_) | Self::Lag => Vec::new(),
        }
    }
}

fn one(text: Option<Cow<'_, str>>) -> Vec<Cow<'_, str>> {
    text.into_iter().collect()
}

/// Calls `each` with the path of every value that is no object.
fn leaves(entries: &[(Cow<'_, str>, Value<'_>)], path: &mut Vec<String>, each: &mut impl FnMut(&[String])) {
    for (name, value) in entries {
        path.push(name.to_string());
        match value {
            Value::Object(entries) => leaves(entries, path, each),
            Value::Null => {}
            Value::Bool(_)
            | Value::Integer(_)
            | Value::Unsigned(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Array(_) => each(path),
        }
        path.pop();
    }
}

pub(crate) fn word<'e>(event: &'e Event<'_>, field: WordField) -> Option<Cow<'e, str>> {
    let text = match field {
        WordField::Hostname => event.hostname.as_deref(),
        WordField::AppName => event.app_name.as_deref(),
        WordField::Procid => event.procid.as_deref(),
        WordField::Msgid => event.msgid.as_deref(),
        WordField::Id => return Some(Cow::Owned(event.id.to_string())),
        WordField::Listener => Some(&*event.listener),
        WordField::TlsPeer => event.tls_peer.as_deref(),
    };
    text.map(Cow::Borrowed)
}

/// The value at the path of names.
pub(crate) fn custom<'e>(event: &'e Event<'_>, path: &[String]) -> Option<&'e Value<'e>> {
    let (first, rest) = path.split_first()?;
    let mut value = find(&event.fields, first)?;
    for name in rest {
        let Value::Object(entries) = value else {
            return None;
        };
        value = find(entries, name)?;
    }
    Some(value)
}

fn find<'e>(entries: &'e [(Cow<'e, str>, Value<'e>)], name: &str) -> Option<&'e Value<'e>> {
    entries
        .iter()
        .find(|(entry, _)| entry == name)
        .map(|(_, value)| value)
}

/// The items of a list; another value is the only one.
pub(crate) fn items<'e>(value: &'e Value<'e>) -> impl Iterator<Item = &'e Value<'e>> {
    let (list, one) = match value {
        Value::Array(items) => (items.as_slice(), None),
        other => (&[][..], Some(other)),
    };
    list.iter().chain(one)
}

/// What a value is compared as. `null`, lists in lists and objects are no text.
pub(crate) fn scalar_text<'e>(value: &'e Value<'_>) -> Option<Cow<'e, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Value::Integer(value) => Some(Cow::Owned(value.to_string())),
        Value::Unsigned(value) => Some(Cow::Owned(value.to_string())),
        // `-0` is not another number.
        Value::Float(value) => Some(Cow::Owned((value + 0.0).to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use event::{BatchId, EventId, SdElement, SdParam, Severity, Timestamp};

    use super::*;

    #[test]
    fn an_events_fields_and_values() {
        let id = EventId::derive(BatchId::mint(), 0, Timestamp::now());
        let mut event = Event::received(id, 0, Timestamp::now(), "[::1]:514", "tcp");
        event.severity = Severity::new(3);
        event.tags = vec!["a".into(), "b".into()];
        event.structured_data = vec![SdElement {
            id: "x@1".into(),
            params: vec![SdParam {
                name: "ip".into(),
                value: "1".into(),
            }],
        }];
        event.fields = vec![
            ("none".into(), Value::Null),
            (
                "http".into(),
                Value::Object(vec![(
                    "codes".into(),
                    Value::Array(vec![Value::Integer(7), Value::Null]),
                )]),
            ),
        ];
        let fields: Vec<_> = Field::of(&event)
            .into_iter()
            .map(|field| (field.name(), field.values(&event).join(",")))
            .collect();
        let expected = [
            ("severity", "err"),
            ("listener", "tcp"),
            ("peer_addr", "::1"),
            ("tags", "a,b"),
            ("sd.\"x@1\".ip", "1"),
            ("fields.http.codes", "7"),
        ];
        assert_eq!(
            fields,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
