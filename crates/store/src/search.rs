//! What can be asked of a store, and what comes back. Values go to the database as bound parameters, never as
//! SQL text.

pub(crate) mod around;
pub(crate) mod bars;
pub(crate) mod columns;
pub(crate) mod facets;
pub(crate) mod figures;
pub(crate) mod hourly;
pub(crate) mod names;
pub(crate) mod plan;
pub(crate) mod sources;
pub(crate) mod sql;
pub(crate) mod tally;
pub(crate) mod windows;

use std::{borrow::Cow, time::Duration};

use event::{Event, EventId, Timestamp};
use query::Query;
use tokio::sync::mpsc;

use crate::StoreError;

/// Rows of one search at most; more are asked for with [`SearchRequest::after`].
pub const LIMIT_MAX: usize = 10_000;

/// Which events are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// What must hold.
    pub query: Query,
    /// Which clock `from`, `to` and the order mean.
    pub clock: Clock,
    /// The first instant.
    pub from: Option<Timestamp>,
    /// The first instant that is not meant any more.
    pub to: Option<Timestamp>,
    /// What relative times in the query are counted from.
    pub now: Timestamp,
}

impl Default for Selection {
    /// Every event.
    fn default() -> Self {
        Self {
            query: Query::every(),
            clock: Clock::Arrival,
            from: None,
            to: None,
            now: Timestamp::now(),
        }
    }
}

/// A search for rows.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// Which events.
    pub selection: Selection,
    /// Which of them come first.
    pub order: Order,
    /// Go on behind this row, in the direction of `order`.
    pub after: Option<Cursor>,
    /// Rows, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// How long to look; then the search ends with what it has, and says how far it came.
    pub budget: Duration,
}

impl Default for SearchRequest {
    /// The newest 100 events.
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            order: Order::NewestFirst,
            after: None,
            limit: 100,
            budget: Duration::from_secs(30),
        }
    }
}

impl SearchRequest {
    pub(crate) fn check(&self) -> Result<(), SearchError> {
        if (1..=LIMIT_MAX).contains(&self.limit) {
            Ok(())
        } else {
            Err(SearchError::Limit(self.limit))
        }
    }
}

/// Whose clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// `received_at`: ours. Indexed.
    #[default]
    Arrival,
    /// `timestamp`: the sender's, or ours where the sender named no time.
    Sender,
}

/// Which events come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    NewestFirst,
    /// Oldest first.
    OldestFirst,
}

impl Order {
    /// As SQL sorts.
    pub(crate) const fn direction(self) -> &'static str {
        match self {
            Self::NewestFirst => "DESC",
            Self::OldestFirst => "ASC",
        }
    }

    /// How what comes later compares with what came before.
    pub(crate) const fn behind(self) -> &'static str {
        match self {
            Self::NewestFirst => "<",
            Self::OldestFirst => ">",
        }
    }
}

/// A row's place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The time by the request's clock.
    pub time: Timestamp,
    /// The event, since many share an instant.
    pub id: EventId,
}

/// An event as the store holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// The event. Names inside `structured_data` and `fields` may stand in another order than they came.
    pub event: Event<'static>,
    /// The route that the rules chose.
    pub route: Cow<'static, str>,
}

impl StoredEvent {
    /// Where the row stands by `clock`.
    #[must_use]
    pub fn cursor(&self, clock: Clock) -> Cursor {
        let sender = self.event.timestamp.map(|time| time.at);
        let time = match clock {
            Clock::Arrival => self.event.received_at,
            Clock::Sender => sender.unwrap_or(self.event.received_at),
        };
        Cursor {
            time,
            id: self.event.id,
        }
    }
}

/// What a search says while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The next rows, in the order asked for.
    Rows(Vec<StoredEvent>),
    /// How far it is.
    Progress {
        /// Everything up to here, by the selection's clock, is looked through.
        scanned_to: Timestamp,
        /// Rows found so far.
        matched: u64,
    },
    /// Nothing comes after this.
    End(End),
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// False when the time was up before the end or the limit was reached.
    pub complete: bool,
    /// Where the time was up.
    pub stopped_at: Option<Timestamp>,
    /// Where to go on; `None` when there is nothing more.
    pub next: Option<Cursor>,
    /// How the rows were found.
    pub how: ReadBy,
}

/// How a search finds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBy {
    /// In the order of time, from the beginning of the range.
    Time,
    /// By an index of texts or values, as far as there is one.
    Text,
    /// One window of time after the other, looking at every row.
    Windows,
}

/// A search that runs. Dropped, it stops in the database too.
#[derive(Debug)]
pub struct Search {
    found: mpsc::Receiver<Result<Found, SearchError>>,
}

/// What a search may be ahead of its reader.
const AHEAD: usize = 4;

impl Search {
    /// The search, and where to put what it finds.
    pub(crate) fn channel() -> (mpsc::Sender<Result<Found, SearchError>>, Self) {
        let (sender, found) = mpsc::channel(AHEAD);
        (sender, Self { found })
    }

    /// What is found next; `None` after [`Found::End`] or an error.
    pub async fn next(&mut self) -> Option<Result<Found, SearchError>> {
        self.found.recv().await
    }

    /// All of it.
    pub(crate) async fn collect(mut self) -> Result<Page, SearchError> {
        let mut rows = Vec::new();
        while let Some(found) = self.next().await {
            match found? {
                Found::Rows(more) => rows.extend(more),
                Found::Progress { .. } => {}
                Found::End(end) => return Ok(Page { rows, end }),
            }
        }
        Err(StoreError::Closed.into())
    }
}

/// One page of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In the order asked for.
    pub rows: Vec<StoredEvent>,
    /// How the search for them ended.
    pub end: End,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// `limit`.
    #[error("limit is {0}; 1 to {LIMIT_MAX} is allowed")]
    Limit(usize),
    /// As many searches run as may; try again in a moment.
    #[error("{0} searches run already, which is as many as store.searches_max allows")]
    Busy(usize),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The millisecond in which the event arrived; `None` where the id does not tell.
pub(crate) fn arrival_of(id: EventId) -> Option<(Timestamp, Timestamp)> {
    let millis = i64::try_from(id.as_uuid().as_u64_pair().0 >> 16).ok()?;
    let is_time = id.as_uuid().get_version_num() == 7 && millis > 0;
    is_time.then(|| {
        (
            Timestamp::from_micros(millis * 1000),
            Timestamp::from_micros((millis + 1) * 1000),
        )
    })
}

/// The frame's position in its raw batch, which the id ends with.
pub(crate) fn position_of(id: EventId) -> u32 {
    let low = id.as_uuid().as_u64_pair().1 & u64::from(EventId::POSITIONS_MAX - 1);
    u32::try_from(low).unwrap_or(0)
}
