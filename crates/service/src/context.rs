//! What a service gets from the process it runs in.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{durability::DurabilityInForce, health::Health, metrics::Metrics};

/// The stop signal, the metrics and the health of one process. Cheap to clone; every clone is the same process.
#[derive(Debug, Clone)]
pub struct Context {
    /// Cancelled when the process is to drain and end.
    pub stop: CancellationToken,
    /// The registry behind `/metrics`.
    pub metrics: Metrics,
    /// The state behind `/readyz`.
    pub health: Health,
    /// Who takes custody of what an intake in this process receives.
    pub durability: DurabilityInForce,
    /// How long the drain after `stop` may take.
    pub grace: Duration,
    started: Arc<AtomicBool>,
    http_addr: Option<SocketAddr>,
}

impl Context {
    /// A context of its own, as `run_main` makes one and as tests make theirs.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self {
            stop: CancellationToken::new(),
            metrics: Metrics::new(),
            health: Health::new(),
            durability: DurabilityInForce::default(),
            grace,
            started: Arc::default(),
            http_addr: None,
        }
    }

    /// The same with the address of the endpoint.
    pub(crate) const fn with_http_addr(mut self, addr: Option<SocketAddr>) -> Self {
        self.http_addr = addr;
        self
    }

    /// Where `/metrics` is served, with the real port; `None` when it is off.
    #[must_use]
    pub const fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// Says that all addresses are bound and all that must be there at the start is there. An error after this is
    /// a failure while running and no longer a failed start, which the exit code tells apart.
    pub fn started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// Whether [`started`](Self::started) was called.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }
}
