//! Consuming a queue.

use crate::{amqp, delivery::Delivery, embedded};

/// Deliveries of one queue, in order. Several consumers of a queue share its messages.
///
/// It goes on by itself after the connection was lost. Dropped, it gives back what it had not handed over;
/// deliveries that it did hand over can still be settled.
#[derive(Debug)]
pub struct Consumer {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Amqp(amqp::Subscriber),
    Embedded(embedded::Subscriber),
}

impl Consumer {
    pub(crate) fn amqp(subscriber: amqp::Subscriber) -> Self {
        Self {
            kind: Kind::Amqp(subscriber),
        }
    }

    pub(crate) fn embedded(subscriber: embedded::Subscriber) -> Self {
        Self {
            kind: Kind::Embedded(subscriber),
        }
    }

    /// The next delivery; `None` only after [`Self::stop`] or [`Broker::close`]. Cancel-safe: a delivery is
    /// either returned or kept for the next call.
    ///
    /// [`Broker::close`]: crate::Broker::close
    pub async fn next(&mut self) -> Option<Delivery> {
        match &mut self.kind {
            Kind::Amqp(subscriber) => subscriber.next().await,
            Kind::Embedded(subscriber) => subscriber.next().await,
        }
    }

    /// Takes no more deliveries. What was not handed over goes back to the queue; what was can still be settled.
    pub fn stop(&mut self) {
        match &mut self.kind {
            Kind::Amqp(subscriber) => subscriber.stop(),
            Kind::Embedded(subscriber) => subscriber.stop(),
        }
    }
}
