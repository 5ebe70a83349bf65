//! The task behind a consumer: one channel with a prefetch, on whatever connection there is now.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::{
    Channel, ErrorKind,
    message::Delivery as AmqpDelivery,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    amqp::{
        DeadLetters,
        endpoint::{Session, describe, has_no_queue},
        headers,
        link::Link,
        settle::{Command, Settlements, Settler, Unsettled},
    },
    backoff::Backoff,
    counters::Counters,
    delivery::{Delivery, Origin, Receipt, Settlement},
    error::ConsumeError,
    name::QueueName,
};

/// How long closing a channel may take before it is left to its fate.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The receiving end of a consumer.
#[derive(Debug)]
pub(crate) struct Subscriber {
    shared: Arc<Shared>,
}

/// Between the task and the subscriber.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Received and not handed over. Bounded by the prefetch.
    incoming: Mutex<VecDeque<Incoming>>,
    arrived: Notify,
    /// No more deliveries are wanted.
    stop: CancellationToken,
    is_over: AtomicBool,
    /// Of our queues.
    delivery_limit: u32,
}

#[derive(Debug)]
struct Incoming {
    delivery: AmqpDelivery,
    origin: Arc<Origin>,
}

/// What a consumer's task works with.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) shared: Arc<Shared>,
    pub(crate) link: Link,
    pub(crate) queue: QueueName,
    pub(crate) prefetch: u16,
    pub(crate) stage: &'static str,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) backoff: Backoff,
    /// The whole broker is closed.
    pub(crate) stop: CancellationToken,
    /// Who waits to hear whether the queue can be consumed at all.
    pub(crate) first: Option<oneshot::Sender<Result<(), ConsumeError>>>,
}

/// Why a channel is not consumed any more.
enum Over {
    /// It failed, or its connection did.
    Failed(String),
    /// Nobody wants it.
    Stopped,
}

impl Shared {
    pub(crate) fn new(delivery_limit: u32) -> Self {
        Self {
            incoming: Mutex::default(),
            arrived: Notify::new(),
            stop: CancellationToken::new(),
            is_over: AtomicBool::new(false),
            delivery_limit,
        }
    }

    /// Keeps a delivery for the subscriber, or gives it back when there is none any more. Both happen under the
    /// lock under which a stopping subscriber empties the queue, so that nothing is left in it.
    fn accept(&self, delivery: Incoming) {
        let mut incoming = self.incoming.lock();
        if self.stop.is_cancelled() {
            return delivery.give_back();
        }
        incoming.push_back(delivery);
        drop(incoming);
        self.arrived.notify_one();
    }
}

impl Subscriber {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Cancel-safe: a delivery is taken only to be returned.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        loop {
            if let Some(incoming) = self.shared.incoming.lock().pop_front() {
                return Some(incoming.into_delivery(self.shared.delivery_limit));
            }
            if self.shared.is_over.load(Ordering::Acquire) || self.shared.stop.is_cancelled() {
                return None;
            }
            self.shared.arrived.notified().await;
        }
    }

    pub(crate) fn stop(&mut self) {
        self.shared.stop.cancel();
        for incoming in std::mem::take(&mut *self.shared.incoming.lock()) {
            incoming.give_back();
        }
        self.shared.arrived.notify_one();
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Incoming {
    fn into_delivery(self, delivery_limit: u32) -> Delivery {
        let Self { delivery, origin } = self;
        let properties = &delivery.properties;
        let (exchange, routing_key) = headers::published_to(&delivery);
        Delivery {
            id: headers::id(properties),
            content_type: properties.content_type().as_ref().map(ToString::to_string),
            exchange,
            routing_key,
            redelivered: delivery.redelivered,
            delivery_count: headers::delivery_count(properties),
            death: headers::death(properties, delivery_limit),
            receipt: Receipt::new(delivery.delivery_tag, origin),
            body: Bytes::from(delivery.data),
        }
    }

    fn give_back(self) {
        if let crate::delivery::Settler::Amqp(settler) = &self.origin.settler {
            settler
                .settlements
                .push(self.delivery.delivery_tag, Settlement::Requeue);
        }
    }
}

impl Task {
    /// Consumes until nobody wants it any more.
    pub(crate) async fn run(mut self) {
        let stopped = self.shared.stop.clone();
        let closed = self.stop.clone();
        while let Some(session) = self.session(&stopped, &closed).await {
            let problem = match self.subscribe(&session).await {
                Ok((channel, consumer)) => {
                    self.backoff.reset();
                    if let Some(first) = self.first.take() {
                        // Whoever asked may have gone; then the subscriber is dropped, too.
                        drop(first.send(Ok(())));
                    }
                    match self.serve(&session, channel, consumer).await {
                        Over::Stopped => break,
                        Over::Failed(problem) => problem,
                    }
                }
                Err(error) => {
                    if let Some(refusal) = self.refusal(&error)
                        && let Some(first) = self.first.take()
                    {
                        drop(first.send(Err(refusal)));
                        break;
                    }
                    describe(&error)
                }
            };
            tracing::warn!(problem, queue = %self.queue, stage = self.stage, "consuming was interrupted, trying again");
            tokio::select! {
                () = tokio::time::sleep(self.backoff.pause()) => {}
                () = stopped.cancelled() => {}
                () = closed.cancelled() => {}
            }
        }
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.arrived.notify_one();
    }

    /// The connection, once there is one and as long as somebody wants deliveries.
    async fn session(
        &mut self,
        stopped: &CancellationToken,
        closed: &CancellationToken,
    ) -> Option<Arc<Session>> {
        // Cancel-safe: waiting for a connection takes nothing.
        tokio::select! {
            biased;
            () = stopped.cancelled() => None,
            () = closed.cancelled() => None,
            session = self.link.up() => session,
        }
    }

    async fn subscribe(&self, session: &Session) -> lapin::Result<(Channel, lapin::Consumer)> {
        let channel = session.open_channel().await?;
        channel
            .basic_qos(self.prefetch, BasicQosOptions { global: false })
            .await?;
        let options = BasicConsumeOptions {
            no_local: false,
            no_ack: false,
            exclusive: false,
            nowait: false,
        };
        let (queue, tag) = (self.queue.as_str().into(), self.stage.into());
        let consumer = channel
            .basic_consume(queue, tag, options, FieldTable::default())
            .await?;
        Ok((channel, consumer))
    }

    /// The error that trying again does not mend, if it is one.
    fn refusal(&self, error: &lapin::Error) -> Option<ConsumeError> {
        let queue = self.queue.clone();
        if has_no_queue(error, &queue) {
            return Some(ConsumeError::NoSuchQueue { queue });
        }
        match error.kind() {
            ErrorKind::ProtocolError(problem) if matches!(problem.get_id(), 403 | 405 | 406 | 540) => {
                Some(ConsumeError::Refused {
                    queue,
                    problem: describe(error),
                })
            }
            _ => None,
        }
    }

    async fn serve(
        &mut self,
        session: &Arc<Session>,
        channel: Channel,
        mut consumer: lapin::Consumer,
    ) -> Over {
        let settlements = Arc::new(Settlements::default());
        let settler = Settler {
            settlements: Arc::clone(&settlements),
            dead_letters: Arc::clone(&self.dead_letters),
        };
        let origin = Arc::new(Origin {
            queue: self.queue.clone(),
            stage: self.stage,
            counters: Arc::clone(&self.counters),
            settler: crate::delivery::Settler::Amqp(settler),
        });
        let over = self
            .exchange(session, &channel, &mut consumer, &settlements, &origin)
            .await;
        self.shared.incoming.lock().clear();
        self.counters.stale_settlements.add(settlements.close() as u64);
        if matches!(over, Over::Stopped) {
            let goodbye = channel.close(200, "closed".into());
            if let Ok(Err(error)) = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await {
                tracing::debug!(%error, "consumer's channel was closed already");
            }
        }
        over
    }

    /// Deliveries in, dispositions out.
    async fn exchange(
        &mut self,
        session: &Arc<Session>,
        channel: &Channel,
        consumer: &mut lapin::Consumer,
        settlements: &Settlements,
        origin: &Arc<Origin>,
    ) -> Over {
        let mut unsettled = Unsettled::default();
        let mut lost = pin!(self.link.lost(session));
        let mut is_stopping = false;
        loop {
            // All of these are cancel-safe: a stream, notifications and tokens.
            tokio::select! {
                incoming = consumer.next() => match incoming {
                    Some(Ok(delivery)) => {
                        unsettled.add(delivery.delivery_tag);
                        self.shared.accept(Incoming { delivery, origin: Arc::clone(origin) });
                    }
                    Some(Err(error)) => return Over::Failed(describe(&error)),
                    None if is_stopping => {}
                    None => return Over::Failed("the broker cancelled the consumer: was the queue deleted?".into()),
                },
                () = settlements.arrived.notified() => {}
                () = &mut lost => return Over::Failed("the connection was lost".into()),
                () = self.shared.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    let tag = consumer.tag();
                    if let Err(error) = channel.basic_cancel(tag, BasicCancelOptions::default()).await {
                        return Over::Failed(describe(&error));
                    }
                }
                () = self.stop.cancelled() => {
                    return match pass_on(channel, &mut unsettled, settlements, &self.counters).await {
                        Ok(()) => Over::Stopped,
                        Err(error) => Over::Failed(describe(&error)),
                    };
                }
            }
            if let Err(error) = pass_on(channel, &mut unsettled, settlements, &self.counters).await {
                return Over::Failed(describe(&error));
            }
            if is_stopping && unsettled.is_empty() {
                return Over::Stopped;
            }
        }
    }
}

/// Sends all dispositions that have come in, in as few frames as it takes.
async fn pass_on(
    channel: &Channel,
    unsettled: &mut Unsettled,
    settlements: &Settlements,
    counters: &Counters,
) -> lapin::Result<()> {
    for command in unsettled.plan(&settlements.take()) {
        match command {
            Command::Requeue { tag } => {
                channel
                    .basic_nack(
                        tag,
                        BasicNackOptions {
                            multiple: false,
                            requeue: true,
                        },
                    )
                    .await?;
                counters.requeued.add(1);
            }
            Command::Ack {
                tag,
                is_multiple,
                count,
            } => {
                channel
                    .basic_ack(
                        tag,
                        BasicAckOptions {
                            multiple: is_multiple,
                        },
                    )
                    .await?;
                counters.acked.add(count);
            }
        }
    }
    Ok(())
}
