//! Writes down what people say of sources.

use std::time::Duration;

use event::Timestamp;
use store::{Note, Subject};

use super::{Expected, MutedBody, NOTES_MAX, Watch, checked, refuse};
use crate::{problem::Problem, state::State};

/// Makes `wanted` the list of those that are expected. Who is in it already stays as it was.
pub(in super::super) async fn replace(
    state: &State,
    wanted: Vec<(String, Duration)>,
    author: &str,
) -> Result<(), Problem> {
    if wanted.len() > NOTES_MAX {
        return Err(refuse(format!("At most {NOTES_MAX} sources can be expected.")));
    }
    let notes = state.store.notes();
    let now = Watch::load(state).await?.expected;
    for old in &now {
        if !wanted.iter().any(|(name, _)| *name == old.name) {
            notes.remove(Subject::Expected, &old.name).await?;
        }
    }
    for (name, every) in wanted {
        if !now.iter().any(|old| old.name == name && old.every == every) {
            put(state, name, every, author).await?;
        }
    }
    Ok(())
}

/// Expects one more.
pub(in super::super) async fn add(
    state: &State,
    name: String,
    every: Duration,
    author: &str,
) -> Result<(), Problem> {
    if state.store.notes().count(Subject::Expected).await? >= NOTES_MAX as u64 {
        return Err(refuse(format!("At most {NOTES_MAX} sources can be expected.")));
    }
    put(state, name, every, author).await
}

async fn put(state: &State, name: String, every: Duration, author: &str) -> Result<(), Problem> {
    let expected = Expected {
        name,
        every,
        author: author.to_owned(),
        at: Timestamp::now(),
    };
    tracing::info!(source = expected.name, author, "source expected");
    Ok(state.store.notes().put(&expected.note()?).await?)
}

/// Expects it no more; false when it was not.
pub(in super::super) async fn forget(state: &State, name: &str) -> Result<bool, Problem> {
    Ok(state.store.notes().remove(Subject::Expected, name).await?)
}

/// Nobody is told of its silence until then.
pub(in super::super) async fn mute(
    state: &State,
    name: &str,
    until: Timestamp,
    author: &str,
) -> Result<(), Problem> {
    let body = MutedBody {
        until_micros: until.as_micros(),
    };
    let note = Note {
        subject: Subject::Muted,
        key: checked(name)?.to_owned(),
        author: author.to_owned(),
        at: Timestamp::now(),
        body: serde_json::to_string(&body).map_err(Problem::internal)?,
    };
    let notes = state.store.notes();
    notes.put(&note).await?;
    notes.trim(Subject::Muted, NOTES_MAX).await?;
    tracing::info!(source = name, author, %until, "source muted");
    Ok(())
}

/// False when it was not muted.
pub(in super::super) async fn unmute(state: &State, name: &str) -> Result<bool, Problem> {
    Ok(state.store.notes().remove(Subject::Muted, checked(name)?).await?)
}
