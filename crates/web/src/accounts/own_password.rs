//! A user's own password, changed.

use std::net::SocketAddr;

use askama::Template;
use axum::{
    Form, Router,
    extract::{self, ConnectInfo, Query},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use crate::{problem::Problem, shell::Shell, state::State};

pub(super) fn routes() -> Router<State> {
    Router::new().route("/settings/password", get(page).post(change))
}

#[derive(Template)]
#[template(path = "accounts/password.html")]
struct Page {
    shell: Shell,
    error: Option<String>,
    is_changed: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Params {
    changed: String,
}

async fn page(shell: Shell, Query(params): Query<Params>) -> Result<Response, Problem> {
    draw(StatusCode::OK, shell, None, !params.changed.is_empty())
}

fn draw(
    status: StatusCode,
    shell: Shell,
    error: Option<String>,
    is_changed: bool,
) -> Result<Response, Problem> {
    let page = Page {
        shell: shell.titled("Password", "/settings"),
        error,
        is_changed,
    };
    Ok((status, Html(page.render().map_err(Problem::internal)?)).into_response())
}

#[derive(Deserialize)]
struct Change {
    current: String,
    new: String,
}

/// All sessions end, and this one begins anew.
async fn change(
    extract::State(state): extract::State<State>,
    shell: Shell,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Form(form): Form<Change>,
) -> Result<Response, Problem> {
    let accounts = &state.accounts;
    let Some(name) = shell.visitor.user().map(str::to_owned) else {
        return Err(Problem::forbidden(
            "no_account",
            "Only who signed in has a password.",
        ));
    };
    let changed = async {
        let user = accounts.check(&name, form.current, peer.ip()).await?;
        let hash = accounts.passwords.hash(form.new).await?;
        accounts.store.change_password(&name, &hash).await?;
        accounts.forget_all();
        tracing::info!(user = name, "password changed");
        accounts.open(&user, peer.ip()).await
    };
    match changed.await {
        Ok(cookie) => {
            let next = Redirect::to("/settings/password?changed=1");
            Ok(([(header::SET_COOKIE, cookie)], next).into_response())
        }
        Err(problem) if problem.is_about_visitor() => {
            let detail = match problem.status() {
                StatusCode::UNAUTHORIZED => "The current password is wrong.".to_owned(),
                _ => problem.detail().to_owned(),
            };
            draw(problem.status(), shell, Some(detail), false)
        }
        Err(problem) => Err(problem),
    }
}
