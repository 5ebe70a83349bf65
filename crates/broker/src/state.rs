//! Whether the broker can be used right now.

use std::{fmt, time::Instant};

/// The state of the way to the broker, as publishers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerState {
    /// There is no connection; attempts go on in the background.
    Connecting {
        /// Since when.
        since: Instant,
        /// What the last attempt said, if there was one.
        error: Option<String>,
    },
    /// Publishes are taken.
    Ready,
    /// The broker is there and takes no publishes: an alarm for memory or disk, or a full disk of ours.
    Blocked {
        /// Since when.
        since: Instant,
        /// What the broker said.
        reason: String,
    },
    /// [`Broker::close`](crate::Broker::close) was called.
    Closed,
}

impl BrokerState {
    /// Whether publishes are taken.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}

impl fmt::Display for BrokerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { error: None, .. } => f.write_str("connecting"),
            Self::Connecting {
                error: Some(error), ..
            } => write!(f, "not connected: {error}"),
            Self::Ready => f.write_str("ready"),
            Self::Blocked { reason, .. } => write!(f, "publishers are blocked: {reason}"),
            Self::Closed => f.write_str("closed"),
        }
    }
}
