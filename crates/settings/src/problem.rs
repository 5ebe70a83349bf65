//! What is wrong with the settings, and where it stands.

use std::{fmt, path::PathBuf};

use serde::Serialize;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A line of the settings file, counted from 1.
    File {
        /// The settings file.
        path: PathBuf,
        /// The line in it.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// An argument of the command.
    CommandLine,
    /// Nowhere: the value is the default.
    Default,
}

impl Place {
    /// How strong what stands there is: of two the one with more counts.
    pub(crate) const fn strength(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::CommandLine => 3,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::CommandLine => f.write_str("command line"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where the value stands.
    pub place: Place,
    /// The full key, such as `syslog_server.listener.tcp.address`. Empty when the file as a whole is meant.
    pub key: String,
    /// The value as it was written; `None` when there is none, or none that may be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What is wrong and what is allowed.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match &self.value {
            Some(value) => write!(f, "{} = {value}: ", self.key)?,
            None if !self.key.is_empty() => write!(f, "{}: ", self.key)?,
            None => {}
        }
        f.write_str(&self.problem)
    }
}

/// Every mistake of one set of sources. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "an error has a reason");
        problems.sort_by_key(|problem| match &problem.place {
            Place::File { line, .. } => (0, *line),
            Place::Environment(_) => (1, 0),
            Place::CommandLine => (2, 0),
            Place::Default => (3, 0),
        });
        Self(problems)
    }

    /// The mistakes, those of the file first and in its order.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}
