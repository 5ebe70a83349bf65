//! The schema of the queue file, and how the file is opened, made and brought up to date.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

use crate::error::ConnectError;

/// `LgFr`, so that `file` and we can tell whose file it is.
const APPLICATION_ID: i32 = 0x4c67_4672;
/// Changes with the schema.
const SCHEMA_VERSION: i32 = 2;
/// A batch of 128 KiB takes eight pages; smaller ones cost more per batch, larger ones more per small change.
const PAGE_BYTES: u32 = 16 << 10;
/// The log is copied to the file when it has this many pages (32 MiB).
const CHECKPOINT_PAGES: u32 = 2048;
/// SQLite's page cache of the writer, in KiB.
const CACHE_KIB: u32 = 8 << 10;

const SCHEMA: &str = "
    CREATE TABLE queue (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        exchange TEXT NOT NULL,
        messages INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE binding (
        queue INTEGER NOT NULL,
        key TEXT NOT NULL,
        PRIMARY KEY (queue, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE message (
        seq INTEGER PRIMARY KEY,
        id BLOB,
        exchange TEXT NOT NULL,
        routing_key TEXT NOT NULL,
        content_type TEXT,
        body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE death (
        seq INTEGER PRIMARY KEY,
        stage TEXT NOT NULL,
        queue TEXT NOT NULL,
        reason TEXT NOT NULL,
        text TEXT NOT NULL,
        at_micros INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        exchange TEXT NOT NULL,
        routing_key TEXT NOT NULL,
        batch BLOB,
        position INTEGER
    ) STRICT;
    CREATE TABLE entry (
        queue INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (queue, seq)
    ) STRICT, WITHOUT ROWID;
";

/// Version 1 did not keep which event of which batch a dead letter is.
const FROM_VERSION_1: &str = "
    BEGIN IMMEDIATE;
    ALTER TABLE death ADD COLUMN batch BLOB;
    ALTER TABLE death ADD COLUMN position INTEGER;
    PRAGMA user_version = 2;
    COMMIT;
";

pub(crate) fn file_of(dir: &Path) -> PathBuf {
    dir.join("queues.sqlite")
}

/// What becomes of an error of SQLite's.
pub(super) fn unusable(dir: &Path) -> impl Fn(rusqlite::Error) -> ConnectError {
    let path = file_of(dir);
    move |error| {
        let (path, problem) = (path.clone(), error.to_string());
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => ConnectError::NotOurs { path, problem },
            _ => ConnectError::Database { path, problem },
        }
    }
}

/// Opens or makes the file in `dir`.
pub(super) fn open(dir: &Path) -> Result<Connection, ConnectError> {
    let path = file_of(dir);
    let database = unusable(dir);
    let connection = Connection::open(&path).map_err(&database)?;
    // Nobody else writes; whoever does all the same is an error to be told, not waited for.
    connection.busy_timeout(Duration::ZERO).map_err(&database)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(&database)?;
    if tables == 0 {
        connection
            .execute_batch(&format!(
                "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
                 BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};
                 PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            ))
            .map_err(&database)?;
    }
    let number = |pragma| {
        connection
            .query_row(pragma, [], |row| row.get::<_, i32>(0))
            .map_err(&database)
    };
    let (owner, mut version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    if (owner, version) == (APPLICATION_ID, 1) {
        connection.execute_batch(FROM_VERSION_1).map_err(&database)?;
        version = 2;
    }
    if (owner, version) != (APPLICATION_ID, SCHEMA_VERSION) {
        let problem = if owner == APPLICATION_ID {
            format!("its schema has version {version}, and {SCHEMA_VERSION} is wanted")
        } else {
            "another program wrote it".into()
        };
        return Err(ConnectError::NotOurs { path, problem });
    }
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -{CACHE_KIB};
             PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; PRAGMA temp_store = MEMORY;"
        ))
        .map_err(&database)?;
    Ok(connection)
}
