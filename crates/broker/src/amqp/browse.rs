//! Looking at the messages of a queue on RabbitMQ, which can only deliver them: they are held without an answer
//! until the channel is closed.
//!
//! What was measured on a quorum queue of RabbitMQ 3.10: when the channel or its connection ends, however it
//! ends, what one consumer held goes back to its old place, in order, and counts as delivered once more. What
//! several consumers of the channel held goes back consumer by consumer, in any order of these; a `nack` of each
//! message mixes them up altogether. So one consumer holds as many as memory allows.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::{
    Channel,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};

use crate::{
    amqp::{
        endpoint::{Session, has_no_queue},
        headers,
        look::lost,
        shown,
    },
    browser::{Fill, Place},
    error::BrowseError,
    message::Letter,
    name::QueueName,
};

/// Messages asked for at a time. They may all be in memory when whoever looks at them is slow: 512 MiB of full
/// batches. A queue with more than these keeps the order within each so many.
const WINDOW: u16 = 4096;
/// A message that does not come within this is held by somebody else.
const PATIENCE: Duration = Duration::from_secs(10);
/// Gets before the goodbye: two are needed, and one more costs nothing.
const FLUSH_GETS: usize = 3;
/// How long goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Browser {
    channel: Channel,
    // Kept while the channel is used.
    _session: Arc<Session>,
    queue: QueueName,
    delivery_limit: u32,
    windows: u32,
    consumer: Option<lapin::Consumer>,
    /// How many this window may still give before the next one is opened.
    left: u16,
}

/// How many messages wait in `queue`, and who consumes it.
pub(crate) async fn fill(channel: &Channel, queue: &QueueName) -> Result<Fill, BrowseError> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel
        .queue_declare(queue.as_str().into(), options, FieldTable::default())
        .await;
    match declared {
        Ok(found) => Ok(Fill {
            ready: u64::from(found.message_count()),
            bytes: None,
            consumers: found.consumer_count(),
        }),
        Err(error) if has_no_queue(&error, queue) => Err(BrowseError::NoSuchQueue { queue: queue.clone() }),
        Err(error) => Err(lost(&error)),
    }
}

impl Browser {
    pub(crate) fn new(
        channel: Channel,
        session: Arc<Session>,
        queue: QueueName,
        delivery_limit: u32,
    ) -> Self {
        Self {
            channel,
            _session: session,
            queue,
            delivery_limit,
            windows: 0,
            consumer: None,
            left: 0,
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<(Place, Letter)>, BrowseError> {
        loop {
            let consumer = match &mut self.consumer {
                Some(consumer) => consumer,
                None => {
                    let consumer = self.open_window().await?;
                    self.left = WINDOW;
                    self.consumer.insert(consumer)
                }
            };
            let delivery = match tokio::time::timeout(PATIENCE, consumer.next()).await {
                Ok(Some(delivery)) => delivery.map_err(|error| lost(&error))?,
                // It was cancelled, and everything from before that is here.
                Ok(None) if self.channel.status().connected() => {
                    if self.left > 0 {
                        let problem = "the broker cancelled the consumer: was the queue deleted?".into();
                        return Err(BrowseError::Lost { problem });
                    }
                    self.consumer = None;
                    continue;
                }
                Ok(None) => {
                    let problem = "the connection was lost".into();
                    return Err(BrowseError::Lost { problem });
                }
                Err(_elapsed) => return Ok(None),
            };
            // Removing makes room, in which this window would go on one by one. What came before the end is given.
            if self.left == 1 {
                self.channel
                    .basic_cancel(consumer.tag(), BasicCancelOptions::default())
                    .await
                    .map_err(|error| lost(&error))?;
            }
            self.left = self.left.saturating_sub(1);
            let properties = &delivery.properties;
            let letter = Letter {
                id: headers::id(properties),
                content_type: properties.content_type().as_ref().map(ToString::to_string),
                routing_key: delivery.routing_key.to_string(),
                death: headers::death(properties, self.delivery_limit),
                headers: shown::all(properties),
                body: Bytes::from(delivery.data),
            };
            return Ok(Some((Place(delivery.delivery_tag), letter)));
        }
    }

    async fn open_window(&mut self) -> Result<lapin::Consumer, BrowseError> {
        let options = BasicQosOptions { global: false };
        self.channel
            .basic_qos(WINDOW, options)
            .await
            .map_err(|error| lost(&error))?;
        self.windows += 1;
        let tag = format!("look-{:05}", self.windows);
        let options = BasicConsumeOptions {
            no_local: false,
            no_ack: false,
            exclusive: false,
            nowait: false,
        };
        self.channel
            .basic_consume(
                self.queue.as_str().into(),
                tag.into(),
                options,
                FieldTable::default(),
            )
            .await
            .map_err(|error| lost(&error))
    }

    /// A channel of RabbitMQ keeps acks back while more than some 32 commands to a quorum queue are under way, and
    /// forgets them when it is closed: seen on 3.10 as removed messages that were there again. A get is answered by the
    /// queue when it has what was sent before; the acks kept back are sent then, and the second get waits for those.
    /// What a get finds goes back with the rest.
    async fn flush_removals(&self) -> lapin::Result<()> {
        for _ in 0..FLUSH_GETS {
            let options = BasicGetOptions { no_ack: false };
            self.channel
                .basic_get(self.queue.as_str().into(), options)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn remove(&self, places: &[Place]) -> Result<(), BrowseError> {
        for place in places {
            self.channel
                .basic_ack(place.0, BasicAckOptions { multiple: false })
                .await
                .map_err(|error| lost(&error))?;
        }
        Ok(())
    }

    /// Ends when the queue has every removal before.
    pub(crate) async fn close(self) -> Result<(), BrowseError> {
        let close = async {
            self.flush_removals().await?;
            self.channel.close(200, "closed".into()).await
        };
        match tokio::time::timeout(CLOSE_TIMEOUT, close).await {
            Ok(closed) => closed.map_err(|error| lost(&error)),
            Err(_elapsed) => Err(BrowseError::Lost {
                problem: format!("the broker gave no answer within {CLOSE_TIMEOUT:?}"),
            }),
        }
    }
}
