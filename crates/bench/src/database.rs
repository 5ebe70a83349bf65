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
        let [number] = self.numbers(sql).await?;
        Ok(number)
    }

    /// One row of whole numbers.
    pub(crate) async fn numbers<const N: usize>(&self, sql: &str) -> anyhow::Result<[u64; N]> {
        let row = self.client.query_one(sql, &[]).await;
        let row = row.with_context(|| sql.to_owned())?;
        let mut numbers = [0; N];
        for (at, number) in numbers.iter_mut().enumerate() {
            *number = u64::try_from(row.try_get::<_, i64>(at)?)?;
        }
        Ok(numbers)
    }

    /// From the time in column `timestamp` to the commit of the row.
    pub(crate) async fn latencies(&self) -> anyhow::Result<Vec<f64>> {
        const SQL: &str = "SELECT percentile_cont($1::float8[]) WITHIN GROUP (ORDER BY \
             extract(epoch FROM pg_xact_commit_timestamp(xmin) - timestamp)::float8 * 1000) FROM events";
        let row = self.client.query_one(SQL, &[&PERCENTILES.to_vec()]).await;
        Ok(row.context("take percentiles")?.try_get(0)?)
    }
}
