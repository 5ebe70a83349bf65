//! Writing groups into day files; runs on the writer's thread.

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
};

use event::{BatchId, Timestamp};
use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, types::Null};

use super::file::{self, Day};
use crate::{
    append::{Appended, RefusedRow, Written},
    error::StoreError,
    group::{Group, HOUR_MICROS, Selection},
    row::{COLUMNS, RowReader, read_small, read_text, read_texts, read_time},
    summary::{COUNT_COLUMNS, Counts, Summary},
};

/// Files open for writing at most. Around midnight there are two; late arrivals add one or two.
const FILES_MAX: usize = 4;

/// Bits of `seq` below the microsecond.
pub(super) const SEQ_BITS: u32 = 26;

const INSERT: &str = "INSERT INTO events (seq, id, timestamp, timestamp_form, facility, severity, hostname, app_name, \
    procid, msgid, structured_data, message, has_bom, tags, fields, peer_addr, tls_peer, listener, route, raw, defects) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";

/// The open files and where they are.
#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    /// Most recently used first.
    files: VecDeque<(Day, Connection)>,
}

impl Writer {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            files: VecDeque::new(),
        }
    }

    /// Writes the group, one transaction for each day in it. A group that is interrupted between two days and comes
    /// again is not written twice, since each file knows the batches in it.
    pub(super) fn append(&mut self, group: &Group) -> Result<Appended, StoreError> {
        let mut written = Written::default();
        let days = days_of(group);
        for day in &days {
            let part;
            let of_day = if days.len() == 1 {
                group
            } else {
                part = group.select(&Selection {
                    hours: Some(day.hours()),
                    ..Selection::default()
                });
                &part
            };
            match self.append_day(*day, of_day)? {
                Appended::Written(day) => {
                    written.rows += day.rows;
                    written.repeated = written.repeated.max(day.repeated);
                }
                refused @ Appended::Refused(_) => return Ok(refused),
            }
        }
        Ok(Appended::Written(written))
    }

    /// Closes the day's file, which is to be deleted.
    pub(super) fn forget(&mut self, day: Day) {
        self.files.retain(|(open, _)| *open != day);
    }

    fn append_day(&mut self, day: Day, group: &Group) -> Result<Appended, StoreError> {
        let path = day.path(&self.dir);
        let result = write(self.file(day)?, day, group);
        if result.is_err() {
            // Whatever is wrong with the connection, the next attempt has a new one.
            self.files.pop_front();
        }
        result.map_err(|error| file::sort(error, &path))
    }

    /// The day's file, which is then the first in the list.
    fn file(&mut self, day: Day) -> Result<&mut Connection, StoreError> {
        let open = match self.files.iter().position(|(open, _)| *open == day) {
            Some(at) => self.files.remove(at),
            None => None,
        };
        let (_, conn) = match open {
            Some(open) => open,
            None => (day, file::open_for_writing(&self.dir, day)?),
        };
        self.files.truncate(FILES_MAX - 1);
        self.files.push_front((day, conn));
        let (_, conn) = self.files.front_mut().expect("just put there");
        Ok(conn)
    }
}

/// The days in which the group's rows arrived, each once, oldest first.
fn days_of(group: &Group) -> Vec<Day> {
    let mut days: Vec<_> = group
        .hours()
        .into_iter()
        .map(|hour| Day::of(Timestamp::from_micros(hour * HOUR_MICROS)))
        .collect();
    days.dedup();
    days
}

/// One transaction.
fn write(conn: &mut Connection, day: Day, group: &Group) -> rusqlite::Result<Appended> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let without = insert_batch_ids(&tx, group)?;
    let repeated = without.len();
    let part;
    let fresh = if without.is_empty() {
        group
    } else {
        part = group.select(&Selection {
            without,
            ..Selection::default()
        });
        &part
    };
    let refused = insert_rows(&tx, day, fresh)?;
    if !refused.is_empty() {
        return Ok(Appended::Refused(refused));
    }
    add_summary(&tx, fresh.summary())?;
    tx.commit()?;
    Ok(Appended::Written(Written {
        rows: fresh.rows(),
        repeated,
    }))
}

/// Notes the batches and returns those that were noted before.
fn insert_batch_ids(tx: &Transaction<'_>, group: &Group) -> rusqlite::Result<HashSet<BatchId>> {
    let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO batches (id) VALUES (?1)")?;
    let mut repeated = HashSet::new();
    for (id, _) in group.batch_ids() {
        if insert.execute((id.as_uuid().as_bytes(),))? == 0 {
            repeated.insert(id);
        }
    }
    Ok(repeated)
}

fn insert_rows(tx: &Transaction<'_>, day: Day, group: &Group) -> rusqlite::Result<Vec<RefusedRow>> {
    let mut insert = tx.prepare_cached(INSERT)?;
    let mut sequence = Sequence::new(tx)?;
    let mut reader = RowReader::new(group.encoded());
    let mut refused = Vec::new();
    let mut number = 0;
    while let Some(row) = reader.next_row() {
        let received_at = row[RECEIVED_AT].map_or(0, read_time);
        let seq = sequence.next(received_at - day.start())?;
        match bind(&mut insert, seq, &row).and_then(|()| insert.raw_execute()) {
            Ok(_) => {}
            Err(error) if file::is_refusal(&error) => {
                refused.extend(group.place_of(number).map(|place| RefusedRow {
                    place,
                    message: error.to_string(),
                }))
            }
            Err(error) => return Err(error),
        }
        number += 1;
    }
    Ok(refused)
}

/// Where `received_at` stands in [`COLUMNS`]; here it is in `seq`.
const RECEIVED_AT: usize = 1;

fn bind(
    insert: &mut CachedStatement<'_>,
    seq: i64,
    row: &[Option<&[u8]>; COLUMNS.len()],
) -> rusqlite::Result<()> {
    insert.raw_bind_parameter(1, seq)?;
    let columns = row.iter().zip(KINDS);
    let bound = columns.enumerate().filter(|(column, _)| *column != RECEIVED_AT);
    for (parameter, (_, (value, kind))) in (2..).zip(bound) {
        match (value, kind) {
            (None, _) => insert.raw_bind_parameter(parameter, Null)?,
            (Some(value), Kind::Bytes) => insert.raw_bind_parameter(parameter, value)?,
            (Some(value), Kind::Time) => insert.raw_bind_parameter(parameter, read_time(value))?,
            (Some(value), Kind::Small) => insert.raw_bind_parameter(parameter, read_small(value))?,
            (Some(value), Kind::Flag) => insert.raw_bind_parameter(parameter, value.contains(&1))?,
            (Some(value), Kind::Text) => insert.raw_bind_parameter(parameter, read_text(value))?,
            (Some(value), Kind::Texts) => insert.raw_bind_parameter(parameter, read_texts(value))?,
            (Some(value), Kind::Json) => {
                // The version byte is PostgreSQL's matter.
                let text = value.split_first().map_or("", |(_, text)| read_text(text));
                insert.raw_bind_parameter(parameter, text)?;
            }
        }
    }
    Ok(())
}

/// How the value of a column is encoded.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bytes,
    Time,
    Small,
    Flag,
    Text,
    Texts,
    Json,
}

/// By [`COLUMNS`].
const KINDS: [Kind; COLUMNS.len()] = {
    use Kind::{Bytes, Flag, Json, Small, Text, Texts, Time};
    [
        Bytes, Time, Time, Small, Small, Small, Text, Text, Text, Text, Json, Text, Flag, Texts, Json, Text,
        Text, Text, Text, Bytes, Texts,
    ]
};

/// Gives rows their `seq`.
struct Sequence<'t> {
    highest: CachedStatement<'t>,
    /// The microsecond of the row before, and the place after it.
    last: (i64, i64),
    /// The latest microsecond that has a row.
    latest: i64,
}

impl<'t> Sequence<'t> {
    fn new(tx: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        let highest: Option<i64> = tx
            .prepare_cached("SELECT max(seq) FROM events")?
            .query_row((), |row| row.get(0))?;
        Ok(Self {
            highest: tx.prepare_cached("SELECT max(seq) FROM events WHERE seq >= ?1 AND seq < ?2")?,
            last: (-1, 0),
            latest: highest.map_or(-1, |seq| seq >> SEQ_BITS),
        })
    }

    /// The `seq` of one more row in this microsecond of the day.
    fn next(&mut self, micros: i64) -> rusqlite::Result<i64> {
        let place = if micros == self.last.0 {
            self.last.1
        } else if micros > self.latest {
            0
        } else {
            let (from, to) = (micros << SEQ_BITS, (micros + 1) << SEQ_BITS);
            let highest: Option<i64> = self.highest.query_row((from, to), |row| row.get(0))?;
            highest.map_or(0, |seq| seq - from + 1)
        };
        self.last = (micros, place + 1);
        self.latest = self.latest.max(micros);
        Ok((micros << SEQ_BITS) + place)
    }
}

fn add_summary(tx: &Transaction<'_>, summary: &Summary) -> rusqlite::Result<()> {
    let mut source = tx.prepare_cached(
        "INSERT INTO sources (hostname, app_name, peer, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET first_seen = min(first_seen, excluded.first_seen), \
         last_seen = max(last_seen, excluded.last_seen)",
    )?;
    for seen in summary.sources() {
        let key = &seen.key;
        source.execute((&key.hostname, &key.app_name, &key.peer, seen.first, seen.last))?;
    }
    let mut minute = tx.prepare_cached(&add_counts("rollup_minute", &["minute"]))?;
    for (at, counts) in summary.minutes() {
        minute.raw_bind_parameter(1, at)?;
        bind_counts(&mut minute, 2, counts)?;
    }
    let mut hour = tx.prepare_cached(&add_counts("rollup_hour", &["hour", "hostname", "app_name"]))?;
    for count in summary.hours() {
        hour.raw_bind_parameter(1, count.hour)?;
        hour.raw_bind_parameter(2, &count.hostname)?;
        hour.raw_bind_parameter(3, &count.app_name)?;
        bind_counts(&mut hour, 4, &count.counts)?;
    }
    if let Some((first, last)) = summary.sent() {
        tx.prepare_cached(
            "INSERT INTO span (one, sent_first, sent_last) VALUES (1, ?1, ?2) ON CONFLICT DO UPDATE SET \
             sent_first = min(sent_first, excluded.sent_first), sent_last = max(sent_last, excluded.sent_last)",
        )?
        .execute((first, last))?;
    }
    Ok(())
}

/// Adds to the counts of a rollup.
fn add_counts(table: &str, key: &[&str]) -> String {
    let values: Vec<_> = (1..=key.len() + COUNT_COLUMNS.len())
        .map(|number| format!("?{number}"))
        .collect();
    let sums = COUNT_COLUMNS.map(|column| format!("{column} = {column} + excluded.{column}"));
    format!(
        "INSERT INTO {table} ({}, {}) VALUES ({}) ON CONFLICT DO UPDATE SET {}",
        key.join(", "),
        COUNT_COLUMNS.join(", "),
        values.join(", "),
        sums.join(", ")
    )
}

fn bind_counts(statement: &mut CachedStatement<'_>, first: usize, counts: &Counts) -> rusqlite::Result<()> {
    for (parameter, count) in (first..).zip(counts) {
        statement.raw_bind_parameter(parameter, count)?;
    }
    statement.raw_execute().map(drop)
}
