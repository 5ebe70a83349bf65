//! The rescue file: its schema and every statement that is run on it.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};
use uuid::Uuid;

use crate::{
    batch::{Batch, Claimed, Damaged, Place, Receipt},
    error::RescueError,
    queue::Depth,
};

/// `LgRs`, so that `file` and we can tell whose file it is.
const APPLICATION_ID: i32 = 0x4c67_5273;
/// Changes with the schema.
const SCHEMA_VERSION: i32 = 1;
/// A batch of 128 KiB takes eight pages.
const PAGE_BYTES: u32 = 16 << 10;
/// The log is copied to the file when it has this many pages (32 MiB).
const CHECKPOINT_PAGES: u32 = 2048;
/// Empty pages that stay in the file for the next batches (16 MiB).
const SLACK_PAGES: i64 = 1024;
/// Empty pages given back to the file system in one transaction (16 MiB).
const SHRINK_PAGES: i64 = 1024;

/// Bodies stand apart, because a claim writes the row of its entry again.
const SCHEMA: &str = "
    CREATE TABLE entry (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL,
        routing_key TEXT NOT NULL,
        content_type TEXT NOT NULL,
        checksum INTEGER NOT NULL,
        size INTEGER NOT NULL,
        pushed_at INTEGER NOT NULL,
        claimed_at INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE body (
        seq INTEGER PRIMARY KEY,
        body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE total (
        batches INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT;
    INSERT INTO total VALUES (0, 0);
";

pub(super) fn path_in(dir: &Path) -> PathBuf {
    dir.join("rescue.sqlite")
}

/// Whether a push found room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    Taken,
    Full { bytes: u64 },
}

/// The thread's connection.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    bytes_max: u64,
}

impl Database {
    /// Opens or makes the file in `dir`.
    pub(super) fn open(dir: &Path, bytes_max: u64, timeout: Duration) -> Result<Self, RescueError> {
        let path = path_in(dir);
        let unusable = |problem: String| RescueError::File {
            path: path_in(dir),
            problem,
        };
        fs::create_dir_all(dir).map_err(|error| unusable(error.to_string()))?;
        // Two processes that make the file at the same time would each see half of it.
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join("rescue.lock"))
            .and_then(|lock| lock.lock().map(|()| lock))
            .map_err(|error| unusable(error.to_string()))?;
        let connection = connect(&path, timeout).map_err(|error| match error {
            OpenError::NotOurs(problem) => RescueError::NotOurs {
                path: path.clone(),
                problem,
            },
            OpenError::Sqlite(error) => told(&path, &error),
        })?;
        drop(lock);
        Ok(Self {
            connection,
            path,
            bytes_max,
        })
    }

    /// Runs `work` as one transaction, which is synced when this returns. The write lock is taken at its start, so
    /// that it cannot fail for another process in the middle.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Entries<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, RescueError> {
        let (path, bytes_max) = (&self.path, self.bytes_max);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| told(path, &error))?;
        let entries = Entries {
            connection: &transaction,
            bytes_max,
        };
        let done = work(&entries).map_err(|error| told(path, &error))?;
        transaction.commit().map_err(|error| told(path, &error))?;
        Ok(done)
    }
}

enum OpenError {
    NotOurs(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
            return Self::NotOurs(error.to_string());
        }
        Self::Sqlite(error)
    }
}

fn connect(path: &Path, timeout: Duration) -> Result<Connection, OpenError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(timeout)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
             BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        ))?;
    }
    let (owner, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    if owner != APPLICATION_ID {
        return Err(OpenError::NotOurs("another program wrote it".to_owned()));
    }
    if version != SCHEMA_VERSION {
        let problem = format!("its schema has version {version}, and {SCHEMA_VERSION} is wanted");
        return Err(OpenError::NotOurs(problem));
    }
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; PRAGMA temp_store = MEMORY;"
    ))?;
    Ok(connection)
}

fn told(path: &Path, error: &rusqlite::Error) -> RescueError {
    RescueError::File {
        path: path.to_owned(),
        problem: error.to_string(),
    }
}

/// What can be done with the entries in a transaction.
pub(super) struct Entries<'a> {
    connection: &'a Connection,
    bytes_max: u64,
}

impl Entries<'_> {
    pub(super) fn push(&self, batch: &Batch) -> rusqlite::Result<Pushed> {
        let bytes = self.total()?.bytes;
        let size = batch.size();
        if bytes.saturating_add(size) > self.bytes_max {
            return Ok(Pushed::Full { bytes });
        }
        let seq = self
            .connection
            .prepare_cached(
                "INSERT INTO entry (id, routing_key, content_type, checksum, size, pushed_at) VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .insert(params![
                batch.id.as_bytes(),
                batch.routing_key,
                batch.content_type,
                batch.checksum(),
                size.cast_signed(),
                now_ms(),
            ])?;
        self.connection
            .prepare_cached("INSERT INTO body (seq, body) VALUES (?, ?)")?
            .execute(params![seq, &batch.body[..]])?;
        self.add(1, size.cast_signed())?;
        Ok(Pushed::Taken)
    }

    /// Claims are timed by the wall clock, which may be set back: one from the future is over too.
    pub(super) fn claim(
        &self,
        batches_max: usize,
        claim_timeout: Duration,
    ) -> rusqlite::Result<Vec<Claimed>> {
        let now = now_ms();
        let overdue = now.saturating_sub(ms(claim_timeout));
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, id, routing_key, content_type, checksum, size FROM entry
             WHERE claimed_at <= ?1 OR claimed_at > ?2 ORDER BY seq LIMIT ?3",
        )?;
        let limit = i64::try_from(batches_max).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![overdue, now, limit], |row| self.read(row))?;
        let claimed = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut hold = self
            .connection
            .prepare_cached("UPDATE entry SET claimed_at = ? WHERE seq = ?")?;
        for claimed in &claimed {
            if let Place::Row(seq) = claimed.receipt.place {
                hold.execute([now, seq])?;
            }
        }
        Ok(claimed)
    }

    fn read(&self, row: &Row<'_>) -> rusqlite::Result<Claimed> {
        let seq: i64 = row.get(0)?;
        let size: i64 = row.get(5)?;
        let body: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT body FROM body WHERE seq = ?")?
            .query_row([seq], |row| row.get(0))
            .optional()?;
        let id = row.get_ref(1)?.as_blob().ok();
        let id = id.and_then(|bytes| Uuid::from_slice(bytes).ok());
        let content = match (id, body) {
            (Some(id), Some(body)) => Batch {
                id,
                routing_key: row.get(2)?,
                content_type: row.get(3)?,
                body: body.into(),
            }
            .verified(row.get(4)?),
            (None, body) => Err(Damaged {
                problem: "its batch id is no UUID".to_owned(),
                id: None,
                body: body.unwrap_or_default().into(),
            }),
            (id, None) => Err(Damaged {
                problem: "its body is missing".to_owned(),
                id,
                body: Bytes::new(),
            }),
        };
        Ok(Claimed {
            receipt: Receipt {
                place: Place::Row(seq),
                size: size.max(0).cast_unsigned(),
            },
            content,
        })
    }

    pub(super) fn remove(&self, rows: &[i64]) -> rusqlite::Result<usize> {
        let (mut removed, mut bytes) = (0, 0);
        let mut entry = self
            .connection
            .prepare_cached("DELETE FROM entry WHERE seq = ? RETURNING size")?;
        let mut body = self.connection.prepare_cached("DELETE FROM body WHERE seq = ?")?;
        for row in rows {
            let size: Option<i64> = entry.query_row([row], |row| row.get(0)).optional()?;
            if let Some(size) = size {
                removed += 1;
                bytes += size;
                body.execute([row])?;
            }
        }
        self.add(-i64::try_from(removed).unwrap_or(i64::MAX), -bytes)?;
        self.shrink()?;
        Ok(removed)
    }

    pub(super) fn release(&self, rows: &[i64]) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("UPDATE entry SET claimed_at = 0 WHERE seq = ?")?;
        for row in rows {
            statement.execute([row])?;
        }
        Ok(())
    }

    pub(super) fn depth(&self) -> rusqlite::Result<Depth> {
        let oldest: Option<i64> = self
            .connection
            .prepare_cached("SELECT pushed_at FROM entry ORDER BY seq LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let age_ms = oldest.map_or(0, |oldest| now_ms().saturating_sub(oldest).max(0));
        Ok(Depth {
            oldest: Duration::from_millis(age_ms.cast_unsigned()),
            ..self.total()?
        })
    }

    fn total(&self) -> rusqlite::Result<Depth> {
        self.connection
            .prepare_cached("SELECT batches, bytes FROM total")?
            .query_row([], |row| {
                Ok(Depth {
                    batches: row.get::<_, i64>(0)?.max(0).cast_unsigned(),
                    bytes: row.get::<_, i64>(1)?.max(0).cast_unsigned(),
                    oldest: Duration::ZERO,
                })
            })
    }

    fn add(&self, batches: i64, bytes: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE total SET batches = batches + ?, bytes = bytes + ?")?
            .execute([batches, bytes])
            .map(drop)
    }

    /// Gives pages at the end of the file back to the file system when much of it is empty.
    fn shrink(&self) -> rusqlite::Result<()> {
        let number = |pragma| {
            self.connection
                .prepare_cached(pragma)?
                .query_row([], |row| row.get::<_, i64>(0))
        };
        let (free, pages) = (number("PRAGMA freelist_count")?, number("PRAGMA page_count")?);
        if free > SLACK_PAGES && free * 2 >= pages {
            let sql = format!("PRAGMA incremental_vacuum({SHRINK_PAGES})");
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(())
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, ms)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
