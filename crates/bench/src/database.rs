//! Looking into the databases that are measured.

use anyhow::Context;
use tokio_postgres::{Client, NoTls};

/// The figures of a latency measurement, in milliseconds.
pub(crate) const PERCENTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// A connection to one database.
pub(crate) struct Looker {
    client: Client,
}

impl Looker {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect")?;
        // Ends with the client; a broken connection shows in the next query.
        tokio::spawn(connection);
        Ok(Self { client })
    }

    pub(crate) async fn run(&self, sql: &str) -> anyhow::Result<()> {
        self.client
            .batch_execute(sql)
            .await
            .with_context(|| sql.to_owned())
    }

    pub(crate) async fn number(&self, sql: &str) -> anyhow::Result<u64> {
        let row = self
            .client
            .query_one(sql, &[])
            .await
            .with_context(|| sql.to_owned())?;
        Ok(u64::try_from(row.try_get::<_, i64>(0)?)?)
    }

    /// From the time in column `sent` to the commit of the row.
    pub(crate) async fn latencies(&self, table: &str, sent: &str) -> anyhow::Result<Vec<f64>> {
        let sql = format!(
            "SELECT percentile_cont($1::float8[]) WITHIN GROUP (ORDER BY \
             extract(epoch FROM pg_xact_commit_timestamp(xmin) - {sent})::float8 * 1000) FROM {table}"
        );
        let row = self
            .client
            .query_one(&sql, &[&PERCENTILES.to_vec()])
            .await
            .context("take percentiles")?;
        Ok(row.try_get(0)?)
    }
}
