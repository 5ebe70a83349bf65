//! What can go wrong with dead letters.

use std::{io, path::PathBuf};

use broker::{BrowseError, NameError, PublishError};

/// A record from which no letter can be made: something in it is not as an export writes it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It was listed, not exported.
    #[error("there is no body_base64: only what `logferry dead export` wrote can be brought back")]
    NoBody,
    /// The body.
    #[error("body_base64 is no base64")]
    Body(#[from] base64::DecodeError),
    /// A routing key.
    #[error("{field} is no routing key")]
    RoutingKey {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        source: NameError,
    },
    /// The exchange.
    #[error("{0:?} is no exchange of Logferry")]
    Exchange(String),
}

/// Why work with dead letters ended before it was done. Each text holds its cause, since it is told to whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error("whoever asked has gone")]
    Gone,
    #[error("{0}")]
    Browse(#[from] BrowseError),
    #[error("publish to the dead letters, after {safe} were safe: {error}")]
    Bury { safe: u64, error: PublishError },
    #[error("{}", chain(.0))]
    Record(#[from] RecordError),
    #[error("{0}")]
    DataDir(String),
    #[error("open {}, where drops are recorded: {error}", .path.display())]
    Open { path: PathBuf, error: io::Error },
    #[error("write to {}; nothing of these was dropped: {error}", .path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("record drops: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

fn chain(error: &RecordError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
