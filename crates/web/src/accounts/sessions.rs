//! Where somebody is signed in.

use askama::Template;
use axum::{
    Json, Router, extract,
    response::{Html, Redirect},
    routing::{get, post},
};
use event::Timestamp;
use serde::Serialize;
use store::Session;

use super::Visitor;
use crate::{problem::Problem, shell::Shell, state::State, time};

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/settings/sessions", get(page))
        .route("/settings/sessions/end-others", post(end_others_by_form))
        .route("/api/v1/sessions", get(list).delete(end_others_by_api))
}

#[derive(Template)]
#[template(path = "accounts/sessions.html")]
struct Page {
    shell: Shell,
    sessions: Vec<Row>,
}

struct Row {
    is_this: bool,
    address: String,
    since: String,
    last_seen: String,
}

async fn mine(state: &State, visitor: &Visitor) -> Result<Vec<(bool, Session)>, Problem> {
    let Visitor::User { name, session, .. } = visitor else {
        return Ok(Vec::new());
    };
    let sessions = state.accounts.store.sessions(name, Timestamp::now()).await?;
    Ok(sessions
        .into_iter()
        .map(|found| (found.hash == *session, found))
        .collect())
}

async fn page(extract::State(state): extract::State<State>, shell: Shell) -> Result<Html<String>, Problem> {
    let zone = &shell.preferences.zone;
    let sessions = mine(&state, &shell.visitor)
        .await?
        .into_iter()
        .map(|(is_this, session)| Row {
            is_this,
            since: time::seconds(session.since, zone),
            last_seen: time::seconds(session.last_seen, zone),
            address: session.address,
        });
    let page = Page {
        sessions: sessions.collect(),
        shell: shell.clone().titled("Sessions", "/settings"),
    };
    Ok(Html(page.render().map_err(Problem::internal)?))
}

async fn end_others(state: &State, visitor: &Visitor) -> Result<u64, Problem> {
    let Visitor::User { name, session, .. } = visitor else {
        return Ok(0);
    };
    let ended = state.accounts.store.end_other_sessions(name, *session).await?;
    state.accounts.forget_all();
    Ok(ended)
}

async fn end_others_by_form(
    extract::State(state): extract::State<State>,
    shell: Shell,
) -> Result<Redirect, Problem> {
    end_others(&state, &shell.visitor).await?;
    Ok(Redirect::to("/settings/sessions"))
}

#[derive(Debug, Serialize)]
struct Shown {
    is_this: bool,
    address: String,
    since: String,
    last_seen: String,
}

async fn list(
    extract::State(state): extract::State<State>,
    shell: Shell,
) -> Result<Json<Vec<Shown>>, Problem> {
    let sessions = mine(&state, &shell.visitor)
        .await?
        .into_iter()
        .map(|(is_this, session)| Shown {
            is_this,
            address: session.address,
            since: session.since.to_string(),
            last_seen: session.last_seen.to_string(),
        });
    Ok(Json(sessions.collect()))
}

#[derive(Debug, Serialize)]
struct Ended {
    ended: u64,
}

async fn end_others_by_api(
    extract::State(state): extract::State<State>,
    shell: Shell,
) -> Result<Json<Ended>, Problem> {
    let ended = end_others(&state, &shell.visitor).await?;
    Ok(Json(Ended { ended }))
}
