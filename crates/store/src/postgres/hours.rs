//! Indexes for the hours that are over of a partition that is still written: a search for a rare text or a seldom host
//! need not read the day. Each covers its hours only, so whoever writes the next hour pays nothing for it but a comparison;
//! and hours with few rows are put together, so that there are few to compare with and to look into.

use std::{collections::BTreeMap, time::Instant};

use event::Timestamp;
use tokio_postgres::Client;

use super::{
    indexes::{self, Partition, TRIGRAMS},
    types::Micros,
};
use crate::{error::StoreError, summary::COUNT_COLUMNS};

const HOUR_MICROS: i64 = 3_600_000_000;

/// Fewer rows are read as quickly as they are looked up.
const ROWS_MIN: i64 = if cfg!(test) { 20 } else { 50_000 };

/// So many rows are put together at most: indexing them anew takes some seconds.
const ROWS_TOGETHER_MAX: i64 = if cfg!(test) { 100 } else { 500_000 };

/// The hours that some indexes cover.
#[derive(Debug, Default)]
struct Hours {
    /// As they are written in SQL.
    indexes: Vec<String>,
    /// Searches use the hours when there is one of texts, which is built last.
    is_complete: bool,
}

/// The hours with indexes, by where they begin and end.
async fn list(client: &Client, partition: &Partition) -> Result<BTreeMap<(i64, i64), Hours>, StoreError> {
    let sql = "SELECT name, substring(covers FROM '>= ''([^'']+)''')::timestamptz, \
        substring(covers FROM '< ''([^'']+)''')::timestamptz, is_text FROM (\
        SELECT x.indexrelid::regclass::text AS name, pg_get_expr(x.indpred, x.indrelid) AS covers, \
            o.opcname = 'gin_trgm_ops' AS is_text \
        FROM pg_index x JOIN pg_opclass o ON o.oid = x.indclass[0] \
        WHERE x.indrelid = $1::text::regclass AND x.indisvalid AND x.indpred IS NOT NULL) AS hours";
    let mut hours: BTreeMap<_, Hours> = BTreeMap::new();
    for row in client.query(sql, &[&partition.table]).await? {
        let (from, to): (Option<Micros>, Option<Micros>) = (row.try_get(1)?, row.try_get(2)?);
        // Others have other conditions.
        let (Some(from), Some(to)) = (from, to) else {
            continue;
        };
        let of_these = hours.entry((from.0, to.0)).or_default();
        of_these.indexes.push(row.try_get(0)?);
        of_these.is_complete |= row.try_get::<_, bool>(3)?;
    }
    Ok(hours)
}

/// Indexes what came before the last full hour that is over and is not indexed yet, if it is worth it.
pub(super) async fn index(client: &Client, partition: &Partition, over: i64) -> Result<(), StoreError> {
    let Some(start) = partition.from else {
        return Ok(());
    };
    let mut indexed = list(client, partition).await?;
    let begun = indexed.extract_if(.., |_, hours| !hours.is_complete);
    for hours in begun.map(|(_, hours)| hours).collect::<Vec<_>>() {
        drop_indexes(client, &hours).await?;
    }
    let mut from = indexed.keys().map(|(_, to)| *to).fold(start, i64::max);
    let to = over.div_euclid(HOUR_MICROS) * HOUR_MICROS;
    if to <= from {
        return Ok(());
    }
    let mut sum = rows(client, from, to).await?;
    if sum < ROWS_MIN {
        return Ok(());
    }
    let mut replaced = Vec::new();
    while let Some((&(begin, end), _)) = indexed.last_key_value() {
        let before = rows(client, begin, end).await?;
        // About as many are put together as there are anew, so that no row is indexed often.
        if before > 2 * sum || before + sum > ROWS_TOGETHER_MAX {
            break;
        }
        sum += before;
        from = from.min(begin);
        replaced.extend(indexed.pop_last().map(|(_, hours)| hours));
    }
    build(client, partition, start, (from, to)).await?;
    for hours in replaced {
        drop_indexes(client, &hours).await?;
    }
    Ok(())
}

async fn build(
    client: &Client,
    partition: &Partition,
    start: i64,
    (from, to): (i64, i64),
) -> Result<(), StoreError> {
    partition.drop_broken(client).await?;
    let began = Instant::now();
    let hour = |at: i64| (at - start) / HOUR_MICROS;
    let name = partition.name_with(&format!("hours_{:02}_{:02}", hour(from), hour(to)));
    let (from, to) = (Timestamp::from_micros(from), Timestamp::from_micros(to));
    for (suffix, definition) in [
        ("sent", indexes::sent()),
        ("host", indexes::HOSTS.to_owned()),
        ("text", TRIGRAMS.to_owned()),
    ] {
        // Most rows come behind the hours, so that is asked first.
        client
            .batch_execute(&format!(
                "CREATE INDEX CONCURRENTLY \"{name}_{suffix}\" ON {} {definition} \
                 WHERE received_at < '{to}' AND received_at >= '{from}'",
                partition.table,
            ))
            .await?;
    }
    tracing::info!(
        indexes = name,
        seconds = began.elapsed().as_secs_f64(),
        "hours indexed"
    );
    Ok(())
}

/// Drops the indexes of hours: there are those of the whole partition.
pub(super) async fn drop_all(client: &Client, partition: &Partition) -> Result<(), StoreError> {
    for hours in list(client, partition).await?.values() {
        drop_indexes(client, hours).await?;
    }
    Ok(())
}

async fn drop_indexes(client: &Client, hours: &Hours) -> Result<(), StoreError> {
    for name in &hours.indexes {
        client
            .batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"))
            .await?;
    }
    Ok(())
}

/// Rows that arrived in the minutes between, by the rollup.
async fn rows(client: &Client, from: i64, to: i64) -> Result<i64, StoreError> {
    let sum = COUNT_COLUMNS.map(|column| format!("\"{column}\"")).join(" + ");
    let sql = format!(
        "SELECT coalesce(sum({sum}), 0)::bigint FROM rollup_minute WHERE minute >= $1 AND minute < $2"
    );
    let row = client.query_one(&sql, &[&Micros(from), &Micros(to)]).await?;
    Ok(row.try_get(0)?)
}
