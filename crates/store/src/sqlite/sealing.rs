//! Sealing the file of a day that is over, and indexing the texts of the hours that are over of a day that is not: a piece
//! at a time, so that whoever writes never waits long.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    file::{self, Day},
    upkeep::Stop,
    writer::SEQ_BITS,
};
use crate::{error::StoreError, summary::COUNT_COLUMNS};

/// `index_state.upto` of a file that is sealed.
pub(super) const SEALED: i64 = i64::MAX;

/// Rows of a day that is over which go into the text index in one transaction, which takes some tenths of a second.
const PIECE_ROWS: i64 = 40_000;

/// The same of a day that is being written: shorter, and with a pause this many times as long.
const HOURS_PIECE_ROWS: i64 = 10_000;
const HOURS_PAUSE: u32 = 4;

/// Fewer rows of a day that is being written are read as quickly as they are looked up.
const HOURS_ROWS_MIN: i64 = if cfg!(test) { 20 } else { 50_000 };

const HOUR_MICROS: i64 = 3_600_000_000;
const MINUTE_MICROS: i64 = 60_000_000;

/// Pages that one step of merging the text index writes, at most: two tenths of a second.
const MERGE_PAGES: i64 = 4000;

/// Between two pieces. SQLite's locks have no queue, and who waits for one looks again after a tenth of a second at most.
const PAUSE: Duration = Duration::from_millis(110);

/// SQLite looks whether it is to stop after this many steps of its machine, some ten microseconds.
const STEPS: i32 = 1000;

const SCHEMA: &str = include_str!("sealing.sql");

/// How far the file's text index is: `None` where there is none, [`SEALED`] when it has all rows.
pub(super) fn state(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    let is_there = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'index_state')",
        (),
        |row| row.get(0),
    )?;
    if is_there {
        conn.query_row("SELECT upto FROM index_state", (), |row| row.get(0))
            .map(Some)
    } else {
        Ok(None)
    }
}

/// Whether the file has its index of hosts.
pub(super) fn has_hosts(conn: &Connection) -> rusqlite::Result<bool> {
    has_index(conn, "events_host")
}

/// Whether the file has its index of the senders' times.
pub(super) fn has_sent(conn: &Connection) -> rusqlite::Result<bool> {
    has_index(conn, "events_sent")
}

fn has_index(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1)";
    conn.query_row(sql, (name,), |row| row.get(0))
}

/// The first microsecond, at the begin of a minute, whose rows are not all in the text index; `None` where there is none.
pub(super) fn indexed_until(conn: &Connection, day: Day) -> rusqlite::Result<Option<i64>> {
    let at = |upto: i64| {
        let behind = day.start() + (upto.saturating_add(1) >> SEQ_BITS);
        if upto == SEALED {
            i64::MAX
        } else {
            behind.div_euclid(MINUTE_MICROS) * MINUTE_MICROS
        }
    };
    Ok(state(conn)?.map(at))
}

/// Builds what is missing; `stop` interrupts it, with [`StoreError::Unavailable`], and the next call goes on there.
pub(super) fn seal(dir: &Path, day: Day, stop: &Stop) -> Result<(), StoreError> {
    let path = day.path(dir);
    let mut conn = file::open_for_writing(dir, day)?;
    build(&mut conn, day, stop).map_err(|error| file::sort(error, &path))
}

/// Adds the hours before `over` of a day that is being written to the text index, if they are worth it. Interrupted as
/// [`seal`] is.
pub(super) fn index_hours(dir: &Path, day: Day, over: i64, stop: &Stop) -> Result<(), StoreError> {
    let path = day.path(dir);
    let to = over.div_euclid(HOUR_MICROS) * HOUR_MICROS;
    let mut conn = file::open_for_writing(dir, day)?;
    are_worth_it(&conn, day, to)
        .and_then(|are_worth_it| {
            if are_worth_it {
                build_hours(&mut conn, ((to - day.start()) << SEQ_BITS) - 1, stop)?;
                tracing::info!(%day, until = %event::Timestamp::from_micros(to), "hours indexed");
            }
            Ok(())
        })
        .map_err(|error| file::sort(error, &path))
}

fn are_worth_it(conn: &Connection, day: Day, to: i64) -> rusqlite::Result<bool> {
    let from = indexed_until(conn, day)?.unwrap_or_else(|| day.start());
    let sql = format!(
        "SELECT coalesce(sum({}), 0) >= ?3 FROM rollup_minute WHERE minute >= ?1 AND minute < ?2",
        COUNT_COLUMNS.join(" + ")
    );
    conn.query_row(&sql, (from, to, HOURS_ROWS_MIN), |row| row.get(0))
}

/// The indexes of hosts and of the sender's clock, or ours where the sender named no time; used by this very expression.
/// From the first they would cost a third of the write rate.
fn indexes(day: Day) -> String {
    let start = day.start();
    format!(
        "CREATE INDEX IF NOT EXISTS events_host ON events (hostname); \
         CREATE INDEX IF NOT EXISTS events_sent ON events (coalesce(timestamp, {start} + (seq >> {SEQ_BITS})), id)"
    )
}

/// Makes the tables of the text index, and lets `stop` interrupt what follows.
fn begin(conn: &mut Connection, stop: &Stop) -> rusqlite::Result<()> {
    let wanted = stop.clone();
    conn.progress_handler(STEPS, Some(move || wanted.is_set()))?;
    // What a crash takes back is built again.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(SCHEMA)?;
    tx.commit()
}

fn build(conn: &mut Connection, day: Day, stop: &Stop) -> rusqlite::Result<()> {
    begin(conn, stop)?;
    // Each by itself: a row that comes late waits for one of them at most.
    conn.execute_batch(&indexes(day))?;
    while index_piece(conn, SEALED, PIECE_ROWS)? {
        thread::park_timeout(PAUSE);
    }
    // Searches look into each part of the index; few parts are quick. Late rows make new parts all the time.
    let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
    for _ in 0..=pages / MERGE_PAGES {
        if !merge_piece(conn)? {
            break;
        }
        thread::park_timeout(PAUSE);
    }
    index_rest(conn, SEALED)
}

fn build_hours(conn: &mut Connection, last: i64, stop: &Stop) -> rusqlite::Result<()> {
    begin(conn, stop)?;
    loop {
        let began = Instant::now();
        if !index_piece(conn, last, HOURS_PIECE_ROWS)? {
            return index_rest(conn, last);
        }
        thread::park_timeout(PAUSE.max(began.elapsed() * HOURS_PAUSE));
    }
}

/// Adds rows up to `last` to the text index; false when there were none left.
fn index_piece(conn: &mut Connection, last: i64, rows: i64) -> rusqlite::Result<bool> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let last: Option<i64> = tx.query_row(
        "SELECT max(seq) FROM (SELECT seq FROM events WHERE seq > (SELECT upto FROM index_state) AND seq <= ?1 \
         ORDER BY seq LIMIT ?2)",
        (last, rows),
        |row| row.get(0),
    )?;
    let Some(last) = last else {
        return Ok(false);
    };
    add(&tx, last)?;
    tx.commit()?;
    Ok(true)
}

/// Adds the rows that came behind the last piece: from now on the index has all up to `last`.
fn index_rest(conn: &mut Connection, last: i64) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    add(&tx, last)?;
    tx.commit()
}

fn add(tx: &Transaction<'_>, last: i64) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO message_index (rowid, message) SELECT seq, message FROM events \
         WHERE seq > (SELECT upto FROM index_state) AND seq <= ?1 ORDER BY seq",
        (last,),
    )?;
    tx.execute("UPDATE index_state SET upto = ?1", (last,))?;
    Ok(())
}

/// Merges parts of the text index; false when there was nothing left to merge.
fn merge_piece(conn: &Connection) -> rusqlite::Result<bool> {
    let before = conn.total_changes();
    conn.execute(
        "INSERT INTO message_index (message_index, rank) VALUES ('merge', ?1)",
        (-MERGE_PAGES,),
    )?;
    // So the documentation of FTS5 says how its end is seen.
    Ok(conn.total_changes() - before >= 2)
}
