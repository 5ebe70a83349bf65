//! What hosts sent, hour by hour.

use tokio_postgres::Client;

use super::{
    Postgres,
    types::{Micros, bound},
};
use crate::{
    error::StoreError,
    search::hourly::{Hourly, Profile, ProfileRequest, hour_of, start_of},
    summary::COUNT_COLUMNS,
};

/// All severities.
fn sum() -> String {
    COUNT_COLUMNS.map(|column| format!("\"{column}\"")).join(" + ")
}

async fn known_from(client: &Client) -> Result<Option<i64>, StoreError> {
    let row = client.query_one("SELECT min(hour) FROM rollup_hour", &[]).await?;
    let first: Option<Micros> = row.try_get(0)?;
    Ok(first.map(|first| hour_of(first.0)))
}

impl Postgres {
    pub(crate) async fn hourly(&self, mut hourly: Hourly) -> Result<Hourly, StoreError> {
        let client = self.reader().await?;
        hourly.know_from(known_from(&client).await?);
        let names = hourly.hostnames();
        let sql = format!(
            "SELECT hostname, hour, sum({})::bigint FROM rollup_hour \
             WHERE hour >= $2 AND hour < $3 AND hostname = ANY($1) GROUP BY 1, 2",
            sum()
        );
        let statement = client.prepare(&sql).await?;
        // Not all at once, as the rows of an answer are in memory together.
        for (from, to) in hourly.days() {
            for row in client
                .query(&statement, &[&names, &bound(from), &bound(to)])
                .await?
            {
                let (hostname, hour): (&str, Micros) = (row.try_get(0)?, row.try_get(1)?);
                hourly.add(hostname, hour.0, row.try_get(2)?);
            }
        }
        Ok(hourly)
    }

    pub(crate) async fn profile(&self, request: &ProfileRequest) -> Result<Profile, StoreError> {
        let client = self.reader().await?;
        let mut profile = request.empty();
        profile.known_from = known_from(&client).await?;
        let (all, recent) = (request.all(), request.recent());
        // The key begins with the hour: one look for each of them, not at all hosts in all of them.
        let starts: Vec<_> = all.map(|hour| bound(start_of(hour))).collect();
        let sums = COUNT_COLUMNS.map(|column| format!("coalesce(sum(\"{column}\"), 0)::bigint"));
        let sql = format!(
            "SELECT wanted.hour, counted.* FROM unnest($2::timestamptz[]) AS wanted (hour) CROSS JOIN LATERAL \
             (SELECT {} FROM rollup_hour r WHERE r.hour = wanted.hour AND r.hostname = $1) AS counted",
            sums.join(", ")
        );
        for row in client.query(&sql, &[&request.hostname, &starts]).await? {
            let mut counts = [0_i64; COUNT_COLUMNS.len()];
            for (place, count) in counts.iter_mut().enumerate() {
                *count = row.try_get(place + 1)?;
            }
            let hour: Micros = row.try_get(0)?;
            profile.add(hour.0, counts, &recent);
        }
        let starts: Vec<_> = recent.map(|hour| bound(start_of(hour))).collect();
        let sql = format!(
            "SELECT counted.app_name, sum(counted.events)::bigint FROM unnest($2::timestamptz[]) AS wanted (hour) \
             CROSS JOIN LATERAL (SELECT r.app_name, {} AS events FROM rollup_hour r \
             WHERE r.hour = wanted.hour AND r.hostname = $1 OFFSET 0) AS counted \
             GROUP BY 1 ORDER BY 2 DESC, counted.app_name COLLATE \"C\" LIMIT $3",
            sum()
        );
        let apps = i64::try_from(request.apps).unwrap_or(i64::MAX);
        for row in client.query(&sql, &[&request.hostname, &starts, &apps]).await? {
            let events: i64 = row.try_get(1)?;
            profile.apps.push((row.try_get(0)?, events.unsigned_abs()));
        }
        Ok(profile)
    }
}
