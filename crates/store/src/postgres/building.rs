//! Building an index of a partition that nobody is to write any more: at once, which takes half as long as
//! `CONCURRENTLY` does, but locks out who writes. So it is given up as soon as somebody who wants to write waits.

use std::{pin::pin, time::Duration};

use deadpool_postgres::{ClientWrapper, Object};
use futures_util::future::{Either, select};
use tokio_postgres::{Client, Error, error::SqlState};

use super::{
    Postgres,
    indexes::{Partition, SealedIndex},
};
use crate::error::StoreError;

/// What a row that comes late may have to wait, about.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Builds indexes on one connection and looks on another whether somebody waits.
pub(super) struct Builder<'b> {
    client: &'b Client,
    watcher: ClientWrapper,
    /// The process of `client` in the database.
    pid: i32,
}

impl<'b> Builder<'b> {
    pub(super) async fn new(store: &Postgres, client: &'b Client) -> Result<Self, StoreError> {
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await?;
        Ok(Self {
            client,
            // Outside the pool, as for all that takes its time.
            watcher: Object::take(store.client().await?),
            pid: pid.try_get(0)?,
        })
    }

    /// Builds the indexes, one after the other.
    pub(super) async fn build(
        &self,
        partition: &Partition,
        indexes: &[&SealedIndex],
    ) -> Result<(), StoreError> {
        let (table, mut is_written) = (&partition.table, false);
        for index in indexes {
            let (name, definition) = (partition.name_with(index.suffix), &index.definition);
            if !is_written {
                let create = format!("CREATE INDEX \"{name}\" ON {table} {definition}");
                is_written = !self.at_once(table, &create).await?;
            }
            if is_written {
                let create = format!("CREATE INDEX CONCURRENTLY \"{name}\" ON {table} {definition}");
                self.client.batch_execute(&create).await?;
            }
        }
        Ok(())
    }

    /// False when somebody came to write, and nothing is built.
    async fn at_once(&self, table: &str, create: &str) -> Result<bool, StoreError> {
        let is_built = |built: Result<(), Error>| match built {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => Ok(false),
            Err(error) => Err(StoreError::from(error)),
        };
        let (building, waiting) = (
            pin!(self.client.batch_execute(create)),
            pin!(self.is_waited_for(table)),
        );
        match select(building, waiting).await {
            Either::Left((built, _)) => is_built(built),
            Either::Right((waited, building)) => {
                waited?;
                // Sent when this returns, so that it hits nothing that is done later.
                let cancel = "SELECT pg_cancel_backend($1)";
                self.watcher.query_one(cancel, &[&self.pid]).await?;
                is_built(building.await)
            }
        }
    }

    /// Returns when somebody waits to write.
    async fn is_waited_for(&self, table: &str) -> Result<(), StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = $1::text::regclass AND NOT granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                   AND mode = 'RowExclusiveLock')";
        let statement = self.watcher.prepare(sql).await?;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            if self.watcher.query_one(&statement, &[&table]).await?.try_get(0)? {
                return Ok(());
            }
        }
    }
}
