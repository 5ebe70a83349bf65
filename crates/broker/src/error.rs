//! What can go wrong, told apart by what the caller can do about it.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use crate::name::QueueName;

/// A publish without success.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The connection or channel ended before the verdict: the broker may have the message, or not.
    #[error("the connection to the broker was lost before it confirmed")]
    ConnectionLost,
    /// The broker refused it for now: a queue is full, or could not write.
    #[error("the broker refused the message (a queue is full or cannot take it now)")]
    Nacked,
    /// No queue is bound for it. Only another topology mends this.
    #[error("no queue takes messages of exchange {exchange} with routing key {routing_key:?}")]
    Unroutable {
        /// Where it was published.
        exchange: &'static str,
        /// With which key.
        routing_key: String,
    },
    /// The broker never takes a message of this size.
    #[error("a body of {bytes} bytes is larger than the broker takes ({bytes_max})")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What the broker allows.
        bytes_max: u64,
    },
    /// No verdict in time: the broker may still take it.
    #[error("the broker gave no answer within {after:?}")]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// [`Broker::close`](crate::Broker::close) was called.
    #[error("the connection to the broker is closed")]
    Closed,
}

impl PublishError {
    /// Whether the same publish may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::ConnectionLost | Self::Nacked | Self::TimedOut { .. } => true,
            Self::Unroutable { .. } | Self::TooLarge { .. } | Self::Closed => false,
        }
    }

    /// A word for it, for metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ConnectionLost => "connection_lost",
            Self::Nacked => "nacked",
            Self::Unroutable { .. } => "unroutable",
            Self::TooLarge { .. } => "too_large",
            Self::TimedOut { .. } => "timed_out",
            Self::Closed => "closed",
        }
    }
}

/// Settings that cannot lead to a broker, or a broker that does not answer.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// `broker.url` is no AMQP address. The address is not shown: it may hold a password.
    #[error("broker.url is not an AMQP address: {problem}")]
    Url {
        /// What is wrong with it.
        problem: String,
    },
    /// `broker.management_url` is no address. It is not shown: it may hold a password.
    #[error("broker.management_url cannot be used: {problem}")]
    ManagementUrl {
        /// What is wrong with it.
        problem: String,
    },
    /// The CA file cannot be used.
    #[error("broker.tls_ca_file {path:?} cannot be used: {source}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The broker did not let us in.
    #[error("{address} cannot be used: {problem}")]
    Refused {
        /// Host, port and vhost.
        address: String,
        /// What it said.
        problem: String,
    },
    /// Nothing came back in time.
    #[error("{address} did not answer within {after:?}")]
    TimedOut {
        /// Host, port and vhost.
        address: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The folder of the embedded broker cannot be used.
    #[error("the folder {dir:?} of the embedded broker (data_dir) cannot be used: {source}")]
    Folder {
        /// Which folder.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process works in the folder.
    #[error(
        "the folder {dir:?} of the embedded broker (data_dir) is in use by another process: stop it, or name another data_dir"
    )]
    InUse {
        /// Which folder.
        dir: PathBuf,
    },
    /// The file is there, but is not what we wrote.
    #[error("{path:?} is not a queue file of this version of Logferry: {problem}; name another data_dir")]
    NotOurs {
        /// Which file.
        path: PathBuf,
        /// What is in it.
        problem: String,
    },
    /// The queue file cannot be opened.
    #[error("the queue file {path:?} cannot be used: {problem}")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        problem: String,
    },
}

/// Exchanges and queues that cannot be declared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeclareError {
    /// Some are there already, and different. They stay as they are.
    #[error("{}: delete what differs, or change the settings", Conflict::list(.0))]
    Conflicts(Vec<Conflict>),
    /// The broker's user may not, or the broker does not understand us.
    #[error("declaring {kind} {name:?}: {problem}")]
    Refused {
        /// `queue`, `exchange` or `binding`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What the broker said.
        problem: String,
    },
    /// The broker is not there.
    #[error("the broker cannot be reached: {problem}")]
    Unavailable {
        /// Why.
        problem: String,
    },
    /// [`Broker::close`](crate::Broker::close) was called.
    #[error("the connection to the broker is closed")]
    Closed,
}

/// One difference between what is there and what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} {name:?} exists with {argument} {existing}, but {wanted} is wanted")]
pub struct Conflict {
    /// `queue` or `exchange`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What differs.
    pub argument: String,
    /// As it is.
    pub existing: String,
    /// As the settings want it.
    pub wanted: String,
}

impl Conflict {
    fn list(conflicts: &[Self]) -> String {
        let conflicts: Vec<_> = conflicts.iter().map(ToString::to_string).collect();
        conflicts.join("; ")
    }
}

/// A queue that cannot be consumed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsumeError {
    /// There is no such queue.
    #[error("queue {queue} does not exist: `logferry init` declares it")]
    NoSuchQueue {
        /// Its name.
        queue: QueueName,
    },
    /// The broker refuses it.
    #[error("queue {queue} cannot be consumed: {problem}")]
    Refused {
        /// Its name.
        queue: QueueName,
        /// What the broker said.
        problem: String,
    },
    /// [`Broker::close`](crate::Broker::close) was called.
    #[error("the connection to the broker is closed")]
    Closed,
}

/// A queue that cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BrowseError {
    /// There is no such queue.
    #[error("queue {queue} does not exist: `logferry init` declares it")]
    NoSuchQueue {
        /// Its name.
        queue: QueueName,
    },
    /// The broker cannot be reached.
    #[error("the broker cannot be reached: {problem}")]
    Unavailable {
        /// Why.
        problem: String,
    },
    /// The way to the broker was lost meanwhile, or the queue file cannot be read.
    #[error("looking at the queue was interrupted: {problem}")]
    Lost {
        /// What happened.
        problem: String,
    },
    /// [`Broker::close`](crate::Broker::close) was called.
    #[error("the connection to the broker is closed")]
    Closed,
}

/// The broker did not become ready in time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the broker is not ready after {after:?}: {problem}")]
pub struct NotReady {
    /// How long it was waited for.
    pub after: Duration,
    /// What the last attempt said.
    pub problem: String,
}
