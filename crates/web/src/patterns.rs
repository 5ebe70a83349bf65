//! What the events of a search have in common: messages that differ only in their numbers and names are one pattern, with
//! how many there are, since when, and a search for only those or for all but those.

mod mine;
mod page;

use std::time::{Duration, Instant};

use axum::{
    Json, Router,
    extract::{Query, State as Extract},
    routing::get,
};
use event::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Found, LIMIT_MAX, SearchRequest};

use self::mine::{Miner, Pattern};
use crate::{
    problem::Problem,
    running::Running,
    search::{Ask, Asked, Reading, field_names, severity_word_of},
    shell::Shell,
    state::State,
};

/// The newest events that are looked at.
const SAMPLE_MAX: usize = 10_000;
const BUDGET: Duration = Duration::from_secs(5);
/// Patterns of an answer; of more, the most frequent.
const PATTERNS_MAX: usize = 200;
/// Parts of the time from the first to the last event.
pub(crate) const TREND: usize = 24;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/search/patterns", get(page::page))
        .route("/api/v1/patterns", get(api))
}

/// What was found.
struct Mined {
    /// The most frequent first.
    patterns: Vec<Pattern>,
    /// All there are.
    distinct: usize,
    sample: usize,
    /// False when the time was up.
    is_whole: bool,
    from: Timestamp,
    to: Timestamp,
}

/// The patterns of the newest matches.
async fn mined(state: &State, asked: &Asked, sample_max: usize, running: &Running) -> Result<Mined, Problem> {
    let deadline = Instant::now() + BUDGET.min(asked.request.budget);
    let mut request = SearchRequest {
        after: None,
        ..asked.request.clone()
    };
    let mut miner = Miner::default();
    let is_whole = loop {
        request.limit = (sample_max - miner.seen()).min(LIMIT_MAX);
        request.budget = deadline.saturating_duration_since(Instant::now());
        if request.limit == 0 {
            break true;
        }
        if request.budget.is_zero() {
            break false;
        }
        let mut search = running.rows(state, request.clone());
        let mut end = None;
        while let Some(found) = search.next().await {
            match found? {
                Found::Rows(rows) => rows.iter().for_each(|row| miner.see(&row.event)),
                Found::Progress { .. } => {}
                Found::End(found) => end = Some(found),
            }
        }
        match end {
            Some(end) if !end.complete => break false,
            Some(end) => match end.next {
                Some(next) => request.after = Some(next),
                None => break true,
            },
            None => break false,
        }
    };
    let (from, to) = miner.range();
    let (sample, mut patterns) = (miner.seen(), miner.finish());
    let distinct = patterns.len();
    patterns.truncate(PATTERNS_MAX);
    Ok(Mined {
        patterns,
        distinct,
        sample,
        is_whole,
        from,
        to,
    })
}

async fn asked(state: &State, shell: &Shell, ask: Ask) -> Result<Asked, Problem> {
    let fields = field_names(state).await;
    ask.whole()
        .without_limit()
        .read(&Reading::new(&state.settings, shell, fields))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Form {
    sample: String,
}

async fn api(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
    Query(form): Query<Form>,
) -> Result<Json<Value>, Problem> {
    let started = Instant::now();
    let sample = match &*form.sample {
        "" => SAMPLE_MAX,
        text => text
            .parse()
            .ok()
            .filter(|sample| (1..=SAMPLE_MAX).contains(sample))
            .ok_or_else(|| {
                Problem::bad_request("bad_parameter", format!("sample must be 1 to {SAMPLE_MAX}."))
            })?,
    };
    let asked = asked(&state, &shell, ask).await?;
    let running = state.searches.begin("patterns", &shell, &asked);
    let mined = mined(&state, &asked, sample, &running).await?;
    let patterns = mined.patterns.iter().map(|pattern| {
        json!({
            "id": pattern.id(),
            "template": pattern.template(),
            "n": pattern.n,
            "severity": pattern.severity.map(|severity| severity_word_of(Some(severity))),
            "first": pattern.first.to_string(),
            "last": pattern.last.to_string(),
            "trend": pattern.trend(mined.from, mined.to),
            "query": pattern.query(),
        })
    });
    Ok(Json(json!({
        "sample": mined.sample,
        "distinct": mined.distinct,
        "patterns": patterns.collect::<Vec<_>>(),
        "complete": mined.is_whole,
        "took_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })))
}
