//! Sealing and retention in the background: whoever has the advisory lock does it, on a connection outside the pool, so
//! that nobody who writes or searches waits for it.
//!
//! Everything here can be interrupted at any point. What is done is seen in the database, and the rest is done in the
//! next round, by this process or another.

use std::time::Instant;

use deadpool_postgres::{ClientWrapper, Object};
use event::Timestamp;
use settings::UpkeepSettings;
use tokio_postgres::{CancelToken, Client, error::SqlState};

use super::{
    Postgres, Tls,
    building::Builder,
    hours,
    indexes::{self, Partition},
    migrate::UPKEEP_LOCK,
};
use crate::{
    error::StoreError,
    upkeep::{Kept, Tidied, before},
};

impl Postgres {
    /// Drops what is kept no longer, and gives indexes to partitions that are written no more.
    pub(crate) async fn tidy(&self, settings: &UpkeepSettings, now: Timestamp) -> Result<Tidied, StoreError> {
        let work = Background::start(self).await?;
        let client = work.client();
        let mut tidied = Tidied::default();
        let has_lock: bool = client
            .query_one("SELECT pg_try_advisory_lock($1)", &[&UPKEEP_LOCK])
            .await?
            .try_get(0)?;
        if has_lock {
            set_up(client, settings).await?;
            self.retain(client, settings, now, &mut tidied).await?;
            self.seal_all(client, settings, now, &mut tidied).await?;
        }
        tidied.is_elsewhere = !has_lock;
        tidied.kept = kept(client).await?;
        if has_lock {
            // The server notices the connection's end a little later only, and the next round may be sooner.
            client
                .execute("SELECT pg_advisory_unlock($1)", &[&UPKEEP_LOCK])
                .await?;
        }
        work.finish();
        Ok(tidied)
    }
}

/// What is there.
pub(super) async fn kept(client: &Client) -> Result<Kept, StoreError> {
    let partitions = Partition::list(client).await?;
    Ok(Kept {
        partitions: partitions.len(),
        sealed: partitions.iter().filter(|partition| partition.is_sealed).count(),
        bytes: partitions.iter().map(|partition| partition.bytes).sum(),
    })
}

/// Times in UTC, as much memory as is allowed for an index, no workers beside this one that would take the processor
/// from those who write, and no time-out that the role may have.
async fn set_up(client: &Client, settings: &UpkeepSettings) -> Result<(), StoreError> {
    let kilobytes = (settings.seal_memory >> 10).clamp(1024, i32::MAX.unsigned_abs().into());
    client
        .batch_execute(&format!(
            "SET TimeZone = 'UTC'; SET maintenance_work_mem = {kilobytes}; SET max_parallel_maintenance_workers = 0; \
             SET statement_timeout = 0; SET idle_session_timeout = 0"
        ))
        .await
        .or_else(|error| match error.code() {
            // idle_session_timeout came with PostgreSQL 14; the others are set by then.
            Some(&SqlState::UNDEFINED_OBJECT) => Ok(()),
            _ => Err(error),
        })?;
    Ok(())
}

impl Postgres {
    /// The newest first, which are searched most.
    async fn seal_all(
        &self,
        client: &Client,
        settings: &UpkeepSettings,
        now: Timestamp,
        tidied: &mut Tidied,
    ) -> Result<(), StoreError> {
        let has_trigrams = has_trigrams(client).await?;
        let over = before(now, settings.seal_after);
        let partitions = Partition::list(client).await?;
        for partition in partitions.iter().rev().filter(|partition| !partition.is_leaving) {
            // Those at the edges of the calendar are never over.
            let (Some(from), Some(to)) = (partition.from, partition.to) else {
                continue;
            };
            if to <= over {
                self.seal(client, partition, has_trigrams, tidied).await?;
            } else if from < over && has_trigrams {
                hours::index(client, partition, over).await?;
            }
        }
        Ok(())
    }

    /// Builds the indexes that are missing, one after the other, while others read and write.
    async fn seal(
        &self,
        client: &Client,
        partition: &Partition,
        has_trigrams: bool,
        tidied: &mut Tidied,
    ) -> Result<(), StoreError> {
        let wanted = indexes::all();
        let missing: Vec<_> = wanted
            .iter()
            .filter(|index| (has_trigrams || !index.is_text) && !partition.has(index))
            .collect();
        if missing.is_empty() && partition.is_sealed {
            return Ok(());
        }
        let (table, began) = (&partition.table, Instant::now());
        tracing::info!(
            partition = partition.name,
            indexes = missing.len(),
            bytes = partition.bytes,
            "sealing partition"
        );
        partition.drop_broken(client).await?;
        let builder = Builder::new(self, client).await?;
        builder.build(partition, &missing).await?;
        hours::drop_all(client, partition).await?;
        // Whatever is indexed is in the planner's statistics now, and what is visible to all is marked so. The indexes are
        // new, and need not be read.
        client
            .batch_execute(&format!("VACUUM (ANALYZE, INDEX_CLEANUP OFF) {table}"))
            .await?;
        client
            .execute(
                "INSERT INTO partition_upkeep (name, sealed_at) VALUES ($1, now()) \
                 ON CONFLICT (name) DO UPDATE SET sealed_at = excluded.sealed_at",
                &[&partition.name],
            )
            .await?;
        let took = began.elapsed();
        tidied.sealed += 1;
        tidied.sealing += took;
        tracing::info!(
            partition = partition.name,
            seconds = took.as_secs_f64(),
            "partition sealed"
        );
        Ok(())
    }
}

pub(super) async fn has_trigrams(client: &Client) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm')";
    Ok(client.query_one(sql, &[]).await?.try_get(0)?)
}

/// A connection for work that takes its time. Dropped before the end of the work, it stops it.
struct Background {
    client: Option<ClientWrapper>,
    token: CancelToken,
    tls: Tls,
}

impl Background {
    async fn start(store: &Postgres) -> Result<Self, StoreError> {
        let client = Object::take(store.client().await?);
        Ok(Self {
            token: client.cancel_token(),
            tls: store.tls.clone(),
            client: Some(client),
        })
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("taken only by finish and drop")
    }

    /// The connection ends, and with it the advisory lock.
    fn finish(mut self) {
        self.client = None;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.client.take().is_none() {
            return;
        }
        let (token, tls) = (self.token.clone(), self.tls.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = token.cancel_query(tls.0).await {
                    tracing::debug!(%error, "abandoned work on partitions not cancelled");
                }
            });
        }
    }
}
