//! Partitions by time, made ahead and, for rows that are older or newer than expected, on demand.
//!
//! A partition is made empty and then attached, which unlike `CREATE TABLE … PARTITION OF` leaves writers and readers of
//! the table alone. Where the period was changed, a new partition covers what its neighbours leave.

use std::time::Duration;

use parking_lot::Mutex;
use tokio_postgres::Transaction;

use super::{Postgres, migrate::PARTITION_LOCK, types::Micros};
use crate::error::StoreError;

/// Partitions of one table.
#[derive(Debug)]
pub(super) struct Partitions {
    table: &'static str,
    /// What one partition covers, in microseconds.
    period: i64,
    /// The ranges that have a partition, ascending.
    known: Mutex<Vec<Range>>,
}

/// From the first microsecond to the one after the last.
type Range = (i64, i64);

/// Days for which the ids of batches are kept. A batch that comes back later than that is written again; a delivery
/// would have to wait that long between its first attempt and its next.
const BATCH_DAYS_KEPT: i64 = 7;

/// Sources that the catalogue keeps, the most recently seen.
const SOURCES_MAX: i64 = 200_000;

const DAY_MICROS: i64 = 86_400_000_000;

impl Partitions {
    pub(super) fn new(table: &'static str, period: Duration) -> Self {
        Self {
            table,
            period: i64::try_from(period.as_micros()).unwrap_or(i64::MAX),
            known: Mutex::new(Vec::new()),
        }
    }

    /// True when every instant has a partition, as far as we know.
    fn cover(&self, instants: &[i64]) -> bool {
        let known = self.known.lock();
        instants
            .iter()
            .all(|at| known.iter().any(|range| contains(*range, *at)))
    }

    /// Makes what is missing; returns how many, and all that there are once the transaction is committed.
    async fn make(&self, tx: &Transaction<'_>, instants: &[i64]) -> Result<(usize, Vec<Range>), StoreError> {
        self.finish_leaving(tx).await?;
        let mut ranges = self.list(tx).await?;
        let mut made = 0;
        for at in instants {
            if ranges.iter().any(|range| contains(*range, *at)) {
                continue;
            }
            let range = gap(&ranges, *at, self.period);
            self.attach(tx, range).await?;
            ranges.push(range);
            made += 1;
        }
        Ok((made, ranges))
    }

    async fn list(&self, tx: &Transaction<'_>) -> Result<Vec<Range>, StoreError> {
        let sql = "SELECT substring(bound FROM 'FROM \\(''([^'']+)''\\)')::timestamptz, \
                   substring(bound FROM 'TO \\(''([^'']+)''\\)')::timestamptz FROM (\
                   SELECT pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i \
                   JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::text::regclass) AS bounds \
                   WHERE bound LIKE 'FOR VALUES%'";
        let mut ranges = Vec::new();
        for row in tx.query(sql, &[&self.table]).await? {
            let (from, to): (Option<Micros>, Option<Micros>) = (row.try_get(0)?, row.try_get(1)?);
            ranges.push((from.map_or(i64::MIN, |at| at.0), to.map_or(i64::MAX, |at| at.0)));
        }
        Ok(ranges)
    }

    /// A partition whose detaching was interrupted takes no rows any more, and lets no other take its place.
    async fn finish_leaving(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        let sql = "SELECT i.inhrelid::regclass::text FROM pg_inherits i WHERE i.inhparent = $1::text::regclass \
                   AND (to_jsonb(i) ->> 'inhdetachpending')::boolean";
        for row in tx.query(sql, &[&self.table]).await? {
            let (table, leaving): (_, &str) = (self.table, row.try_get(0)?);
            tx.batch_execute(&format!(
                "ALTER TABLE {table} DETACH PARTITION {leaving} FINALIZE"
            ))
            .await?;
        }
        Ok(())
    }

    async fn attach(&self, tx: &Transaction<'_>, (from, to): Range) -> Result<(), StoreError> {
        // Only our own names and numbers go into the text; DDL takes no parameters.
        let table = self.table;
        let (from, to) = (
            event::Timestamp::from_micros(from),
            event::Timestamp::from_micros(to),
        );
        let name = format!("{table}_{}", name_of(&from.to_string()));
        let name = free_name(tx, name).await?;
        tx.batch_execute(&format!(
            "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE); \
             ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
        ))
        .await?;
        tracing::info!(partition = name, "partition made");
        Ok(())
    }
}

/// The name, or the same with a number behind it: one that is detached has its name until it is dropped.
async fn free_name(tx: &Transaction<'_>, name: String) -> Result<String, StoreError> {
    let sql = "SELECT candidate FROM (SELECT $1::text AS candidate, 1 AS number UNION ALL \
               SELECT $1::text || '_' || number, number FROM generate_series(2, 100) AS number) AS candidates \
               WHERE to_regclass(candidate) IS NULL ORDER BY number LIMIT 1";
    let row = tx.query_opt(sql, &[&name]).await?;
    row.map_or(Ok(name), |row| row.try_get(0).map_err(StoreError::from))
}

fn contains((from, to): Range, at: i64) -> bool {
    from <= at && at < to
}

/// The period around `at`, less what its neighbours have.
fn gap(ranges: &[Range], at: i64, period: i64) -> Range {
    let start = at.div_euclid(period) * period;
    let before = ranges.iter().map(|(_, to)| *to).filter(|to| *to <= at).max();
    let after = ranges
        .iter()
        .map(|(from, _)| *from)
        .filter(|from| *from > at)
        .min();
    (
        before.map_or(start, |to| start.max(to)),
        after.map_or(start + period, |from| (start + period).min(from)),
    )
}

/// `20261121` of `2026-11-21T00:00:00.000000Z`, with `_1300` behind it for another time of day.
fn name_of(start: &str) -> String {
    let digits =
        |part: Option<&str>| -> String { part.unwrap_or("").chars().filter(char::is_ascii_digit).collect() };
    let (date, time) = (digits(start.get(..10)), digits(start.get(10..16)));
    if time == "0000" {
        date
    } else {
        format!("{date}_{time}")
    }
}

impl Postgres {
    /// Makes partitions for rows that arrive at `events` and batches minted at `batches`, where they are missing.
    pub(super) async fn ensure_partitions(
        &self,
        events: &[i64],
        batches: &[i64],
    ) -> Result<usize, StoreError> {
        if self.events.cover(events) && self.batches.cover(batches) {
            return Ok(0);
        }
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        lock(&tx).await?;
        let (made_for_events, of_events) = self.events.make(&tx, events).await?;
        let (made_for_batches, of_batches) = self.batches.make(&tx, batches).await?;
        tx.commit().await?;
        // Not before: others write as soon as they know them.
        *self.events.known.lock() = of_events;
        *self.batches.known.lock() = of_batches;
        Ok(made_for_events + made_for_batches)
    }

    /// Forgets which partitions there are: one that was known is gone.
    pub(super) fn forget_partitions(&self) {
        self.events.known.lock().clear();
        self.batches.known.lock().clear();
    }

    /// Makes partitions ahead, and drops old ids of batches and sources that are too many.
    pub(crate) async fn maintain(&self) -> Result<(), StoreError> {
        let now = event::Timestamp::now().as_micros();
        let ahead = |period: i64| -> Vec<i64> {
            (0..=i64::from(self.ahead))
                .map(|number| now + number * period)
                .collect()
        };
        self.ensure_partitions(&ahead(self.events.period), &ahead(self.batches.period))
            .await?;
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        lock(&tx).await?;
        let expired = Micros(now - BATCH_DAYS_KEPT * DAY_MICROS);
        let sql = "SELECT name FROM (SELECT i.inhrelid::regclass::text AS name, \
                   substring(pg_get_expr(c.relpartbound, c.oid) FROM '^FOR VALUES FROM \\(''.*TO \\(''([^'']+)''\\)') AS upto \
                   FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'batches'::regclass) AS parts \
                   WHERE upto::timestamptz <= $1";
        for row in tx.query(sql, &[&expired]).await? {
            let name: &str = row.try_get(0)?;
            tx.batch_execute(&format!("DROP TABLE {name}")).await?;
            tracing::info!(partition = name, "ids of old batches dropped");
        }
        tx.execute(
            "DELETE FROM sources WHERE last_seen < \
             (SELECT last_seen FROM sources ORDER BY last_seen DESC OFFSET $1 LIMIT 1)",
            &[&SOURCES_MAX],
        )
        .await?;
        tx.commit().await?;
        self.forget_partitions();
        Ok(())
    }
}

/// One process at a time; times in UTC; and no long wait for a table that somebody else has locked, since all who write
/// would wait behind us.
async fn lock(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK])
        .await?;
    tx.batch_execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL lock_timeout = '2s'")
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_partition_fills_the_gap_around_the_row() {
        assert_eq!(gap(&[], 25, 10), (20, 30));
        assert_eq!(gap(&[(10, 20), (30, 40)], 25, 10), (20, 30));
        // From small periods to large ones, and back.
        assert_eq!(gap(&[(20, 22), (22, 24)], 25, 10), (24, 30));
        assert_eq!(gap(&[(0, 20), (27, 40)], 25, 10), (20, 27));
        assert_eq!(gap(&[(i64::MIN, 0)], 5, 10), (0, 10));
    }

    #[test]
    fn partitions_are_named_by_their_start() {
        assert_eq!(name_of("2026-11-21T00:00:00.000000Z"), "20261121");
        assert_eq!(name_of("2026-11-21T13:00:00.000000Z"), "20261121_1300");
    }
}
