//! Rows of a day file as they are read.

use std::borrow::Cow;

use event::{Defects, Event, EventId, Facility, Severity, Timestamp};
use rusqlite::Row;
use uuid::Uuid;

use crate::{
    json::{read_fields, read_strings, read_structured_data},
    row::event_time,
    search::{StoredEvent, position_of},
    sqlite::{file::Day, writer::SEQ_BITS},
};

/// What [`stored`] reads.
pub(super) const COLUMNS: &str = "seq, id, timestamp, timestamp_form, facility, severity, hostname, app_name, procid, msgid, \
    structured_data, message, has_bom, tags, fields, peer_addr, tls_peer, listener, route, raw, defects";

/// The event of a row of [`COLUMNS`].
pub(super) fn stored(row: &Row<'_>, day: Day) -> rusqlite::Result<StoredEvent> {
    let text = |column| {
        row.get::<_, Option<String>>(column)
            .map(|text| text.map(Cow::Owned))
    };
    let needed = |column| row.get::<_, String>(column).map(Cow::Owned);
    let code = |column| row.get::<_, Option<u8>>(column);
    let strings = |column| {
        row.get::<_, Option<String>>(column)
            .map(|json| json.map_or_else(Vec::new, |json| read_strings(&json)))
    };
    let seq: i64 = row.get(0)?;
    let id: [u8; 16] = row.get(1)?;
    let sent_at: Option<i64> = row.get(2)?;
    let form: Option<i16> = row.get(3)?;
    let structured_data: Option<String> = row.get(10)?;
    let fields: Option<String> = row.get(14)?;
    let id = EventId::from_uuid(Uuid::from_bytes(id));
    Ok(StoredEvent {
        event: Event {
            id,
            position: position_of(id),
            received_at: Timestamp::from_micros(day.start() + (seq >> SEQ_BITS)),
            timestamp: sent_at
                .zip(form)
                .map(|(at, form)| event_time(Timestamp::from_micros(at), form)),
            facility: code(4)?.and_then(Facility::new),
            severity: code(5)?.and_then(Severity::new),
            hostname: text(6)?,
            app_name: text(7)?,
            procid: text(8)?,
            msgid: text(9)?,
            structured_data: structured_data.map_or_else(Vec::new, |json| read_structured_data(&json)),
            message: text(11)?,
            has_bom: row.get(12)?,
            tags: strings(13)?,
            fields: fields.map_or_else(Vec::new, |json| read_fields(&json)),
            peer_addr: needed(15)?,
            tls_peer: text(16)?,
            listener: needed(17)?,
            raw: row.get::<_, Option<Vec<u8>>>(19)?.map(Cow::Owned),
            defects: strings(20)?
                .iter()
                .filter_map(|word| Defects::from_word(word))
                .collect(),
        },
        route: needed(18)?,
    })
}
