//! Letters whose lines were sent to the parser, until it is known how that ended.
//!
//! A letter that is parsed again has another id than the letter as it is, so that a store would take both. Therefore it
//! is written down before it is sent, and while nobody knows whether the broker has its lines, it goes no other way:
//! parsed again it has the same id as before.

use std::collections::HashMap;

use ::dead::Record;
use event::Timestamp;
use store::{Note, Subject};

use super::desk::{LETTERS_MAX, Stays};
use crate::{problem::Problem, state::State};

/// Two acts of the largest kind.
const SENT_MAX: usize = 2 * LETTERS_MAX;

/// Who sent which letters.
#[derive(Debug, Default)]
pub(super) struct Sent(HashMap<String, String>);

impl Sent {
    pub(super) async fn load(state: &State) -> Result<Self, Problem> {
        let notes = state.store.notes().newest(Subject::Sent, None, SENT_MAX).await?;
        Ok(Self(
            notes.into_iter().map(|note| (note.key, note.author)).collect(),
        ))
    }

    /// Whether the letter can go another way than to the parser; `Err` says why not.
    pub(super) fn check(&self, record: &Record) -> Result<(), String> {
        let Some(author) = record.id.and_then(|id| self.0.get(&id.to_string())) else {
            return Ok(());
        };
        Err(format!(
            "{author} sent it through the current rules, and it is not known whether it arrived; sent that way again it is stored once"
        ))
    }
}

/// Before letters are sent.
pub(super) async fn begin(state: &State, letters: &[Record], author: &str) -> Result<(), Problem> {
    let notes = state.store.notes();
    for id in letters.iter().filter(is_renamed).filter_map(|letter| letter.id) {
        let note = Note {
            subject: Subject::Sent,
            key: id.to_string(),
            author: author.to_owned(),
            at: Timestamp::now(),
            body: "{}".to_owned(),
        };
        notes.put(&note).await?;
    }
    notes.trim(Subject::Sent, SENT_MAX).await?;
    Ok(())
}

/// When it is known how it ended: only those stay written down of which it is not.
pub(super) async fn end(state: &State, letters: &[Record], stays: &[Stays]) -> Result<(), Problem> {
    let notes = state.store.notes();
    for letter in letters.iter().filter(is_renamed) {
        let name = letter.name();
        let is_uncertain = |stays: &Stays| stays.is_uncertain && stays.failure.id == name;
        if !stays.iter().any(is_uncertain) {
            notes.remove(Subject::Sent, &name).await?;
        }
    }
    Ok(())
}

/// What was parsed already becomes another batch; what was not keeps its id.
fn is_renamed(letter: &&Record) -> bool {
    let death = letter.death.as_ref();
    death.is_some_and(|death| death.exchange == "logferry.parsed")
}
