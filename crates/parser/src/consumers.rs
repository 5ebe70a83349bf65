//! The queues of raw batches, and taking from all of them.

use std::time::Duration;

use broker::{Broker, BrowseError, ConsumeError, Consumer, Delivery, QueueName};
use futures_util::future::select_all;
use tokio::time::sleep;

use crate::STAGE;

/// No settings ask for more.
const QUEUES_MAX: usize = 64;
/// Pause before a broker that did not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A consumer of each queue.
#[derive(Debug)]
pub(crate) struct Consumers {
    consumers: Vec<Consumer>,
}

impl Consumers {
    /// Consumes the first `count` queues, and those beyond that are there from a time when there were more: what is in
    /// them is parsed too. All together have at most about `prefetch` deliveries unsettled.
    pub(crate) async fn start(broker: &Broker, count: usize, prefetch: u16) -> Result<Self, ConsumeError> {
        let mut queues: Vec<_> = QueueName::of_parser(count).collect();
        let mut consumers = Vec::new();
        // The first waits until the broker is there.
        for queue in &queues {
            consumers.push(broker.consume(queue, share(prefetch, count), STAGE).await?);
        }
        for queue in QueueName::of_parser(QUEUES_MAX).skip(count) {
            if !is_there(broker, &queue).await {
                break;
            }
            match broker.consume(&queue, share(prefetch, count), STAGE).await {
                Ok(consumer) => {
                    consumers.push(consumer);
                    queues.push(queue);
                }
                // Somebody has just deleted it.
                Err(ConsumeError::NoSuchQueue { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        for queue in &queues {
            tracing::info!(queue = queue.as_str(), "consuming");
        }
        Ok(Self { consumers })
    }

    /// The next delivery; those of a queue are in its order. `None` when the broker was closed. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        // A queue that always has something does not keep the others waiting.
        if self.consumers.len() > 1 {
            self.consumers.rotate_left(1);
        }
        let next = self
            .consumers
            .iter_mut()
            .map(|consumer| Box::pin(consumer.next()));
        // Those that are dropped keep what they have.
        let (delivery, _, _) = select_all(next).await;
        delivery
    }

    /// Takes no more deliveries.
    pub(crate) fn stop(&mut self) {
        self.consumers.iter_mut().for_each(Consumer::stop);
    }
}

fn share(prefetch: u16, count: usize) -> u16 {
    let count = u16::try_from(count.max(1)).unwrap_or(u16::MAX);
    prefetch.div_ceil(count)
}

async fn is_there(broker: &Broker, queue: &QueueName) -> bool {
    loop {
        match broker.fill(queue).await {
            Ok(_) => return true,
            Err(BrowseError::NoSuchQueue { .. } | BrowseError::Closed) => return false,
            Err(error @ (BrowseError::Unavailable { .. } | BrowseError::Lost { .. })) => {
                tracing::debug!(%error, %queue, "whether a queue is there is not known");
                sleep(RETRY_PAUSE).await;
            }
        }
    }
}
