//! Searching `events`: bound parameters only, a statement a window, stopped by its time-out or when nobody waits.

mod rows;
mod running;
mod sender;
mod served;
mod terms;

use std::{pin::pin, time::Instant};

use event::Timestamp;
use futures_util::{TryStreamExt, future::join};
use query::{Expr, TimeField};
use tokio::sync::mpsc;
use tokio_postgres::{Error, Statement, error::SqlState, types::ToSql};

pub(super) use self::{running::Running, terms::Terms};

use self::{
    rows::{COLUMNS, stored},
    served::Served,
};
use super::{
    Postgres,
    catalogue::Catalogue,
    turns::Turns,
    types::{Micros, bound},
};
use crate::{
    error::StoreError,
    search::{
        Clock, Found, Order, SearchError, SearchRequest, StoredEvent,
        plan::{Plan, Range},
        sql::{self, Dialect, FALSE},
        tally::Tally,
        windows::{MINUTE_MICROS, Walk, minutes},
    },
};

/// Rows that are handed on at a time, and their bytes, about.
const CHUNK_ROWS: usize = 200;
const CHUNK_BYTES: usize = 1 << 20;

/// Sealed partitions that one statement looks into: few at first, since what is asked for may be in them and each one
/// must be planned for.
const RUN_GROWTH: usize = 4;
const RUN_MAX: usize = 16;

/// What is no longer than that, as the time that an event's id names, is read at once.
const SHORT_MICROS: i64 = 1000;

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
            turns: &self.turns,
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
    turns: &'s Turns,
    running: &'s Running,
    request: &'s SearchRequest,
    plan: &'s Plan,
    catalogue: &'s Catalogue,
    out: &'s Sender,
}

/// A statement and its values, of which the first ones are each window's own.
struct Asked {
    statement: Statement,
    params: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Asked {
    /// All values, with a window's own.
    fn with<'a, const OWN: usize>(
        &'a self,
        own: [&'a (dyn ToSql + Sync); OWN],
    ) -> Vec<&'a (dyn ToSql + Sync)> {
        let rest = self.params.iter().skip(OWN).map(|param| &**param as _);
        own.into_iter().chain(rest).collect()
    }
}

impl Searching<'_> {
    async fn run(&self, tally: &mut Tally) -> Result<Outcome, SearchError> {
        let names = &self.catalogue.names;
        let Some(by_time) = self.ask(Terms::new(names).looking_at_all()).await? else {
            return Ok(Outcome::Read);
        };
        if self.request.selection.clock == Clock::Sender {
            let indexed = self.ask(Terms::new(names)).await?;
            let indexed = indexed.as_ref().unwrap_or(&by_time);
            return self.by_sender((&by_time, indexed), tally).await;
        }
        let (from, to) = self.plan.arrival;
        let is_short = to.saturating_sub(from) <= SHORT_MICROS;
        if self.plan.rest != Expr::Every && !is_short {
            return self.walk(by_time, tally).await;
        }
        // The index of time has the rows in the order that is asked for.
        let _turn = if is_short { None } else { self.turns.turn().await };
        tally.reads(false);
        self.window(&by_time, self.plan.arrival, "", tally).await
    }

    /// `None` when no row can fit.
    async fn ask(&self, mut terms: Terms<'_>) -> Result<Option<Asked>, StoreError> {
        let Some(sql) = self.statement(&mut terms) else {
            return Ok(None);
        };
        Ok(Some(Asked {
            statement: self.prepare(&sql).await?,
            params: terms.into_params(),
        }))
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, StoreError> {
        Ok(self.running.client().prepare(sql).await?)
    }

    /// A page of the rows of a window: `$1` is its begin, `$2` its end, `$3` how many, and by the senders' clocks `$4`
    /// the last time that is wanted. `None` when no row can fit.
    fn statement(&self, terms: &mut Terms<'_>) -> Option<String> {
        let request = self.request;
        let own = match request.selection.clock {
            Clock::Arrival => 3,
            Clock::Sender => 4,
        };
        for place in 1..=own {
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
        let time = match request.selection.clock {
            Clock::Arrival => terms.clock(TimeField::ReceivedAt),
            Clock::Sender => {
                let time = terms.clock(TimeField::Timestamp);
                conditions.push(match request.order {
                    Order::NewestFirst => format!("{time} >= $4"),
                    Order::OldestFirst => format!("{time} <= $4"),
                });
                time
            }
        };
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

    /// Window after window. Where an index serves, what it covers at once.
    async fn walk(&self, by_time: Asked, tally: &mut Tally) -> Result<Outcome, SearchError> {
        let order = self.request.order;
        let wanted = self.plan.severities();
        let minutes = self.prepare(&minutes(order, wanted, '$')).await?;
        let names = &self.catalogue.names;
        let served = Served::of(self.plan, names);
        let by_index = match served {
            Some(Served::Text) => self.ask(Terms::new(names)).await?,
            Some(Served::Value) => self.ask(Terms::new(names).looking_up_values()).await?,
            Some(Served::Host | Served::Hosts) | None => None,
        };
        let mut run = 1;
        let mut walk = Walk::new(order, self.plan.arrival);
        walk.stop_at_gaps(wanted.is_some());
        loop {
            if let Some(range) = walk.needs() {
                let Some(minutes) = self.minutes(&minutes, range).await? else {
                    return Ok(Outcome::TimeIsUp);
                };
                walk.feed(minutes);
            }
            let indexed = self.indexed(served, run, &mut walk, tally);
            let next = match indexed {
                Some(until) => Some(walk.jump(until)),
                None => walk.window(),
            };
            let Some(window) = next else {
                return Ok(Outcome::Read);
            };
            let _turn = self.turns.turn().await;
            if tally.time_left().is_none() {
                return Ok(Outcome::TimeIsUp);
            }
            let (asked, paths) = match (indexed, &by_index) {
                (Some(_), Some(by_index)) => (by_index, BY_INDEX),
                (Some(_), None) | (None, _) => (&by_time, BY_TIME),
            };
            tally.reads(paths == BY_INDEX);
            let began = Instant::now();
            if self.window(asked, window.range, paths, tally).await? == Outcome::TimeIsUp {
                return Ok(Outcome::TimeIsUp);
            }
            if tally.left() == 0 {
                return Ok(Outcome::Read);
            }
            if indexed.is_some() {
                run = (run * RUN_GROWTH).min(RUN_MAX);
            } else {
                walk.took(window, began.elapsed());
                tally.walks(window.rows);
            }
            let progress = tally.progress(Timestamp::from_micros(walk.edge()));
            self.hand_on(progress).await;
        }
    }

    /// Up to where is looked up next, in `run` sealed partitions at most; else the walk's next window ends where that
    /// begins.
    fn indexed(&self, served: Option<Served>, run: usize, walk: &mut Walk, tally: &Tally) -> Option<i64> {
        let served = served?;
        let (lookup, order, edge) = (served.lookup(), self.request.order, walk.edge());
        if tally.walked() >= served.walk_first()
            && let Some(until) = self.catalogue.indexed_until(lookup, order, edge, run)
        {
            return Some(until);
        }
        walk.stop_at(self.catalogue.unindexed_until(lookup, order, edge));
        walk.stop_after(match served.walk_first().saturating_sub(tally.walked()) {
            0 => u64::MAX,
            left => left,
        });
        None
    }

    /// `None` when the time of the window before, whose transaction goes on, is up.
    async fn minutes(
        &self,
        statement: &Statement,
        (from, to): Range,
    ) -> Result<Option<Vec<(i64, u64)>>, StoreError> {
        let from = bound(from.div_euclid(MINUTE_MICROS).saturating_mul(MINUTE_MICROS));
        let client = self.running.client();
        let rows = match client.query(statement, &[&from, &bound(to)]).await {
            Ok(rows) => rows,
            Err(error) if is_canceled(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut minutes = Vec::with_capacity(rows.len());
        for row in rows {
            let (minute, rows): (Micros, i64) = (row.try_get(0)?, row.try_get(1)?);
            minutes.push((minute.0, rows.unsigned_abs()));
        }
        Ok(Some(minutes))
    }

    /// Reads one window and hands its rows on.
    async fn window(
        &self,
        asked: &Asked,
        range: Range,
        paths: &str,
        tally: &mut Tally,
    ) -> Result<Outcome, SearchError> {
        let Some(time) = tally.time_left() else {
            return Ok(Outcome::TimeIsUp);
        };
        let (from, to) = (bound(range.0), bound(range.1));
        let limit = i64::try_from(tally.left()).unwrap_or(i64::MAX);
        let own: [&(dyn ToSql + Sync); 3] = [&from, &to, &limit];
        let params = asked.with(own);
        // Sent one behind the other, without a wait between.
        let begun = self.running.begin(time, paths);
        let (begun, read) = join(begun, self.read(&asked.statement, params, tally)).await;
        begun.map_err(StoreError::from)?;
        match read {
            Ok(()) => Ok(Outcome::Read),
            Err(error) if is_canceled(&error) => Ok(Outcome::TimeIsUp),
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

/// The statement's time was up.
fn is_canceled(error: &Error) -> bool {
    error.code() == Some(&SqlState::QUERY_CANCELED)
}

/// By an index of time or hosts, or reading all: an index of trigrams is no use for a text without three letters in a
/// row, and harms.
pub(super) const BY_TIME: &str = "SET LOCAL enable_bitmapscan = off";
/// Only by an index of texts or values: enough rows are looked through already to know that what is asked for is rare.
const BY_INDEX: &str = "SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = off";
