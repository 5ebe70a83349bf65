//! What a form, or a program, wants to be done, and with which letters.

use std::time::Duration;

use ::dead::{How, Mode, PerSecond, Record, Selection};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{
    audit::Act,
    group::Which,
    hold::{Held, Holds},
};
use crate::{problem::Problem, state::State};

const WHY_BYTES_MAX: usize = 500;
/// More than these are discarded only when their number is typed.
pub(super) const TYPED_FROM: usize = 100;
/// How long letters may be put back: nobody else can look at them meanwhile.
const SLOW_MAX: Duration = Duration::from_secs(15 * 60);

/// What is wanted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Order {
    /// Only these letters.
    pub(super) ids: Vec<String>,
    /// Of a program: those of a group.
    pub(super) group: Option<Which>,
    pub(super) stage: String,
    pub(super) reason: String,
    pub(super) fingerprint: String,
    pub(super) q: String,
    pub(super) id: String,
    /// Of a program.
    pub(super) dry_run: bool,
    /// Of a program: it wants to hear how far it is.
    #[serde(skip_serializing)]
    pub(super) progress: bool,
    /// Names the order, so that it is not done again when it is sent again.
    #[serde(skip_serializing)]
    pub(super) key: String,
    /// Of letters that are put back.
    pub(super) mode: Mode,
    pub(super) per_second: Option<PerSecond>,
    /// Of a form: `go` after the trial.
    pub(super) step: String,
    pub(super) why: String,
    /// How many they are, as it was typed.
    pub(super) count: String,
}

/// Letters that something can be done with.
pub(super) struct Meant {
    pub(super) letters: Vec<Record>,
    /// So many are passed over.
    pub(super) held: usize,
}

impl Order {
    pub(super) fn which(&self) -> Which {
        self.group.clone().unwrap_or_else(|| Which {
            stage: self.stage.clone(),
            reason: self.reason.clone(),
            fingerprint: self.fingerprint.clone(),
            q: self.q.clone(),
            id: self.id.clone(),
        })
    }

    pub(super) const fn how(&self) -> How {
        How {
            mode: self.mode,
            per_second: self.per_second,
        }
    }

    /// The letters that are meant and that nobody holds, and how many are held.
    pub(super) async fn letters(&self, state: &State) -> Result<Meant, Problem> {
        let letters = self.found(state).await?;
        let holds = Holds::load(state).await?;
        let (held, letters): (Vec<_>, Vec<_>) =
            letters.into_iter().partition(|letter| holds.of(letter).is_some());
        if letters.is_empty() {
            let by = held.iter().find_map(|letter| holds.of(letter));
            return Err(is_held(by));
        }
        Ok(Meant {
            letters,
            held: held.len(),
        })
    }

    /// The letters that are meant, as they lie there now.
    pub(super) async fn found(&self, state: &State) -> Result<Vec<Record>, Problem> {
        let which = self.which();
        if self.ids.is_empty() && which.is_empty() {
            return Err(Problem::bad_request(
                "which",
                "Say which letters are meant: ids, or stage, reason or fingerprint of a group.",
            ));
        }
        let look = state.desk.look(&which.q).await?;
        let is_meant = |record: &&Record| {
            let is_named = || {
                let id = record.id.map(|id| id.to_string());
                id.is_some_and(|id| self.ids.iter().any(|wanted| wanted.eq_ignore_ascii_case(&id)))
            };
            record.id.is_some() && (self.ids.is_empty() || is_named()) && which.takes(record)
        };
        let letters: Vec<_> = look.records.iter().filter(is_meant).cloned().collect();
        if letters.is_empty() {
            return Err(Problem::not_found(
                "There are no such dead letters any more. They were put back or discarded meanwhile.",
            ));
        }
        Ok(letters)
    }

    /// Why, as it is recorded.
    pub(super) fn checked_why(&self) -> Result<&str, Problem> {
        let why = self.why.trim();
        if why.is_empty() || why.len() > WHY_BYTES_MAX {
            return Err(Problem::bad_request(
                "reason",
                format!("Say why in at most {WHY_BYTES_MAX} bytes: it is recorded with each letter."),
            ));
        }
        Ok(why)
    }

    /// Why so many are discarded.
    pub(super) fn check_discard(&self, count: usize) -> Result<&str, Problem> {
        let why = self.checked_why()?;
        if (count > TYPED_FROM || !self.count.is_empty()) && self.count.trim() != count.to_string() {
            return Err(Problem::bad_request(
                "count",
                format!("There are {count} letters. Type their number to discard them."),
            ));
        }
        Ok(why)
    }

    /// Whether so many are put back in time.
    pub(super) fn check_time(&self, count: usize) -> Result<(), Problem> {
        let Some(rate) = self.per_second.filter(|rate| rate.time_of(count) > SLOW_MAX) else {
            return Ok(());
        };
        let minutes = rate.time_of(count).as_secs().div_ceil(60);
        let most = SLOW_MAX.as_secs() / 60;
        Err(Problem::bad_request(
            "per_second",
            format!(
                "At {} a second {count} letters take {minutes} minutes, in which nobody else can look at them; at most {most} are allowed. Raise per_second, or choose fewer letters.",
                rate.get()
            ),
        ))
    }

    /// What is written down of it.
    pub(super) fn act(&self, what: &str, letters: &[Record], done: u64, failed: u64) -> Act {
        let which = self.which();
        let first = letters.first().and_then(|letter| letter.death.as_ref());
        let or_first = |said: String, found: Option<&String>| {
            if said.is_empty() {
                found.cloned().unwrap_or_default()
            } else {
                said
            }
        };
        Act {
            what: what.to_owned(),
            done,
            failed,
            stage: or_first(which.stage, first.map(|death| &death.stage)),
            reason: or_first(which.reason, first.map(|death| &death.reason)),
            why: self.why.trim().to_owned(),
            ids: selection(letters).ids,
            ..Act::default()
        }
    }
}

fn is_held(by: Option<&Held>) -> Problem {
    let why = by.map_or_else(String::new, |held| format!(" by {}: {}", held.author, held.why));
    Problem::new(
        StatusCode::CONFLICT,
        "held",
        format!("Held{why}. Release what is held first."),
    )
}

/// By their ids. There is at least one: no ids would mean all letters.
pub(super) fn selection(letters: &[Record]) -> Selection {
    let ids = letters.iter().filter_map(|record| record.id);
    Selection {
        ids: ids.map(|id| id.to_string()).collect(),
        ..Selection::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_refused_with_what_helps() {
        let order = |per_second: Option<u32>| Order {
            per_second: per_second.map(|rate| rate.try_into().unwrap()),
            ..Order::default()
        };
        assert!(order(None).check_time(5000).is_ok());
        assert!(order(Some(6)).check_time(5000).is_ok());
        let problem = order(Some(5)).check_time(5000).unwrap_err();
        assert!(
            problem
                .detail()
                .starts_with("At 5 a second 5000 letters take 17 minutes"),
            "{}",
            problem.detail()
        );
    }
}
