//! The event: a parsed frame, in the words of RFC 5424.

use std::borrow::Cow;

use crate::{
    defects::Defects,
    id::EventId,
    priority::{Facility, Severity},
    time::{EventTime, Timestamp},
    value::Value,
};

/// A parsed log line. It borrows from the frame or the batch that it was read from.
///
/// Absent is `None`, never `"-"` or `""`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    /// Worked out from the raw batch's id, the position and the arrival time.
    pub id: EventId,
    /// The frame's position in its raw batch.
    pub position: u32,
    /// When our intake read the line.
    pub received_at: Timestamp,
    /// The sender's address as our socket saw it, `192.0.2.1:40000`; the path of a unix socket or file.
    pub peer_addr: Cow<'a, str>,
    /// The name in the sender's client certificate.
    pub tls_peer: Option<Cow<'a, str>>,
    /// The name of the listener that took the line.
    pub listener: Cow<'a, str>,
    /// Which part of the system.
    pub facility: Option<Facility>,
    /// How urgent.
    pub severity: Option<Severity>,
    /// The sender's clock.
    pub timestamp: Option<EventTime>,
    /// Who sent it, by its own word.
    pub hostname: Option<Cow<'a, str>>,
    /// The program.
    pub app_name: Option<Cow<'a, str>>,
    /// The process; text, since RFC 5424 allows any.
    pub procid: Option<Cow<'a, str>>,
    /// The kind of message.
    pub msgid: Option<Cow<'a, str>>,
    /// RFC 5424 structured data, in the order in which it came.
    pub structured_data: Vec<SdElement<'a>>,
    /// The free text.
    pub message: Option<Cow<'a, str>>,
    /// The message began with a byte order mark (RFC 5424 section 6.4); it is not part of `message`.
    pub has_bom: bool,
    /// The exact bytes as received, where they were kept.
    pub raw: Option<Cow<'a, [u8]>>,
    /// Labels that rules gave.
    pub tags: Vec<Cow<'a, str>>,
    /// Free, typed, nested values, in the order in which they came; a name stands once.
    pub fields: Vec<(Cow<'a, str>, Value<'a>)>,
    /// What was wrong with the line.
    pub defects: Defects,
}

impl<'a> Event<'a> {
    /// An event of which only the arrival is known.
    #[must_use]
    pub fn received(
        id: EventId,
        position: u32,
        received_at: Timestamp,
        peer_addr: &'a str,
        listener: &'a str,
    ) -> Self {
        Self {
            id,
            position,
            received_at,
            peer_addr: Cow::Borrowed(peer_addr),
            tls_peer: None,
            listener: Cow::Borrowed(listener),
            facility: None,
            severity: None,
            timestamp: None,
            hostname: None,
            app_name: None,
            procid: None,
            msgid: None,
            structured_data: Vec::new(),
            message: None,
            has_bom: false,
            raw: None,
            tags: Vec::new(),
            fields: Vec::new(),
            defects: Defects::empty(),
        }
    }

    /// The same event, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        Event {
            id: self.id,
            position: self.position,
            received_at: self.received_at,
            peer_addr: owned(self.peer_addr),
            tls_peer: self.tls_peer.map(owned),
            listener: owned(self.listener),
            facility: self.facility,
            severity: self.severity,
            timestamp: self.timestamp,
            hostname: self.hostname.map(owned),
            app_name: self.app_name.map(owned),
            procid: self.procid.map(owned),
            msgid: self.msgid.map(owned),
            structured_data: self
                .structured_data
                .into_iter()
                .map(SdElement::into_owned)
                .collect(),
            message: self.message.map(owned),
            has_bom: self.has_bom,
            raw: self.raw.map(|raw| Cow::Owned(raw.into_owned())),
            tags: self.tags.into_iter().map(owned).collect(),
            fields: self
                .fields
                .into_iter()
                .map(|(name, value)| (owned(name), value.into_owned()))
                .collect(),
            defects: self.defects,
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// One `SD-ELEMENT` (RFC 5424 section 6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdElement<'a> {
    /// `SD-ID`, such as `origin` or `exampleSDID@32473`.
    pub id: Cow<'a, str>,
    /// Parameters in the order in which they came; a name may stand more than once.
    pub params: Vec<SdParam<'a>>,
}

impl SdElement<'_> {
    fn into_owned(self) -> SdElement<'static> {
        let params = self.params.into_iter().map(|param| SdParam {
            name: owned(param.name),
            value: owned(param.value),
        });
        SdElement {
            id: owned(self.id),
            params: params.collect(),
        }
    }
}

/// One `SD-PARAM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdParam<'a> {
    /// `PARAM-NAME`.
    pub name: Cow<'a, str>,
    /// `PARAM-VALUE`, with the escapes undone.
    pub value: Cow<'a, str>,
}
