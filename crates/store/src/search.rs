//! What can be asked of a store, and what comes back. Values go to the database as bound parameters, never as
//! SQL text.

mod condition;

use std::{borrow::Cow, time::Duration};

use event::{Event, EventId, Timestamp};

pub use self::condition::{Comparison, Condition, ConditionError, Field, TextField};

/// Rows of one page at most.
pub const LIMIT_MAX: usize = 10_000;

/// A search: everything in it must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// Which clock `from`, `to` and the order mean.
    pub clock: Clock,
    /// The first instant.
    pub from: Option<Timestamp>,
    /// The first instant that is not meant any more.
    pub to: Option<Timestamp>,
    /// Texts that must stand in the message, the hostname or the application's name, in any case.
    pub text: Vec<String>,
    /// What fields must hold.
    pub conditions: Vec<Condition>,
    /// Which events come first.
    pub order: Order,
    /// Go on behind this row, in the direction of `order`.
    pub after: Option<Cursor>,
    /// Rows of the page, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// The database stops looking after this.
    pub timeout: Duration,
}

impl Default for SearchRequest {
    /// The newest 100 events.
    fn default() -> Self {
        Self {
            clock: Clock::Arrival,
            from: None,
            to: None,
            text: Vec::new(),
            conditions: Vec::new(),
            order: Order::NewestFirst,
            after: None,
            limit: 100,
            timeout: Duration::from_secs(30),
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

/// One page of rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// In the order asked for.
    pub rows: Vec<StoredEvent>,
    /// Where the next page begins; `None` when this one was not full.
    pub next: Option<Cursor>,
}

impl Page {
    /// `rows` of at most `limit`.
    pub(crate) fn of(rows: Vec<StoredEvent>, request: &SearchRequest) -> Self {
        let next = rows
            .last()
            .filter(|_| rows.len() >= request.limit)
            .map(|row| row.cursor(request.clock));
        Self { rows, next }
    }
}

/// A request that cannot be asked, found before the database sees it.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A condition.
    #[error(transparent)]
    Condition(#[from] ConditionError),
    /// `limit`.
    #[error("limit is {0}; 1 to {LIMIT_MAX} is allowed")]
    Limit(usize),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::StoreError),
}

impl SearchRequest {
    /// The request as it is run, if it can be asked: an event's id names the millisecond of its arrival, which spares
    /// the search for it.
    pub(crate) fn checked(&self) -> Result<Cow<'_, Self>, SearchError> {
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            return Err(SearchError::Limit(self.limit));
        }
        for condition in &self.conditions {
            condition.check()?;
        }
        let id = self
            .conditions
            .iter()
            .find(|condition| condition.field == Field::Id);
        let arrival = id.and_then(|id| arrival_of(id.to_id().ok()?));
        let Some((from, to)) = arrival.filter(|_| self.clock == Clock::Arrival) else {
            return Ok(Cow::Borrowed(self));
        };
        let mut narrowed = self.clone();
        narrowed.from = Some(self.from.map_or(from, |wanted| wanted.max(from)));
        narrowed.to = Some(self.to.map_or(to, |wanted| wanted.min(to)));
        Ok(Cow::Owned(narrowed))
    }
}

/// The millisecond in which the event arrived; `None` where the id does not tell.
fn arrival_of(id: EventId) -> Option<(Timestamp, Timestamp)> {
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
