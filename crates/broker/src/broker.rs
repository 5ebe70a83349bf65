//! The one handle to a broker of either kind.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use settings::BrokerSettings;
use tokio::sync::watch;

use crate::{
    amqp::{Amqp, Wanted},
    browser::{Browser, Fill},
    consumer::Consumer,
    counters::{CounterSnapshot, Counters},
    embedded::{self, Embedded, Limits, Subject},
    error::{BrowseError, ConnectError, ConsumeError, DeclareError, NotReady},
    listening::{Backlog, Heard, Listening},
    metrics::BrokerCollector,
    name::{Exchange, QueueName, RoutingKey},
    publisher::{CONFIRM_TIMEOUT, Outlet, Publisher},
    state::BrokerState,
    topology::Topology,
};

/// A broker: RabbitMQ, or the embedded one. Clones are handles to the same connection.
#[derive(Debug, Clone)]
pub struct Broker {
    kind: Kind,
    state: watch::Receiver<BrokerState>,
    counters: Arc<Counters>,
}

#[derive(Debug, Clone)]
enum Kind {
    Amqp(Amqp),
    Embedded(Embedded),
}

impl Broker {
    /// Starts to work with the broker of `settings`. `connection_name` is what RabbitMQ shows for us.
    ///
    /// With RabbitMQ this returns at once: the connection is made, and made again whenever it is lost, in the
    /// background; [`Self::state`] tells how it stands and [`Self::wait_ready`] waits for it. The embedded
    /// broker is ready when this returns.
    ///
    /// # Errors
    ///
    /// Settings that can never work: no AMQP address, a CA file that cannot be read, a folder that cannot be
    /// used or is in use.
    pub async fn connect(settings: &BrokerSettings, connection_name: &str) -> Result<Self, ConnectError> {
        let counters = Arc::new(Counters::default());
        let connecting = BrokerState::Connecting {
            since: std::time::Instant::now(),
            error: None,
        };
        let (state_in, state) = watch::channel(connecting);
        let kind = match settings {
            BrokerSettings::Amqp(amqp) => Kind::Amqp(Amqp::connect(
                amqp,
                connection_name,
                state_in,
                Arc::clone(&counters),
            )?),
            BrokerSettings::Embedded {
                dir,
                queue_bytes_max,
                delivery_limit,
            } => {
                let limits = Limits {
                    queue_bytes_max: *queue_bytes_max,
                    delivery_limit: *delivery_limit,
                };
                let (dir, counters) = (dir.clone(), Arc::clone(&counters));
                Kind::Embedded(blocking(move || Embedded::open(&dir, limits, state_in, counters)).await?)
            }
        };
        Ok(Self {
            kind,
            state,
            counters,
        })
    }

    /// Tries whether the broker of `settings` answers, and returns a line about it for people.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub async fn check(settings: &BrokerSettings) -> Result<String, ConnectError> {
        match settings {
            BrokerSettings::Amqp(amqp) => Amqp::check(amqp).await,
            BrokerSettings::Embedded { dir, .. } => {
                let dir = dir.clone();
                blocking(move || embedded::check(&dir)).await
            }
        }
    }

    /// Makes the exchanges, queues and bindings that are missing. Run again it changes nothing.
    ///
    /// The embedded broker also takes away the bindings that are not in `topology`; RabbitMQ keeps them.
    ///
    /// # Errors
    ///
    /// [`DeclareError::Conflicts`] when a queue exists and is different. RabbitMQ has everything else then.
    pub async fn declare(&self, topology: &Topology) -> Result<(), DeclareError> {
        match &self.kind {
            Kind::Amqp(amqp) => amqp.declare(topology).await,
            Kind::Embedded(embedded) => embedded.declare(topology).await,
        }
    }

    /// Waits until the broker is there, and [declares](Self::declare) `topology`, for intake that nobody ran
    /// `logferry init` for. What fails is logged and not tried again: what is there already may do.
    pub async fn declare_when_ready(self, topology: Topology) {
        let mut state = self.state();
        if state.wait_for(BrokerState::is_ready).await.is_err() {
            return;
        }
        if let Err(error) = self.declare(&topology).await {
            tracing::error!(%error, "queues not declared; what is there already is used");
        }
    }

    /// A publisher with at most `unconfirmed_max` publishes under way.
    #[must_use]
    pub fn publisher(&self, unconfirmed_max: usize) -> Publisher {
        let (outlet, confirm_timeout) = match &self.kind {
            Kind::Amqp(amqp) => (amqp.outlet(unconfirmed_max), amqp.confirm_timeout()),
            Kind::Embedded(embedded) => (Outlet::Embedded(embedded.clone()), CONFIRM_TIMEOUT),
        };
        let counters = Arc::clone(&self.counters);
        Publisher::new(
            outlet,
            unconfirmed_max,
            self.state.clone(),
            counters,
            confirm_timeout,
        )
    }

    /// Consumes `queue` for `stage` (which names the routing keys of dead letters), with at most `prefetch`
    /// deliveries unsettled. Waits until the broker has answered; while it is away this may take any time.
    ///
    /// # Errors
    ///
    /// [`ConsumeError::NoSuchQueue`] and what else the broker refuses.
    pub async fn consume(
        &self,
        queue: &QueueName,
        prefetch: u16,
        stage: &'static str,
    ) -> Result<Consumer, ConsumeError> {
        match &self.kind {
            Kind::Amqp(amqp) => amqp.consume(queue, prefetch, stage).await.map(Consumer::amqp),
            Kind::Embedded(embedded) => embedded
                .consume(queue, prefetch, stage)
                .await
                .map(Consumer::embedded),
        }
    }

    /// How full `queue` is.
    ///
    /// # Errors
    ///
    /// [`BrowseError::NoSuchQueue`], or that the broker does not answer in time.
    pub async fn fill(&self, queue: &QueueName) -> Result<Fill, BrowseError> {
        match &self.kind {
            Kind::Amqp(amqp) => amqp.fill(queue).await,
            Kind::Embedded(embedded) => embedded.fill(queue).await,
        }
    }

    /// Begins to look at the messages of `queue` where they are.
    ///
    /// # Errors
    ///
    /// [`BrowseError::NoSuchQueue`], or that the broker does not answer in time.
    pub async fn browse(&self, queue: &QueueName) -> Result<Browser, BrowseError> {
        match &self.kind {
            Kind::Amqp(amqp) => {
                let (browser, total) = amqp.browse(queue).await?;
                Ok(Browser::amqp(browser, total))
            }
            Kind::Embedded(embedded) => {
                let total = embedded.fill(queue).await?.ready;
                Ok(Browser::embedded(embedded.browse(queue), total))
            }
        }
    }

    /// Tells everybody who listens to the status `body`, under `key`. It never waits, and promises nothing: while the
    /// broker is away, blocks publishers or is slow, nobody hears it, nor what has a key that is none.
    pub fn announce(&self, key: &str, body: impl Into<Bytes>) {
        let key = match RoutingKey::new(key) {
            Ok(key) => key,
            Err(error) => return tracing::error!(%error, "not announced"),
        };
        let body = body.into();
        match &self.kind {
            Kind::Amqp(amqp) => {
                if self.state.borrow().is_ready() {
                    amqp.announce(key, body);
                }
            }
            Kind::Embedded(embedded) => {
                let routing_key = key.as_str().to_owned();
                let heard = Heard {
                    id: None,
                    routing_key,
                    body,
                    missed: 0,
                };
                embedded.audience().tell(Subject::Status, &heard);
            }
        }
    }

    /// Listens to what is [announced](Self::announce), by this process and others.
    #[must_use]
    pub fn listen_to_status(&self, backlog: Backlog) -> Listening {
        match &self.kind {
            Kind::Amqp(amqp) => amqp.listen(Wanted::Status, backlog),
            Kind::Embedded(embedded) => embedded.audience().listen(Subject::Status, backlog),
        }
    }

    /// Listens to the event batches that the shippers of `topology` get, each batch once.
    ///
    /// It makes no difference to who publishes them, nor to the shippers, however slow it is.
    #[must_use]
    pub fn listen_to_parsed(&self, topology: &Topology, backlog: Backlog) -> Listening {
        match &self.kind {
            Kind::Amqp(amqp) => {
                let queues = topology.queues().iter();
                let queues = queues.filter(|queue| queue.exchange == Exchange::Parsed);
                amqp.listen(Wanted::Parsed(queues.cloned().collect()), backlog)
            }
            Kind::Embedded(embedded) => embedded.audience().listen(Subject::Parsed, backlog),
        }
    }

    /// How the way to the broker stands, now and at each change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<BrokerState> {
        self.state.clone()
    }

    /// Waits until publishes are taken, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// [`NotReady`] with what stood in the way.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<(), NotReady> {
        let mut state = self.state.clone();
        match tokio::time::timeout(timeout, state.wait_for(BrokerState::is_ready)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let problem = self.state.borrow().to_string();
                Err(NotReady {
                    after: timeout,
                    problem,
                })
            }
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> CounterSnapshot {
        snapshot(&self.state, &self.counters)
    }

    /// The same for `/metrics`, read anew at each scrape.
    #[must_use]
    pub fn collector(&self) -> BrokerCollector {
        BrokerCollector::new(self.state.clone(), Arc::clone(&self.counters))
    }

    /// Ends it for all clones: dispositions that were made are passed on, publishes that were made get their
    /// verdict, both within a few seconds; then the connection is closed. Unsettled deliveries go back to their queues.
    pub async fn close(self) {
        match self.kind {
            Kind::Amqp(amqp) => amqp.close().await,
            Kind::Embedded(embedded) => embedded.close().await,
        }
    }
}

/// The counters at one moment, with the time of a block that lasts.
pub(crate) fn snapshot(state: &watch::Receiver<BrokerState>, counters: &Counters) -> CounterSnapshot {
    // A block's time is counted at its end, with the state locked: so it is never missed, nor counted twice.
    let state = state.borrow();
    let mut snapshot = counters.snapshot();
    if let BrokerState::Blocked { since, .. } = &*state {
        snapshot.blocked_seconds += since.elapsed().as_secs_f64();
    }
    snapshot
}

/// Runs what reads and writes files. The task is never cancelled, so it fails only by a panic, which goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
