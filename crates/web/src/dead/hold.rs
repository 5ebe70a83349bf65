//! Letters that are held: acts on a group pass over them until somebody releases them.

use std::collections::HashMap;

use ::dead::Record;
use event::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Note, Subject};

use crate::{problem::Problem, state::State};

/// Of more, those that were held first are held no longer.
const HELD_MAX: usize = super::desk::LETTERS_MAX;

#[derive(Debug, Serialize, Deserialize)]
struct Body {
    why: String,
}

/// Who holds a letter, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) author: String,
    pub(super) why: String,
}

/// All letters that are held, by their ids.
#[derive(Debug, Default)]
pub(super) struct Holds(HashMap<String, Held>);

impl Holds {
    pub(super) async fn load(state: &State) -> Result<Self, Problem> {
        let notes = state.store.notes().newest(Subject::Held, None, HELD_MAX).await?;
        let held = notes.into_iter().filter_map(|note| {
            let body: Body = serde_json::from_str(&note.body).ok()?;
            let held = Held {
                author: note.author,
                why: body.why,
            };
            Some((note.key, held))
        });
        Ok(Self(held.collect()))
    }

    pub(super) fn of(&self, record: &Record) -> Option<&Held> {
        self.0.get(&record.id?.to_string())
    }
}

/// Holds letters, and tells how many.
pub(super) async fn hold(state: &State, letters: &[Record], author: &str, why: &str) -> Result<u64, Problem> {
    let notes = state.store.notes();
    let body = serde_json::to_string(&Body { why: why.to_owned() }).map_err(Problem::internal)?;
    let mut held = 0;
    for id in letters.iter().filter_map(|letter| letter.id) {
        let note = Note {
            subject: Subject::Held,
            key: id.to_string(),
            author: author.to_owned(),
            at: Timestamp::now(),
            body: body.clone(),
        };
        notes.put(&note).await?;
        held += 1;
    }
    notes.trim(Subject::Held, HELD_MAX).await?;
    Ok(held)
}

/// Releases letters, and tells how many were held.
pub(super) async fn release(state: &State, letters: &[Record]) -> Result<u64, Problem> {
    let notes = state.store.notes();
    let mut released = 0;
    for id in letters.iter().filter_map(|letter| letter.id) {
        released += u64::from(notes.remove(Subject::Held, &id.to_string()).await?);
    }
    Ok(released)
}
