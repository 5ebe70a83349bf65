//! The same for programs.

use ::dead::{Record, Selection};
use axum::{
    Json,
    extract::{Path, Query, State as Extract},
    http::header,
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{
    desk::LETTERS_MAX,
    group::{Which, groups as grouped},
};
use crate::{problem::Problem, state::State, stream::written_by};

const PAGE: usize = 200;

pub(super) async fn groups(
    Extract(state): Extract<State>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let look = state.desk.look(&which.q).await?;
    Ok(Json(json!({
        "groups": grouped(&look.records),
        "total": look.total,
        "seen": look.seen,
        "held_by_others": look.missing,
        "complete": look.is_whole(),
    })))
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Cursor {
    /// Letters to pass over.
    cursor: String,
}

pub(super) async fn letters(
    Extract(state): Extract<State>,
    Query(which): Query<Which>,
    Query(cursor): Query<Cursor>,
) -> Result<Json<Value>, Problem> {
    let begin = match &*cursor.cursor {
        "" => 0,
        text => text
            .parse()
            .ok()
            .filter(|begin| *begin <= LETTERS_MAX)
            .ok_or_else(|| Problem::bad_request("bad_parameter", "cursor must be one that an answer had."))?,
    };
    let look = state.desk.look(&which.q).await?;
    let meant: Vec<&Record> = look.records.iter().filter(|record| which.takes(record)).collect();
    let page: Vec<_> = meant.iter().skip(begin).take(PAGE).collect();
    let end = begin + page.len();
    Ok(Json(json!({
        "letters": page,
        "n": meant.len(),
        "next": (end < meant.len()).then(|| end.to_string()),
        "complete": look.is_whole(),
    })))
}

pub(super) async fn letter(
    Extract(state): Extract<State>,
    Path(id): Path<String>,
) -> Result<Json<Record>, Problem> {
    Ok(Json(state.desk.letter(&checked(id)?).await?))
}

/// A whole id: the beginning of one would find what nobody meant, and nothing at all would find everything.
pub(super) fn checked(id: String) -> Result<String, Problem> {
    match id.parse::<uuid::Uuid>() {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(Problem::not_found("There is no such dead letter.")),
    }
}

/// One letter a line, with its body, as `logferry dead export` writes it and `logferry dead import` reads it.
pub(super) async fn export(
    Extract(state): Extract<State>,
    Query(which): Query<Which>,
) -> Result<impl IntoResponse, Problem> {
    let selection = if which.is_empty() {
        Selection::default()
    } else {
        let look = state.desk.look(&which.q).await?;
        let selection = which.selection(&look.records);
        if selection.ids.is_empty() {
            return Err(Problem::not_found("There are no such dead letters."));
        }
        selection
    };
    let mut export = state.desk.export(selection).await?;
    let body = written_by(async move |out| {
        while let Some(letter) = export.next().await {
            let line = match letter {
                Ok(record) => serde_json::to_vec(&record),
                // A line that no import takes, so that nobody takes a part for the whole.
                Err(problem) => serde_json::to_vec(&json!({ "error": problem.detail() })),
            };
            let Ok(mut line) = line else { continue };
            line.push(b'\n');
            out.push(line).await;
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"dead-letters.jsonl\"",
        ),
    ];
    Ok((headers, body))
}
