//! The same for programs.

use std::time::Instant;

use axum::{
    Json,
    extract::{Path, Query, State as Extract},
};
use serde_json::{Value, json};

use super::{
    clock::last,
    find::{self, Params, list},
    judge::{Judged, Sign},
    lately::Lately,
    one::profile,
    via::{Connected, kernel_drops},
};
use crate::{problem::Problem, state::State};

fn as_json(source: &Judged, connected: &Connected<'_>, lately: &Lately) -> Value {
    let [.., before, _this_hour] = source.row.hours;
    let condition = json!(source.condition);
    let signs = source.signs().map(|sign: Sign| json!(sign));
    let of_late = source.lately.as_ref();
    json!({
        "hostname": source.row.hostname,
        "state": std::iter::once(condition).chain(signs).collect::<Vec<_>>(),
        "why": source.why,
        "via": connected.via(source),
        "rate_5m": lately.rate(&source.row.hostname).map(|(events, _)| events),
        "last_hour": before,
        "spark": source.row.hours.as_slice(),
        "first_seen": source.is_seen.then(|| source.row.first_seen.to_string()),
        "last_seen": source.is_seen.then(|| source.row.last_seen.to_string()),
        "usual_gap_ms": source.usual_gap_micros.map(|micros| micros / 1000),
        "skew_ms": of_late.and_then(|of| of.skew_micros()).map(|micros| micros / 1000),
        "skew_guess": of_late.and_then(|of| of.guess()),
        "defect_share": of_late.map(|of| of.defect_share()),
        "kernel_drops_min": source.drops_per_min,
        "apps": source.row.apps,
    })
}

pub(super) async fn sources(
    Extract(state): Extract<State>,
    Query(params): Query<Params>,
) -> Result<Json<Value>, Problem> {
    let (known, now) = (state.hub.all(), Instant::now());
    let listed = list(&state, &params, &known).await?;
    let connected = Connected::of(&known, now);
    let page = listed.page.iter();
    let page: Vec<_> = page
        .map(|source| as_json(source, &connected, &listed.lately))
        .collect();
    Ok(Json(json!({
        "sources": page,
        "n": listed.n,
        "silent": listed.silent,
        "clocks_off": listed.clocks_off,
        "dropping": listed.dropping,
        "next": listed.next,
        "complete": listed.is_whole,
        "kernel_drops": kernel_drops(&known, now),
    })))
}

pub(super) async fn source(
    Extract(state): Extract<State>,
    Path(hostname): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (known, now) = (state.hub.all(), Instant::now());
    let source = find::one(&state, &known, &hostname).await?;
    let last = last(&state, &hostname).await?;
    let lately = state.sources.lately.get(&state).await;
    let mut all = as_json(&source, &Connected::of(&known, now), &lately);
    let profile = profile(&state, &hostname).await?;
    let names = [
        "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "none",
    ];
    let severities: serde_json::Map<_, _> = names
        .into_iter()
        .zip(profile.severities)
        .map(|(name, events)| (name.to_owned(), json!(events)))
        .collect();
    let apps = profile
        .apps
        .iter()
        .map(|(name, events)| json!({ "app_name": name, "n": events }));
    let apps: Vec<_> = apps.collect();
    if let (Value::Object(all), Ok(Value::Object(last))) = (&mut all, serde_json::to_value(&last)) {
        all.extend(last);
        all.insert("severities".to_owned(), Value::Object(severities));
        all.insert("top_apps".to_owned(), json!(apps));
    }
    Ok(Json(all))
}
