//! Publishes what came of each raw batch, in the order of the deliveries, and settles them.

use std::sync::Arc;

use broker::{
    Confirm, DeadLetter, Death, Delivery, Disposition, Exchange, Message, PublishError, Publisher, QueueName,
    RoutingKey,
};
use event::Timestamp;
use parking_lot::Mutex;
use service::{Holding, crash_point};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    STAGE,
    meters::Meters,
    outputs::Output,
    parking::{Lane, Taken},
    pool::Outcome,
    throttle::Throttle,
    worker::Parsed,
};

/// A delivery, and what will come of it.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) delivery: Delivery,
    pub(crate) parsed: oneshot::Receiver<Outcome>,
    /// How old the batch is, until the delivery is settled.
    pub(crate) age: Option<Holding>,
}

/// The way out.
#[derive(Debug)]
pub(crate) struct Outlet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    publisher: Publisher,
    meters: Meters,
    /// The drain ran out of time: what is unfinished goes back.
    give_up: CancellationToken,
    /// Shippers that get their batches by a publish of their own.
    lanes: Vec<Lane>,
    unroutable_log: Mutex<Throttle>,
}

/// An output on its way.
struct Sent {
    /// To the exchange, or to the one queue that is to get it; `None` where that queue has a lane.
    publish: Option<Result<Confirm, PublishError>>,
    /// To the lanes of these numbers.
    taken: Vec<(usize, Taken)>,
}

/// What becomes of the delivery; of several outputs the worst decides, and the order here is from good to bad.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The broker has the output, here or among the dead letters.
    Secured,
    /// No broker will ever take the output.
    Refused(String),
    /// It must be done again by somebody else.
    GivenUp,
}

impl Outlet {
    pub(crate) fn new(
        publisher: Publisher,
        meters: Meters,
        give_up: CancellationToken,
        lanes: Vec<Lane>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                publisher,
                meters,
                give_up,
                lanes,
                unroutable_log: Mutex::default(),
            }),
        }
    }

    /// Until the sender is gone and all is settled.
    pub(crate) async fn run(self, mut ordered: mpsc::Receiver<InFlight>) {
        let mut settling = JoinSet::new();
        while let Some(InFlight {
            delivery,
            parsed,
            age,
        }) = ordered.recv().await
        {
            let outcome = tokio::select! {
                outcome = parsed => outcome.unwrap_or(Outcome::Panicked),
                () = self.shared.give_up.cancelled() => {
                    self.shared.settle(delivery, Disposition::Requeue).await;
                    continue;
                }
            };
            let shared = Arc::clone(&self.shared);
            match outcome {
                Outcome::Parsed(parsed) => {
                    shared.meters.parsed(&parsed);
                    let only = only_queue(&delivery);
                    let mut publishes = Vec::with_capacity(parsed.outputs.len());
                    for output in &parsed.outputs {
                        publishes.push(shared.send(&output.message, only.as_ref()).await);
                    }
                    settling.spawn(async move {
                        shared.finish(delivery, parsed, publishes, only.as_ref()).await;
                        drop(age);
                    });
                }
                Outcome::Undecodable(error) => {
                    let text = error.to_string();
                    settling.spawn(async move { shared.dead_letter(delivery, "undecodable", text).await });
                }
                Outcome::Panicked => {
                    // Whoever parses it next panics as well.
                    let text = "parsing it panicked, which is a bug in Logferry".to_owned();
                    settling.spawn(async move { shared.dead_letter(delivery, "panic", text).await });
                }
            }
            while let Some(settled) = settling.try_join_next() {
                check(settled);
            }
        }
        while let Some(settled) = settling.join_next().await {
            check(settled);
        }
    }
}

/// The one queue that gets what comes of a dead letter which was parsed again: the others have its events.
fn only_queue(delivery: &Delivery) -> Option<QueueName> {
    let received = delivery.exchange == Some(Exchange::Received);
    received
        .then(|| QueueName::only_of(&delivery.routing_key))
        .flatten()
}

/// A panic while settling is a bug; the delivery's guard has given it back, and the others go on.
fn check(settled: Result<(), JoinError>) {
    if let Err(error) = settled {
        tracing::error!(%error, "settling a batch failed");
    }
}

impl Shared {
    async fn send(&self, message: &Message, only: Option<&QueueName>) -> Sent {
        self.meters.published(message.body.len());
        let mut taken = Vec::new();
        let route = message.routing_key.as_str();
        let takes = |lane: &Lane| match only {
            Some(queue) => lane.queue() == queue.as_str(),
            None => lane.takes(route),
        };
        for (index, lane) in self.lanes.iter().enumerate().filter(|(_, lane)| takes(lane)) {
            tokio::select! {
                sent = lane.put(message.clone()) => taken.push((index, sent)),
                () = self.give_up.cancelled() => break,
            }
        }
        let publish = match only {
            Some(_) if !taken.is_empty() => None,
            only => Some(self.publish(message, only).await),
        };
        Sent { publish, taken }
    }

    async fn publish(&self, message: &Message, only: Option<&QueueName>) -> Result<Confirm, PublishError> {
        let publish = async {
            match only {
                Some(queue) => self.publisher.publish_to(queue, message).await,
                None => self.publisher.publish(message).await,
            }
        };
        tokio::select! {
            confirm = publish => confirm,
            () = self.give_up.cancelled() => Err(PublishError::Closed),
        }
    }

    /// Sees each output through, then settles the delivery.
    async fn finish(
        &self,
        delivery: Delivery,
        parsed: Box<Parsed>,
        publishes: Vec<Sent>,
        only: Option<&QueueName>,
    ) {
        let mut fate = Fate::Secured;
        for (output, Sent { publish, taken }) in parsed.outputs.iter().zip(publishes) {
            let verdict = match publish {
                Some(Ok(confirm)) => tokio::select! {
                    verdict = confirm => verdict,
                    () = self.give_up.cancelled() => Err(PublishError::Closed),
                },
                Some(Err(error)) => Err(error),
                None => Ok(()),
            };
            // A shipper with a lane has no binding; then there may be no other queue.
            let verdict = match verdict {
                Err(PublishError::Unroutable { .. }) if !taken.is_empty() => Ok(()),
                verdict => verdict,
            };
            fate = fate.max(self.secure(output, verdict, &delivery, only).await);
            for (index, taken) in taken {
                fate = fate.max(self.follow(output, index, taken, &delivery).await);
            }
        }
        match fate {
            Fate::Secured => {
                for (reason, events) in &parsed.dropped {
                    self.meters.stage.dropped(reason, *events);
                }
                crash_point("parser:confirmed");
                self.settle(delivery, Disposition::Ack).await;
            }
            Fate::Refused(text) => self.dead_letter(delivery, "too_large", text).await,
            Fate::GivenUp => self.settle(delivery, Disposition::Requeue).await,
        }
    }

    /// Does what the verdict on an output demands, until the output is safe or it is clear that it will not be.
    async fn secure(
        &self,
        output: &Output,
        mut verdict: Result<(), PublishError>,
        delivery: &Delivery,
        only: Option<&QueueName>,
    ) -> Fate {
        loop {
            match verdict {
                Ok(()) => {
                    let route = output.message.routing_key.as_str();
                    self.meters.sent(route, output.events);
                    return Fate::Secured;
                }
                // The raw batch stays ours meanwhile: given back, a full queue would use up its deliveries and make
                // a dead letter of it.
                Err(
                    error @ (PublishError::ConnectionLost
                    | PublishError::Nacked
                    | PublishError::TimedOut { .. }),
                ) => {
                    self.meters.stage.retried(error.code(), 1);
                    verdict = self.deliver(&output.message, only).await;
                }
                Err(PublishError::Unroutable { .. }) => {
                    let route = output.message.routing_key.as_str();
                    let (queue, text) = match only {
                        Some(queue) => (queue.clone(), no_queue(queue.as_str())),
                        None => (
                            QueueName::parser(),
                            format!("no queue takes events of route {route:?}"),
                        ),
                    };
                    return self.bury(output, delivery, queue.as_str(), text).await;
                }
                Err(error @ PublishError::TooLarge { .. }) => return Fate::Refused(error.to_string()),
                Err(PublishError::Closed) => return Fate::GivenUp,
            }
        }
    }

    /// Sees the copy of an output through that a lane has taken.
    async fn follow(&self, output: &Output, index: usize, taken: Taken, delivery: &Delivery) -> Fate {
        let verdict = tokio::select! {
            verdict = taken => verdict.unwrap_or(Err(PublishError::Closed)),
            () = self.give_up.cancelled() => Err(PublishError::Closed),
        };
        match verdict {
            Ok(()) => Fate::Secured,
            Err(PublishError::Unroutable { .. }) => {
                let queue = self.lanes.get(index).map_or("", Lane::queue);
                self.bury(output, delivery, queue, no_queue(queue)).await
            }
            Err(error @ PublishError::TooLarge { .. }) => Fate::Refused(error.to_string()),
            Err(
                PublishError::Closed
                | PublishError::ConnectionLost
                | PublishError::Nacked
                | PublishError::TimedOut { .. },
            ) => Fate::GivenUp,
        }
    }

    async fn deliver(&self, message: &Message, only: Option<&QueueName>) -> Result<(), PublishError> {
        let deliver = async {
            match only {
                Some(queue) => self.publisher.deliver_to(queue, message).await,
                None => self.publisher.deliver(message).await,
            }
        };
        tokio::select! {
            verdict = deliver => verdict,
            () = self.give_up.cancelled() => Err(PublishError::Closed),
        }
    }

    /// Puts events for which there is no queue among the dead letters.
    async fn bury(&self, output: &Output, delivery: &Delivery, queue: &str, text: String) -> Fate {
        const REASON: &str = "unroutable";
        let route = output.message.routing_key.as_str();
        if let Some(events) = self.unroutable_log.lock().pass(output.events) {
            tracing::warn!(
                route,
                events,
                "no shipper takes events of a route; they go to the dead letters"
            );
        }
        let message = Message {
            exchange: Exchange::Dead,
            routing_key: RoutingKey::new(&format!("{STAGE}.{REASON}")).expect("two words"),
            death: Some(Death {
                stage: STAGE.to_owned(),
                queue: queue.to_owned(),
                batch: delivery.id,
                position: None,
                reason: REASON.to_owned(),
                text,
                at_micros: Timestamp::now().as_micros(),
                attempts: delivery.delivery_count.saturating_add(1),
                exchange: output.message.exchange,
                routing_key: route.to_owned(),
            }),
            ..output.message.clone()
        };
        match self.deliver(&message, None).await {
            Ok(()) => {
                self.meters.stage.dead_lettered(REASON, output.events);
                Fate::Secured
            }
            Err(error @ (PublishError::Unroutable { .. } | PublishError::TooLarge { .. })) => {
                Fate::Refused(error.to_string())
            }
            Err(
                PublishError::Closed
                | PublishError::ConnectionLost
                | PublishError::Nacked
                | PublishError::TimedOut { .. },
            ) => Fate::GivenUp,
        }
    }

    async fn dead_letter(&self, delivery: Delivery, reason: &'static str, text: String) {
        tracing::error!(reason, text, "a raw batch goes to the dead letters");
        self.meters.stage.dead_lettered(reason, 1);
        self.settle(delivery, Disposition::DeadLetter(DeadLetter { reason, text }))
            .await;
    }

    async fn settle(&self, delivery: Delivery, disposition: Disposition) {
        delivery.settle(disposition).await;
        self.meters.stage.settled(1);
    }
}

fn no_queue(queue: &str) -> String {
    format!("there is no queue {queue}: `logferry init` declares it")
}

#[cfg(test)]
mod tests;
