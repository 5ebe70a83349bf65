//! Searching day files on a thread that may block: newest or oldest day first, until enough is found.

mod arrival;
mod rows;
mod sender;
mod terms;

pub(super) use self::terms::Terms;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use query::Expr;
use rusqlite::{Connection, ErrorCode, types::Value};
use tokio::sync::mpsc;

use super::{
    file::{self, Day},
    turns::{Load, Turn},
    writer::SEQ_BITS,
};
use crate::{
    error::StoreError,
    search::{
        Clock, Found, Order, SearchError, SearchRequest,
        names::{self, Names},
        plan::{Plan, Range},
        tally::Tally,
    },
    summary::FOLDED,
};

/// SQLite looks up whether to go on after this many steps of its machine, some ten microseconds.
const STEPS: i32 = 1000;

pub(super) const DAY_MICROS: i64 = 86_400_000_000;

/// How found rows are handed on; closed when nobody waits for them any more.
pub(super) type Sender = mpsc::Sender<Result<Found, SearchError>>;

/// Hands rows to `out`, and returns how it ended; stops when `out` is closed.
pub(super) fn search(
    dir: &Path,
    load: &Arc<Load>,
    request: &SearchRequest,
    out: &Sender,
) -> Result<Found, SearchError> {
    let mut tally = Tally::new(request);
    let plan = Plan::of(&request.selection).behind(request.selection.clock, request.order, request.after);
    if plan.is_empty() {
        return Ok(tally.done());
    }
    let _running = load.search();
    let searching = Searching {
        dir,
        load,
        request,
        plan: &plan,
        out,
    };
    let ended = match request.selection.clock {
        Clock::Arrival => searching.by_arrival(&mut tally),
        Clock::Sender => searching.by_sender(&mut tally),
    };
    match ended {
        Ok(()) => Ok(tally.done()),
        Err(Stop::Interrupted) => Ok(tally.time_is_up(request)),
        Err(Stop::Store(error)) => Err(error.into()),
        Err(Stop::Sqlite(error)) => Err(file::sort(error, dir).into()),
    }
}

/// Why reading stopped before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The time is up, or nobody waits any more.
    Interrupted,
    /// SQLite's error in a file that is known to the caller.
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            Self::Interrupted
        } else {
            Self::Sqlite(error)
        }
    }
}

impl Stop {
    /// The same with the file that it is about.
    pub(super) fn at(self, path: &Path) -> Self {
        match self {
            Self::Sqlite(error) => Self::Store(file::sort(error, path)),
            Self::Interrupted | Self::Store(_) => self,
        }
    }

    /// The error, if there was one; in a file of `dir`.
    pub(super) fn unless_interrupted(self, dir: &Path) -> Result<(), StoreError> {
        match self {
            Self::Interrupted => Ok(()),
            Self::Sqlite(error) => Err(file::sort(error, dir)),
            Self::Store(error) => Err(error),
        }
    }
}

struct Searching<'s> {
    dir: &'s Path,
    load: &'s Arc<Load>,
    request: &'s SearchRequest,
    plan: &'s Plan,
    out: &'s Sender,
}

/// A day's file, open.
pub(super) struct DayFile {
    pub(super) day: Day,
    pub(super) path: PathBuf,
    pub(super) conn: Connection,
}

impl DayFile {
    /// Opens the file; statements on it end when `is_over`. `None` when retention has deleted it.
    pub(super) fn open(
        dir: &Path,
        day: Day,
        is_over: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Option<Self>, Stop> {
        let path = day.path(dir);
        let mut conn = match file::open_for_reading(dir, day) {
            Ok(conn) => conn,
            Err(_) if path.try_exists().is_ok_and(|is_there| !is_there) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        conn.progress_handler(STEPS, Some(is_over))
            .map_err(|error| file::sort(error, &path))?;
        Ok(Some(Self { day, path, conn }))
    }

    /// The range of arrival as a range of `seq`.
    pub(super) fn seqs(&self, (from, to): Range) -> Range {
        let start = self.day.start();
        let seq_of = |at: i64| (at.clamp(start, start + DAY_MICROS) - start) << SEQ_BITS;
        (seq_of(from), seq_of(to))
    }

    /// The names of the day, where the expression may ask for one.
    pub(super) fn names(&self, expr: &Expr) -> rusqlite::Result<Names> {
        if !names::are_needed(expr) {
            return Ok(Names::default());
        }
        let column = |sql| -> rusqlite::Result<Vec<String>> {
            let mut statement = self.conn.prepare(sql)?;
            statement.query_map((), |row| row.get(0))?.collect()
        };
        // Only whether there are sources that are counted together is of interest of the addresses.
        let folded: rusqlite::Result<Vec<String>> = self
            .conn
            .prepare("SELECT DISTINCT peer FROM sources WHERE peer = ?1")?
            .query_map((FOLDED,), |row| row.get(0))?
            .collect();
        Ok(Names::new(
            column("SELECT DISTINCT hostname FROM sources")?,
            column("SELECT DISTINCT app_name FROM sources")?,
            folded?,
        ))
    }
}

/// A statement with its values, in the order of their names.
struct Asked {
    sql: String,
    params: Vec<Value>,
}

impl Searching<'_> {
    /// The days whose events can have arrived in the range, in the order asked for.
    fn days(&self) -> Result<Vec<Day>, Stop> {
        let (from, to) = self.plan.arrival;
        let mut days = file::days(self.dir)?;
        days.retain(|day| day.start() < to && day.start() + DAY_MICROS > from);
        if self.request.order == Order::NewestFirst {
            days.reverse();
        }
        Ok(days)
    }

    fn open(&self, day: Day, tally: &Tally) -> Result<Option<DayFile>, Stop> {
        let (out, deadline) = (self.out.clone(), tally.deadline());
        let mut turn = Turn::new(self.load);
        DayFile::open(self.dir, day, move || {
            turn.give_way();
            out.is_closed() || Instant::now() >= deadline
        })
    }

    fn hand_on(&self, found: Found) -> Result<(), Stop> {
        self.out
            .blocking_send(Ok(found))
            .map_err(|_gone| Stop::Interrupted)
    }
}
