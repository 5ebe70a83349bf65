//! Reading messages back, on a connection of its own.

use std::path::Path;

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use uuid::Uuid;

use super::{exchange, file_of};
use crate::{
    error::ConnectError,
    message::{Death, Envelope},
};

/// A second connection, for bodies that are no longer in memory.
#[derive(Debug)]
pub(crate) struct BodyReader {
    connection: Connection,
}

impl BodyReader {
    pub(crate) fn open(dir: &Path) -> Result<Self, ConnectError> {
        let path = file_of(dir);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(&path, flags)
            .and_then(|connection| {
                connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024;")?;
                Ok(Self { connection })
            })
            .map_err(|error| ConnectError::Database {
                path,
                problem: error.to_string(),
            })
    }

    pub(crate) fn message(&self, seq: i64) -> rusqlite::Result<Option<Envelope>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, exchange, routing_key, content_type, body,
                    (SELECT count(*) FROM death WHERE death.seq = message.seq) FROM message WHERE seq = ?",
        )?;
        let found = statement
            .query_row([seq], |row| {
                let id: Option<[u8; 16]> = row.get(0)?;
                let stored = Envelope {
                    id: id.map(Uuid::from_bytes),
                    queue: None,
                    exchange: exchange(row, 1)?,
                    routing_key: row.get(2)?,
                    content_type: row.get(3)?,
                    body: Bytes::from(row.get::<_, Vec<u8>>(4)?),
                    death: None,
                };
                Ok((stored, row.get::<_, i64>(5)? > 0))
            })
            .optional()?;
        let Some((mut stored, has_death)) = found else {
            return Ok(None);
        };
        if has_death {
            stored.death = Some(self.death(seq)?);
        }
        Ok(Some(stored))
    }

    /// The first message of the queue `name` after the message `seq`.
    pub(crate) fn next(&self, name: &str, seq: i64) -> rusqlite::Result<Option<(i64, Envelope)>> {
        let next = self
            .connection
            .prepare_cached(
                "SELECT seq FROM entry WHERE queue = (SELECT id FROM queue WHERE name = ?) AND seq > ?
                 ORDER BY seq LIMIT 1",
            )?
            .query_row(params![name, seq], |row| row.get(0))
            .optional()?;
        match next {
            // It may have been taken meanwhile.
            Some(next) => match self.message(next)? {
                Some(message) => Ok(Some((next, message))),
                None => self.next(name, next),
            },
            None => Ok(None),
        }
    }

    fn death(&self, seq: i64) -> rusqlite::Result<Death> {
        let mut statement = self.connection.prepare_cached(
            "SELECT stage, queue, reason, text, at_micros, attempts, exchange, routing_key, batch, position
             FROM death WHERE seq = ?",
        )?;
        statement.query_row([seq], |row| {
            Ok(Death {
                stage: row.get(0)?,
                queue: row.get(1)?,
                reason: row.get(2)?,
                text: row.get(3)?,
                at_micros: row.get(4)?,
                attempts: row.get(5)?,
                exchange: exchange(row, 6)?,
                routing_key: row.get(7)?,
                batch: row.get::<_, Option<[u8; 16]>>(8)?.map(Uuid::from_bytes),
                position: row.get(9)?,
            })
        })
    }
}
