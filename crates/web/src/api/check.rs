//! `POST /api/v1/query/check`: how a query is read, before it runs.

use axum::{Json, extract};
use query::Options;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{problem::Problem, search::field_names, shell::Shell, state::State};

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    q: String,
}

pub(super) async fn check(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Json(body): Json<Body>,
) -> Result<Json<Value>, Problem> {
    let options = Options {
        fields: field_names(&state).await,
        zone: shell.preferences.zone,
        ..Options::default()
    };
    Ok(Json(match query::parse(&body.q, &options) {
        Ok(parsed) => json!({
            "ok": true,
            "canonical": parsed.query.canonical(),
            "reading": parsed.query.reading(),
            "chips": parsed.chips,
            "notices": parsed.notices,
            "error": null,
        }),
        Err(problem) => json!({
            "ok": false,
            "canonical": null,
            "reading": null,
            "chips": [],
            "notices": [],
            "error": problem,
        }),
    }))
}
