//! Users, for administrators: invite and remove.

use askama::Template;
use axum::{
    Form, Router,
    extract::{self, Path},
    http::StatusCode,
    response::{Html, Redirect},
    routing::{get, post},
};
use serde::Deserialize;

use super::access::Role;
use crate::{problem::Problem, shell::Shell, state::State, time};

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/settings/users", get(page).post(invite))
        .route("/settings/users/{name}/remove", post(remove))
}

#[derive(Template)]
#[template(path = "accounts/users.html")]
struct Page {
    shell: Shell,
    users: Vec<Row>,
    roles: Vec<&'static str>,
    /// A new invitation, which is shown once.
    link: Option<String>,
}

struct Row {
    name: String,
    role: String,
    made_at: String,
    is_me: bool,
}

async fn page(extract::State(state): extract::State<State>, shell: Shell) -> Result<Html<String>, Problem> {
    draw(&state, shell, None).await
}

async fn draw(state: &State, shell: Shell, link: Option<String>) -> Result<Html<String>, Problem> {
    let users = state.accounts.store.users().await?;
    // The first one must be able to make the others.
    let roles = if users.is_empty() {
        &[Role::Admin][..]
    } else {
        &Role::ALL
    };
    let rows = users.into_iter().map(|user| Row {
        is_me: shell.visitor.user() == Some(&user.name),
        made_at: time::seconds(user.made_at, &shell.preferences.zone),
        name: user.name,
        role: user.role,
    });
    let page = Page {
        users: rows.collect(),
        roles: roles.iter().map(|role| role.word()).collect(),
        link,
        shell: shell.clone().titled("Users", "/settings"),
    };
    Ok(Html(page.render().map_err(Problem::internal)?))
}

#[derive(Debug, Deserialize)]
struct Wanted {
    role: String,
}

async fn invite(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Form(wanted): Form<Wanted>,
) -> Result<Html<String>, Problem> {
    let refuse = |why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_role", why);
    let role = Role::named(&wanted.role).ok_or_else(|| refuse("There is no such role."))?;
    if role != Role::Admin && state.accounts.store.users().await?.is_empty() {
        return Err(refuse(
            "The first user must be an administrator, to make the others.",
        ));
    }
    let link = state.accounts.first.link(&state.accounts.store, role).await?;
    tracing::info!(user = shell.visitor.name(), role = role.word(), "user invited");
    draw(&state, shell, Some(link)).await
}

async fn remove(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(name): Path<String>,
) -> Result<Redirect, Problem> {
    let users = state.accounts.store.users().await?;
    let is_admin = |role: &str| Role::of(role) == Role::Admin;
    let others = users.iter().filter(|user| user.name != name);
    if !others.into_iter().any(|user| is_admin(&user.role)) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "last_admin",
            "This is the last administrator: invite another first.",
        ));
    }
    if !state.accounts.store.remove_user(&name).await? {
        return Err(Problem::not_found("There is no such user."));
    }
    state.accounts.forget_all();
    tracing::info!(user = shell.visitor.name(), removed = name, "user removed");
    Ok(Redirect::to("/settings/users"))
}
