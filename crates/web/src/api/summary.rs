//! How many, when, and which values.

use std::time::Instant;

use axum::{
    Json,
    extract::{self, Path, Query},
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{FieldKind, Quality};

use super::{answer, asked};
use crate::{
    problem::Problem,
    search::{Ask, named},
    shell::Shell,
    state::State,
};

const BUCKETS: usize = 120;
const BUCKETS_MAX: usize = 400;
const VALUES: usize = 20;
const VALUES_MAX: usize = 1000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    buckets: String,
    exact: String,
    limit: String,
    prefix: String,
}

fn number(name: &str, text: &str, usual: usize, max: usize) -> Result<usize, Problem> {
    let number = if text.is_empty() {
        Some(usual)
    } else {
        text.parse().ok()
    };
    number.filter(|number| (1..=max).contains(number)).ok_or_else(|| {
        Problem::bad_request(
            "bad_parameter",
            format!("{name} must be a number from 1 to {max}."),
        )
    })
}

fn is_exact(text: &str) -> Result<bool, Problem> {
    match text {
        "" | "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(Problem::bad_request("bad_parameter", "exact must be 0 or 1.")),
    }
}

const fn word(quality: Quality) -> &'static str {
    match quality {
        Quality::Rollup => "rollup",
        Quality::Planner => "planner",
        Quality::Sample => "sample",
        Quality::Exact => "exact",
    }
}

/// Whether every match was counted, now or when it was stored.
const fn is_counted(quality: Quality) -> bool {
    matches!(quality, Quality::Exact | Quality::Rollup)
}

pub(super) async fn histogram(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
    Query(form): Query<Form>,
) -> Result<Json<Value>, Problem> {
    let started = Instant::now();
    let asked = asked(&state, &shell, ask).await?;
    let buckets = number("buckets", &form.buckets, BUCKETS, BUCKETS_MAX)?;
    let (what, budget) = (&asked.request.selection, asked.request.budget);
    let found = state
        .store
        .histogram(what, buckets, is_exact(&form.exact)?, budget);
    let found = state
        .searches
        .begin("histogram", &shell, &asked)
        .until_ended(found)
        .await?;
    let series = |of: fn(&store::Bar) -> u64| found.bars.iter().map(of).collect::<Vec<_>>();
    let body = json!({
        "from": found.from.to_string(),
        "to": found.to.to_string(),
        "bucket_ms": u64::try_from(found.bucket.as_millis()).unwrap_or(u64::MAX),
        "quality": word(found.quality),
        "exact": is_counted(found.quality),
        "sample": found.sample,
        "series": {
            "crit": series(|bar| bar.crit),
            "err": series(|bar| bar.err),
            "warning": series(|bar| bar.warning),
            "other": series(|bar| bar.other),
        },
    });
    Ok(answer(started, &asked, true, body))
}

pub(super) async fn count(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
    Query(form): Query<Form>,
) -> Result<Json<Value>, Problem> {
    let started = Instant::now();
    let asked = asked(&state, &shell, ask).await?;
    let (what, budget) = (&asked.request.selection, asked.request.budget);
    let found = state.store.count(what, is_exact(&form.exact)?, budget);
    let found = state
        .searches
        .begin("count", &shell, &asked)
        .until_ended(found)
        .await?;
    let is_exact = is_counted(found.quality);
    let body = json!({
        "estimate": found.events,
        "exact": is_exact.then_some(found.events),
        "quality": word(found.quality),
    });
    Ok(answer(started, &asked, true, body))
}

pub(super) async fn fields(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
) -> Result<Json<Value>, Problem> {
    let started = Instant::now();
    let asked = asked(&state, &shell, ask).await?;
    let (what, budget) = (&asked.request.selection, asked.request.budget);
    let found = state.store.fields(what, budget);
    let found = state
        .searches
        .begin("fields", &shell, &asked)
        .until_ended(found)
        .await?;
    let fields = found.fields.iter().map(|seen| {
        let kind = match seen.kind {
            FieldKind::Text => "text",
            FieldKind::Number => "number",
            FieldKind::Bool => "bool",
        };
        json!({ "name": seen.field.name(), "type": kind, "present": seen.present, "distinct_seen": seen.distinct })
    });
    let body = json!({ "sample": found.sample, "fields": fields.collect::<Vec<_>>() });
    Ok(answer(started, &asked, found.complete, body))
}

pub(super) async fn values(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(name): Path<String>,
    Query(ask): Query<Ask>,
    Query(form): Query<Form>,
) -> Result<Json<Value>, Problem> {
    let started = Instant::now();
    let limit = number("limit", &form.limit, VALUES, VALUES_MAX)?;
    let field = named(&name)?;
    let asked = asked(&state, &shell, ask.without_limit()).await?;
    let (what, budget) = (&asked.request.selection, asked.request.budget);
    // A prefix is looked for among all that are counted.
    let counted = if form.prefix.is_empty() { limit } else { VALUES_MAX };
    let found = state.store.values(what, &field, counted, budget);
    let found = state
        .searches
        .begin("values", &shell, &asked)
        .until_ended(found)
        .await?;
    let prefix = form.prefix.to_lowercase();
    let fitting = found
        .values
        .iter()
        .filter(|(value, _)| value.to_lowercase().starts_with(&prefix));
    let values: Vec<_> = fitting
        .take(limit)
        .map(|(value, count)| {
            let share = *count as f64 / found.sample.max(1) as f64;
            json!({ "v": value, "n": count, "share": share })
        })
        .collect();
    let body = json!({
        "sample": found.sample,
        "missing": found.missing,
        "more": found.distinct > values.len(),
        "values": values,
    });
    Ok(answer(started, &asked, found.complete, body))
}
