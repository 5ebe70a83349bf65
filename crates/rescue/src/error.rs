//! What can go wrong, told apart by what can be done about it.

use std::{path::PathBuf, time::Duration};

use thiserror::Error;

/// Why a rescue queue did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RescueError {
    /// `rescue.url` is no Redis address. The address is not shown: it may hold a password.
    #[error("rescue.url is not a Redis address: {problem}")]
    Url {
        /// What is wrong with it.
        problem: String,
    },
    /// What `rescue.tls_ca_file` names cannot be used.
    #[error("rescue.tls_ca_file {path:?} cannot be used: {problem}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// There is no connection to Redis; attempts go on in the background.
    #[error("Redis at {address} cannot be reached: {problem}")]
    Unreachable {
        /// Host, port and database.
        address: String,
        /// What the last attempt said.
        problem: String,
    },
    /// Redis promises less than the settings demand.
    #[error(
        "Redis at {address} is not safe enough for rescue.durability = \"synced\": {problem}; set `appendonly yes`, `appendfsync always` and `no-appendfsync-on-rewrite no` in Redis, or rescue.durability = \"accepted\""
    )]
    TooWeak {
        /// Host, port and database.
        address: String,
        /// What may be lost.
        problem: String,
    },
    /// Redis did not do what was asked.
    #[error("Redis at {address} refused: {problem}")]
    Refused {
        /// Host, port and database.
        address: String,
        /// What it said.
        problem: String,
    },
    /// The batch does not fit within the bound of the queue.
    #[error("the rescue queue is full: {bytes} bytes wait, and {key} is {bytes_max}")]
    Full {
        /// Which setting the bound is.
        key: &'static str,
        /// Bytes that wait.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// Nothing came back in time: it may be done all the same.
    #[error("{place} did not answer within {after:?}")]
    TimedOut {
        /// Redis, or the file.
        place: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The file cannot be used.
    #[error("the rescue file {path:?} (data_dir) cannot be used: {problem}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The file is there, and is not what we wrote.
    #[error("{path:?} is not a rescue file of this version of Logferry: {problem}; name another data_dir")]
    NotOurs {
        /// Which file.
        path: PathBuf,
        /// What is in it.
        problem: String,
    },
    /// The queue was closed.
    #[error("the rescue queue is closed")]
    Closed,
}
