//! The list of saved searches, and its forms.

use askama::Template;
use axum::{
    Form,
    extract::{self, Path},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{Saved, changeable, visible};
use crate::{problem::Problem, search::Ask, shell::Shell, state::State, time};

#[derive(Template)]
#[template(path = "saved/list.html")]
struct Page {
    shell: Shell,
    saved: Vec<Row>,
    error: Option<String>,
}

struct Row {
    id: String,
    name: String,
    href: String,
    canonical: String,
    range: String,
    author: String,
    at: String,
    is_shared: bool,
    is_mine: bool,
}

impl Row {
    fn new(saved: Saved, shell: &Shell) -> Self {
        let search = &saved.body.search;
        let range = match (&*search.range, &*search.from, &*search.to) {
            ("", "", "") => "usual".to_owned(),
            ("", from, to) => format!("{from} – {to}"),
            (range, _, _) => format!("last {range}"),
        };
        Self {
            href: saved.href(),
            at: time::seconds(saved.at, &shell.preferences.zone),
            is_shared: saved.body.is_shared,
            is_mine: saved.is_changed_by(&shell.visitor),
            id: saved.id,
            name: saved.body.name,
            canonical: saved.body.canonical,
            author: saved.author,
            range,
        }
    }
}

pub(super) async fn page(
    extract::State(state): extract::State<State>,
    shell: Shell,
) -> Result<Response, Problem> {
    draw(&state, shell, StatusCode::OK, None).await
}

async fn draw(
    state: &State,
    shell: Shell,
    status: StatusCode,
    error: Option<String>,
) -> Result<Response, Problem> {
    let saved = visible(state, &shell.visitor).await?;
    let page = Page {
        saved: saved.into_iter().map(|saved| Row::new(saved, &shell)).collect(),
        error,
        shell: shell.titled("Saved searches", "/search"),
    };
    Ok((status, Html(page.render().map_err(Problem::internal)?)).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    name: String,
    shared: String,
    #[serde(flatten)]
    ask: Ask,
}

pub(super) async fn save(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Problem> {
    match super::save(
        &state,
        &shell,
        &wanted.name,
        !wanted.shared.is_empty(),
        wanted.ask,
    )
    .await
    {
        Ok(_) => Ok(Redirect::to("/saved").into_response()),
        Err(problem) if problem.is_about_visitor() => {
            let (status, detail) = (problem.status(), problem.detail().to_owned());
            draw(&state, shell, status, Some(detail)).await
        }
        Err(problem) => Err(problem),
    }
}

pub(super) async fn remove(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(id): Path<String>,
) -> Result<Redirect, Problem> {
    super::remove(&state, &shell.visitor, &id).await?;
    Ok(Redirect::to("/saved"))
}

/// For everybody, or not any more.
pub(super) async fn share(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(id): Path<String>,
) -> Result<Redirect, Problem> {
    let mut saved = changeable(&state, &shell.visitor, &id).await?;
    saved.body.is_shared = !saved.body.is_shared;
    state.store.notes().put(&saved.note()?).await?;
    Ok(Redirect::to("/saved"))
}
