//! The same for programs.

use axum::{
    Json,
    extract::{self, Path},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};

use super::{Kept, Saved, asked, changeable, named, visible};
use crate::{problem::Problem, shell::Shell, state::State};

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: String,
    name: String,
    shared: bool,
    author: String,
    made_at: String,
    canonical: String,
    /// The path of the search.
    href: String,
    #[serde(flatten)]
    search: Kept,
}

fn shown(saved: Saved) -> Shown {
    Shown {
        href: saved.href(),
        id: saved.id,
        author: saved.author,
        made_at: saved.at.to_string(),
        name: saved.body.name,
        shared: saved.body.is_shared,
        canonical: saved.body.canonical,
        search: saved.body.search,
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    name: String,
    #[serde(default)]
    shared: bool,
    #[serde(flatten)]
    search: Kept,
}

/// What is to change; the rest stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    name: Option<String>,
    shared: Option<bool>,
    q: Option<String>,
}

pub(super) async fn list(
    extract::State(state): extract::State<State>,
    shell: Shell,
) -> Result<Json<Vec<Shown>>, Problem> {
    let saved = visible(&state, &shell.visitor).await?;
    Ok(Json(saved.into_iter().map(shown).collect()))
}

pub(super) async fn save(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Json(wanted): Json<Wanted>,
) -> Result<(StatusCode, Json<Shown>), Problem> {
    let ask = wanted.search.into();
    let saved = super::save(&state, &shell, &wanted.name, wanted.shared, ask).await?;
    Ok((StatusCode::CREATED, Json(shown(saved))))
}

pub(super) async fn change(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(id): Path<String>,
    Json(change): Json<Change>,
) -> Result<Json<Shown>, Problem> {
    let mut saved = changeable(&state, &shell.visitor, &id).await?;
    if let Some(name) = &change.name {
        saved.body.name = named(name)?;
    }
    if let Some(is_shared) = change.shared {
        saved.body.is_shared = is_shared;
    }
    if let Some(q) = change.q {
        saved.body.search.q = q;
        let asked = asked(&state, &shell, saved.body.search.clone().into()).await?;
        saved.body.canonical = asked.parsed.query.canonical();
    }
    state.store.notes().put(&saved.note()?).await?;
    Ok(Json(shown(saved)))
}

pub(super) async fn remove(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    super::remove(&state, &shell.visitor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
