//! Sealing the file of a day that is over: a text index and two others, built a piece at a time, so that rows which come
//! late never wait long.

use std::{path::Path, thread, time::Duration};

use rusqlite::{Connection, TransactionBehavior};

use super::{
    file::{self, Day},
    upkeep::Stop,
    writer::SEQ_BITS,
};
use crate::error::StoreError;

/// `index_state.upto` of a file that is sealed.
pub(super) const SEALED: i64 = i64::MAX;

/// Rows that go into the text index in one transaction, which takes some tenths of a second.
const PIECE_ROWS: i64 = 40_000;

/// Pages that one step of merging the text index writes, at most.
const MERGE_PAGES: i64 = 2000;

/// Between two pieces. SQLite's locks have no queue, and who waits for one looks again after a tenth of a second at most.
const PAUSE: Duration = Duration::from_millis(110);

/// SQLite looks whether it is to stop after this many steps of its machine, some ten microseconds.
const STEPS: i32 = 1000;

const SCHEMA: &str = include_str!("sealing.sql");

/// The sender's clock, or ours where the sender named no time. An index is used by this very expression.
pub(super) fn sent_at(day: Day) -> String {
    format!("coalesce(timestamp, {} + (seq >> {SEQ_BITS}))", day.start())
}

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

/// Builds what is missing; `stop` interrupts it, with [`StoreError::Unavailable`], and the next call goes on there.
pub(super) fn seal(dir: &Path, day: Day, stop: &Stop) -> Result<(), StoreError> {
    let path = day.path(dir);
    let mut conn = file::open_for_writing(dir, day)?;
    build(&mut conn, day, stop).map_err(|error| file::sort(error, &path))
}

fn build(conn: &mut Connection, day: Day, stop: &Stop) -> rusqlite::Result<()> {
    let wanted = stop.clone();
    conn.progress_handler(STEPS, Some(move || wanted.is_set()))?;
    // What a crash takes back is built again.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(SCHEMA)?;
    tx.execute_batch(&format!(
        "CREATE INDEX IF NOT EXISTS events_sent ON events ({}, id)",
        sent_at(day)
    ))?;
    tx.commit()?;
    while index_piece(conn)? {
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
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Rows that came behind the last piece.
    tx.execute(
        "INSERT INTO message_index (rowid, message) SELECT seq, message FROM events \
         WHERE seq > (SELECT upto FROM index_state)",
        (),
    )?;
    tx.execute("UPDATE index_state SET upto = ?1", (SEALED,))?;
    tx.commit()
}

/// Adds rows to the text index; false when there were none left.
fn index_piece(conn: &mut Connection) -> rusqlite::Result<bool> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let last: Option<i64> = tx.query_row(
        "SELECT max(seq) FROM (SELECT seq FROM events WHERE seq > (SELECT upto FROM index_state) \
         ORDER BY seq LIMIT ?1)",
        (PIECE_ROWS,),
        |row| row.get(0),
    )?;
    let Some(last) = last else {
        return Ok(false);
    };
    tx.execute(
        "INSERT INTO message_index (rowid, message) SELECT seq, message FROM events \
         WHERE seq > (SELECT upto FROM index_state) AND seq <= ?1 ORDER BY seq",
        (last,),
    )?;
    tx.execute("UPDATE index_state SET upto = ?1", (last,))?;
    tx.commit()?;
    Ok(true)
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
