//! Publishing: one way in for both kinds of broker, with a bound on what is unconfirmed.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::Sleep,
};

use crate::{
    backoff::Backoff,
    counters::Counters,
    embedded,
    error::PublishError,
    message::{Envelope, Letter, Message},
    name::QueueName,
    state::BrokerState,
};

/// How long a publish waits for the verdict of the embedded broker before it counts as failed: a disk may be slow.
pub(crate) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// The first pause of [`Publisher::deliver`] after a failure.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Its longest one: a full queue is looked at again at least this often.
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Publishes messages. Clones share one order and one bound; another [`Broker::publisher`] has its own.
///
/// A publish is a success only when the broker confirmed that it has the message durably *and* that a queue
/// took it: confirms are on, `mandatory` is set, messages are persistent.
///
/// [`Broker::publisher`]: crate::Broker::publisher
#[derive(Debug, Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    outlet: Outlet,
    slots: Arc<Semaphore>,
    state: watch::Receiver<BrokerState>,
    counters: Arc<Counters>,
    confirm_timeout: Duration,
}

/// Where requests go. There is always room: each request holds one of the publisher's slots.
#[derive(Debug)]
pub(crate) enum Outlet {
    Amqp(mpsc::Sender<Box<PublishRequest>>),
    Embedded(embedded::Embedded),
}

/// A message on its way, with the one who waits for the verdict.
#[derive(Debug)]
pub(crate) struct PublishRequest {
    pub(crate) message: Envelope,
    pub(crate) verdict: Verdict,
}

/// The duty to say how a publish ended. Dropped without a word it says that the connection was lost.
#[derive(Debug)]
pub(crate) struct Verdict {
    reply: Option<oneshot::Sender<Result<(), PublishError>>>,
    counters: Arc<Counters>,
    published_at: Instant,
    _slot: OwnedSemaphorePermit,
}

/// Resolves when the broker has given its verdict, or with [`PublishError::TimedOut`].
///
/// It may be dropped: the publish goes on, and its slot is free again when the verdict is in.
#[derive(Debug)]
#[must_use = "a publish has not succeeded before its confirm resolves"]
pub struct Confirm {
    reply: oneshot::Receiver<Result<(), PublishError>>,
    deadline: Pin<Box<Sleep>>,
    after: Duration,
    counters: Arc<Counters>,
}

impl Publisher {
    pub(crate) fn new(
        outlet: Outlet,
        unconfirmed_max: usize,
        state: watch::Receiver<BrokerState>,
        counters: Arc<Counters>,
        confirm_timeout: Duration,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(unconfirmed_max.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            inner: Arc::new(Inner {
                outlet,
                slots,
                state,
                counters,
                confirm_timeout,
            }),
        }
    }

    /// Hands `message` to the broker once, and gives what resolves with the verdict. Waits while the broker is
    /// away or blocked, and while as many publishes as allowed are unconfirmed.
    ///
    /// Messages are published in the order of the calls.
    ///
    /// # Errors
    ///
    /// [`PublishError::TimedOut`] when it had to wait too long, so that the message was not published;
    /// [`PublishError::Closed`].
    pub async fn publish(&self, message: &Message) -> Result<Confirm, PublishError> {
        self.publish_envelope(message.into()).await
    }

    /// Publishes `message` to one queue, which need not be bound for it, as [`Self::publish`] does. Whoever
    /// consumes it gets the exchange and the routing key as if it had come that way.
    ///
    /// # Errors
    ///
    /// As [`Self::publish`]; the confirm says [`PublishError::Unroutable`] when there is no such queue.
    pub async fn publish_to(&self, queue: &QueueName, message: &Message) -> Result<Confirm, PublishError> {
        let mut envelope = Envelope::from(message);
        envelope.queue = Some(queue.clone());
        self.publish_envelope(envelope).await
    }

    /// Publishes `letter` to where it came from, with the id that it has; `None` when that is not known.
    ///
    /// # Errors
    ///
    /// As [`Self::publish`].
    pub async fn put_back(&self, letter: &Letter) -> Result<Option<Confirm>, PublishError> {
        match letter.returned() {
            Some(envelope) => self.publish_envelope(envelope).await.map(Some),
            None => Ok(None),
        }
    }

    /// Publishes `letter` as the dead letter that it is.
    ///
    /// # Errors
    ///
    /// As [`Self::publish`].
    pub async fn bury(&self, letter: &Letter) -> Result<Confirm, PublishError> {
        self.publish_envelope(letter.buried()).await
    }

    async fn publish_envelope(&self, message: Envelope) -> Result<Confirm, PublishError> {
        let after = self.inner.confirm_timeout;
        let deadline = tokio::time::Instant::now() + after;
        let slot = match tokio::time::timeout_at(deadline, self.slot()).await {
            Ok(slot) => slot?,
            Err(_) => {
                self.inner.counters.timed_out.add(1);
                return Err(PublishError::TimedOut { after });
            }
        };
        let (reply, receiver) = oneshot::channel();
        let counters = Arc::clone(&self.inner.counters);
        counters.published.add(1);
        counters.unconfirmed.add(1);
        let verdict = Verdict {
            reply: Some(reply),
            counters: Arc::clone(&counters),
            published_at: Instant::now(),
            _slot: slot,
        };
        let request = Box::new(PublishRequest { message, verdict });
        match &self.inner.outlet {
            Outlet::Amqp(requests) => {
                if let Err(refused) = requests.try_send(request) {
                    refused.into_inner().verdict.resolve(Err(PublishError::Closed));
                }
            }
            Outlet::Embedded(embedded) => embedded.publish(request),
        }
        let deadline = Box::pin(tokio::time::sleep(after));
        Ok(Confirm {
            reply: receiver,
            deadline,
            after,
            counters,
        })
    }

    /// Publishes `message` until it is confirmed, as often as it takes, with pauses. What was published twice
    /// has the same id twice.
    ///
    /// # Errors
    ///
    /// Only what trying again does not mend: [`PublishError::Unroutable`], [`PublishError::TooLarge`],
    /// [`PublishError::Closed`].
    pub async fn deliver(&self, message: &Message) -> Result<(), PublishError> {
        self.deliver_envelope(&message.into()).await
    }

    /// Publishes `message` to one queue as [`Self::publish_to`] does, until it is confirmed, as [`Self::deliver`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::deliver`].
    pub async fn deliver_to(&self, queue: &QueueName, message: &Message) -> Result<(), PublishError> {
        let mut envelope = Envelope::from(message);
        envelope.queue = Some(queue.clone());
        self.deliver_envelope(&envelope).await
    }

    pub(crate) async fn deliver_envelope(&self, message: &Envelope) -> Result<(), PublishError> {
        let mut backoff = Backoff::new(RETRY_PAUSE, RETRY_PAUSE_MAX);
        loop {
            let verdict = match self.publish_envelope(message.clone()).await {
                Ok(confirm) => confirm.await,
                Err(error) => Err(error),
            };
            match verdict {
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, id = ?message.id, "publish failed, trying again");
                    tokio::time::sleep(backoff.pause()).await;
                }
                verdict => return verdict,
            }
        }
    }

    /// How many publishes may be made now without waiting for a confirm.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.inner.slots.available_permits()
    }

    /// A free slot, once the broker takes publishes.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, PublishError> {
        let slots = Arc::clone(&self.inner.slots);
        // The semaphore is never closed; if it were, nothing could be published any more.
        let slot = slots
            .acquire_owned()
            .await
            .map_err(|_closed| PublishError::Closed)?;
        let mut state = self.inner.state.clone();
        let open = |state: &BrokerState| matches!(state, BrokerState::Ready | BrokerState::Closed);
        match state.wait_for(open).await.as_deref() {
            Ok(BrokerState::Ready) => Ok(slot),
            Ok(BrokerState::Closed | BrokerState::Connecting { .. } | BrokerState::Blocked { .. })
            | Err(_) => Err(PublishError::Closed),
        }
    }
}

impl Verdict {
    /// Says how it ended and frees the slot.
    pub(crate) fn resolve(mut self, result: Result<(), PublishError>) {
        self.give(result);
    }

    /// How long the broker has had it.
    pub(crate) fn age(&self) -> Duration {
        self.published_at.elapsed()
    }

    fn give(&mut self, result: Result<(), PublishError>) {
        let Some(reply) = self.reply.take() else { return };
        self.counters.unconfirmed.sub(1);
        match &result {
            Ok(()) => self.counters.confirmed_after(self.age()),
            Err(PublishError::Nacked) => self.counters.nacked.add(1),
            Err(PublishError::Unroutable { .. }) => self.counters.returned.add(1),
            Err(PublishError::ConnectionLost) => self.counters.lost.add(1),
            Err(PublishError::TooLarge { .. } | PublishError::TimedOut { .. } | PublishError::Closed) => {}
        }
        // Nobody listens when the confirm was dropped or timed out.
        drop(reply.send(result));
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.give(Err(PublishError::ConnectionLost));
    }
}

impl Future for Confirm {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(reply) = Pin::new(&mut self.reply).poll(cx) {
            return Poll::Ready(reply.unwrap_or(Err(PublishError::ConnectionLost)));
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.counters.timed_out.add(1);
            return Poll::Ready(Err(PublishError::TimedOut { after: self.after }));
        }
        Poll::Pending
    }
}
