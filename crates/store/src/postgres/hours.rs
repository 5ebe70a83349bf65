//! Indexes of texts for the hours that are over of a partition that is still written: a search for a rare text need not
//! read the day. Each covers its hours only, so whoever writes the next hour pays nothing for it but a comparison.

use std::time::Instant;

use event::Timestamp;
use tokio_postgres::Client;

use super::{
    indexes::{Partition, TRIGRAMS},
    types::Micros,
};
use crate::{error::StoreError, summary::COUNT_COLUMNS};

const HOUR_MICROS: i64 = 3_600_000_000;

/// Fewer rows are read as quickly as they are looked up.
const ROWS_MIN: i64 = if cfg!(test) { 20 } else { 50_000 };

/// The index of some hours, as it is written in SQL, and where they end.
async fn list(client: &Client, partition: &Partition) -> Result<Vec<(String, i64)>, StoreError> {
    let sql = "SELECT name, substring(covers FROM '< ''([^'']+)''')::timestamptz FROM (\
        SELECT x.indexrelid::regclass::text AS name, pg_get_expr(x.indpred, x.indrelid) AS covers \
        FROM pg_index x JOIN pg_opclass o ON o.oid = x.indclass[0] \
        WHERE x.indrelid = $1::text::regclass AND x.indisvalid AND x.indpred IS NOT NULL AND o.opcname = 'gin_trgm_ops') AS hours";
    let mut hours = Vec::new();
    for row in client.query(sql, &[&partition.table]).await? {
        let to: Option<Micros> = row.try_get(1)?;
        hours.extend(
            to.map(|to| Ok::<_, StoreError>((row.try_get(0)?, to.0)))
                .transpose()?,
        );
    }
    Ok(hours)
}

/// Indexes what came before the last full hour that is over and is not indexed yet, if it is worth it.
pub(super) async fn index(client: &Client, partition: &Partition, over: i64) -> Result<(), StoreError> {
    let Some(start) = partition.from else {
        return Ok(());
    };
    let indexed = list(client, partition).await?;
    let from = indexed.iter().map(|(_, to)| *to).fold(start, i64::max);
    let to = over.div_euclid(HOUR_MICROS) * HOUR_MICROS;
    if to <= from || rows(client, from, to).await? < ROWS_MIN {
        return Ok(());
    }
    partition.drop_broken(client).await?;
    let began = Instant::now();
    let name = partition.name_with(&format!("hours_{:02}", (from - start) / HOUR_MICROS));
    // Most rows come behind the hours, so that is asked first.
    client
        .batch_execute(&format!(
            "CREATE INDEX CONCURRENTLY \"{name}\" ON {} {TRIGRAMS} WHERE received_at < '{}' AND received_at >= '{}'",
            partition.table,
            Timestamp::from_micros(to),
            Timestamp::from_micros(from),
        ))
        .await?;
    tracing::info!(
        index = name,
        seconds = began.elapsed().as_secs_f64(),
        "hours indexed"
    );
    Ok(())
}

/// Drops the indexes of hours: there is one of the whole partition.
pub(super) async fn drop_all(client: &Client, partition: &Partition) -> Result<(), StoreError> {
    for (name, _) in list(client, partition).await? {
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
