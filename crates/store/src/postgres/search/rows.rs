//! Rows of `events` as they are read.

use std::borrow::Cow;

use event::{EventId, Timestamp};
use tokio_postgres::{Error, Row};

use crate::{
    postgres::types::Micros,
    row::event_time,
    search::{
        StoredEvent,
        columns::{self, Columns, Head},
    },
};

/// What [`stored`] reads.
pub(super) const COLUMNS: &str = "id, received_at, \"timestamp\", timestamp_form, facility, severity, hostname, app_name, procid, \
    msgid, structured_data::text, message, has_bom, tags, fields::text, peer_addr, tls_peer, listener, route, raw, defects";

/// The event of a row of [`COLUMNS`].
pub(super) fn stored(row: &Row) -> Result<StoredEvent, Error> {
    let (sent_at, form): (Option<Micros>, Option<i16>) = (row.try_get(2)?, row.try_get(3)?);
    let head = Head {
        id: EventId::from_uuid(row.try_get(0)?),
        received_at: Timestamp::from_micros(row.try_get::<_, Micros>(1)?.0),
        timestamp: sent_at
            .zip(form)
            .map(|(at, form)| event_time(Timestamp::from_micros(at.0), form)),
    };
    columns::stored(row, head)
}

impl Columns for Row {
    type Error = Error;

    fn text(&self, column: usize) -> Result<Option<String>, Error> {
        self.try_get(column)
    }

    fn code(&self, column: usize) -> Result<Option<u8>, Error> {
        let code: Option<i16> = self.try_get(column)?;
        Ok(code.and_then(|code| u8::try_from(code).ok()))
    }

    fn flag(&self, column: usize) -> Result<bool, Error> {
        self.try_get(column)
    }

    fn strings(&self, column: usize) -> Result<Vec<Cow<'static, str>>, Error> {
        let strings: Option<Vec<String>> = self.try_get(column)?;
        Ok(strings.unwrap_or_default().into_iter().map(Cow::Owned).collect())
    }

    fn bytes(&self, column: usize) -> Result<Option<Vec<u8>>, Error> {
        self.try_get(column)
    }
}
