//! What is published: a message, and what is known about the death of a dead letter.

use bytes::Bytes;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::name::{Exchange, QueueName, RoutingKey};

/// Text about a death that is longer than this is cut: AMQP headers must fit into one frame.
const DEATH_TEXT_BYTES_MAX: usize = 4096;

/// One message to publish. A clone shares the body.
#[derive(Debug, Clone)]
pub struct Message {
    /// The batch id; consumers use it to do a thing once.
    pub id: Uuid,
    /// Where it is published.
    pub exchange: Exchange,
    /// Decides which queues get it.
    pub routing_key: RoutingKey,
    /// What the body is.
    pub content_type: &'static str,
    /// The payload. AMQP frames carry 65,528 bytes of it.
    pub body: Bytes,
    /// Why it is a dead letter, if it is one.
    pub death: Option<Death>,
}

/// A message on its way, ours or not: what is published, kept and delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) id: Option<Uuid>,
    /// The one queue that gets it; `None` for those that the exchange routes it to.
    pub(crate) queue: Option<QueueName>,
    pub(crate) exchange: Exchange,
    pub(crate) routing_key: String,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
    pub(crate) death: Option<Death>,
}

/// A message as it lies in the queue of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its batch id; `None` for a message that is not from us.
    pub id: Option<Uuid>,
    /// What the body says it is.
    pub content_type: Option<String>,
    /// The routing key it was dead-lettered with.
    pub routing_key: String,
    /// The payload.
    pub body: Bytes,
    /// Why it is a dead letter; `None` when nobody has said so in a way that we know.
    pub death: Option<Death>,
    /// `properties` and `headers` as the broker has them, for people. What is put back or buried has its own.
    pub headers: Map<String, Value>,
}

impl Letter {
    /// Whether it is known where it came from, so that it can be put back.
    #[must_use]
    pub fn has_way_back(&self) -> bool {
        let death = self.death.as_ref();
        death.is_some_and(|death| death.exchange != Exchange::Dead)
    }

    /// What goes back to where it came from, its id kept: to the queue if it came from a shipper's, so that the
    /// other shippers do not get it a second time; else to the exchange. `None` when that is not known.
    pub(crate) fn returned(&self) -> Option<Envelope> {
        let death = self
            .death
            .as_ref()
            .filter(|death| death.exchange != Exchange::Dead)?;
        let queue = match death.exchange {
            // From `parser` it never got as far as a queue of a shipper.
            Exchange::Parsed => QueueName::new(&death.queue)
                .ok()
                .filter(|queue| *queue != QueueName::parser()),
            Exchange::Received | Exchange::Dead => None,
        };
        Some(Envelope {
            id: self.id,
            queue,
            exchange: death.exchange,
            routing_key: death.routing_key.clone(),
            content_type: self.content_type.clone(),
            body: self.body.clone(),
            death: None,
        })
    }

    /// The same dead letter once more.
    pub(crate) fn buried(&self) -> Envelope {
        Envelope {
            id: self.id,
            queue: None,
            exchange: Exchange::Dead,
            routing_key: self.routing_key.clone(),
            content_type: self.content_type.clone(),
            body: self.body.clone(),
            death: self.death.clone(),
        }
    }
}

impl From<&Message> for Envelope {
    fn from(message: &Message) -> Self {
        Self {
            id: Some(message.id),
            queue: None,
            exchange: message.exchange,
            routing_key: message.routing_key.as_str().to_owned(),
            content_type: Some(message.content_type.to_owned()),
            body: message.body.clone(),
            death: message.death.clone(),
        }
    }
}

/// Why, where and when a message became a dead letter, and where it goes when it is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Which stage gave up on it; [`Death::BROKER_STAGE`] when the broker itself did.
    pub stage: String,
    /// The queue it came from.
    pub queue: String,
    /// The batch in which it came from there; for a single event another one than the dead letter itself.
    pub batch: Option<Uuid>,
    /// The place of a single event among the frames of its raw batch; `None` for a whole batch.
    pub position: Option<u32>,
    /// A short code, from a bounded set.
    pub reason: String,
    /// The same for people, with details. Cut at 4,096 bytes.
    pub text: String,
    /// When, in microseconds since 1970.
    pub at_micros: i64,
    /// How many times it was delivered.
    pub attempts: u32,
    /// The exchange it was published to at first.
    pub exchange: Exchange,
    /// The routing key it was published with at first.
    pub routing_key: String,
}

impl Death {
    /// The stage of messages that the broker itself dead-lettered.
    pub const BROKER_STAGE: &'static str = "broker";

    /// The reason of messages that were delivered too often without an ack: poison.
    pub const DELIVERY_LIMIT: &'static str = "delivery_limit";

    /// What is said about a message that was delivered too often.
    pub(crate) fn poison_text(queue: impl std::fmt::Display, attempts: u32) -> String {
        format!(
            "delivered {attempts} times from queue {queue} without an ack: whoever took it crashed or gave it back each time"
        )
    }

    /// `text`, cut where a character ends so that it fits into the headers.
    #[must_use]
    pub(crate) fn bounded_text(text: &str) -> &str {
        text.get(..text.floor_char_boundary(DEATH_TEXT_BYTES_MAX))
            .unwrap_or(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        let long = "ä".repeat(DEATH_TEXT_BYTES_MAX);
        assert_eq!(Death::bounded_text(&long).len(), DEATH_TEXT_BYTES_MAX);
        let odd = format!("x{long}");
        assert_eq!(Death::bounded_text(&odd).len(), DEATH_TEXT_BYTES_MAX - 1);
        assert_eq!(Death::bounded_text("short"), "short");
    }
}
