//! What is expected and what is muted, for programs.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    extract::{Path, State as Extract},
    http::StatusCode,
};
use event::Timestamp;
use serde::{Deserialize, Serialize};

use super::watch::{self, Watch, checked, in_bounds};
use crate::{problem::Problem, shell::Shell, state::State};

#[derive(Debug, Serialize)]
pub(super) struct List {
    expected: Vec<One>,
}

#[derive(Debug, Serialize)]
struct One {
    name: String,
    every_s: u64,
    author: String,
    since: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    expected: Vec<WantedOne>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedOne {
    name: String,
    every_s: Option<u64>,
}

async fn list(state: &State) -> Result<Json<List>, Problem> {
    let expected = Watch::load(state).await?.expected.into_iter().map(|one| One {
        every_s: one.every.as_secs(),
        name: one.name,
        author: one.author,
        since: one.at.to_string(),
    });
    Ok(Json(List {
        expected: expected.collect(),
    }))
}

pub(super) async fn expected(Extract(state): Extract<State>) -> Result<Json<List>, Problem> {
    list(&state).await
}

/// The whole list; who is not in it is not expected any more.
pub(super) async fn expect(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(wanted): Json<Wanted>,
) -> Result<Json<List>, Problem> {
    let mut all = BTreeMap::new();
    for one in wanted.expected {
        let every = match one.every_s {
            Some(seconds) => in_bounds(Duration::from_secs(seconds))?,
            None => watch::every("")?,
        };
        all.insert(checked(&one.name)?.to_owned(), every);
    }
    watch::replace(&state, all.into_iter().collect(), &shell.visitor.author()).await?;
    list(&state).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mute {
    until: jiff::Timestamp,
}

pub(super) async fn mute(
    Extract(state): Extract<State>,
    shell: Shell,
    Path(hostname): Path<String>,
    Json(wanted): Json<Mute>,
) -> Result<StatusCode, Problem> {
    let until = Timestamp::from_micros(wanted.until.as_microsecond());
    if until <= Timestamp::now() {
        return Err(Problem::bad_request("until", "until must be in the future."));
    }
    watch::mute(&state, &hostname, until, &shell.visitor.author()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn unmute(
    Extract(state): Extract<State>,
    Path(hostname): Path<String>,
) -> Result<StatusCode, Problem> {
    if watch::unmute(&state, &hostname).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("This source is not muted."))
    }
}
