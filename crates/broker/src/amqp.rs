//! RabbitMQ, through lapin.
//!
//! There are three connections: when the broker blocks publishers it stops reading from connections that have
//! published, so that acks on the same one would wait with them. The second is made when something is consumed, the third
//! when somebody looks at a queue.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use settings::AmqpSettings;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    amqp::{
        announce::Announcement,
        consume::{Shared, Task},
        declare::Limits,
        endpoint::Endpoint,
        link::{Link, StateTeller, Supervisor},
        look::Looker,
    },
    backoff::Backoff,
    browser::Fill,
    counters::Counters,
    error::{BrowseError, ConnectError, ConsumeError, DeclareError},
    listening::{Backlog, Ear, Listening, Place},
    name::{QueueName, RoutingKey},
    publisher::{Outlet, PublishRequest, Publisher},
    state::BrokerState,
    topology::Topology,
};

mod announce;
mod browse;
mod consume;
mod declare;
#[cfg(test)]
mod document;
mod endpoint;
mod headers;
mod ledger;
mod link;
mod listen;
mod look;
mod publish;
mod settle;
mod shown;

pub(crate) use self::{
    browse::Browser,
    consume::Subscriber,
    endpoint::{User, user},
    listen::Wanted,
    settle::Settler,
};

/// The first pause after a failed attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long [`Amqp::close`] waits for verdicts and dispositions.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Dead letters under way per consumer. They are few, and whole batches.
const DEAD_UNCONFIRMED_MAX: usize = 8;

/// A handle to the connections. When the last one is gone, and the last publisher and consumer, they are closed.
#[derive(Debug, Clone)]
pub(crate) struct Amqp {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    name: String,
    limits: Limits,
    backoff_max: Duration,
    confirm_timeout: Duration,
    state: watch::Sender<BrokerState>,
    counters: Arc<Counters>,
    publishing: Link,
    /// Made with the first consumer.
    consuming: Mutex<Option<Link>>,
    looker: Arc<Looker>,
    /// Made with the first announcement.
    announcing: OnceLock<mpsc::Sender<Announcement>>,
    /// Publishers and consumers.
    workers: TaskTracker,
    /// Connections.
    supervisors: TaskTracker,
    /// Workers finish what they have.
    stop: CancellationToken,
    /// Connections end.
    hang_up: CancellationToken,
}

/// Publishes the dead letters of a consumer, with a publisher that is made for the first of them.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    broker: Amqp,
    publisher: OnceLock<Publisher>,
}

impl Amqp {
    /// Starts to connect, in the background.
    pub(crate) fn connect(
        settings: &AmqpSettings,
        name: &str,
        state: watch::Sender<BrokerState>,
        counters: Arc<Counters>,
    ) -> Result<Self, ConnectError> {
        let endpoint = Endpoint::new(settings)?;
        let hang_up = CancellationToken::new();
        let supervisors = TaskTracker::new();
        let backoff_max = settings.reconnect_backoff_max;
        let (publishing, supervisor) = Link::start(Supervisor {
            endpoint: endpoint.clone(),
            name: name.to_owned(),
            backoff: Backoff::new(RETRY_PAUSE, backoff_max),
            state: StateTeller {
                state: Some(state.clone()),
                counters: Arc::clone(&counters),
            },
            counters: Arc::clone(&counters),
            hang_up: hang_up.clone(),
        });
        supervisors.spawn(supervisor);
        let limits = Limits {
            queue_bytes_max: settings.queue_bytes_max,
            delivery_limit: settings.delivery_limit,
        };
        let looker = Looker::new(&endpoint, name, hang_up.clone());
        let inner = Inner {
            endpoint,
            name: name.to_owned(),
            limits,
            backoff_max,
            confirm_timeout: settings.confirm_timeout,
            state,
            counters,
            publishing,
            consuming: Mutex::new(None),
            looker: Arc::new(looker),
            announcing: OnceLock::new(),
            workers: TaskTracker::new(),
            supervisors,
            stop: CancellationToken::new(),
            hang_up,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    pub(crate) async fn check(settings: &AmqpSettings) -> Result<String, ConnectError> {
        let endpoint = Endpoint::new(settings)?;
        let session = endpoint.open("logferry check").await?;
        session.close().await;
        Ok(endpoint.address.to_string())
    }

    pub(crate) async fn declare(&self, topology: &Topology) -> Result<(), DeclareError> {
        let mut link = self.inner.publishing.clone();
        let timeout = self.inner.endpoint.connect_timeout();
        let unavailable = || DeclareError::Unavailable {
            problem: self.inner.state.borrow().to_string(),
        };
        let session = tokio::time::timeout(timeout, link.up())
            .await
            .map_err(|_elapsed| unavailable())?;
        let session = session.ok_or(DeclareError::Closed)?;
        // While the broker blocks us it does not even answer this.
        tokio::time::timeout(timeout, declare::declare(&session, topology, self.inner.limits))
            .await
            .unwrap_or_else(|_elapsed| Err(unavailable()))
    }

    /// How long a publish waits for its verdict.
    pub(crate) fn confirm_timeout(&self) -> Duration {
        self.inner.confirm_timeout
    }

    /// The way in for a publisher's requests.
    pub(crate) fn outlet(&self, unconfirmed_max: usize) -> Outlet {
        let (requests_in, requests) = mpsc::channel::<Box<PublishRequest>>(unconfirmed_max.max(1));
        let broker = self.clone();
        let backoff = Backoff::new(RETRY_PAUSE, self.inner.backoff_max);
        let (link, stop) = (self.inner.publishing.clone(), self.inner.stop.clone());
        self.inner.workers.spawn(async move {
            publish::run(requests, link, backoff, stop).await;
            // The connection is kept until here.
            drop(broker);
        });
        Outlet::Amqp(requests_in)
    }

    pub(crate) async fn consume(
        &self,
        queue: &QueueName,
        prefetch: u16,
        stage: &'static str,
    ) -> Result<Subscriber, ConsumeError> {
        let shared = Arc::new(Shared::new(self.inner.limits.delivery_limit));
        // Dropped while it waits, this stops the task.
        let subscriber = Subscriber::new(Arc::clone(&shared));
        let (first_in, first) = oneshot::channel();
        let task = Task {
            shared,
            link: self.consuming(),
            queue: queue.clone(),
            prefetch: prefetch.max(1),
            stage,
            dead_letters: Arc::new(DeadLetters {
                broker: self.clone(),
                publisher: OnceLock::new(),
            }),
            counters: Arc::clone(&self.inner.counters),
            backoff: Backoff::new(RETRY_PAUSE, self.inner.backoff_max),
            stop: self.inner.stop.clone(),
            first: Some(first_in),
        };
        self.inner.workers.spawn(task.run());
        first.await.unwrap_or(Err(ConsumeError::Closed))?;
        Ok(subscriber)
    }

    /// What does not fit is not said.
    pub(crate) fn announce(&self, key: RoutingKey, body: Bytes) {
        let inner = &self.inner;
        let announcing = inner.announcing.get_or_init(|| {
            let (announcing, announcements) = mpsc::channel(announce::WAITING_MAX);
            let backoff = Backoff::new(RETRY_PAUSE, inner.backoff_max);
            let (link, stop) = (inner.publishing.clone(), inner.stop.clone());
            // It ends with the sender, which is here: it must not keep us.
            inner
                .workers
                .spawn(announce::run(announcements, link, backoff, stop));
            announcing
        });
        drop(announcing.try_send((key, body)));
    }

    pub(crate) fn listen(&self, wanted: Wanted, backlog: Backlog) -> Listening {
        let ear = Ear::new(backlog);
        let (live, is_live) = watch::channel(false);
        let gone = CancellationToken::new();
        let task = listen::Task {
            link: self.consuming(),
            looker: Arc::clone(&self.inner.looker),
            wanted,
            backlog,
            ear: Arc::clone(&ear),
            live,
            backoff: Backoff::new(RETRY_PAUSE, self.inner.backoff_max),
            stop: self.inner.stop.clone(),
            gone: gone.clone(),
        };
        let broker = self.clone();
        self.inner.workers.spawn(async move {
            task.run().await;
            // The connection is kept until here.
            drop(broker);
        });
        let place = Place::Amqp {
            _task: gone.drop_guard(),
        };
        Listening::new(ear, is_live, place)
    }

    pub(crate) async fn fill(&self, queue: &QueueName) -> Result<Fill, BrowseError> {
        self.inner.looker.fill(queue).await
    }

    pub(crate) async fn browse(&self, queue: &QueueName) -> Result<(Browser, u64), BrowseError> {
        let (channel, session, fill) = self.inner.looker.look(queue).await?;
        let limit = self.inner.limits.delivery_limit;
        Ok((Browser::new(channel, session, queue.clone(), limit), fill.ready))
    }

    /// The connection for consumers.
    fn consuming(&self) -> Link {
        let mut consuming = self.inner.consuming.lock();
        let link = consuming.get_or_insert_with(|| {
            let (link, supervisor) = Link::start(Supervisor {
                endpoint: self.inner.endpoint.clone(),
                name: format!("{} (consumers)", self.inner.name),
                backoff: Backoff::new(RETRY_PAUSE, self.inner.backoff_max),
                state: StateTeller {
                    state: None,
                    counters: Arc::clone(&self.inner.counters),
                },
                counters: Arc::clone(&self.inner.counters),
                hang_up: self.inner.hang_up.clone(),
            });
            self.inner.supervisors.spawn(supervisor);
            link
        });
        link.clone()
    }

    pub(crate) async fn close(&self) {
        self.inner.state.send_replace(BrokerState::Closed);
        self.inner.stop.cancel();
        self.inner.workers.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, self.inner.workers.wait())
            .await
            .is_err()
        {
            tracing::warn!("the broker did not answer everything before the connection was closed");
        }
        self.inner.hang_up.cancel();
        self.inner.looker.close().await;
        self.inner.supervisors.close();
        self.inner.supervisors.wait().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
        self.hang_up.cancel();
    }
}

impl DeadLetters {
    fn publisher(&self) -> &Publisher {
        self.publisher.get_or_init(|| {
            let inner = &self.broker.inner;
            Publisher::new(
                self.broker.outlet(DEAD_UNCONFIRMED_MAX),
                DEAD_UNCONFIRMED_MAX,
                inner.state.subscribe(),
                Arc::clone(&inner.counters),
                inner.confirm_timeout,
            )
        })
    }
}
