//! Where events are kept and searched: PostgreSQL, or SQLite on one machine. Knows nothing of the broker.
//!
//! Event batches are collected in a [`Group`], and a group is written in one transaction with
//! [`Store::append`]: the rows, the ids of the batches, so that a batch seen twice is not written twice, the
//! catalogue of sources and the rollups. [`Store::search`] finds rows by time, text and fields, page by page.
//!
//! ```
//! use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, Timestamp};
//! use store::{Appended, SearchRequest, Store};
//!
//! # let folder = tempfile::tempdir()?;
//! # let settings = settings::StoreSettings::Sqlite(settings::SqliteSettings { dir: folder.path().to_owned() });
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let store = Store::connect(&settings)?;
//! store.migrate().await?;
//!
//! let (id, source, now) = (BatchId::mint(), BatchId::mint(), Timestamp::now());
//! let mut batch = EventBatchBuilder::new(id, source, "tcp", "default");
//! batch.push(&Event::received(EventId::derive(source, 0, now), 0, now, "192.0.2.1:40000", "tcp"));
//!
//! let mut group = store.group(1 << 20);
//! group.push(batch.finish(Compression::Lz4).into())?;
//! let (_, appended) = store.append(group).await;
//! assert!(matches!(appended?, Appended::Written(written) if written.rows == 1));
//! assert_eq!(store.search(&SearchRequest::default()).await?.rows.len(), 1);
//! # store.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod append;
#[cfg(test)]
mod contract;
mod error;
mod group;
mod json;
mod postgres;
mod row;
mod search;
mod sqlite;
mod summary;
mod upkeep;

use std::sync::Arc;

use event::Timestamp;
use settings::{StoreSettings, UpkeepSettings};

use crate::{postgres::Postgres, sqlite::Sqlite, summary::Admission};

pub use crate::{
    append::{Appended, RefusedRow, Written},
    error::{ConnectError, SchemaFound, Source, StoreError},
    group::{Group, Place},
    search::{
        Clock, Comparison, Condition, ConditionError, Cursor, Field, LIMIT_MAX, Order, Page, SearchError,
        SearchRequest, StoredEvent, TextField,
    },
    upkeep::{Kept, Tidied},
};

/// A store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    kind: Arc<Kind>,
    admission: Arc<Admission>,
}

#[derive(Debug)]
enum Kind {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

impl Store {
    /// A store by these settings. Nothing is connected or made yet.
    ///
    /// # Errors
    /// [`ConnectError`], for settings with which there can be no store.
    pub fn connect(settings: &StoreSettings) -> Result<Self, ConnectError> {
        let kind = match settings {
            StoreSettings::Sqlite(settings) => Kind::Sqlite(Sqlite::connect(settings)?),
            StoreSettings::Postgres(settings) => Kind::Postgres(Postgres::connect(settings)?),
        };
        Ok(Self {
            kind: Arc::new(kind),
            admission: Arc::default(),
        })
    }

    /// Makes the schema, or brings an older one up to this program's version. Safe to run twice, and two at once.
    ///
    /// # Errors
    /// [`StoreError`]; what was done before the error is kept or taken back as a whole.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &*self.kind {
            Kind::Postgres(store) => store.migrate().await,
            Kind::Sqlite(store) => store.migrate().await,
        }
    }

    /// Whether the store can be used; says what answered.
    ///
    /// # Errors
    /// [`StoreError`], with what stands in the way.
    pub async fn check(&self) -> Result<String, StoreError> {
        match &*self.kind {
            Kind::Postgres(store) => store.check().await,
            Kind::Sqlite(store) => store.check().await,
        }
    }

    /// Makes partitions ahead. Whoever writes calls this now and then, well within the time that one partition covers.
    ///
    /// # Errors
    /// [`StoreError`]. Rows whose partition is missing make it themselves, so nothing is lost by an error.
    pub async fn maintain(&self) -> Result<(), StoreError> {
        match &*self.kind {
            Kind::Postgres(store) => store.maintain().await,
            // A day's file is made by its first event, and everything in it goes with it.
            Kind::Sqlite(_) => Ok(()),
        }
    }

    /// Drops what is kept no longer, and gives partitions whose time is over their indexes for searching. This may take
    /// many minutes, while others write and search; one process at a time does it, and whoever writes calls this now and
    /// then. When the future is dropped, the work stops, and the next call goes on where it was.
    ///
    /// # Errors
    /// [`StoreError`]; what was done before it stays done.
    pub async fn tidy(&self, settings: &UpkeepSettings, now: Timestamp) -> Result<Tidied, StoreError> {
        match &*self.kind {
            Kind::Postgres(store) => store.tidy(settings, now).await,
            Kind::Sqlite(store) => store.tidy(settings, now).await,
        }
    }

    /// Connections that are made and how many there may be; `None` for a store without connections.
    #[must_use]
    pub fn pool(&self) -> Option<(usize, usize)> {
        match &*self.kind {
            Kind::Postgres(store) => Some(store.pool()),
            Kind::Sqlite(_) => None,
        }
    }

    /// An empty group. Bodies of batches over `batch_bytes_max` are refused.
    #[must_use]
    pub fn group(&self, batch_bytes_max: usize) -> Group {
        Group::new(batch_bytes_max, Arc::clone(&self.admission))
    }

    /// Writes a group in one transaction, and gives it back. A group that was written before, wholly or in part, is not
    /// written twice, so any error can be answered by trying again.
    ///
    /// # Errors
    /// [`StoreError`]. Nothing is known then of whether the group is written.
    pub async fn append(&self, group: Group) -> (Group, Result<Appended, StoreError>) {
        let (group, mut result) = match &*self.kind {
            Kind::Postgres(store) => store.append(group).await,
            Kind::Sqlite(store) => store.append(group).await,
        };
        if let Ok(Appended::Written(written)) = &mut result {
            written.repeated += group.repeated();
        }
        (group, result)
    }

    /// One page of a search. When the future is dropped, the search stops.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn search(&self, request: &SearchRequest) -> Result<Page, SearchError> {
        let request = request.checked()?;
        match &*self.kind {
            Kind::Postgres(store) => store.search(&request).await,
            Kind::Sqlite(store) => store.search(&request).await,
        }
    }

    /// Ends what runs in the background, and closes connections and files.
    pub async fn close(&self) {
        match &*self.kind {
            Kind::Postgres(store) => store.close(),
            Kind::Sqlite(store) => store.close().await,
        }
    }
}
