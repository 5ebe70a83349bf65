//! One event, and what stood around it.

use std::time::Instant;

use axum::{
    Json,
    extract::{self, Path, Query},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use store::StoredEvent;

use super::json_of;
use crate::{
    problem::Problem,
    search::{Around, find, id, may_see, not_there},
    shell::Shell,
    state::State,
};

fn whole(stored: &StoredEvent) -> Result<Value, Problem> {
    let mut value = json_of(&stored.event)?;
    if let Value::Object(all) = &mut value {
        all.insert("route".to_owned(), json!(stored.route));
        if let Some(raw) = &stored.event.raw {
            all.insert("raw_base64".to_owned(), json!(STANDARD.encode(raw)));
        }
    }
    Ok(value)
}

pub(super) async fn event(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(text): Path<String>,
) -> Result<Json<Value>, Problem> {
    let stored = find(&state, &shell.visitor, id(&text)?).await?;
    Ok(Json(whole(&stored)?))
}

pub(super) async fn context(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(text): Path<String>,
    Query(around): Query<Around>,
) -> Result<Json<Value>, Problem> {
    let started = Instant::now();
    let (_, scope) = around.scope()?;
    let (before, after) = (Around::count(&around.before)?, Around::count(&around.after)?);
    let id = id(&text)?;
    find(&state, &shell.visitor, id).await?;
    let found = state
        .store
        .context(id, scope, before, after)
        .await?
        .ok_or_else(not_there)?;
    let visible = |rows: Vec<StoredEvent>| {
        let mut visible = Vec::with_capacity(rows.len());
        for row in rows {
            if may_see(&shell.visitor, &row)? {
                visible.push(json_of(&row.event)?);
            }
        }
        Ok::<_, Problem>(visible)
    };
    Ok(Json(json!({
        "before": visible(found.before)?,
        "event": whole(&found.event)?,
        "after": visible(found.after)?,
        "complete": found.complete,
        "took_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })))
}
