//! `GET /api/v1/events`: rows as they are found, a line of JSON each.

use std::time::Instant;

use axum::{
    extract::{self, Query},
    http::header,
    response::{IntoResponse, Response},
};
use event::format::json;
use serde_json::json;
use store::Found;

use super::asked;
use crate::{
    problem::Problem,
    running::Running,
    search::{Ask, Asked, write_cursor},
    shell::Shell,
    state::State,
    stream::{Out, written_by},
};

pub(super) async fn events(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
) -> Result<Response, Problem> {
    let asked = asked(&state, &shell, ask).await?;
    let running = state.searches.begin("events", &shell, &asked);
    let body = written_by(async move |out| write(&out, &state, &asked, &running).await);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

async fn write(out: &Out, state: &State, asked: &Asked, running: &Running) {
    let started = Instant::now();
    let mut search = running.rows(state, asked.request.clone());
    while let Some(found) = search.next().await {
        match found {
            Ok(Found::Rows(rows)) => {
                let mut lines = Vec::new();
                for row in &rows {
                    lines.extend_from_slice(b"{\"row\":");
                    json::write_event(&row.event, &mut lines);
                    lines.extend_from_slice(b"}\n");
                }
                out.push(lines).await;
            }
            Ok(Found::Progress { scanned_to, matched }) => {
                let progress = json!({ "scanned_to": scanned_to.to_string(), "matched": matched });
                line(out, &json!({ "progress": progress })).await;
            }
            Ok(Found::End(end)) => {
                let end = json!({
                    "complete": end.complete,
                    "stopped_at": end.stopped_at.map(|at| at.to_string()),
                    "next": end.next.map(write_cursor),
                    "took_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    "budget_ms": u64::try_from(asked.request.budget.as_millis()).unwrap_or(u64::MAX),
                    "notices": asked.parsed.notices,
                });
                line(out, &json!({ "end": end })).await;
            }
            // The status is sent; the last line says what went wrong.
            Err(problem) => line(out, &json!({ "error": problem })).await,
        }
    }
}

async fn line(out: &Out, value: &serde_json::Value) {
    out.push(format!("{value}\n")).await;
}
