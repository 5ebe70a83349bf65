//! The store that many processes share: PostgreSQL, through a pool of connections.

mod accounts;
mod append;
mod building;
mod catalogue;
mod figures;
mod hourly;
mod hours;
mod indexes;
mod migrate;
mod notes;
mod partitions;
mod retention;
mod search;
mod sources;
mod sqlstate;
mod tls;
mod turns;
mod types;
mod upkeep;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use settings::PostgresSettings;
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::partitions::Partitions;
use crate::error::{ConnectError, StoreError};

#[derive(Debug)]
pub(crate) struct Postgres {
    pool: Pool,
    /// Connections of their own for those who search, so that writing never waits for them.
    readers: Pool,
    catalogue: catalogue::Cache,
    turns: turns::Turns,
    /// For requests to cancel, which have a connection of their own.
    tls: Tls,
    /// Partitions of `events`.
    events: Partitions,
    /// Partitions of `batches`.
    batches: Partitions,
    ahead: u32,
}

/// A connector, which has no `Debug`.
#[derive(Clone)]
struct Tls(MakeRustlsConnect);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// Connections for questions that are answered at once, beside those of searches.
const QUICK_READERS: usize = 2;

impl Postgres {
    pub(crate) fn connect(settings: &PostgresSettings) -> Result<Self, ConnectError> {
        let ca_file = settings.tls_ca_file.as_deref();
        let (url, verify) = tls::split_sslmode(settings.url.expose(), ca_file.is_some());
        let mut config: Config = url.parse().map_err(|error| ConnectError::Url(Box::new(error)))?;
        if config.get_application_name().is_none() {
            config.application_name("logferry");
        }
        config.connect_timeout(settings.connect_timeout);
        // A peer that is gone without a word is noticed in about a minute, not in hours.
        config.keepalives_idle(Duration::from_secs(30));
        config.keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(3);
        config.tcp_user_timeout(Duration::from_secs(60));
        let tls = tls::connector(ca_file, verify)?;
        let manager_config = ManagerConfig {
            // A round trip for each transaction, so that none is lost to a connection that died while it was idle.
            recycling_method: RecyclingMethod::Verified,
        };
        let pool = |max_size| {
            Pool::builder(Manager::from_config(
                config.clone(),
                tls.clone(),
                manager_config.clone(),
            ))
            .max_size(max_size)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(settings.connect_timeout))
            .build()
            .map_err(|error| ConnectError::Url(Box::new(error)))
        };
        Ok(Self {
            pool: pool(settings.pool_size)?,
            readers: pool(settings.searches_max + QUICK_READERS)?,
            catalogue: catalogue::Cache::default(),
            turns: turns::Turns::of(&config),
            tls: Tls(tls),
            events: Partitions::new("events", settings.partition),
            batches: Partitions::new("batches", DAY),
            ahead: settings.partitions_ahead,
        })
    }

    /// A connection of the pool; waits for one to be free.
    async fn client(&self) -> Result<Object, StoreError> {
        Ok(self.pool.get().await?)
    }

    /// A connection for reading; waits for one to be free.
    async fn reader(&self) -> Result<Object, StoreError> {
        Ok(self.readers.get().await?)
    }

    /// Connections that are made, and how many there may be.
    pub(crate) fn pool(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.max_size)
    }

    pub(crate) fn close(&self) {
        self.pool.close();
        self.readers.close();
    }
}
