//! Rows in the order of arrival, which is that of `seq`: a walk in windows, and the full-text index where a file has
//! one and the text is not found soon.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use event::Timestamp;
use query::{Expr, TimeField};
use rusqlite::{OptionalExtension, Statement, params_from_iter, types::Value};

use super::{
    Asked, DayFile, Searching, Stop,
    rows::{COLUMNS, stored},
    terms::{Terms, full_text},
};
use crate::{
    search::{
        Order,
        plan::{Range, Texts},
        sql::{self, FALSE},
        tally::Tally,
        windows::{MINUTE_MICROS, Walk, minutes},
    },
    sqlite::{functions, sealing, writer::SEQ_BITS},
};

/// Rows that are handed on at a time.
const CHUNK_ROWS: usize = 200;

/// The full-text index is asked once so many rows, or for so long, were looked through: a text that is common is found
/// in them, and the index would find far more of it than is asked for.
const WALK_ROWS: u64 = if cfg!(test) { 20 } else { 50_000 };
const WALK_TIME: Duration = Duration::from_millis(100);

impl Searching<'_> {
    pub(super) fn by_arrival(&self, tally: &mut Tally) -> Result<(), Stop> {
        let began = Instant::now();
        for day in self.days()? {
            if tally.left() == 0 {
                break;
            }
            if let Some(file) = self.open(day, tally)? {
                self.day(&file, began, tally)
                    .map_err(|stop| stop.at(&file.path))?;
            }
        }
        Ok(())
    }

    fn day(&self, file: &DayFile, began: Instant, tally: &mut Tally) -> Result<(), Stop> {
        let names = file.names(&self.plan.rest)?;
        let texts = Texts::of(&self.plan.rest, &names).and_then(|texts| full_text(&texts));
        let indexed_until = match &texts {
            Some(_) => sealing::indexed_until(&file.conn, file.day)?,
            None => None,
        };
        let mut terms = Terms::new(&names, file.day);
        let Some(conditions) = self.conditions(&mut terms) else {
            return Ok(());
        };
        let (mut params, tests) = terms.into_parts();
        functions::add(&file.conn, Arc::new(tests))?;
        let direction = self.request.order.direction();
        // The rows of some hosts are few of a file's.
        let by_host = self.plan.hosts(&names).is_some() && sealing::has_hosts(&file.conn)?;
        let index = if by_host { "INDEXED BY events_host" } else { "" };
        let by_time = Asked {
            sql: format!(
                "SELECT {COLUMNS} FROM events {index} WHERE seq >= ?1 AND seq < ?2 AND {conditions} \
                 ORDER BY seq {direction} LIMIT ?3"
            ),
            params: params.clone(),
        };
        let by_text = texts.zip(indexed_until).map(|(texts, until)| {
            params.push(Value::Text(texts));
            let asked = Asked {
                sql: format!(
                    "SELECT {COLUMNS} FROM (SELECT rowid AS found FROM message_index WHERE message_index MATCH ?{} \
                     AND rowid >= ?1 AND rowid < ?2 ORDER BY rowid {direction}) CROSS JOIN events ON seq = found \
                     WHERE {conditions} ORDER BY found {direction} LIMIT ?3",
                    params.len()
                ),
                params,
            };
            (asked, until)
        });
        let range = self.after(file)?;
        if by_host {
            return self.at_once(file, range, &by_time, tally);
        }
        self.walk(file, range, (&by_time, by_text.as_ref()), began, tally)
    }

    /// What rows of a window must fit, whose begin, end and limit are the first parameters; `None` when no row can.
    fn conditions(&self, terms: &mut Terms<'_>) -> Option<String> {
        for _ in 0..3 {
            // Each window has its own.
            terms.bind(Value::Null);
        }
        let condition = sql::condition(&self.plan.rest, terms, self.plan.now);
        if condition == FALSE {
            return None;
        }
        let (from, to) = self.plan.sender;
        if (from, to) == (i64::MIN, i64::MAX) {
            return Some(condition);
        }
        let sent = sql::in_range(TimeField::Timestamp, from..to, terms);
        Some(format!("{condition} AND {sent}"))
    }

    /// The day's range of `seq`, without what the cursor is behind.
    fn after(&self, file: &DayFile) -> rusqlite::Result<Range> {
        let (mut from, mut to) = file.seqs(self.plan.arrival);
        let Some(after) = self.request.after else {
            return Ok((from, to));
        };
        let at = after.time.as_micros();
        let instant = file.seqs((at, at.saturating_add(1)));
        let seq: Option<i64> = file
            .conn
            .query_row(
                "SELECT seq FROM events WHERE seq >= ?1 AND seq < ?2 AND id = ?3",
                (instant.0, instant.1, after.id.as_uuid().as_bytes()),
                |row| row.get(0),
            )
            .optional()?;
        match (self.request.order, seq) {
            (Order::NewestFirst, Some(seq)) => to = to.min(seq),
            (Order::OldestFirst, Some(seq)) => from = from.max(seq + 1),
            // The end of a window, and no event's place.
            (Order::NewestFirst, None) if after.id.as_uuid().is_nil() => to = to.min(instant.0),
            (Order::OldestFirst, None) if after.id.as_uuid().is_max() => from = from.max(instant.1),
            // In another file, or not there any more.
            (_, None) => {}
        }
        Ok((from, to))
    }

    /// The range as one window.
    fn at_once(&self, file: &DayFile, seqs: Range, asked: &Asked, tally: &mut Tally) -> Result<(), Stop> {
        if tally.time_left().is_none() {
            return Err(Stop::Interrupted);
        }
        tally.reads(false);
        let mut statement = file.conn.prepare(&asked.sql)?;
        self.window(&mut statement, &asked.params, seqs, file, tally)?;
        let (from, to) = self.plan.arrival;
        self.progress(
            tally,
            match self.request.order {
                Order::NewestFirst => from.max(file.day.start()),
                Order::OldestFirst => to.min(file.day.end()),
            },
        )
    }

    fn walk(
        &self,
        file: &DayFile,
        seqs: Range,
        (by_time, by_text): (&Asked, Option<&(Asked, i64)>),
        began: Instant,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let order = self.request.order;
        let start = file.day.start();
        let mut walk = Walk::new(
            order,
            (start + (seqs.0 >> SEQ_BITS), start + (seqs.1 >> SEQ_BITS) + 1),
        );
        let within = |range| {
            let (from, to) = file.seqs(range);
            (from.max(seqs.0), to.min(seqs.1))
        };
        let mut statement = file.conn.prepare(&by_time.sql)?;
        if self.plan.rest == Expr::Every {
            tally.reads(false);
            return self.window(&mut statement, &by_time.params, seqs, file, tally);
        }
        let wanted = self.plan.severities();
        walk.stop_at_gaps(wanted.is_some());
        let mut minutes = file.conn.prepare(&minutes(order, wanted, '?'))?;
        while tally.left() > 0 {
            if let Some((from, to)) = walk.needs() {
                let from = from.div_euclid(MINUTE_MICROS) * MINUTE_MICROS;
                let minutes = minutes.query_map((from, to), |row| {
                    let rows: i64 = row.get(1)?;
                    Ok((row.get(0)?, rows.unsigned_abs()))
                })?;
                walk.feed(minutes.collect::<Result<_, _>>()?);
            }
            let is_rare = tally.walked() >= WALK_ROWS || began.elapsed() >= WALK_TIME;
            if let Some((by_text, until)) = by_text {
                let (rest, until) = (walk.rest(), *until);
                let (is_indexed, end) = match order {
                    Order::NewestFirst => (rest.1 <= until, rest.0),
                    Order::OldestFirst => (rest.0 < until, until.min(rest.1)),
                };
                if is_indexed && is_rare && rest.0 < rest.1 {
                    let window = walk.jump(end);
                    tally.reads(true);
                    let mut statement = file.conn.prepare(&by_text.sql)?;
                    self.window(&mut statement, &by_text.params, within(window.range), file, tally)?;
                    self.progress(tally, walk.edge())?;
                    continue;
                }
                walk.stop_at((order == Order::NewestFirst && !is_indexed).then_some(until));
                walk.stop_after(match WALK_ROWS.saturating_sub(tally.walked()) {
                    0 => u64::MAX,
                    left => left,
                });
            }
            let Some(window) = walk.window() else {
                break;
            };
            // A small window may be over before SQLite asks whether to go on.
            if tally.time_left().is_none() {
                return Err(Stop::Interrupted);
            }
            tally.reads(false);
            let began = Instant::now();
            self.window(&mut statement, &by_time.params, within(window.range), file, tally)?;
            walk.took(window, began.elapsed());
            tally.walks(window.rows);
            self.progress(tally, walk.edge())?;
        }
        Ok(())
    }

    fn progress(&self, tally: &mut Tally, edge: i64) -> Result<(), Stop> {
        if tally.left() == 0 {
            return Ok(());
        }
        let progress = tally.progress(Timestamp::from_micros(edge));
        self.hand_on(progress)
    }

    /// Reads a window of `seq` and hands its rows on.
    fn window(
        &self,
        statement: &mut Statement<'_>,
        params: &[Value],
        (from, to): Range,
        file: &DayFile,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let limit = i64::try_from(tally.left()).unwrap_or(i64::MAX);
        let own = [Value::Integer(from), Value::Integer(to), Value::Integer(limit)];
        let params = own.iter().chain(params.iter().skip(own.len()));
        let mut rows = statement.query(params_from_iter(params))?;
        let mut chunk = Vec::new();
        let ended = loop {
            match rows.next() {
                Ok(Some(row)) => chunk.push(stored(row, file.day)?),
                Ok(None) => break Ok(()),
                // What was found before the time was up is found.
                Err(error) => break Err(error.into()),
            }
            if chunk.len() >= CHUNK_ROWS {
                let rows = tally.rows(std::mem::take(&mut chunk));
                self.hand_on(rows)?;
            }
        };
        if !chunk.is_empty() {
            let rows = tally.rows(chunk);
            self.hand_on(rows)?;
        }
        ended
    }
}
