//! All sources that are meant, judged, in the order that is wanted, and a page of them.

mod sort;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use event::Timestamp;
use serde::Deserialize;
use store::{Hourly, LIMIT_MAX, SourceRow, SourcesRequest};
use tokio::sync::Mutex;

use self::sort::Cursor;
pub(super) use self::sort::{By, Sort};
use super::{
    judge::{Condition, Judged, Sign},
    lately::Lately,
    rhythm::{Past, Rhythm, hour_of, hours_to_know},
    via::drops_per_min,
    watch::Watch,
};
use crate::{hub::Known, problem::Problem, state::State};

/// Sources that are judged at once; of more, the first by name.
pub(super) const SOURCES_MAX: usize = LIMIT_MAX;
/// Sources of a page.
pub(super) const PAGE: usize = 200;

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    /// Part of the name.
    pub(super) q: String,
    /// Only those.
    pub(super) state: String,
    pub(super) sort: String,
    /// Where the page before ended.
    pub(super) cursor: String,
    /// Only the part of the page that changes.
    pub(super) part: String,
}

/// What the states are called where one is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    Of(Condition),
    With(Sign),
}

/// A page of the sources that are meant.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) page: Vec<Judged>,
    /// How many are meant.
    pub(super) n: usize,
    /// Of those whose names are meant, in any state.
    pub(super) silent: usize,
    pub(super) clocks_off: usize,
    pub(super) dropping: usize,
    pub(super) next: Option<String>,
    /// Whether they are all that there are.
    pub(super) is_whole: bool,
    /// Since when somebody sends; `None` where nobody does.
    pub(super) first_seen: Option<Timestamp>,
    pub(super) lately: Arc<Lately>,
}

/// How much sources sent in the hours by which they are judged, read once an hour.
#[derive(Debug, Default)]
pub(crate) struct Weeks(Mutex<Option<(i64, Arc<Hourly>)>>);

impl Weeks {
    /// Of the sources of this hour; nothing where they cannot be read. Whoever comes meanwhile waits and gets the same.
    async fn get(&self, state: &State, now: i64) -> Arc<Hourly> {
        let mut kept = self.0.lock().await;
        if let Some((of, hourly)) = &*kept
            && *of == now
        {
            return Arc::clone(hourly);
        }
        match read(state, now).await {
            Ok(hourly) => {
                let hourly = Arc::new(hourly);
                *kept = Some((now, Arc::clone(&hourly)));
                hourly
            }
            Err(problem) => {
                tracing::debug!(problem = problem.detail(), "the hours of sources");
                Arc::default()
            }
        }
    }
}

async fn read(state: &State, now: i64) -> Result<Hourly, Problem> {
    let rows = all(state, Timestamp::now()).await?;
    let names: Vec<_> = rows.into_iter().map(|row| row.hostname).collect();
    Ok(state.store.hourly(&names, &hours_to_know(now)).await?)
}

async fn rows(state: &State, containing: &str, now: Timestamp) -> Result<Vec<SourceRow>, Problem> {
    let request = SourcesRequest {
        containing: containing.to_owned(),
        after: None,
        limit: SOURCES_MAX,
        now,
    };
    Ok(state.store.sources(&request).await?)
}

async fn all(state: &State, now: Timestamp) -> Result<Vec<SourceRow>, Problem> {
    rows(state, "", now).await
}

fn wanted(word: &str) -> Result<Wanted, Problem> {
    Ok(match word {
        "" => Wanted::All,
        "clock" => Wanted::With(Sign::Clock),
        "dropping" => Wanted::With(Sign::Dropping),
        word => Wanted::Of(Condition::of(word).ok_or_else(|| {
            Problem::bad_request(
                "bad_parameter",
                "state must be silent, clock, dropping, unknown, muted or ok.",
            )
        })?),
    })
}

impl Wanted {
    fn is(self, source: &Judged) -> bool {
        match self {
            Self::All => true,
            Self::Of(condition) => source.condition == condition,
            Self::With(sign) => source.signs().any(|of| of == sign),
        }
    }
}

/// What sources are judged by, beside what the catalogue has of them.
struct Court {
    now: Timestamp,
    weeks: Arc<Hourly>,
    watch: Watch,
    lately: Arc<Lately>,
    /// By input.
    drops: BTreeMap<String, f64>,
}

impl Court {
    async fn new(state: &State, known: &[Known], now: Timestamp) -> Result<Self, Problem> {
        let watch = Watch::load(state).await?;
        let weeks = state.sources.weeks.get(state, hour_of(now.as_micros())).await;
        Ok(Self {
            now,
            weeks,
            watch,
            lately: state.sources.lately.get(state).await,
            drops: drops_per_min(known, Instant::now()),
        })
    }

    fn judge(&self, row: SourceRow) -> Judged {
        let now = self.now.as_micros();
        let seen = (row.first_seen.as_micros(), row.last_seen.as_micros());
        // Who is new since the weeks were read has none.
        let rhythm = self
            .weeks
            .of(&row.hostname)
            .map_or_else(Rhythm::default, |hours| {
                Past::new(seen, self.weeks.known_from(), |hour| hours.events(hour)).rhythm(hour_of(now))
            });
        let lately = self.lately.get(&row.hostname).cloned();
        let mut source = Judged::new(row, &rhythm, now);
        source.drops_per_min = lately.as_ref().and_then(|lately| {
            let drops = lately.inputs.iter().filter_map(|input| self.drops.get(input));
            drops.copied().reduce(f64::max)
        });
        source.lately = lately;
        self.watch.apply(&mut source, self.now);
        source
    }
}

/// A page of the sources that are meant.
pub(super) async fn list(state: &State, params: &Params, known: &[Known]) -> Result<Listed, Problem> {
    let (wanted, sort) = (wanted(&params.state)?, Sort::of(&params.sort)?);
    let after = Cursor::read(&params.cursor)?;
    let now = Timestamp::now();
    let rows = rows(state, &params.q, now).await?;
    let is_whole = rows.len() < SOURCES_MAX;
    if rows.is_empty() && params.q.is_empty() && Watch::load(state).await?.expected.is_empty() {
        return Ok(Listed {
            is_whole,
            ..Listed::default()
        });
    }
    let court = Court::new(state, known, now).await?;
    let missing = missing(state, &court, params, &rows).await?;
    let first_seen = rows.iter().map(|row| row.first_seen).min();
    let mut sources: Vec<_> = rows
        .into_iter()
        .map(|row| court.judge(row))
        .chain(missing)
        .collect();
    let with = |sign| {
        sources
            .iter()
            .filter(|source| Wanted::With(sign).is(source))
            .count()
    };
    let (clocks_off, dropping) = (with(Sign::Clock), with(Sign::Dropping));
    let silent = sources
        .iter()
        .filter(|source| source.condition == Condition::Silent);
    let silent = silent.count();
    sources.retain(|source| wanted.is(source));
    let n = sources.len();
    let mut placed: Vec<_> = sources
        .into_iter()
        .map(|source| (sort.place(&source, &court.lately), source))
        .collect();
    placed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let begin = placed.partition_point(|(place, _)| !after.is_before(place, sort));
    let end = placed.len().min(begin + PAGE);
    let last = end.checked_sub(1).and_then(|last| placed.get(last));
    let next = last.filter(|_| end < n).map(|(place, _)| place.cursor());
    let page = placed
        .into_iter()
        .skip(begin)
        .take(PAGE)
        .map(|(_, source)| source);
    Ok(Listed {
        page: page.collect(),
        n,
        silent,
        clocks_off,
        dropping,
        next,
        is_whole,
        first_seen,
        lately: court.lately,
    })
}

/// Those that are expected and never sent, as far as they are meant. With a filter `rows` are not all who ever sent.
async fn missing(
    state: &State,
    court: &Court,
    params: &Params,
    rows: &[SourceRow],
) -> Result<Vec<Judged>, Problem> {
    if court.watch.expected.is_empty() {
        return Ok(Vec::new());
    }
    let everybody;
    let rows = if params.q.is_empty() {
        rows
    } else {
        everybody = all(state, court.now).await?;
        &everybody
    };
    let mut missing = court
        .watch
        .missing(rows.iter().map(|row| &*row.hostname), court.now);
    let wanted = params.q.to_lowercase();
    missing.retain(|source| source.row.hostname.to_lowercase().contains(&wanted));
    Ok(missing)
}

/// One source by its whole name.
pub(super) async fn one(state: &State, known: &[Known], hostname: &str) -> Result<Judged, Problem> {
    let now = Timestamp::now();
    // Names that hold it begin with it at the earliest.
    let rows = rows(state, hostname, now).await?;
    let found = rows.into_iter().find(|row| row.hostname == hostname);
    let row = found.ok_or_else(|| Problem::not_found(format!("No source has the name {hostname:?}.")))?;
    Ok(Court::new(state, known, now).await?.judge(row))
}
