//! What a search has found so far, and how it ends.

use std::time::{Duration, Instant};

use event::{EventId, Timestamp};
use uuid::Uuid;

use super::{Clock, Cursor, End, Found, Order, ReadBy, SearchRequest, StoredEvent};

/// The count of a running search.
#[derive(Debug)]
pub(crate) struct Tally {
    clock: Clock,
    order: Order,
    limit: usize,
    matched: usize,
    last: Option<Cursor>,
    scanned_to: Option<Timestamp>,
    deadline: Instant,
    windows: usize,
    /// Rows looked through in the order of time.
    walked: u64,
    by_text: bool,
}

impl Tally {
    pub(crate) fn new(request: &SearchRequest) -> Self {
        Self {
            clock: request.selection.clock,
            order: request.order,
            limit: request.limit,
            matched: 0,
            last: None,
            scanned_to: None,
            deadline: Instant::now() + request.budget,
            windows: 0,
            walked: 0,
            by_text: false,
        }
    }

    /// Rows that are still wanted.
    pub(crate) const fn left(&self) -> usize {
        self.limit.saturating_sub(self.matched)
    }

    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// `None` when the time is up.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// A window is about to be read.
    pub(crate) const fn reads(&mut self, by_text: bool) {
        self.windows += 1;
        self.by_text |= by_text;
    }

    /// A window of so many rows was looked through.
    pub(crate) const fn walks(&mut self, rows: u64) {
        self.walked += rows;
    }

    pub(crate) const fn walked(&self) -> u64 {
        self.walked
    }

    /// More rows.
    pub(crate) fn rows(&mut self, rows: Vec<StoredEvent>) -> Found {
        self.matched += rows.len();
        if let Some(last) = rows.last() {
            self.last = Some(last.cursor(self.clock));
        }
        Found::Rows(rows)
    }

    /// A window is read: from the side that comes first in the order up to `scanned_to`.
    pub(crate) fn progress(&mut self, scanned_to: Timestamp) -> Found {
        self.scanned_to = Some(scanned_to);
        Found::Progress {
            scanned_to,
            matched: self.matched as u64,
        }
    }

    const fn how(&self) -> ReadBy {
        match self.windows {
            _ if self.by_text => ReadBy::Text,
            0 | 1 => ReadBy::Time,
            _ => ReadBy::Windows,
        }
    }

    /// The end of the range, or the limit, is reached.
    pub(crate) fn done(&self) -> Found {
        Found::End(End {
            complete: true,
            stopped_at: None,
            next: self.last.filter(|_| self.left() == 0),
            how: self.how(),
        })
    }

    /// The time is up: on from the last row, or from the last window's end where that is farther.
    pub(crate) fn time_is_up(&self, request: &SearchRequest) -> Found {
        let behind_window = self.scanned_to.map(|at| match self.order {
            Order::NewestFirst => Cursor {
                time: at,
                id: EventId::from_uuid(Uuid::nil()),
            },
            Order::OldestFirst => Cursor {
                time: Timestamp::from_micros(at.as_micros().saturating_sub(1)),
                id: EventId::from_uuid(Uuid::max()),
            },
        });
        let places = [request.after, self.last, behind_window].into_iter().flatten();
        let next = match self.order {
            Order::NewestFirst => places.min(),
            Order::OldestFirst => places.max(),
        };
        let selection = &request.selection;
        let start = match self.order {
            Order::NewestFirst => selection.to,
            Order::OldestFirst => selection.from,
        };
        Found::End(End {
            complete: false,
            stopped_at: next.map(|next| next.time).or(start),
            next,
            how: self.how(),
        })
    }
}
