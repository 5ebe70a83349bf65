//! Retention: partitions are dropped by age and by size, and rows of routes that are kept for less are deleted.

use event::Timestamp;
use settings::{RouteSettings, UpkeepSettings};
use tokio_postgres::Client;

use super::{Postgres, indexes::Partition, migrate::PARTITION_LOCK, types::Micros};
use crate::{
    error::StoreError,
    summary::COUNT_COLUMNS,
    upkeep::{Tidied, days_before, too_many},
};

/// Rows that one statement looks through for those of a route: some tenths of a second.
const PIECE_ROWS: i64 = 20_000;

/// `server_version_num` from which a partition can be detached while others read and write.
const DETACHES_CONCURRENTLY: i32 = 140_000;

impl Postgres {
    pub(super) async fn retain(
        &self,
        client: &Client,
        settings: &UpkeepSettings,
        now: Timestamp,
        tidied: &mut Tidied,
    ) -> Result<(), StoreError> {
        let partitions = Partition::list(client).await?;
        for partition in partitions.iter().filter(|partition| partition.is_leaving) {
            let table = &partition.table;
            client
                .batch_execute(&format!("ALTER TABLE events DETACH PARTITION {table} FINALIZE"))
                .await?;
        }
        for partition in expired(&partitions, settings, now) {
            retire(client, partition).await?;
        }
        tidied.dropped = drop_retired(client).await?;
        if tidied.dropped > 0 {
            self.forget_partitions();
        }
        for partition in Partition::list(client).await? {
            for route in &settings.routes {
                tidied.deleted += clear(client, &partition, route, now).await?;
            }
        }
        Ok(())
    }
}

/// Those that are older than is kept, and the oldest of those that are too many. What is being written stays.
fn expired<'a>(partitions: &'a [Partition], settings: &UpkeepSettings, now: Timestamp) -> Vec<&'a Partition> {
    let over: Vec<_> = partitions
        .iter()
        .filter(|partition| !partition.is_leaving && partition.from.is_some())
        .filter(|partition| partition.to.is_some_and(|to| to <= now.as_micros()))
        .collect();
    let by_age = settings.keep_days.map_or(0, |days| {
        let first = days_before(now, days);
        over.iter()
            .filter(|partition| partition.to.is_some_and(|to| to <= first))
            .count()
    });
    let by_size = settings.keep_bytes.map_or(0, |most| {
        let others = partitions
            .iter()
            .filter(|one| !over.iter().any(|over| over.name == one.name));
        let sizes: Vec<_> = over
            .iter()
            .copied()
            .chain(others)
            .map(|partition| partition.bytes)
            .collect();
        too_many(&sizes, over.len(), most)
    });
    over.into_iter().take(by_age.max(by_size)).collect()
}

/// Detaches a partition, after it is noted that it is to be dropped.
async fn retire(client: &Client, partition: &Partition) -> Result<(), StoreError> {
    let (table, name) = (&partition.table, &partition.name);
    client
        .execute(
            "INSERT INTO partition_upkeep (name, retired_at, covered_from, covered_to) VALUES ($1, now(), $2, $3) \
             ON CONFLICT (name) DO UPDATE SET retired_at = excluded.retired_at, \
             covered_from = excluded.covered_from, covered_to = excluded.covered_to",
            &[name, &partition.from.map(Micros), &partition.to.map(Micros)],
        )
        .await?;
    let version: i32 = client
        .query_one("SELECT current_setting('server_version_num')::integer", &[])
        .await?
        .try_get(0)?;
    // Where it cannot be done beside others it needs the whole table for a moment, and must not wait long for it, since
    // all would wait behind it.
    let (how, patience) = if version >= DETACHES_CONCURRENTLY {
        (" CONCURRENTLY", "30s")
    } else {
        ("", "2s")
    };
    client
        .batch_execute(&format!("SET lock_timeout = '{patience}'"))
        .await?;
    let detached = client
        .batch_execute(&format!("ALTER TABLE events DETACH PARTITION {table}{how}"))
        .await;
    client.batch_execute("RESET lock_timeout").await?;
    detached?;
    tracing::info!(
        partition = name,
        bytes = partition.bytes,
        "partition detached, to be dropped"
    );
    Ok(())
}

/// Drops what is detached, also what a crash left, and takes it out of the rollups.
async fn drop_retired(client: &Client) -> Result<usize, StoreError> {
    let retired = client
        .query(
            "SELECT name FROM partition_upkeep WHERE retired_at IS NOT NULL",
            &[],
        )
        .await?;
    let mut dropped = 0;
    for row in retired {
        let name: &str = row.try_get(0)?;
        client
            .batch_execute("BEGIN; SET LOCAL lock_timeout = '2s'")
            .await?;
        let done = drop_one(client, name).await;
        client
            .batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })
            .await?;
        dropped += usize::from(done?);
    }
    Ok(dropped)
}

async fn drop_one(client: &Client, name: &str) -> Result<bool, StoreError> {
    // Whoever makes a partition of this name waits until it is clear which one is meant.
    client
        .execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK])
        .await?;
    let row = client
        .query_one(
            "SELECT to_regclass(quote_ident($1))::text, EXISTS (SELECT 1 FROM pg_inherits \
             WHERE inhrelid = to_regclass(quote_ident($1)))",
            &[&name],
        )
        .await?;
    let (table, is_attached): (Option<&str>, bool) = (row.try_get(0)?, row.try_get(1)?);
    if is_attached {
        // It was not detached after all; the next round finds out whether it still must go.
        client
            .execute(
                "UPDATE partition_upkeep SET retired_at = NULL WHERE name = $1",
                &[&name],
            )
            .await?;
        return Ok(false);
    }
    if let Some(table) = table {
        client.batch_execute(&format!("DROP TABLE {table}")).await?;
    }
    for (rollup, time) in [("rollup_minute", "minute"), ("rollup_hour", "hour")] {
        client
            .execute(
                &format!(
                    "DELETE FROM {rollup} r USING partition_upkeep u WHERE u.name = $1 \
                     AND r.{time} >= u.covered_from AND r.{time} < u.covered_to"
                ),
                &[&name],
            )
            .await?;
    }
    client
        .execute("DELETE FROM partition_upkeep WHERE name = $1", &[&name])
        .await?;
    tracing::info!(partition = name, "partition dropped");
    Ok(true)
}

/// Deletes the rows of a route that is kept for less from a sealed partition, a piece at a time; returns how many.
async fn clear(
    client: &Client,
    partition: &Partition,
    route: &RouteSettings,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let first = days_before(now, route.keep_days);
    let (Some(from), Some(to)) = (partition.from, partition.to) else {
        return Ok(0);
    };
    if to > first || !partition.is_sealed || partition.cleared.contains(&route.name) {
        return Ok(0);
    }
    let (table, name) = (&partition.table, &partition.name);
    tracing::info!(
        partition = name,
        route = route.name,
        "deleting rows of a route that is kept for less"
    );
    let bound = client
        .prepare(&format!(
            "SELECT received_at FROM {table} WHERE received_at >= $1 ORDER BY received_at OFFSET $2 LIMIT 1"
        ))
        .await?;
    let delete = client.prepare(&delete_piece(table)).await?;
    let (mut deleted, mut next) = (0, from);
    while next < to {
        let upto = client
            .query_opt(&bound, &[&Micros(next), &PIECE_ROWS])
            .await?
            .map(|row| row.try_get::<_, Micros>(0))
            .transpose()?
            .map_or(to, |at| at.0);
        let row = client
            .query_one(&delete, &[&Micros(next), &Micros(upto), &route.name])
            .await?;
        deleted += u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
        next = upto + 1;
    }
    client
        .execute(
            "UPDATE partition_upkeep SET cleared = array_append(cleared, $2) WHERE name = $1",
            &[name, &route.name],
        )
        .await?;
    if deleted > 0 {
        client.batch_execute(&format!("VACUUM (ANALYZE) {table}")).await?;
    }
    tracing::info!(
        partition = name,
        route = route.name,
        rows = deleted,
        "rows of the route deleted"
    );
    Ok(deleted)
}

/// Rows of a route between two instants, both included, and what they count for in the rollups. Sources that are counted
/// together there, and names that were cut, stay in the rollup by hour.
fn delete_piece(table: &str) -> String {
    let counts: Vec<_> = (0..)
        .zip(COUNT_COLUMNS)
        .map(|(code, column)| match column {
            "none" => "count(*) FILTER (WHERE severity IS NULL) AS \"none\"".to_owned(),
            column => format!("count(*) FILTER (WHERE severity = {code}) AS \"{column}\""),
        })
        .collect();
    let counts = counts.join(", ");
    let less =
        COUNT_COLUMNS.map(|column| format!("\"{column}\" = greatest(r.\"{column}\" - c.\"{column}\", 0)"));
    let less = less.join(", ");
    format!(
        "WITH gone AS (DELETE FROM {table} WHERE received_at >= $1 AND received_at <= $2 AND route = $3 \
             RETURNING received_at, severity, coalesce(hostname, '') AS hostname, coalesce(app_name, '') AS app_name), \
         hours AS (SELECT date_trunc('hour', received_at) AS hour, hostname, app_name, {counts} FROM gone GROUP BY 1, 2, 3), \
         minutes AS (SELECT date_trunc('minute', received_at) AS minute, {counts} FROM gone GROUP BY 1), \
         by_hour AS (UPDATE rollup_hour r SET {less} FROM hours c \
             WHERE r.hour = c.hour AND r.hostname = c.hostname AND r.app_name = c.app_name), \
         by_minute AS (UPDATE rollup_minute r SET {less} FROM minutes c WHERE r.minute = c.minute) \
         SELECT count(*) FROM gone"
    )
}
