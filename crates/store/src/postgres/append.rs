//! Writing groups: one transaction with the batches' ids, the rows by binary COPY, the catalogue and the rollups.

use std::{collections::HashSet, pin::pin, time::Duration};

use bytes::Bytes;
use deadpool_postgres::Transaction;
use event::BatchId;
use futures_util::SinkExt;
use tokio_postgres::{CopyInSink, Error, types::ToSql};

use super::{
    Postgres,
    sqlstate::{is_refusal, message_of},
    types::{Date, Micros},
};
use crate::{
    append::{Appended, RefusedRow, Written},
    error::StoreError,
    group::{Group, HOUR_MICROS, Selection},
    row::{COLUMNS, RowReader},
    summary::{COUNT_COLUMNS, Counts, SourceSeen, Summary},
};

/// Times that a transaction which collides with another one is tried.
const ATTEMPTS: u32 = 5;

/// The first line of every binary COPY: signature, flags, no extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// Bytes of one CopyData message: large enough that its cost does not count, small enough that the connection's buffer
/// stays small.
const CHUNK_BYTES: usize = 128 << 10;

const DAY_MICROS: i64 = 86_400_000_000;

/// Why a transaction did not come to its end.
enum Failure {
    /// For the caller, or for another attempt.
    Store(StoreError),
    /// A row is to blame, or a partition that is gone.
    Refusal(Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if is_refusal(&error) {
            Self::Refusal(error)
        } else {
            Self::Store(error.into())
        }
    }
}

impl Postgres {
    pub(crate) async fn append(&self, mut group: Group) -> (Group, Result<Appended, StoreError>) {
        let rows = group.freeze();
        let result = self.append_frozen(&group, &rows).await;
        group.thaw(rows);
        (group, result)
    }

    async fn append_frozen(&self, group: &Group, rows: &Bytes) -> Result<Appended, StoreError> {
        let mut attempt = 1;
        loop {
            let made = self.partitions_for(group).await?;
            match self.write(group, rows).await {
                Ok(written) => return Ok(Appended::Written(written)),
                Err(Failure::Store(StoreError::Conflict(_))) if attempt < ATTEMPTS => {
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Refusal(error)) => {
                    // The error is the same when a partition was dropped meanwhile.
                    self.forget_partitions();
                    if made == 0 && self.partitions_for(group).await? > 0 {
                        continue;
                    }
                    let refused = self.find_refused(group, rows).await?;
                    if !refused.is_empty() {
                        return Ok(Appended::Refused(refused));
                    }
                    // What was wrong is right by now: another writer has made the partition.
                    if attempt == ATTEMPTS {
                        return Err(StoreError::Unexpected(Box::new(error)));
                    }
                    attempt += 1;
                }
            }
        }
    }

    async fn partitions_for(&self, group: &Group) -> Result<usize, StoreError> {
        let arrivals: Vec<_> = group.hours().into_iter().map(|hour| hour * HOUR_MICROS).collect();
        let mut minted: Vec<_> = group
            .batch_ids()
            .map(|(_, minted)| minted.as_micros().div_euclid(DAY_MICROS) * DAY_MICROS)
            .collect();
        minted.dedup();
        self.ensure_partitions(&arrivals, &minted).await
    }

    /// One transaction.
    async fn write(&self, group: &Group, rows: &Bytes) -> Result<Written, Failure> {
        let mut client = self.client().await?;
        let tx = client.transaction().await.map_err(StoreError::from)?;
        let without = insert_batch_ids(&tx, group).await?;
        let repeated = without.len();
        let mut part;
        let (fresh, rows) = if without.is_empty() {
            (group, rows.clone())
        } else {
            part = group.select(&Selection {
                without,
                ..Selection::default()
            });
            let rows = part.freeze();
            (&part, rows)
        };
        copy(&tx, &rows).await?;
        let sources = fresh.summary().news();
        add_summary(&tx, &sources, fresh.summary())
            .await
            .map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        fresh.admission().written(&sources);
        Ok(Written {
            rows: fresh.rows(),
            repeated,
        })
    }
}

/// A few milliseconds, longer each time, and different in every process.
fn pause(attempt: u32) -> Duration {
    let most = 10 << attempt.min(6);
    Duration::from_millis(rand::random_range(1..=most))
}

/// Notes the batches and returns those that were noted before. An id that another transaction is about to note is waited
/// for: only when that transaction fails is the batch ours to write.
async fn insert_batch_ids(tx: &Transaction<'_>, group: &Group) -> Result<HashSet<BatchId>, Failure> {
    let (mut dates, mut ids) = (Vec::new(), Vec::new());
    // In the order of the ids, as everywhere, so that no two transactions wait for each other.
    for (id, minted) in group.batch_ids() {
        dates.push(Date::of(minted));
        ids.push(id.as_uuid());
    }
    let insert = tx
        .prepare_cached(
            "INSERT INTO batches (minted_on, id) SELECT * FROM unnest($1::date[], $2::uuid[]) \
             ON CONFLICT DO NOTHING RETURNING id",
        )
        .await?;
    let mut repeated: HashSet<_> = ids.iter().copied().map(BatchId::from_uuid).collect();
    for row in tx.query(&insert, &[&dates, &ids]).await? {
        repeated.remove(&BatchId::from_uuid(row.try_get(0)?));
    }
    Ok(repeated)
}

/// Sends encoded rows.
async fn copy(tx: &Transaction<'_>, rows: &Bytes) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let columns = COLUMNS.map(|column| format!("\"{column}\"")).join(", ");
    let statement = tx
        .prepare_cached(&format!("COPY events ({columns}) FROM STDIN BINARY"))
        .await?;
    let sink: CopyInSink<Bytes> = tx.copy_in(&statement).await?;
    let mut sink = pin!(sink);
    sink.feed(Bytes::from_static(COPY_HEADER)).await?;
    let mut rest = rows.clone();
    while !rest.is_empty() {
        let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
        sink.feed(chunk).await?;
    }
    sink.feed(Bytes::from_static(COPY_TRAILER)).await?;
    sink.finish().await?;
    Ok(())
}

async fn add_summary(tx: &Transaction<'_>, seen: &[SourceSeen], summary: &Summary) -> Result<(), Error> {
    let hour_key = [
        ("hour", "timestamptz"),
        ("hostname", "text"),
        ("app_name", "text"),
    ];
    let sources = tx.prepare_cached(ADD_SOURCES).await?;
    let hours = tx.prepare_cached(&add_counts("rollup_hour", &hour_key)).await?;
    let minutes = tx
        .prepare_cached(&add_counts("rollup_minute", &[("minute", "timestamptz")]))
        .await?;

    let hosts: Vec<_> = seen.iter().map(|seen| &*seen.key.hostname).collect();
    let apps: Vec<_> = seen.iter().map(|seen| &*seen.key.app_name).collect();
    let peers: Vec<_> = seen.iter().map(|seen| &*seen.key.peer).collect();
    let first: Vec<_> = seen.iter().map(|seen| Micros(seen.first)).collect();
    let last: Vec<_> = seen.iter().map(|seen| Micros(seen.last)).collect();
    let of_sources: [&(dyn ToSql + Sync); 5] = [&hosts, &apps, &peers, &first, &last];

    let by_hour = summary.hours();
    let hour: Vec<_> = by_hour.iter().map(|count| Micros(count.hour)).collect();
    let hosts: Vec<_> = by_hour.iter().map(|count| &*count.hostname).collect();
    let apps: Vec<_> = by_hour.iter().map(|count| &*count.app_name).collect();
    let counts = columns(by_hour.iter().map(|count| &count.counts));
    let mut of_hours: Vec<&(dyn ToSql + Sync)> = vec![&hour, &hosts, &apps];
    of_hours.extend(counts.iter().map(|column| column as &(dyn ToSql + Sync)));

    let minute: Vec<_> = summary.minutes().keys().map(|minute| Micros(*minute)).collect();
    let counts = columns(summary.minutes().values());
    let mut of_minutes: Vec<&(dyn ToSql + Sync)> = vec![&minute];
    of_minutes.extend(counts.iter().map(|column| column as &(dyn ToSql + Sync)));

    // Sent one behind the other without waiting between them. The minutes, which all who write have in common, are
    // locked last and so for the shortest time.
    tokio::try_join!(
        tx.execute(&sources, &of_sources),
        tx.execute(&hours, &of_hours),
        tx.execute(&minutes, &of_minutes),
    )?;
    Ok(())
}

const ADD_SOURCES: &str = "INSERT INTO sources AS s (hostname, app_name, peer, first_seen, last_seen) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[]) \
    ON CONFLICT (hostname, app_name, peer) DO UPDATE SET first_seen = least(s.first_seen, excluded.first_seen), \
    last_seen = greatest(s.last_seen, excluded.last_seen)";

/// Adds to the counts of a rollup, many rows at once.
fn add_counts(table: &str, key: &[(&str, &str)]) -> String {
    let types = key
        .iter()
        .map(|(_, kind)| *kind)
        .chain(COUNT_COLUMNS.map(|_| "bigint"));
    let arrays: Vec<_> = (1..)
        .zip(types)
        .map(|(number, kind)| format!("${number}::{kind}[]"))
        .collect();
    let key: Vec<_> = key.iter().map(|(name, _)| *name).collect();
    let key = key.join(", ");
    let sums = COUNT_COLUMNS.map(|column| format!("\"{column}\" = r.\"{column}\" + excluded.\"{column}\""));
    format!(
        "INSERT INTO {table} AS r ({key}, {}) SELECT * FROM unnest({}) ON CONFLICT ({key}) DO UPDATE SET {}",
        COUNT_COLUMNS.map(|column| format!("\"{column}\"")).join(", "),
        arrays.join(", "),
        sums.join(", ")
    )
}

/// Rows of counts as a column for each severity.
fn columns<'a>(rows: impl Iterator<Item = &'a Counts>) -> [Vec<i64>; 9] {
    let mut columns: [Vec<i64>; 9] = Default::default();
    for counts in rows {
        for (column, count) in columns.iter_mut().zip(counts) {
            column.push(*count);
        }
    }
    columns
}

impl Postgres {
    /// The rows that PostgreSQL refuses, found by halving; nothing is written.
    async fn find_refused(&self, group: &Group, rows: &Bytes) -> Result<Vec<RefusedRow>, StoreError> {
        let bounds = row_bounds(rows);
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        let mut refused = Vec::new();
        let mut ranges = vec![(0, bounds.len() - 1)];
        while let Some((from, to)) = ranges.pop() {
            let part = match (bounds.get(from), bounds.get(to)) {
                (Some(start), Some(end)) => rows.slice(*start..*end),
                _ => continue,
            };
            tx.batch_execute("SAVEPOINT part").await?;
            match copy(&tx, &part).await {
                // Kept until the end: a row may be refused because of another one.
                Ok(()) => tx.batch_execute("RELEASE SAVEPOINT part").await?,
                Err(error) if is_refusal(&error) => {
                    tx.batch_execute("ROLLBACK TO SAVEPOINT part").await?;
                    if to - from == 1 {
                        refused.extend(group.place_of(from).map(|place| RefusedRow {
                            place,
                            message: message_of(&error),
                        }));
                    } else {
                        let middle = from.midpoint(to);
                        // The first half is looked at first.
                        ranges.extend([(middle, to), (from, middle)]);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        tx.rollback().await?;
        Ok(refused)
    }
}

/// Offsets at which rows start, and the end.
fn row_bounds(rows: &[u8]) -> Vec<usize> {
    let mut reader = RowReader::new(rows);
    let mut bounds = vec![0];
    while reader.next_row().is_some() {
        bounds.push(rows.len() - reader.remaining());
    }
    bounds
}
