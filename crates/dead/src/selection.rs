//! Which dead letters are meant.

use broker::Letter;
use serde::{Deserialize, Serialize};

use crate::contents;

/// Filters; a letter must pass all of those that are given.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Selection {
    /// Ids, or how they begin, in lower case.
    pub ids: Vec<String>,
    /// Reasons, one of which it must have.
    pub reasons: Vec<String>,
    /// Stages that gave up.
    pub stages: Vec<String>,
    /// Queues it came from.
    pub queues: Vec<String>,
    /// Dead since, in microseconds since 1970.
    pub since_micros: Option<i64>,
    /// Dead before.
    pub until_micros: Option<i64>,
    /// In lower case: text that must be in what went wrong, or in a line or event.
    pub texts: Vec<String>,
}

impl Selection {
    /// Whether `letter` passes.
    #[must_use]
    pub fn takes(&self, letter: &Letter) -> bool {
        let death = letter.death.as_ref();
        let is_one_of = |wanted: &[String], found: Option<&String>| {
            wanted.is_empty() || found.is_some_and(|found| wanted.contains(found))
        };
        let at = death.map(|death| death.at_micros);
        self.has_id(letter)
            && is_one_of(&self.reasons, death.map(|death| &death.reason))
            && is_one_of(&self.stages, death.map(|death| &death.stage))
            && is_one_of(&self.queues, death.map(|death| &death.queue))
            && self
                .since_micros
                .is_none_or(|since| at.is_some_and(|at| at >= since))
            && self
                .until_micros
                .is_none_or(|until| at.is_some_and(|at| at < until))
            && self.texts.iter().all(|text| {
                death.is_some_and(|death| death.text.to_lowercase().contains(text))
                    || contents::has(&letter.body, text)
            })
    }

    fn has_id(&self, letter: &Letter) -> bool {
        if self.ids.is_empty() {
            return true;
        }
        let Some(id) = letter.id.map(|id| id.to_string()) else {
            return false;
        };
        self.ids.iter().any(|wanted| id.starts_with(wanted.as_str()))
    }
}
