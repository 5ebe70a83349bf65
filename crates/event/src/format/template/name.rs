//! What may stand between the braces of a template.

use super::{
    super::{
        escape::{Controls, put_text},
        json, peer_host, priority, rfc3164, rfc5424,
        time::put_event_time,
    },
    TemplateError,
    time_form::TimeForm,
};
use crate::{event::Event, time::EventTime, value::Value};

/// A value of the event, as a template names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    name: Name,
    form: Option<TimeForm>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Id,
    ReceivedAt,
    Timestamp,
    PeerAddr,
    PeerHost,
    TlsPeer,
    Listener,
    Facility,
    FacilityCode,
    Severity,
    SeverityCode,
    Priority,
    Hostname,
    Program,
    Procid,
    Msgid,
    Syslogtag,
    StructuredData,
    Param { id: String, name: String },
    Message,
    Tags,
    Fields,
    Field(String),
    Defects,
    Raw,
}

impl Name {
    /// For error messages.
    pub(super) const ALLOWED: &str = "app_name, defects, facility, facility_code, fields, fields.NAME, hostname, id, listener, message, \
         msgid, peer_addr, peer_host, priority, procid, raw, received_at, severity, severity_code, structured_data, \
         structured_data.ID.NAME, syslogtag, tags, timestamp, tls_peer";

    fn new(text: &str) -> Option<Self> {
        Some(match text {
            "id" => Self::Id,
            "received_at" => Self::ReceivedAt,
            "timestamp" => Self::Timestamp,
            "peer_addr" => Self::PeerAddr,
            "peer_host" => Self::PeerHost,
            "tls_peer" => Self::TlsPeer,
            "listener" => Self::Listener,
            "facility" => Self::Facility,
            "facility_code" => Self::FacilityCode,
            "severity" => Self::Severity,
            "severity_code" => Self::SeverityCode,
            "priority" => Self::Priority,
            "hostname" => Self::Hostname,
            "app_name" => Self::Program,
            "procid" => Self::Procid,
            "msgid" => Self::Msgid,
            "syslogtag" => Self::Syslogtag,
            "structured_data" => Self::StructuredData,
            "message" => Self::Message,
            "tags" => Self::Tags,
            "fields" => Self::Fields,
            "defects" => Self::Defects,
            "raw" => Self::Raw,
            other => match other.split_once('.')? {
                ("fields", name) if !name.is_empty() => Self::Field(name.to_owned()),
                ("structured_data", rest) => {
                    // An SD-ID may hold dots (`x@32473.1`), so the last one divides.
                    let (id, name) = rest.rsplit_once('.')?;
                    let is_whole = !id.is_empty() && !name.is_empty();
                    is_whole.then(|| Self::Param {
                        id: id.to_owned(),
                        name: name.to_owned(),
                    })?
                }
                _ => return None,
            },
        })
    }
}

impl Placeholder {
    /// From the text between the braces.
    pub(super) fn new(inner: &str) -> Result<Self, TemplateError> {
        let unknown = || TemplateError::UnknownName {
            name: inner.to_owned(),
        };
        // Names of fields may hold a colon; only times have a form.
        if let Some(name) = Name::new(inner) {
            return Ok(Self { name, form: None });
        }
        let (name_text, form) = inner.split_once(':').ok_or_else(unknown)?;
        let name = Name::new(name_text).ok_or_else(unknown)?;
        if !matches!(name, Name::ReceivedAt | Name::Timestamp) {
            return Err(TemplateError::NotATime {
                name: name_text.to_owned(),
            });
        }
        let form = TimeForm::new(form).map_err(|directive| TemplateError::UnknownDirective {
            name: name_text.to_owned(),
            directive,
        })?;
        Ok(Self {
            name,
            form: Some(form),
        })
    }

    /// True for a time with a form: its text is digits, names of months and days, and the template's own.
    #[must_use]
    pub const fn is_formed_time(&self) -> bool {
        self.form.is_some()
    }

    /// True for the time of arrival, which is ours: no sender has a say in it.
    #[must_use]
    pub const fn is_arrival(&self) -> bool {
        matches!(self.name, Name::ReceivedAt)
    }

    /// Appends the value as it is, any characters in it. Returns `false`, and appends nothing, where the event
    /// does not have it.
    pub fn write(&self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        self.put(event, out, Controls::Keep)
    }

    pub(super) fn put(&self, event: &Event<'_>, out: &mut Vec<u8>, controls: Controls) -> bool {
        match &self.name {
            Name::ReceivedAt => self.put_time(EventTime::utc(event.received_at), out),
            Name::Timestamp => self.put_time(rfc3164::time_of(event), out),
            Name::Id => json::put_uuid(out, event.id.as_uuid()),
            Name::Priority => json::put_integer(out, priority(event)),
            Name::PeerAddr => put_text(out, event.peer_addr.as_bytes(), controls),
            Name::PeerHost => put_text(out, peer_host(&event.peer_addr).as_bytes(), controls),
            Name::Listener => put_text(out, event.listener.as_bytes(), controls),
            Name::TlsPeer => return put_opt(out, event.tls_peer.as_deref(), controls),
            Name::Facility => return put_opt(out, event.facility.map(|code| code.name()), controls),
            Name::Severity => return put_opt(out, event.severity.map(|code| code.name()), controls),
            Name::FacilityCode => return put_code(out, event.facility.map(|facility| facility.code())),
            Name::SeverityCode => return put_code(out, event.severity.map(|severity| severity.code())),
            Name::Hostname => return put_opt(out, event.hostname.as_deref(), controls),
            Name::Program => return put_opt(out, event.app_name.as_deref(), controls),
            Name::Procid => return put_opt(out, event.procid.as_deref(), controls),
            Name::Msgid => return put_opt(out, event.msgid.as_deref(), controls),
            Name::Message => return put_opt(out, event.message.as_deref(), controls),
            Name::Syslogtag => return rfc3164::put_tag(event, out),
            Name::StructuredData if event.structured_data.is_empty() => return false,
            Name::StructuredData => rfc5424::put_structured_data(out, &event.structured_data, controls),
            Name::Param { id, name } => return put_opt(out, param(event, id, name), controls),
            Name::Tags => return put_joined(out, event.tags.iter().map(AsRef::as_ref), controls),
            Name::Defects => return put_joined(out, event.defects.words(), controls),
            Name::Fields if event.fields.is_empty() => return false,
            Name::Fields => json::put_object(out, &event.fields),
            Name::Field(path) => match lookup(&event.fields, path) {
                None => return false,
                Some(Value::String(text)) => put_text(out, text.as_bytes(), controls),
                Some(value) => json::put_value(out, value),
            },
            Name::Raw => match &event.raw {
                None => return false,
                Some(raw) => put_text(out, raw, controls),
            },
        }
        true
    }

    fn put_time(&self, time: EventTime, out: &mut Vec<u8>) {
        match &self.form {
            Some(form) => form.write(time.at, out),
            None => put_event_time(out, time),
        }
    }
}

fn put_opt(out: &mut Vec<u8>, value: Option<&str>, controls: Controls) -> bool {
    put_text(out, value.unwrap_or("").as_bytes(), controls);
    value.is_some()
}

fn put_code(out: &mut Vec<u8>, code: Option<u8>) -> bool {
    if let Some(code) = code {
        json::put_integer(out, code);
    }
    code.is_some()
}

fn put_joined<'v>(out: &mut Vec<u8>, values: impl Iterator<Item = &'v str>, controls: Controls) -> bool {
    let mut is_any = false;
    for value in values {
        if is_any {
            out.push(b',');
        }
        is_any = true;
        put_text(out, value.as_bytes(), controls);
    }
    is_any
}

fn param<'e>(event: &'e Event<'_>, id: &str, name: &str) -> Option<&'e str> {
    let elements = event.structured_data.iter().filter(|element| element.id == id);
    let mut params = elements.flat_map(|element| &element.params);
    params
        .find(|param| param.name == name)
        .map(|param| param.value.as_ref())
}

/// `a.b.c`: the name itself may hold dots, so the longest known beginning is not guessed: the whole name first,
/// then what stands before each dot from the left.
fn lookup<'e, N: AsRef<str>>(entries: &'e [(N, Value<'e>)], path: &str) -> Option<&'e Value<'e>> {
    let get = |wanted: &str| entries.iter().find(|(name, _)| name.as_ref() == wanted);
    if let Some((_, value)) = get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (name, rest) = path.split_at_checked(dot)?;
        match get(name)? {
            (_, Value::Object(inner)) => lookup(inner, rest.strip_prefix('.')?),
            _ => None,
        }
    })
}
