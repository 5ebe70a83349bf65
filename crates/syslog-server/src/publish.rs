//! Publishes the batches of one listener until the broker has confirmed them.

use std::time::Duration;

use broker::{BrokerState, Exchange, Message, PublishError, Publisher, RoutingKey};
use event::{Compression, PayloadKind};
use futures_util::{StreamExt, stream::FuturesUnordered};
use service::crash_point;
use tokio::{
    sync::watch,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use transport::Throttle;

use crate::{
    batch::{Batch, pack},
    batcher::{Batcher, Next},
};

/// How long a batch waits that no queue takes. Somebody has to declare the queues, which takes longer than any
/// hiccup of a network.
const UNROUTABLE_PAUSE: Duration = Duration::from_secs(1);

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
    pub(crate) compression: Compression,
    pub(crate) throttle: Throttle,
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
        let this = &self;
        let mut unconfirmed = FuturesUnordered::new();
        loop {
            match &*broker_state.borrow_and_update() {
                BrokerState::Closed => return Err(BrokerClosed),
                state => batcher.set_broker_ready(state.is_ready()),
            }
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
                () = no_more_frames.cancelled(), if !no_more_frames.is_cancelled() => {}
            }
        }
    }

    /// Until the broker has the batch, or never will.
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
        loop {
            let error = match self.publisher.deliver(&message).await {
                Ok(()) => {
                    crash_point("intake:confirmed");
                    batch.settler.confirm();
                    metrics.confirmed(frames, opened_at.elapsed());
                    return Ok(());
                }
                Err(error) => error,
            };
            let listener = batcher.listener();
            match error {
                PublishError::Closed => return Err(BrokerClosed),
                PublishError::TooLarge { .. } => {
                    // Senders that can keep their frames are not answered: the settler is dropped.
                    tracing::error!(listener, %id, frames, %error, "batch given up: lower batch_bytes_max or frame_bytes_max");
                    metrics.too_large(frames);
                    return Ok(());
                }
                PublishError::Unroutable { .. } => {
                    metrics.retried("unroutable");
                    if let Some(held_back) = self.throttle.pass() {
                        tracing::error!(listener, %error, held_back, "batch not taken, trying again: run `logferry init`");
                    }
                }
                PublishError::ConnectionLost | PublishError::Nacked | PublishError::TimedOut { .. } => {
                    metrics.retried("publish");
                }
            }
            sleep(UNROUTABLE_PAUSE).await;
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
                "ended with batches that the broker has not confirmed; RELP senders keep theirs"
            );
        }
    }
}
