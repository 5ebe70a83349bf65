//! Returns the batches of one rescue queue, round by round.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use broker::{Broker, BrokerState, Death, Exchange, Message, PublishError, Publisher, RoutingKey};
use event::PayloadKind;
use futures_util::future::join_all;
use rescue::{Batch, Claimed, Damaged, Queue, Receipt};
use service::crash_point;
use settings::CollectorSettings;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{STAGE, metrics::QueueMetrics, pace::Pace};

/// The reason of dead letters, for what is no batch any more.
const DAMAGED: &str = "damaged";

/// The pause after a round in which the broker took nothing.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// What a dead letter without a batch id gets its id from, with its place.
const DEAD_IDS: Uuid = Uuid::from_u128(0x5c1e_0f5a_88a4_4f0e_9a51_9d3c_0a0d_7b11);

/// Returns the batches of one queue.
#[derive(Debug)]
pub(crate) struct Returner {
    pub(crate) queue: Queue,
    pub(crate) broker: Broker,
    pub(crate) publisher: Publisher,
    pub(crate) settings: CollectorSettings,
    pub(crate) metrics: Arc<QueueMetrics>,
    pub(crate) stop: CancellationToken,
}

/// What became of a claimed entry.
enum Outcome {
    /// The broker has it.
    Done(Receipt),
    /// The broker has not taken it.
    Failed(Receipt),
    /// The broker will not take it: it stays claimed, so that it is tried again when the claim is over.
    Kept,
}

impl Returner {
    /// Works until the stop, and finishes the round that it is in.
    pub(crate) async fn run(self) {
        let mut pace = Pace::new(self.settings.bytes_per_second_max);
        let mut last_problem = None;
        // A queue that is about to be opened is no problem yet.
        let mut state = self.queue.state();
        if !state.borrow().is_ready() {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = state.changed() => {}
                () = sleep(self.settings.poll_interval) => {}
            }
        }
        while !self.stop.is_cancelled() {
            let next_round = async {
                self.broker_is_ready().await;
                pace.ready().await;
            };
            // Cancel-safe: nothing is claimed yet.
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = next_round => {}
            }
            let claimed = self
                .queue
                .claim(usize::from(self.settings.prefetch), self.settings.claim_timeout)
                .await;
            let pause = match claimed {
                Ok(claimed) if claimed.is_empty() => Some(self.settings.poll_interval),
                Ok(claimed) => {
                    last_problem = None;
                    pace.spend(claimed.iter().map(|claimed| claimed.receipt.size()).sum());
                    self.round(claimed).await
                }
                Err(error) => {
                    // Said once, and again when it is something else.
                    if last_problem.as_ref() != Some(&error) {
                        tracing::warn!(%error, queue = self.queue.name(), "rescue queue cannot be read, trying again");
                    }
                    last_problem = Some(error);
                    Some(self.settings.poll_interval)
                }
            };
            if let Some(pause) = pause {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = sleep(pause) => {}
                }
            }
        }
    }

    async fn broker_is_ready(&self) {
        let mut state = self.broker.state();
        if state.wait_for(BrokerState::is_ready).await.is_err() {
            // The broker is closed, and the stop is near.
            std::future::pending::<()>().await;
        }
    }

    /// Publishes, and only then removes. Returns a pause when the broker took nothing.
    async fn round(&self, claimed: Vec<Claimed>) -> Option<Duration> {
        let count = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        self.metrics.stage.taken(count);
        let outcomes = join_all(claimed.into_iter().map(|claimed| self.put_back(claimed))).await;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome {
                Outcome::Done(receipt) => done.push(receipt),
                Outcome::Failed(receipt) => failed.push(receipt),
                Outcome::Kept => {}
            }
        }
        crash_point("collector:confirmed");
        if let Err(error) = self.queue.remove(&done).await {
            // They come again when their claim is over, with the same ids.
            tracing::warn!(%error, queue = self.queue.name(), batches = done.len(), "returned batches not removed");
        }
        if let Err(error) = self.queue.release(&failed).await {
            tracing::debug!(%error, queue = self.queue.name(), "claims not released, they end by themselves");
        }
        self.metrics.stage.settled(count);
        (done.is_empty()).then_some(FAILED_PAUSE)
    }

    async fn put_back(&self, claimed: Claimed) -> Outcome {
        let Claimed { receipt, content } = claimed;
        let message = content.and_then(message);
        let is_dead = message.is_err();
        let message = message.unwrap_or_else(|damaged| self.dead_letter(&receipt, damaged));
        let published = async { self.publisher.publish(&message).await?.await };
        match published.await {
            Ok(()) if is_dead => {
                self.metrics.dead_lettered(DAMAGED);
                Outcome::Done(receipt)
            }
            Ok(()) => {
                self.metrics.returned(receipt.size());
                Outcome::Done(receipt)
            }
            Err(error @ (PublishError::TooLarge { .. } | PublishError::Unroutable { .. })) => {
                self.metrics.stage.retried(error.code(), 1);
                tracing::error!(%error, id = %message.id, queue = self.queue.name(),
                    "batch stays in the rescue queue, it is tried again after collector.claim_timeout");
                Outcome::Kept
            }
            Err(error) => {
                self.metrics.stage.retried(error.code(), 1);
                Outcome::Failed(receipt)
            }
        }
    }

    fn dead_letter(&self, receipt: &Receipt, damaged: Damaged) -> Message {
        let queue = format!("rescue-{}", self.queue.name());
        tracing::error!(queue, place = %receipt, %damaged, "entry goes to the dead letters");
        let place = format!("{queue}:{receipt}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Message {
            // The same for each attempt, so that a second one is told from a second entry.
            id: Uuid::new_v5(&damaged.id.unwrap_or(DEAD_IDS), place.as_bytes()),
            exchange: Exchange::Dead,
            routing_key: RoutingKey::new(&format!("{STAGE}.{DAMAGED}")).expect("two words"),
            content_type: PayloadKind::Raw.content_type(),
            death: Some(Death {
                stage: STAGE.to_owned(),
                queue,
                batch: damaged.id,
                position: None,
                reason: DAMAGED.to_owned(),
                text: damaged.to_string(),
                at_micros: i64::try_from(now.as_micros()).unwrap_or(i64::MAX),
                attempts: 1,
                exchange: Exchange::Received,
                routing_key: "rescue".to_owned(),
            }),
            body: damaged.body,
        }
    }
}

/// The message that intake would have published.
fn message(batch: Batch) -> Result<Message, Damaged> {
    let content_type = PayloadKind::Raw.content_type();
    let damaged = |problem: String, batch: &Batch| Damaged {
        problem,
        id: Some(batch.id),
        body: batch.body.clone(),
    };
    if batch.content_type != content_type {
        let problem = format!(
            "its content type is {:?}, which is no raw batch",
            batch.content_type
        );
        return Err(damaged(problem, &batch));
    }
    match RoutingKey::new(&batch.routing_key) {
        Ok(routing_key) => Ok(Message {
            id: batch.id,
            exchange: Exchange::Received,
            routing_key,
            content_type,
            body: batch.body,
            death: None,
        }),
        Err(error) => Err(damaged(error.to_string(), &batch)),
    }
}
