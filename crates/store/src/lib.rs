//! Where events are kept and searched: PostgreSQL, or SQLite on one machine. Knows nothing of the broker.
//!
//! Event batches are collected in a [`Group`], and a group is written in one transaction with
//! [`Store::append`]: the rows, the ids of the batches, so that a batch seen twice is not written twice, the
//! catalogue of sources and the rollups. [`Store::search`] finds rows by time and by a [`query::Query`], handing them
//! out as they are found; [`Store::page`] returns them at once.
//!
//! ```
//! use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, Timestamp};
//! use store::{Appended, SearchRequest, Store};
//!
//! # let folder = tempfile::tempdir()?;
//! # let settings = settings::StoreSettings::Sqlite(settings::SqliteSettings { dir: folder.path().to_owned(), searches_max: 8 });
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
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
//! assert_eq!(store.page(SearchRequest::default()).await?.rows.len(), 1);
//! # store.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accounts;
mod append;
#[cfg(test)]
mod contract;
mod error;
mod group;
mod json;
mod notes;
mod postgres;
mod row;
mod search;
mod sqlite;
mod summary;
mod upkeep;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use event::Timestamp;
use query::FieldNames;
use settings::{StoreSettings, UpkeepSettings};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, mpsc};

use crate::{postgres::Postgres, sqlite::Sqlite, summary::Admission};

pub use crate::{
    accounts::{Accepted, Accounts, Invitation, SecretHash, Session, Token, User},
    append::{Appended, RefusedRow, Written},
    error::{ConnectError, SchemaFound, Source, StoreError},
    group::{Group, Place},
    notes::{Note, Notes, Subject},
    search::{
        Clock, Cursor, End, Found, LIMIT_MAX, Order, Page, ReadBy, Search, SearchError, SearchRequest,
        Selection, StoredEvent,
        around::{Scope, Surroundings},
        bars::{BUCKETS_MAX, Bar},
        facets::{FieldKind, FieldSeen, Fields, Values},
        figures::{Count, Histogram, Quality},
        hourly::{HOURS_MAX, Hourly, HoursOf, Profile, ProfileRequest},
        sources::{SOURCE_HOURS, SourceRow, SourcesRequest},
    },
    upkeep::{Kept, Tidied},
};

/// A store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    kind: Arc<Kind>,
    admission: Arc<Admission>,
    searches: Arc<Semaphore>,
    searches_max: usize,
    /// Custom fields of recent events, and when they were looked up.
    field_names: Arc<Mutex<Option<(Instant, FieldNames)>>>,
}

/// How long a search waits for another one to end before it is told that there are too many.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(1);

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
        let (kind, searches_max) = match settings {
            StoreSettings::Sqlite(settings) => {
                (Kind::Sqlite(Sqlite::connect(settings)?), settings.searches_max)
            }
            StoreSettings::Postgres(settings) => (
                Kind::Postgres(Postgres::connect(settings)?),
                settings.searches_max,
            ),
        };
        Ok(Self {
            kind: Arc::new(kind),
            admission: Arc::default(),
            searches: Arc::new(Semaphore::new(searches_max)),
            searches_max,
            field_names: Arc::default(),
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

    /// Rows as they are found. Dropped, the search stops in the database, too.
    ///
    /// # Panics
    /// Outside of a tokio runtime, on which the search runs.
    #[must_use]
    pub fn search(&self, request: SearchRequest) -> Search {
        self.start(request, true)
    }

    /// Starts a search; one that is over at once needs no place among those that may run.
    fn start(&self, request: SearchRequest, needs_place: bool) -> Search {
        let (out, search) = Search::channel();
        let store = self.clone();
        tokio::spawn(async move {
            let running = async {
                let _place = if needs_place {
                    Some(store.admit().await?)
                } else {
                    None
                };
                store.run(&request, &out).await
            };
            let end = tokio::select! {
                biased;
                () = out.closed() => return,
                end = running => end,
            };
            // Whoever does not want to know the end does not wait for it.
            let _gone = out.send(end).await;
        });
        search
    }

    async fn run(
        &self,
        request: &SearchRequest,
        out: &mpsc::Sender<Result<Found, SearchError>>,
    ) -> Result<Found, SearchError> {
        request.check()?;
        match &*self.kind {
            Kind::Postgres(store) => store.search(request, self.admission.generation(), out).await,
            Kind::Sqlite(store) => store.search(request, out).await,
        }
    }

    /// All of a search that is over at once.
    async fn at_once(&self, request: SearchRequest) -> Result<Page, SearchError> {
        self.start(request, false).collect().await
    }

    /// Waits a moment for one of the searches to end, if as many run as may.
    async fn admit(&self) -> Result<SemaphorePermit<'_>, SearchError> {
        let admitted = tokio::time::timeout(ADMISSION_PATIENCE, self.searches.acquire()).await;
        match admitted {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(StoreError::Closed.into()),
            Err(_elapsed) => Err(SearchError::Busy(self.searches_max)),
        }
    }

    /// All that a search finds, and how it ended. When the future is dropped, the search stops.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn page(&self, request: SearchRequest) -> Result<Page, SearchError> {
        self.search(request).collect().await
    }

    /// Ends what runs in the background, and closes connections and files.
    pub async fn close(&self) {
        match &*self.kind {
            Kind::Postgres(store) => store.close(),
            Kind::Sqlite(store) => store.close().await,
        }
    }
}
