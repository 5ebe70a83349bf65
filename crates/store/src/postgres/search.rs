//! Searching `events`: bound parameters only, a statement a window, stopped by its time-out or when nobody waits.

mod rows;
mod running;
mod terms;

use std::{pin::pin, time::Instant};

use event::Timestamp;
use futures_util::TryStreamExt;
use query::{Expr, TimeField};
use tokio::sync::mpsc;
use tokio_postgres::{Error, Statement, error::SqlState, types::ToSql};

pub(super) use self::{running::Running, terms::Terms};

use self::rows::{COLUMNS, stored};
use super::{Postgres, catalogue::Catalogue, types::bound};
use crate::{
    error::StoreError,
    search::{
        Clock, Found, SearchError, SearchRequest, StoredEvent,
        plan::{Plan, Range, Texts},
        sql::{self, Dialect, FALSE},
        tally::Tally,
        windows::{MINUTE_MICROS, Walk, minutes},
    },
};

/// Rows that are handed on at a time, and their bytes, about.
const CHUNK_ROWS: usize = 200;
const CHUNK_BYTES: usize = 1 << 20;

/// Rows that are looked through before an index of texts is used: a text that is common is found in them, and an index
/// would find far more of it than is asked for.
const WALK_FIRST: u64 = 50_000;

/// How found rows are handed on.
type Sender = mpsc::Sender<Result<Found, SearchError>>;

/// How a window came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Read,
    TimeIsUp,
}

impl Postgres {
    /// Hands rows to `out`, and returns how it ended.
    pub(crate) async fn search(
        &self,
        request: &SearchRequest,
        generation: u64,
        out: &Sender,
    ) -> Result<Found, SearchError> {
        let mut tally = Tally::new(request);
        let plan = Plan::of(&request.selection).behind(request.selection.clock, request.order, request.after);
        if plan.is_empty() {
            return Ok(tally.done());
        }
        let catalogue = self.catalogue(generation).await?;
        let running = Running::start(self).await?;
        let searching = Searching {
            running: &running,
            request,
            plan: &plan,
            catalogue: &catalogue,
            out,
        };
        let ended = searching.run(&mut tally).await;
        running.finish().await;
        Ok(match ended? {
            Outcome::Read => tally.done(),
            Outcome::TimeIsUp => tally.time_is_up(request),
        })
    }
}

struct Searching<'s> {
    running: &'s Running,
    request: &'s SearchRequest,
    plan: &'s Plan,
    catalogue: &'s Catalogue,
    out: &'s Sender,
}

impl Searching<'_> {
    async fn run(&self, tally: &mut Tally) -> Result<Outcome, SearchError> {
        let mut terms = Terms::new(&self.catalogue.names);
        let Some(sql) = self.statement(&mut terms) else {
            return Ok(Outcome::Read);
        };
        let params = terms.into_params();
        let statement = self.prepare(&sql).await?;
        let is_walk = self.request.selection.clock == Clock::Arrival && self.plan.rest != Expr::Every;
        if is_walk {
            return self.walk(&statement, params, tally).await;
        }
        // The index of time has the rows in the order that is asked for; by the senders' clocks there is none, and all
        // rows of the range are compared.
        tally.reads(false);
        self.window(&statement, &params, self.plan.arrival, "", tally)
            .await
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, StoreError> {
        Ok(self.running.client().prepare(sql).await?)
    }

    /// A page of the rows of a window: `$1` is its begin, `$2` its end, `$3` how many. `None` when no row can fit.
    fn statement(&self, terms: &mut Terms<'_>) -> Option<String> {
        let request = self.request;
        for place in 1..=3 {
            // Each window has its own.
            let unset = terms.bind(0_i64);
            debug_assert_eq!(unset, format!("${place}"));
        }
        let condition = sql::condition(&self.plan.rest, terms, self.plan.now);
        if condition == FALSE {
            return None;
        }
        let mut conditions = vec!["received_at >= $1 AND received_at < $2".to_owned(), condition];
        let (from, to) = self.plan.sender;
        if (from, to) != (i64::MIN, i64::MAX) {
            conditions.push(sql::in_range(TimeField::Timestamp, from..to, terms));
        }
        let time = terms.clock(match request.selection.clock {
            Clock::Arrival => TimeField::ReceivedAt,
            Clock::Sender => TimeField::Timestamp,
        });
        if let Some(after) = request.after {
            let at = terms.bind(bound(after.time.as_micros()));
            let id = terms.bind(after.id.as_uuid());
            conditions.push(format!("({time}, id) {} ({at}, {id})", request.order.behind()));
        }
        let direction = request.order.direction();
        Some(format!(
            "SELECT {COLUMNS} FROM events WHERE {} ORDER BY {time} {direction}, id {direction} LIMIT $3",
            conditions.join(" AND ")
        ))
    }

    /// Window after window. Where partitions have an index of texts or hosts that serves, many at once by the index.
    async fn walk(
        &self,
        statement: &Statement,
        params: Vec<Box<dyn ToSql + Sync + Send>>,
        tally: &mut Tally,
    ) -> Result<Outcome, SearchError> {
        let order = self.request.order;
        let wanted = self.plan.severities();
        let minutes = self.prepare(&minutes(order, wanted, '$')).await?;
        let names = &self.catalogue.names;
        let has_texts = Texts::of(&self.plan.rest, names).is_some();
        let is_served = has_texts || self.plan.has_host(names);
        let mut walk = Walk::new(order, self.plan.arrival);
        walk.stop_at_gaps(wanted.is_some());
        loop {
            if let Some(range) = walk.needs() {
                walk.feed(self.minutes(&minutes, range).await?);
            }
            let sealed = self
                .catalogue
                .sealed_until(order, walk.edge())
                .filter(|_| is_served && tally.walked() >= WALK_FIRST);
            let next = match sealed {
                Some(until) => Some(walk.jump(until)),
                None => walk.window(),
            };
            let Some(window) = next else {
                return Ok(Outcome::Read);
            };
            if tally.time_left().is_none() {
                return Ok(Outcome::TimeIsUp);
            }
            tally.reads(sealed.is_some() && has_texts);
            let began = Instant::now();
            let paths = if sealed.is_some() && has_texts {
                BY_TEXT
            } else {
                BY_TIME
            };
            if self
                .window(statement, &params, window.range, paths, tally)
                .await?
                == Outcome::TimeIsUp
            {
                return Ok(Outcome::TimeIsUp);
            }
            if tally.left() == 0 {
                return Ok(Outcome::Read);
            }
            if sealed.is_none() {
                walk.took(window, began.elapsed());
                tally.walks(window.rows);
            }
            let progress = tally.progress(Timestamp::from_micros(walk.edge()));
            self.hand_on(progress).await;
        }
    }

    async fn minutes(&self, statement: &Statement, (from, to): Range) -> Result<Vec<(i64, u64)>, StoreError> {
        let from = bound(from.div_euclid(MINUTE_MICROS).saturating_mul(MINUTE_MICROS));
        let rows = self
            .running
            .client()
            .query(statement, &[&from, &bound(to)])
            .await?;
        let mut minutes = Vec::with_capacity(rows.len());
        for row in rows {
            let (minute, rows): (super::types::Micros, i64) = (row.try_get(0)?, row.try_get(1)?);
            minutes.push((minute.0, rows.unsigned_abs()));
        }
        Ok(minutes)
    }

    /// Reads one window and hands its rows on.
    async fn window(
        &self,
        statement: &Statement,
        params: &[Box<dyn ToSql + Sync + Send>],
        range: Range,
        paths: &str,
        tally: &mut Tally,
    ) -> Result<Outcome, SearchError> {
        let Some(time) = tally.time_left() else {
            return Ok(Outcome::TimeIsUp);
        };
        self.running.begin(time, paths).await.map_err(StoreError::from)?;
        let (from, to) = (bound(range.0), bound(range.1));
        let limit = i64::try_from(tally.left()).unwrap_or(i64::MAX);
        let own: [&(dyn ToSql + Sync); 3] = [&from, &to, &limit];
        let rest = params
            .iter()
            .skip(own.len())
            .map(|param| &**param as &(dyn ToSql + Sync));
        match self
            .read(statement, own.into_iter().chain(rest).collect(), tally)
            .await
        {
            Ok(()) => {
                self.running.end().await.map_err(StoreError::from)?;
                Ok(Outcome::Read)
            }
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => Ok(Outcome::TimeIsUp),
            Err(error) => Err(StoreError::from(error).into()),
        }
    }

    async fn read(
        &self,
        statement: &Statement,
        params: Vec<&(dyn ToSql + Sync)>,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let mut rows = pin!(self.running.client().query_raw(statement, params).await?);
        let (mut chunk, mut bytes): (Vec<StoredEvent>, usize) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            bytes += row.raw_size_bytes();
            chunk.push(stored(&row)?);
            if chunk.len() >= CHUNK_ROWS || bytes >= CHUNK_BYTES {
                bytes = 0;
                let rows = tally.rows(std::mem::take(&mut chunk));
                self.hand_on(rows).await;
            }
        }
        if !chunk.is_empty() {
            let rows = tally.rows(chunk);
            self.hand_on(rows).await;
        }
        Ok(())
    }

    async fn hand_on(&self, found: Found) {
        // Nobody waits any more: whoever runs this drops it.
        let _gone = self.out.send(Ok(found)).await;
    }
}

/// By an index of time or hosts, or reading all: an index of trigrams is no use for a text without three letters in a
/// row, and harms.
pub(super) const BY_TIME: &str = "SET LOCAL enable_bitmapscan = off";
/// Only by the index of trigrams: enough rows are looked through already to know that the text is rare.
const BY_TEXT: &str = "SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = off";
