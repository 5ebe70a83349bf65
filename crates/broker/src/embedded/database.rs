//! The queue file: every statement that is run on it.
//!
//! A body is stored once, in `message`; each queue that has it has a row in `entry`.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::{
    error::ConnectError,
    message::{Death, Envelope},
    name::{BindingKey, Exchange},
};

mod bodies;
mod schema;

pub(crate) use self::{bodies::BodyReader, schema::file_of};

/// A row of `queue`, with its bindings and the number of its last entry.
#[derive(Debug)]
pub(crate) struct QueueRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) exchange: Exchange,
    pub(crate) binding_keys: Vec<BindingKey>,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) last_seq: i64,
}

/// A row of `entry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryRow {
    pub(crate) seq: i64,
    pub(crate) attempts: u32,
    pub(crate) bytes: u64,
}

/// The writer's connection.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    /// Deletes a message that no queue has any more; names every queue, so that it uses the primary key of `entry`.
    delete_unused: String,
}

impl Database {
    /// Opens or makes the file in `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, ConnectError> {
        let connection = schema::open(dir)?;
        connection.set_prepared_statement_cache_capacity(32);
        let mut this = Self {
            connection,
            delete_unused: String::new(),
        };
        this.queues().map_err(schema::unusable(dir))?;
        Ok(this)
    }

    /// Runs one statement without parameters or rows.
    pub(crate) fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    pub(crate) fn is_in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// All queues.
    pub(crate) fn queues(&mut self) -> rusqlite::Result<Vec<QueueRow>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, name, exchange, messages, bytes,
                    coalesce((SELECT max(seq) FROM entry WHERE queue = id), 0) FROM queue ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(QueueRow {
                id: row.get(0)?,
                name: row.get(1)?,
                exchange: exchange(row, 2)?,
                binding_keys: Vec::new(),
                messages: row.get::<_, i64>(3)?.cast_unsigned(),
                bytes: row.get::<_, i64>(4)?.cast_unsigned(),
                last_seq: row.get(5)?,
            })
        })?;
        let mut queues = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut statement = self
            .connection
            .prepare_cached("SELECT key FROM binding WHERE queue = ? ORDER BY key")?;
        for queue in &mut queues {
            let keys = statement.query_map([queue.id], |row| {
                let text: String = row.get(0)?;
                BindingKey::new(&text).map_err(|error| invalid(0, error))
            })?;
            queue.binding_keys = keys.collect::<rusqlite::Result<_>>()?;
        }
        drop(statement);
        let ids: Vec<_> = queues.iter().map(|queue| queue.id.to_string()).collect();
        self.delete_unused = format!(
            "DELETE FROM message WHERE seq = ?1 AND NOT EXISTS
             (SELECT 1 FROM entry WHERE queue IN ({}) AND seq = ?1)",
            ids.join(",")
        );
        Ok(queues)
    }

    pub(crate) fn last_seq(&self) -> rusqlite::Result<i64> {
        self.connection
            .query_row("SELECT coalesce(max(seq), 0) FROM message", [], |row| row.get(0))
    }

    pub(crate) fn insert_queue(&self, name: &str, exchange: Exchange) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached("INSERT INTO queue (name, exchange) VALUES (?, ?)")?
            .insert(params![name, exchange.name()])
    }

    /// Replaces the bindings of a queue.
    pub(crate) fn bind(&self, queue: i64, keys: &[BindingKey]) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM binding WHERE queue = ?")?
            .execute([queue])?;
        let mut insert = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO binding (queue, key) VALUES (?, ?)")?;
        for key in keys {
            insert.execute(params![queue, key.as_str()])?;
        }
        Ok(())
    }

    pub(crate) fn update_totals(&self, queue: i64, messages: u64, bytes: u64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE queue SET messages = ?, bytes = ? WHERE id = ?")?
            .execute(params![messages.cast_signed(), bytes.cast_signed(), queue])
            .map(drop)
    }

    pub(crate) fn insert_message(&self, seq: i64, message: &Envelope) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO message (seq, id, exchange, routing_key, content_type, body) VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                seq,
                message.id.as_ref().map(Uuid::as_bytes).map(<[u8; 16]>::as_slice),
                message.exchange.name(),
                message.routing_key,
                message.content_type,
                &message.body[..],
            ])?;
        message
            .death
            .as_ref()
            .map_or(Ok(()), |death| self.insert_death(seq, death))
    }

    /// Copies the message `from` to `to` as a dead letter. Returns whether it was there.
    pub(crate) fn copy_dead(&self, from: i64, to: i64, key: &str, death: &Death) -> rusqlite::Result<bool> {
        let copied = self
            .connection
            .prepare_cached(
                "INSERT INTO message (seq, id, exchange, routing_key, content_type, body)
                 SELECT ?2, id, ?3, ?4, content_type, body FROM message WHERE seq = ?1",
            )?
            .execute(params![from, to, Exchange::Dead.name(), key])?;
        if copied == 1 {
            self.insert_death(to, death)?;
        }
        Ok(copied == 1)
    }

    fn insert_death(&self, seq: i64, death: &Death) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT INTO death VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                seq,
                death.stage,
                death.queue,
                death.reason,
                Death::bounded_text(&death.text),
                death.at_micros,
                death.attempts,
                death.exchange.name(),
                death.routing_key,
                death.batch.as_ref().map(Uuid::as_bytes).map(<[u8; 16]>::as_slice),
                death.position,
            ])
            .map(drop)
    }

    pub(crate) fn insert_entry(&self, queue: i64, entry: EntryRow) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT INTO entry (queue, seq, attempts, bytes) VALUES (?, ?, ?, ?)")?
            .execute(params![
                queue,
                entry.seq,
                entry.attempts,
                entry.bytes.cast_signed()
            ])
            .map(drop)
    }

    pub(crate) fn update_attempts(&self, queue: i64, seq: i64, attempts: u32) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE entry SET attempts = ? WHERE queue = ? AND seq = ?")?
            .execute(params![attempts, queue, seq])
            .map(drop)
    }

    /// Takes a message out of a queue, and away when no other queue has it.
    pub(crate) fn delete_entry(&self, queue: i64, seq: i64, has_death: bool) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM entry WHERE queue = ? AND seq = ?")?
            .execute(params![queue, seq])?;
        let gone = self
            .connection
            .prepare_cached(&self.delete_unused)?
            .execute([seq])?;
        if gone == 1 && has_death {
            self.connection
                .prepare_cached("DELETE FROM death WHERE seq = ?")?
                .execute([seq])?;
        }
        Ok(())
    }

    /// The entries of a queue after `seq`, in order.
    pub(crate) fn entries_after(&self, queue: i64, seq: i64, limit: i64) -> rusqlite::Result<Vec<EntryRow>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, attempts, bytes FROM entry WHERE queue = ? AND seq > ? ORDER BY seq LIMIT ?",
        )?;
        let rows = statement.query_map(params![queue, seq, limit], |row| {
            let bytes = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(EntryRow {
                seq: row.get(0)?,
                attempts: row.get(1)?,
                bytes,
            })
        })?;
        rows.collect()
    }

    /// Where a message was published: all that a death has to say of it.
    pub(crate) fn origin_of(&self, seq: i64) -> rusqlite::Result<Option<(Option<Uuid>, Exchange, String)>> {
        self.connection
            .prepare_cached("SELECT id, exchange, routing_key FROM message WHERE seq = ?")?
            .query_row([seq], |row| {
                let id: Option<[u8; 16]> = row.get(0)?;
                Ok((id.map(Uuid::from_bytes), exchange(row, 1)?, row.get(2)?))
            })
            .optional()
    }

    /// Gives pages at the end of the file back to the file system when much of it is empty. Returns whether there
    /// is more to give.
    pub(crate) fn shrink(&self, slack_pages: i64, step_pages: i64) -> rusqlite::Result<bool> {
        let number = |pragma| {
            self.connection
                .prepare_cached(pragma)?
                .query_row([], |row| row.get::<_, i64>(0))
        };
        let (free, pages) = (number("PRAGMA freelist_count")?, number("PRAGMA page_count")?);
        if free <= slack_pages || free * 2 < pages {
            return Ok(false);
        }
        let mut statement = self
            .connection
            .prepare_cached(&format!("PRAGMA incremental_vacuum({step_pages})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(true)
    }
}

fn exchange(row: &Row<'_>, column: usize) -> rusqlite::Result<Exchange> {
    let name: String = row.get(column)?;
    Exchange::from_name(&name).ok_or_else(|| invalid(column, UnknownExchange(name)))
}

fn invalid(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

#[derive(Debug, thiserror::Error)]
#[error("unknown exchange {0:?}")]
struct UnknownExchange(String);
