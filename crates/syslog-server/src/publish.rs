//! Publishes the batches of one listener until the broker has confirmed them, or a rescue queue has them.

use std::{sync::Arc, time::Duration};

use broker::{BrokerState, Exchange, Message, PublishError, Publisher, QueueName, RoutingKey};
use event::{Compression, PayloadKind};
use futures_util::{StreamExt, stream::FuturesUnordered};
use service::{Custody, crash_point};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use transport::Throttle;

use crate::{
    batch::{Batch, pack},
    batcher::{Batcher, Next},
    failover::Failover,
};

/// The first pause of a batch that nobody took.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Its longest one: a full queue is tried again at least this often.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The broker was closed under us.
#[derive(Debug, thiserror::Error)]
#[error("the broker was closed while batches were published")]
pub(crate) struct BrokerClosed;

/// How batches of one listener are published.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) publisher: Publisher,
    pub(crate) broker_state: watch::Receiver<BrokerState>,
    pub(crate) routing_key: RoutingKey,
    /// The queue, where the exchange does not choose it.
    pub(crate) queue: Option<QueueName>,
    pub(crate) compression: Compression,
    pub(crate) throttle: Throttle,
    pub(crate) failover: Arc<Failover>,
}

/// How one attempt at the broker ended without success.
enum Failed {
    /// The broker was there and did not take the batch, or its connection was lost on the way.
    Publish(PublishError),
    /// It was not there, for longer than our patience.
    Away,
}

impl Publishing {
    /// Publishes what `batcher` closes, several batches at a time, and ends when `no_more_frames` is cancelled and
    /// all are settled.
    pub(crate) async fn run(
        self,
        batcher: &Batcher,
        no_more_frames: CancellationToken,
    ) -> Result<(), BrokerClosed> {
        let _given_up = GivenUp(batcher);
        let mut broker_state = self.broker_state.clone();
        let mut custody = self.failover.custody();
        let this = &self;
        let mut unconfirmed = FuturesUnordered::new();
        loop {
            let is_ready = match &*broker_state.borrow_and_update() {
                BrokerState::Closed => return Err(BrokerClosed),
                state => state.is_ready(),
            };
            let custody_now = *custody.borrow_and_update();
            batcher.set_ready(self.is_taken(is_ready, custody_now, unconfirmed.is_empty()));
            let due = loop {
                match batcher.next(no_more_frames.is_cancelled()) {
                    Next::Publish(batch) => unconfirmed.push(this.publish(batcher, batch)),
                    Next::Wait(due) => break due,
                }
            };
            if no_more_frames.is_cancelled() && unconfirmed.is_empty() {
                return Ok(());
            }
            // All branches are cancel-safe.
            tokio::select! {
                Some(settled) = unconfirmed.next() => {
                    batcher.settled();
                    settled?;
                }
                () = batcher.changed() => {}
                () = async { sleep_until(due.unwrap_or_else(tokio::time::Instant::now)).await }, if due.is_some() => {}
                Ok(()) = broker_state.changed() => {}
                Ok(()) = custody.changed() => {}
                () = no_more_frames.cancelled(), if !no_more_frames.is_cancelled() => {}
            }
        }
    }

    /// Whether somebody takes batches. While nobody does, one batch at a time finds out when somebody does again.
    fn is_taken(&self, is_broker_ready: bool, custody: Option<Custody>, is_idle: bool) -> bool {
        if !self.failover.has_queues() {
            return is_broker_ready;
        }
        match custody {
            Some(Custody::Refusing) => is_idle,
            Some(_) => true,
            None => is_broker_ready,
        }
    }

    /// Until somebody has the batch, or nobody ever will.
    async fn publish(&self, batcher: &Batcher, batch: Batch) -> Result<(), BrokerClosed> {
        let metrics = batcher.metrics();
        let (frames, opened_at) = (batch.builder.frames(), batch.opened_at);
        let id = batch.builder.id();
        let (body, spare) = pack(batch.builder, self.compression).await;
        spare.into_iter().for_each(|spare| batcher.give_back(spare));
        let message = Message {
            id: id.as_uuid(),
            exchange: Exchange::Received,
            routing_key: self.routing_key.clone(),
            content_type: PayloadKind::Raw.content_type(),
            body: body.into(),
            death: None,
        };
        let began = Instant::now();
        let mut pause = RETRY_PAUSE;
        loop {
            let failed = match self.attempt(&message).await {
                Ok(()) => {
                    crash_point("intake:confirmed");
                    batch.settler.confirm();
                    metrics.confirmed(frames, opened_at.elapsed());
                    return Ok(());
                }
                Err(failed) => failed,
            };
            let listener = batcher.listener();
            let mut is_rescue_due = true;
            match failed {
                Failed::Publish(PublishError::Closed) => return Err(BrokerClosed),
                Failed::Publish(error @ PublishError::TooLarge { .. }) => {
                    // Senders that can keep their frames are not answered: the settler is dropped.
                    tracing::error!(listener, %id, frames, %error, "batch given up: lower batch_bytes_max or frame_bytes_max");
                    metrics.too_large(frames);
                    return Ok(());
                }
                Failed::Publish(error @ PublishError::Unroutable { .. }) => {
                    metrics.retried("unroutable");
                    self.failover.refused(&error);
                    if let Some(held_back) = self.throttle.pass() {
                        tracing::error!(listener, %error, held_back, "batch not taken by the broker: run `logferry init`");
                    }
                }
                Failed::Publish(PublishError::ConnectionLost) => {
                    metrics.retried("publish");
                    is_rescue_due = began.elapsed() >= self.failover.patience();
                }
                Failed::Publish(error @ (PublishError::Nacked | PublishError::TimedOut { .. })) => {
                    metrics.retried("publish");
                    self.failover.refused(&error);
                }
                Failed::Away => metrics.retried("away"),
            }
            if is_rescue_due && let Some(queue) = self.rescue(&message).await {
                crash_point("intake:rescued");
                batch.settler.confirm();
                metrics.rescued(queue, frames);
                return Ok(());
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Publishes once, and waits for a broker that is away as long as our patience lasts.
    async fn attempt(&self, message: &Message) -> Result<(), Failed> {
        let publish = async {
            match &self.queue {
                None => self.publisher.publish(message).await?.await,
                Some(queue) => self.publisher.publish_to(queue, message).await?.await,
            }
        };
        // A publish that was made goes on without us; the broker may have the batch too then, with the same id.
        tokio::select! {
            biased;
            verdict = publish => verdict.map_err(Failed::Publish),
            () = self.failover.away(self.broker_state.clone()) => Err(Failed::Away),
        }
    }

    /// The name of the queue that has it now.
    async fn rescue(&self, message: &Message) -> Option<&'static str> {
        let batch = rescue::Batch {
            id: message.id,
            routing_key: message.routing_key.as_str().to_owned(),
            content_type: message.content_type.to_owned(),
            body: message.body.clone(),
        };
        match self.failover.push(&batch).await {
            Ok(queue) => Some(queue),
            Err(error) => {
                if self.failover.has_queues()
                    && let Some(held_back) = self.throttle.pass()
                {
                    tracing::error!(%error, held_back, "neither the broker nor a rescue queue takes a batch, trying again");
                }
                None
            }
        }
    }
}

/// Says what is left behind when publishing ends before its time.
struct GivenUp<'a>(&'a Batcher);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        let batches = self.0.unsettled();
        if batches > 0 {
            tracing::warn!(
                listener = self.0.listener(),
                batches,
                "ended with batches that nobody has taken; RELP senders keep theirs"
            );
        }
    }
}
