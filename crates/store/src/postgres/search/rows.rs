//! Rows of `events` as they are read.

use std::borrow::Cow;

use event::{Defects, Event, EventId, Facility, Severity, Timestamp};
use tokio_postgres::{Row, types::FromSqlOwned};
use uuid::Uuid;

use crate::{
    json::{read_fields, read_structured_data},
    postgres::types::Micros,
    row::event_time,
    search::{StoredEvent, position_of},
};

/// What [`stored`] reads.
pub(super) const COLUMNS: &str = "id, received_at, \"timestamp\", timestamp_form, facility, severity, hostname, app_name, procid, \
    msgid, structured_data::text, message, has_bom, tags, fields::text, peer_addr, tls_peer, listener, route, raw, defects";

/// The event of a row of [`COLUMNS`].
pub(super) fn stored(row: &Row) -> Result<StoredEvent, tokio_postgres::Error> {
    fn get<T: FromSqlOwned>(row: &Row, column: usize) -> Result<Option<T>, tokio_postgres::Error> {
        row.try_get(column)
    }
    let text = |column| get::<String>(row, column).map(|text| text.map(Cow::Owned));
    let needed = |column| get::<String>(row, column).map(|text| Cow::Owned(text.unwrap_or_default()));
    let code = |column| get::<i16>(row, column).map(|code| code.and_then(|code| u8::try_from(code).ok()));
    let strings = |column| get::<Vec<String>>(row, column).map(Option::unwrap_or_default);
    let id = EventId::from_uuid(get::<Uuid>(row, 0)?.unwrap_or_default());
    let received_at = get::<Micros>(row, 1)?.map_or(0, |at| at.0);
    let timestamp = get::<Micros>(row, 2)?.zip(get::<i16>(row, 3)?);
    let (structured_data, fields) = (get::<String>(row, 10)?, get::<String>(row, 14)?);
    Ok(StoredEvent {
        event: Event {
            id,
            position: position_of(id),
            received_at: Timestamp::from_micros(received_at),
            timestamp: timestamp.map(|(at, form)| event_time(Timestamp::from_micros(at.0), form)),
            facility: code(4)?.and_then(Facility::new),
            severity: code(5)?.and_then(Severity::new),
            hostname: text(6)?,
            app_name: text(7)?,
            procid: text(8)?,
            msgid: text(9)?,
            structured_data: structured_data.map_or_else(Vec::new, |json| read_structured_data(&json)),
            message: text(11)?,
            has_bom: get(row, 12)?.unwrap_or(false),
            tags: strings(13)?.into_iter().map(Cow::Owned).collect(),
            fields: fields.map_or_else(Vec::new, |json| read_fields(&json)),
            peer_addr: needed(15)?,
            tls_peer: text(16)?,
            listener: needed(17)?,
            raw: get::<Vec<u8>>(row, 19)?.map(Cow::Owned),
            defects: strings(20)?
                .iter()
                .filter_map(|word| Defects::from_word(word))
                .collect(),
        },
        route: needed(18)?,
    })
}
