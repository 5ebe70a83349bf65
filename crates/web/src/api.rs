//! The HTTP API for programs, as `proto/openapi.yaml` describes it; answers are JSON, long ones a line for each record.

mod check;
mod event;
mod events;
mod suggest;
mod summary;

use std::time::Instant;

use axum::{
    Json, Router,
    routing::{get, post},
};
use serde_json::{Map, Value, json};

use crate::{
    problem::Problem,
    search::{Ask, Asked, Reading, export, field_names},
    shell::Shell,
    state::State,
};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/events/{id}", get(event::event))
        .route("/api/v1/events/{id}/context", get(event::context))
        .route("/api/v1/histogram", get(summary::histogram))
        .route("/api/v1/count", get(summary::count))
        .route("/api/v1/fields", get(summary::fields))
        .route("/api/v1/fields/{name}/values", get(summary::values))
        .route("/api/v1/suggest", get(suggest::suggest))
        .route("/api/v1/query/check", post(check::check))
        .route("/api/v1/export", get(export))
}

/// What the parameters mean.
async fn asked(state: &State, shell: &Shell, ask: Ask) -> Result<Asked, Problem> {
    let fields = field_names(state).await;
    ask.read(&Reading::new(&state.settings, shell, fields))
}

/// An answer with what every answer has.
fn answer(started: Instant, asked: &Asked, is_complete: bool, body: Value) -> Json<Value> {
    let mut all = match body {
        Value::Object(all) => all,
        other => Map::from_iter([("data".to_owned(), other)]),
    };
    let millis =
        |duration: std::time::Duration| json!(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    all.insert("took_ms".to_owned(), millis(started.elapsed()));
    all.insert("budget_ms".to_owned(), millis(asked.request.budget));
    all.insert("complete".to_owned(), json!(is_complete));
    Json(Value::Object(all))
}

/// An event as `proto/event.schema.json` has it.
fn json_of(event: &::event::Event<'_>) -> Result<Value, Problem> {
    let mut bytes = Vec::new();
    ::event::format::json::write_event(event, &mut bytes);
    serde_json::from_slice(&bytes).map_err(Problem::internal)
}
