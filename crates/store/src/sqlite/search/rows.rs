//! Rows of a day file as they are read.

use std::borrow::Cow;

use event::{EventId, Timestamp};
use rusqlite::{Error, Row};
use uuid::Uuid;

use crate::{
    json::read_strings,
    row::event_time,
    search::{
        StoredEvent,
        columns::{self, Columns, Head},
    },
    sqlite::{file::Day, writer::SEQ_BITS},
};

/// What [`stored`] reads.
pub(super) const COLUMNS: &str = "seq, id, timestamp, timestamp_form, facility, severity, hostname, app_name, procid, msgid, \
    structured_data, message, has_bom, tags, fields, peer_addr, tls_peer, listener, route, raw, defects";

/// The event of a row of [`COLUMNS`].
pub(super) fn stored(row: &Row<'_>, day: Day) -> Result<StoredEvent, Error> {
    let (seq, id): (i64, [u8; 16]) = (row.get(0)?, row.get(1)?);
    let (sent_at, form): (Option<i64>, Option<i16>) = (row.get(2)?, row.get(3)?);
    let head = Head {
        id: EventId::from_uuid(Uuid::from_bytes(id)),
        received_at: Timestamp::from_micros(day.start() + (seq >> SEQ_BITS)),
        timestamp: sent_at
            .zip(form)
            .map(|(at, form)| event_time(Timestamp::from_micros(at), form)),
    };
    columns::stored(row, head)
}

impl Columns for Row<'_> {
    type Error = Error;

    fn text(&self, column: usize) -> Result<Option<String>, Error> {
        self.get(column)
    }

    fn code(&self, column: usize) -> Result<Option<u8>, Error> {
        self.get(column)
    }

    fn flag(&self, column: usize) -> Result<bool, Error> {
        self.get(column)
    }

    fn strings(&self, column: usize) -> Result<Vec<Cow<'static, str>>, Error> {
        let json: Option<String> = self.get(column)?;
        Ok(json.map_or_else(Vec::new, |json| read_strings(&json)))
    }

    fn bytes(&self, column: usize) -> Result<Option<Vec<u8>>, Error> {
        self.get(column)
    }
}
