//! What a service gets from the process it runs in.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use settings::Settings;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    clients::Clients,
    durability::DurabilityInForce,
    health::Health,
    metrics::Metrics,
    reloads::{Reloads, TakeOver},
};

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
    http_addr: Option<SocketAddr>,
    process: Arc<Process>,
}

/// What is set once, or by its own lock.
#[derive(Debug)]
struct Process {
    started: watch::Sender<bool>,
    since: Timestamp,
    clients: Clients,
    reloads: Reloads,
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
            http_addr: None,
            process: Arc::new(Process {
                started: watch::Sender::new(false),
                since: Timestamp::now(),
                clients: Clients::default(),
                reloads: Reloads::default(),
            }),
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

    /// When the process started.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.process.since
    }

    /// Who is connected to an intake in this process.
    #[must_use]
    pub fn clients(&self) -> &Clients {
        &self.process.clients
    }

    /// Has a stage take over settings that are read while it runs. `prepare` makes what it needs of them, and what that
    /// returns puts it in force, once all stages of the process have made theirs: an error of one changes nothing.
    /// Settings that were read again before this was called are taken over at once.
    ///
    /// # Errors
    ///
    /// What `prepare` says of such settings.
    pub fn on_reload(
        &self,
        prepare: impl Fn(&Settings) -> anyhow::Result<TakeOver> + Send + Sync + 'static,
    ) -> anyhow::Result<()> {
        self.process.reloads.add(Box::new(prepare))
    }

    /// Whether every stage can take `settings` over.
    pub(crate) fn check_settings(&self, settings: &Settings) -> anyhow::Result<()> {
        self.process.reloads.check(settings)
    }

    /// Has every stage take `settings` over, which differ only in what can change in a running process.
    ///
    /// # Errors
    ///
    /// What the first stage says that cannot; nothing has changed then.
    pub fn take_settings_over(&self, settings: Settings) -> anyhow::Result<()> {
        self.process.reloads.take_over(settings)
    }

    /// Says that all addresses are bound and all that must be there at the start is there. An error after this is
    /// a failure while running and no longer a failed start, which the exit code tells apart.
    pub fn started(&self) {
        self.process.started.send_replace(true);
    }

    /// Whether [`started`](Self::started) was called.
    #[must_use]
    pub fn is_started(&self) -> bool {
        *self.process.started.borrow()
    }

    /// Waits until [`started`](Self::started) was called.
    pub(crate) async fn until_started(&self) {
        let mut started = self.process.started.subscribe();
        // The sender is ours, so it is there as long as this waits.
        let _started = started.wait_for(|started| *started).await;
    }
}
