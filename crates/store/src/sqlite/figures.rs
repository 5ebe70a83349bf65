//! Counting rows of day files, and reading their minute rollups.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use query::TimeField;
use rusqlite::params_from_iter;

use super::{
    Sqlite, blocking, file, functions,
    search::{DAY_MICROS, DayFile, Stop, Terms},
};
use crate::{
    error::StoreError,
    search::{
        Clock, SearchError,
        bars::{Bars, Counted},
        figures::Counting,
        plan::Range,
        sql::{self, Dialect, FALSE},
        windows::MINUTE_MICROS,
    },
    summary::COUNT_COLUMNS,
};

/// Tells a count on another thread that nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Sqlite {
    /// From the first minute with events to the end of the last.
    pub(crate) async fn span(&self) -> Result<Option<Range>, StoreError> {
        let dir = self.dir.clone();
        blocking(move || {
            let days = file::days(&dir)?;
            let minute_of = |day: Option<&file::Day>, which: &str| -> Result<Option<i64>, StoreError> {
                let Some(day) = day else {
                    return Ok(None);
                };
                let path = day.path(&dir);
                let conn = file::open_for_reading(&dir, *day)?;
                conn.query_row(&format!("SELECT {which}(minute) FROM rollup_minute"), (), |row| {
                    row.get(0)
                })
                .map_err(|error| file::sort(error, &path))
            };
            let first = minute_of(days.first(), "min")?;
            let last = minute_of(days.last(), "max")?;
            Ok(first.zip(last).map(|(first, last)| (first, last + MINUTE_MICROS)))
        })
        .await
    }

    /// The minutes that begin in the range.
    pub(crate) async fn rollup(&self, range: Range, bars: Bars) -> Result<Counted, StoreError> {
        let dir = self.dir.clone();
        blocking(move || {
            let mut counted = Counted::none(&bars);
            each_day(
                &dir,
                range,
                || false,
                |file| rollup_of(file, range, &bars, &mut counted),
            )
            .or_else(|stop| stop.unless_interrupted(&dir))?;
            Ok(counted)
        })
        .await
    }

    /// Counts rows; `None` when the time was up.
    pub(crate) async fn tally(&self, counting: Counting) -> Result<Option<Counted>, SearchError> {
        let dir = self.dir.clone();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let cancel = CancelOnDrop(Arc::clone(&is_cancelled));
        let deadline = Instant::now() + counting.time;
        let counted = blocking(move || {
            let is_over = move || is_cancelled.load(Ordering::Relaxed) || Instant::now() >= deadline;
            let mut counted = Counted::none(&counting.bars);
            let counted_all = each_day(&dir, counting.plan.arrival, is_over, |file| {
                count_day(file, &counting, &mut counted)
            });
            match counted_all {
                Ok(()) => Ok(Some(counted)),
                Err(Stop::Interrupted) => Ok(None),
                Err(stop) => stop.unless_interrupted(&dir).map(|()| None),
            }
        })
        .await?;
        drop(cancel);
        Ok(counted)
    }
}

/// Opens the files of the days in the range, one after the other.
pub(super) fn each_day(
    dir: &Path,
    (from, to): Range,
    is_over: impl Fn() -> bool + Clone + Send + 'static,
    mut each: impl FnMut(&DayFile) -> Result<(), Stop>,
) -> Result<(), Stop> {
    for day in file::days(dir)? {
        if day.start() < to
            && day.start() + DAY_MICROS > from
            && let Some(file) = DayFile::open(dir, day, is_over.clone())?
        {
            each(&file).map_err(|stop| stop.at(&file.path))?;
        }
    }
    Ok(())
}

fn rollup_of(file: &DayFile, (from, to): Range, bars: &Bars, counted: &mut Counted) -> Result<(), Stop> {
    let sums = COUNT_COLUMNS.map(|column| format!(", sum({column})"));
    let sql = format!(
        "SELECT (minute - ?3) / ?4{} FROM rollup_minute WHERE minute >= ?1 AND minute < ?2 GROUP BY 1",
        sums.concat()
    );
    let mut statement = file.conn.prepare(&sql)?;
    let mut rows = statement.query((from, to, bars.origin, bars.width))?;
    while let Some(row) = rows.next()? {
        for severity in 0..COUNT_COLUMNS.len() {
            let number = i64::try_from(severity).unwrap_or(0);
            counted.add(row.get(0)?, number, row.get(severity + 1)?);
        }
    }
    Ok(())
}

fn count_day(file: &DayFile, counting: &Counting, counted: &mut Counted) -> Result<(), Stop> {
    let plan = &counting.plan;
    let names = file.names(&plan.rest)?;
    let mut terms = Terms::new(&names, file.day);
    let (from, to) = (terms.bind(0_i64), terms.bind(0_i64));
    let condition = sql::condition(&plan.rest, &mut terms, plan.now);
    let is_sample = !counting.slices.is_empty();
    if condition == FALSE && !is_sample {
        return Ok(());
    }
    let sent = sql::in_range(TimeField::Timestamp, plan.sender.0..plan.sender.1, &mut terms);
    let (first, last) = file.seqs(plan.arrival);
    let arrived = format!("seq >= {} AND seq < {}", terms.bind(first), terms.bind(last));
    let time = terms.clock(match counting.clock {
        Clock::Arrival => TimeField::ReceivedAt,
        Clock::Sender => TimeField::Timestamp,
    });
    let (origin, width) = (
        terms.bind(counting.bars.origin),
        terms.bind(counting.bars.width.max(1)),
    );
    // Rounded towards zero, what is before the first bar would be in it.
    let bar = format!("CASE WHEN {time} >= {origin} THEN ({time} - {origin}) / {width} ELSE -1 END");
    let fits = format!("{arrived} AND {condition} AND {sent}");
    let columns = format!("{bar}, coalesce(severity, 8)");
    let window = format!("seq >= {from} AND seq < {to}");
    let sql = if is_sample {
        format!(
            "SELECT {columns}, count(*) FILTER (WHERE {fits}), count(*) FROM events WHERE {window} GROUP BY 1, 2"
        )
    } else {
        format!("SELECT {columns}, count(*), 0 FROM events WHERE {window} AND {fits} GROUP BY 1, 2")
    };
    let (mut params, tests) = terms.into_parts();
    functions::add(&file.conn, Arc::new(tests))?;
    let mut statement = file.conn.prepare(&sql)?;
    let all = [plan.arrival];
    for range in if is_sample {
        counting.slices.as_slice()
    } else {
        &all
    } {
        let (first, last) = file.seqs(*range);
        if first >= last {
            continue;
        }
        for (param, value) in params.iter_mut().zip([first, last]) {
            *param = value.into();
        }
        let mut rows = statement.query(params_from_iter(&params))?;
        while let Some(row) = rows.next()? {
            counted.add(row.get(0)?, row.get(1)?, row.get(2)?);
            let scanned: i64 = row.get(3)?;
            counted.scanned += scanned.unsigned_abs();
        }
    }
    Ok(())
}
