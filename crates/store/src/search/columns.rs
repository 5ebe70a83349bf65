//! A row of `events` as an event. Both stores name the columns in the same order, and read each in their own way.

use std::borrow::Cow;

use event::{Defects, Event, EventId, EventTime, Facility, Severity, Timestamp};

use super::{StoredEvent, position_of};
use crate::json::{read_fields, read_structured_data};

/// A row whose columns from the third on are: `timestamp`, `timestamp_form`, `facility`, `severity`, `hostname`,
/// `app_name`, `procid`, `msgid`, `structured_data`, `message`, `has_bom`, `tags`, `fields`, `peer_addr`, `tls_peer`,
/// `listener`, `route`, `raw`, `defects`. JSON is text.
pub(crate) trait Columns {
    type Error;

    fn text(&self, column: usize) -> Result<Option<String>, Self::Error>;
    fn code(&self, column: usize) -> Result<Option<u8>, Self::Error>;
    fn flag(&self, column: usize) -> Result<bool, Self::Error>;
    fn strings(&self, column: usize) -> Result<Vec<Cow<'static, str>>, Self::Error>;
    fn bytes(&self, column: usize) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// What the first columns say, which differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) id: EventId,
    pub(crate) received_at: Timestamp,
    pub(crate) timestamp: Option<EventTime>,
}

/// The event of a row.
pub(crate) fn stored<R: Columns>(row: &R, head: Head) -> Result<StoredEvent, R::Error> {
    let text = |column| row.text(column).map(|text| text.map(Cow::Owned));
    let needed = |column| row.text(column).map(|text| Cow::Owned(text.unwrap_or_default()));
    let structured_data = row.text(10)?.map(|json| read_structured_data(&json));
    let fields = row.text(14)?.map(|json| read_fields(&json));
    let defects = row.strings(20)?;
    Ok(StoredEvent {
        event: Event {
            id: head.id,
            position: position_of(head.id),
            received_at: head.received_at,
            timestamp: head.timestamp,
            facility: row.code(4)?.and_then(Facility::new),
            severity: row.code(5)?.and_then(Severity::new),
            hostname: text(6)?,
            app_name: text(7)?,
            procid: text(8)?,
            msgid: text(9)?,
            structured_data: structured_data.unwrap_or_default(),
            message: text(11)?,
            has_bom: row.flag(12)?,
            tags: row.strings(13)?,
            fields: fields.unwrap_or_default(),
            peer_addr: needed(15)?,
            tls_peer: text(16)?,
            listener: needed(17)?,
            raw: row.bytes(19)?.map(Cow::Owned),
            defects: defects
                .iter()
                .filter_map(|word| Defects::from_word(word))
                .collect(),
        },
        route: needed(18)?,
    })
}
