//! The database file of one day: its name, how it is opened, and what SQLite's errors mean.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use event::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{SchemaFound, StoreError};

/// `LFst`, in the header of our files.
const APPLICATION_ID: i32 = 0x4c46_7374;

/// The schema that this program writes, in the header's `user_version`.
pub(super) const SCHEMA_VERSION: u32 = 1;

const SCHEMA: &str = include_str!("schema.sql");

/// How long to wait for another process's lock. Readers never hold the writer up; this is for two writers.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The write-ahead log is folded back into the file at this many pages: rarely enough that a page that is written
/// often is folded once for many commits, often enough that the log stays below 64 MiB.
const CHECKPOINT_PAGES: u32 = 8192;

/// Page size: larger pages make fewer tree nodes for rows of some hundred bytes.
const PAGE_BYTES: u32 = 8192;

/// Bytes of a value at most; a row beyond it is refused, not the whole transaction.
const VALUE_BYTES_MAX: i32 = 64 << 20;

const DAY_MICROS: i64 = 86_400_000_000;

/// A day since 1970, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(i64);

impl Day {
    pub(super) const fn of(at: Timestamp) -> Self {
        Self(at.as_micros().div_euclid(DAY_MICROS))
    }

    /// The day's hours since 1970.
    pub(super) const fn hours(self) -> std::ops::Range<i64> {
        self.0 * 24..(self.0 + 1) * 24
    }

    /// The day's first microsecond.
    pub(super) const fn start(self) -> i64 {
        self.0 * DAY_MICROS
    }

    /// The first microsecond of the next day.
    pub(super) const fn end(self) -> i64 {
        self.start() + DAY_MICROS
    }

    pub(super) fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!("events-{self}.db"))
    }

    /// The day of a file's name; `None` for other files.
    fn of_name(name: &str) -> Option<Self> {
        let date = name.strip_prefix("events-")?.strip_suffix(".db")?;
        let date: jiff::civil::Date = date.parse().ok()?;
        let since = date
            .since((jiff::Unit::Day, jiff::civil::date(1970, 1, 1)))
            .ok()?;
        Some(Self(i64::from(since.get_days())))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The date part of `2026-11-21T00:00:00.000000Z`.
        let date = Timestamp::from_micros(self.start()).to_string();
        f.write_str(date.get(..10).unwrap_or(&date))
    }
}

/// Bytes of the day's file and its log.
pub(super) fn size(dir: &Path, day: Day) -> Result<u64, StoreError> {
    let file = day.path(dir);
    let mut log = file.clone().into_os_string();
    log.push("-wal");
    let mut bytes = 0;
    for path in [file, PathBuf::from(log)] {
        match std::fs::metadata(&path) {
            Ok(metadata) => bytes += metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unavailable(error)),
        }
    }
    Ok(bytes)
}

/// The days that have a file, oldest first; none when there is no folder yet.
pub(super) fn days(dir: &Path) -> Result<Vec<Day>, StoreError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unavailable)?,
    };
    let mut days = Vec::new();
    for entry in entries {
        let name = entry.map_err(unavailable)?.file_name();
        days.extend(name.to_str().and_then(Day::of_name));
    }
    days.sort_unstable();
    Ok(days)
}

/// Opens the day's file for writing, and makes it when it is new.
pub(super) fn open_for_writing(dir: &Path, day: Day) -> Result<Connection, StoreError> {
    let path = day.path(dir);
    if !path.try_exists().map_err(unavailable)? {
        make(dir, &path)?;
    }
    let conn = Connection::open_with_flags(&path, FLAGS).map_err(|error| sort(error, &path))?;
    set_up(&conn).map_err(|error| sort(error, &path))?;
    check(&conn, &path)?;
    Ok(conn)
}

/// Makes the file aside and puts it in its place when it is complete, so that nobody ever sees half of one.
fn make(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let new = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(dir)
        .map_err(|error| refused(dir, &error))?;
    Connection::open_with_flags(new.path(), FLAGS)
        .and_then(|mut conn| {
            // The page size must come before the log.
            conn.pragma_update(None, "page_size", PAGE_BYTES)?;
            set_up(&conn)?;
            let tx = conn.transaction()?;
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            tx.commit()?;
            conn.close().map_err(|(_, error)| error)
        })
        .map_err(|error| sort(error, path))?;
    match new.persist_noclobber(path) {
        Ok(_) => {}
        // Another process was faster, and its file is as good.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unavailable(error.error)),
    }
    std::fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(unavailable)
}

/// The file must be there, and a connection stays on one thread at a time.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A folder that cannot be used.
pub(super) fn refused(dir: &Path, error: &io::Error) -> StoreError {
    StoreError::Refused(format!("{}: {error}", dir.display()).into())
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

/// Opens a file that is there, for reading.
pub(super) fn open_for_reading(dir: &Path, day: Day) -> Result<Connection, StoreError> {
    let path = day.path(dir);
    let conn = Connection::open_with_flags(&path, FLAGS).map_err(|error| sort(error, &path))?;
    conn.busy_timeout(BUSY_TIMEOUT)
        // The file is opened for writing all the same, since a reader may have to rebuild the log's index.
        .and_then(|()| conn.pragma_update(None, "query_only", true))
        .map_err(|error| sort(error, &path))?;
    check(&conn, &path)?;
    Ok(conn)
}

fn set_up(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
    conn.set_prepared_statement_cache_capacity(32);
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    conn.pragma_update(None, "temp_store", "MEMORY")
}

/// Whether the file is one of ours and of this version.
fn check(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application_id = pragma("application_id").map_err(|error| sort(error, path))?;
    if application_id != i64::from(APPLICATION_ID) {
        return Err(StoreError::NotOurs(path.display().to_string()));
    }
    let version = pragma("user_version").map_err(|error| sort(error, path))?;
    if version == i64::from(SCHEMA_VERSION) {
        Ok(())
    } else {
        Err(StoreError::Schema {
            found: SchemaFound::Version(u32::try_from(version).unwrap_or(u32::MAX)),
            expected: SCHEMA_VERSION,
        })
    }
}

/// What to make of an error that is not about one row.
pub(super) fn sort(error: rusqlite::Error, path: &Path) -> StoreError {
    use ErrorCode::{
        AuthorizationForStatementDenied, CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull,
        FileLockingProtocolFailed, NotADatabase, OperationAborted, OperationInterrupted, OutOfMemory,
        PermissionDenied, ReadOnly, SystemIoFailure,
    };
    match error.sqlite_error_code() {
        Some(
            DatabaseBusy
            | DatabaseLocked
            | DiskFull
            | SystemIoFailure
            | OutOfMemory
            | OperationAborted
            | OperationInterrupted
            | FileLockingProtocolFailed,
        ) => StoreError::Unavailable(Box::new(error)),
        Some(PermissionDenied | ReadOnly | CannotOpen | AuthorizationForStatementDenied) => {
            StoreError::Refused(Box::new(error))
        }
        Some(NotADatabase) => StoreError::NotOurs(path.display().to_string()),
        // A damaged file, and what only wrong SQL can cause.
        Some(DatabaseCorrupt) => StoreError::Unexpected(Box::new(error)),
        Some(_) | None => StoreError::Unexpected(Box::new(error)),
    }
}

/// True when somebody else has the file locked.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// True for an error that is one row's own fault.
pub(super) fn is_refusal(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch)
    )
}
