//! Rows in the order of the senders' clocks. Each file knows the first and the last of them in it; of the files that
//! can have rows of the page, each is read as a whole.

use std::sync::Arc;

use query::TimeField;
use rusqlite::{OptionalExtension, params_from_iter};

use super::{
    DayFile, Searching, Stop,
    rows::{COLUMNS, stored},
    terms::Terms,
};
use crate::{
    search::{
        Clock, Order, StoredEvent,
        plan::Range,
        sql::{self, Dialect, FALSE},
        tally::Tally,
    },
    sqlite::{functions, sealing},
};

/// Rows that are read at first.
const FIRST_ROWS: i64 = if cfg!(test) { 10 } else { 5000 };

impl Searching<'_> {
    pub(super) fn by_sender(&self, tally: &mut Tally) -> Result<(), Stop> {
        let order = self.request.order;
        let mut days = Vec::new();
        for day in self.days()? {
            if let Some(file) = self.open(day, tally)?
                && let Some(best) = self.best_of(&file).map_err(|stop| stop.at(&file.path))?
            {
                days.push((best, day));
            }
        }
        days.sort_unstable();
        if order == Order::NewestFirst {
            days.reverse();
        }
        let mut rows: Vec<StoredEvent> = Vec::new();
        for (best, day) in days {
            let is_behind = self.worst_of(&rows).is_some_and(|worst| match order {
                Order::NewestFirst => best < worst,
                Order::OldestFirst => best > worst,
            });
            if is_behind {
                break;
            }
            let Some(file) = self.open(day, tally)? else {
                continue;
            };
            tally.reads(false);
            for seqs in self.parts(&file).map_err(|stop| stop.at(&file.path))? {
                let worst = self.worst_of(&rows);
                let found = self.sent(&file, seqs, worst);
                rows.extend(found.map_err(|stop| stop.at(&file.path))?);
                rows.sort_by_key(|row| row.cursor(Clock::Sender));
                if order == Order::NewestFirst {
                    rows.reverse();
                }
                rows.truncate(self.request.limit);
            }
        }
        if !rows.is_empty() {
            let rows = tally.rows(rows);
            self.hand_on(rows)?;
        }
        Ok(())
    }

    /// The time in the file that comes first in the order; `None` when all of them are out of the range.
    fn best_of(&self, file: &DayFile) -> Result<Option<i64>, Stop> {
        let span: Option<(i64, i64)> = file
            .conn
            .query_row(
                "SELECT sent_first, sent_last FROM span WHERE sent_first < ?1 AND sent_last >= ?2",
                (self.plan.sender.1, self.plan.sender.0),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        Ok(span.map(|(first, last)| match self.request.order {
            Order::NewestFirst => last,
            Order::OldestFirst => first,
        }))
    }

    /// The last time of a full page: rows behind it are not wanted.
    fn worst_of(&self, rows: &[StoredEvent]) -> Option<i64> {
        let worst = rows.last().filter(|_| rows.len() == self.request.limit)?;
        Some(worst.cursor(Clock::Sender).time.as_micros())
    }

    /// The file's range of `seq` in the parts that are read: where no index has the order, at first some rows at that end
    /// near which the best ones are, so that of the many others nearly all can be passed over.
    fn parts(&self, file: &DayFile) -> Result<Vec<Range>, Stop> {
        let (from, to) = file.seqs(self.plan.arrival);
        if sealing::has_sent(&file.conn)? {
            return Ok(vec![(from, to)]);
        }
        let direction = self.request.order.direction();
        let sql = format!(
            "SELECT seq FROM events WHERE seq >= ?1 AND seq < ?2 ORDER BY seq {direction} LIMIT 1 OFFSET ?3"
        );
        let border: Option<i64> = file
            .conn
            .query_row(&sql, (from, to, FIRST_ROWS), |row| row.get(0))
            .optional()?;
        Ok(match (border, self.request.order) {
            (None, _) => vec![(from, to)],
            (Some(border), Order::NewestFirst) => vec![(border, to), (from, border)],
            (Some(border), Order::OldestFirst) => vec![(from, border), (border, to)],
        })
    }

    /// The best rows of a part, no worse than `worst`.
    fn sent(&self, file: &DayFile, (from, to): Range, worst: Option<i64>) -> Result<Vec<StoredEvent>, Stop> {
        let names = file.names(&self.plan.rest)?;
        let mut terms = Terms::new(&names, file.day);
        let condition = sql::condition(&self.plan.rest, &mut terms, self.plan.now);
        if condition == FALSE {
            return Ok(Vec::new());
        }
        let (from, to) = (terms.bind(from), terms.bind(to));
        let sent = sql::in_range(
            TimeField::Timestamp,
            self.plan.sender.0..self.plan.sender.1,
            &mut terms,
        );
        let time = terms.clock(TimeField::Timestamp);
        let order = self.request.order;
        // Where an index has the order, it is followed.
        let seq = if sealing::has_sent(&file.conn)? {
            "+seq"
        } else {
            "seq"
        };
        let mut conditions = vec![format!("{seq} >= {from} AND {seq} < {to}"), condition, sent];
        if let Some(worst) = worst {
            let worst = terms.bind(worst);
            conditions.push(match order {
                Order::NewestFirst => format!("{time} >= {worst}"),
                Order::OldestFirst => format!("{time} <= {worst}"),
            });
        }
        if let Some(after) = self.request.after {
            let at = terms.bind(after.time.as_micros());
            let id = terms.bind(after.id.as_uuid().as_bytes().to_vec());
            conditions.push(format!("({time}, id) {} ({at}, {id})", order.behind()));
        }
        let limit = terms.bind(i64::try_from(self.request.limit).unwrap_or(i64::MAX));
        let direction = order.direction();
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE {} ORDER BY {time} {direction}, id {direction} LIMIT {limit}",
            conditions.join(" AND ")
        );
        let (params, tests) = terms.into_parts();
        functions::add(&file.conn, Arc::new(tests))?;
        let mut statement = file.conn.prepare(&sql)?;
        let rows = statement.query_map(params_from_iter(params), |row| stored(row, file.day))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
