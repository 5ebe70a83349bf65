//! Retention: files are deleted by age and by size, and rows of routes that are kept for less from files that are sealed.

use std::{io, path::Path, thread, time::Duration};

use event::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use settings::{RouteSettings, UpkeepSettings};

use super::{
    file::{self, Day},
    sealing::{self, SEALED},
    upkeep::Stop,
    writer::SEQ_BITS,
};
use crate::{
    error::StoreError,
    summary::COUNT_COLUMNS,
    upkeep::{days_before, too_many},
};

/// Rows that one transaction looks through for those of a route.
const PIECE_ROWS: i64 = 20_000;

/// Between two pieces, as in sealing.
const PAUSE: Duration = Duration::from_millis(110);

/// How long to wait for searches that have a file open; the next round tries again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The days whose files are to go, oldest first: those that are older than is kept, and the oldest of those that are too
/// many. What is being written stays.
pub(super) fn expired(
    dir: &Path,
    days: &[Day],
    settings: &UpkeepSettings,
    now: Timestamp,
) -> Result<Vec<Day>, StoreError> {
    let over = days.iter().filter(|day| day.end() <= now.as_micros()).count();
    let by_age = settings.keep_days.map_or(0, |kept| {
        let first = days_before(now, kept);
        days.iter().filter(|day| day.end() <= first).count()
    });
    let by_size = match settings.keep_bytes {
        Some(most) => {
            let sizes: Result<Vec<_>, _> = days.iter().map(|day| file::size(dir, *day)).collect();
            too_many(&sizes?, over, most)
        }
        None => 0,
    };
    Ok(days.iter().take(by_age.max(by_size)).copied().collect())
}

/// Deletes the day's file, unless somebody has it open: then the next round does it. Returns whether it is gone.
///
/// The log beside a file belongs to the file of its name, whichever that is at the time, so that a file is deleted only
/// when nobody has it open, and its log before it.
pub(super) fn delete(dir: &Path, day: Day) -> Result<bool, StoreError> {
    let path = day.path(dir);
    let conn = file::open_for_writing(dir, day)?;
    let alone = conn
        .busy_timeout(PATIENCE)
        .and_then(|()| conn.pragma_update(None, "locking_mode", "EXCLUSIVE"))
        // Folds the log into the file and deletes it, which nobody else may be there for.
        .and_then(|()| {
            conn.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))
        });
    match alone {
        Ok(mode) if mode == "delete" => {}
        Err(error) if !file::is_busy(&error) => return Err(file::sort(error, &path)),
        Ok(_) | Err(_) => return Ok(false),
    }
    std::fs::remove_file(&path).map_err(|error| file::refused(&path, &error))?;
    std::fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error: io::Error| file::refused(dir, &error))?;
    Ok(true)
}

/// Deletes the rows of a route that is kept for less from a sealed file, a piece at a time; returns how many.
pub(super) fn clear(
    dir: &Path,
    day: Day,
    route: &RouteSettings,
    now: Timestamp,
    stop: &Stop,
) -> Result<u64, StoreError> {
    if day.end() > days_before(now, route.keep_days) {
        return Ok(0);
    }
    let path = day.path(dir);
    let mut conn = file::open_for_writing(dir, day)?;
    clear_route(&mut conn, day, &route.name, stop).map_err(|error| file::sort(error, &path))
}

fn clear_route(conn: &mut Connection, day: Day, route: &str, stop: &Stop) -> rusqlite::Result<u64> {
    if sealing::state(conn)? != Some(SEALED) {
        return Ok(0);
    }
    let done: Option<i64> = conn
        .query_row("SELECT 1 FROM cleared WHERE route = ?1", (route,), |row| {
            row.get(0)
        })
        .optional()?;
    if done.is_some() {
        return Ok(0);
    }
    tracing::info!(day = %day, route, "deleting rows of a route that is kept for less");
    let (mut deleted, mut next) = (0, Some(0));
    while let Some(from) = next {
        if stop.is_set() {
            return Ok(deleted);
        }
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last: Option<i64> = tx.query_row(
            "SELECT max(seq) FROM (SELECT seq FROM events WHERE seq >= ?1 ORDER BY seq LIMIT ?2)",
            (from, PIECE_ROWS),
            |row| row.get(0),
        )?;
        if let Some(last) = last {
            deleted += delete_piece(&tx, day, (from, last), route)?;
        } else {
            tx.execute("INSERT OR IGNORE INTO cleared (route) VALUES (?1)", (route,))?;
        }
        tx.commit()?;
        next = last.map(|last| last + 1);
        thread::park_timeout(PAUSE);
    }
    if deleted > 0 {
        // Only so the file becomes smaller. Searches go on meanwhile.
        conn.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
    }
    tracing::info!(day = %day, route, rows = deleted, "rows of the route deleted");
    Ok(deleted)
}

/// Takes the rows off the rollups, then deletes them. Sources that are counted together there, and names that were cut,
/// stay in the rollup by hour.
fn delete_piece(
    tx: &Transaction<'_>,
    day: Day,
    (from, last): (i64, i64),
    route: &str,
) -> rusqlite::Result<u64> {
    let counts: Vec<_> = (0..)
        .zip(COUNT_COLUMNS)
        .map(|(code, column)| match column {
            "none" => "sum(severity IS NULL) AS none".to_owned(),
            column => format!("sum(severity IS {code}) AS {column}"),
        })
        .collect();
    let counts = counts.join(", ");
    let less = COUNT_COLUMNS.map(|column| format!("{column} = max(r.{column} - c.{column}, 0)"));
    let less = less.join(", ");
    let start = day.start();
    let rows = "FROM events WHERE seq BETWEEN ?1 AND ?2 AND route = ?3";
    for (rollup, time, micros, keys) in [
        ("rollup_minute", "minute", 60_000_000_i64, ""),
        (
            "rollup_hour",
            "hour",
            3_600_000_000,
            ", coalesce(hostname, '') AS hostname, coalesce(app_name, '') AS app_name",
        ),
    ] {
        let (group, same) = if keys.is_empty() {
            ("1", "")
        } else {
            (
                "1, 2, 3",
                "AND r.hostname = c.hostname AND r.app_name = c.app_name",
            )
        };
        tx.execute(
            &format!(
                "UPDATE {rollup} AS r SET {less} FROM (SELECT {start} + (seq >> {SEQ_BITS}) / {micros} * {micros} AS at{keys}, \
                 {counts} {rows} GROUP BY {group}) AS c WHERE r.{time} = c.at {same}"
            ),
            (from, last, route),
        )?;
    }
    let deleted = tx.execute(
        "DELETE FROM events WHERE seq BETWEEN ?1 AND ?2 AND route = ?3",
        (from, last, route),
    )?;
    Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
}
