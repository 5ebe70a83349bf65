//! A box of the picture, and how it is.

use jiff::Timestamp;
use serde::Serialize;

use super::{Curve, InRabbit, Part};

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// Events a second; null while unknown.
    pub(crate) in_s: Option<f64>,
    pub(crate) out_s: Option<f64>,
    /// Batches that wait; null while unknown, and for what is no queue.
    pub(crate) depth: Option<u64>,
    pub(crate) bytes: Option<u64>,
    /// The age of the oldest that it holds; 0 when it holds none, null while unknown, and for stores.
    pub(crate) oldest_ms: Option<u64>,
    pub(crate) consumers: Option<u32>,
    /// The share of its room that is taken; null while unknown, and for what is no queue.
    pub(crate) full: Option<f64>,
    /// What RabbitMQ's management API knows of it; absent while it tells nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rabbit: Option<InRabbit>,
    /// Of a box that stands for several queues: each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) instances: Vec<Instance>,
    pub(crate) problems: Vec<Problem>,
    /// Events a second, or batches that wait, in equal steps of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) curve: Curve,
    #[serde(skip)]
    pub(crate) column: usize,
    /// Nothing was ever heard of it.
    #[serde(skip)]
    pub(crate) is_hollow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Stage,
    Queue,
    Store,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) version: String,
    pub(crate) up: bool,
    /// When its process started.
    pub(crate) since: Timestamp,
    /// When it was heard last, by its own clock.
    pub(crate) last: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Ok,
    /// It is not known how it is.
    Unknown,
    Caution,
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    pub(crate) level: Level,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
}

impl Level {
    /// A shape and a word, so that colour is never the only sign.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Ok => "✓",
            Self::Unknown => "?",
            Self::Caution => "▲",
            Self::Bad => "✕",
        }
    }

    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "muted",
            Self::Caution => "caution",
            Self::Bad => "bad",
        }
    }
}

impl Node {
    pub(super) fn new(id: impl Into<String>, kind: Kind, column: usize) -> Self {
        let id = id.into();
        Self {
            name: id.clone(),
            id,
            kind,
            in_s: None,
            out_s: None,
            depth: None,
            bytes: None,
            oldest_ms: None,
            consumers: None,
            full: None,
            rabbit: None,
            parts: Vec::new(),
            instances: Vec::new(),
            problems: Vec::new(),
            curve: Vec::new(),
            column,
            is_hollow: false,
        }
    }

    pub(super) fn problem(&mut self, level: Level, text: impl Into<String>, since: Option<Timestamp>) {
        let text = text.into();
        self.problems.push(Problem { level, text, since });
    }

    /// The worst of its problems.
    pub(crate) fn worst(&self) -> Option<&Problem> {
        self.problems.iter().max_by_key(|problem| problem.level)
    }

    pub(crate) fn level(&self) -> Level {
        self.worst().map_or(Level::Ok, |problem| problem.level)
    }
}
