//! What a consumer gets, and the one disposition that each delivery ends in.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    amqp,
    counters::Counters,
    embedded,
    message::{Death, Envelope, Message},
    name::{Exchange, QueueName, RoutingKey},
};

/// A message that the broker has handed out and still holds. It ends in exactly one [`Disposition`]; one that
/// is dropped without is given back, with a warning.
#[derive(Debug)]
#[must_use = "a delivery must be settled"]
pub struct Delivery {
    /// The payload.
    pub body: Bytes,
    /// The batch id; `None` for a message that is not from us.
    pub id: Option<Uuid>,
    /// What the body says it is.
    pub content_type: Option<String>,
    /// Where it was published last; `None` for an exchange that is not ours.
    pub exchange: Option<Exchange>,
    /// The routing key it was published with last.
    pub routing_key: String,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How often it was delivered before and not acknowledged.
    pub delivery_count: u32,
    /// Why it is a dead letter, if it is one.
    pub death: Option<Death>,
    pub(crate) receipt: Receipt,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It is done: the next owner has it durably, or it was decided to drop it.
    Ack,
    /// It is given back, and delivered again, to anyone.
    Requeue,
    /// It cannot be processed: the whole body goes to `logferry.dead` with the reason, and then it is done.
    DeadLetter(DeadLetter),
}

/// Why a delivery cannot be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// A short code, from a bounded set. It is part of the dead letter's routing key, `<stage>.<reason>`.
    pub reason: &'static str,
    /// The same for people.
    pub text: String,
}

/// One event of a batch, as a batch of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLetter {
    /// The id of its own batch. It follows from the next two, so that the same event has the same letter.
    pub id: Uuid,
    /// The batch it was in.
    pub batch: Uuid,
    /// Its place among the frames of its raw batch.
    pub position: u32,
    /// What the body is.
    pub content_type: &'static str,
    /// Its own batch.
    pub body: Bytes,
}

/// The duty to settle one delivery.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) tag: u64,
    pub(crate) is_settled: bool,
    pub(crate) origin: Arc<Origin>,
}

/// What all deliveries of a consumer have in common.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) queue: QueueName,
    pub(crate) stage: &'static str,
    pub(crate) counters: Arc<Counters>,
    pub(crate) settler: Settler,
}

/// Who takes the dispositions.
#[derive(Debug)]
pub(crate) enum Settler {
    Amqp(amqp::Settler),
    Embedded(embedded::Settler),
}

impl Delivery {
    /// Ends the delivery. Returns when the disposition is on its way, and for a dead letter when it is safe;
    /// an ack that does not reach the broker only means that the message is delivered once more.
    pub async fn settle(mut self, disposition: Disposition) {
        let origin = Arc::clone(&self.receipt.origin);
        match disposition {
            Disposition::Ack => self.receipt.finish(Settlement::Ack),
            Disposition::Requeue => self.receipt.finish(Settlement::Requeue),
            Disposition::DeadLetter(letter) => match &origin.settler {
                Settler::Amqp(settler) => settler.dead_letter(self, letter).await,
                Settler::Embedded(settler) => settler.dead_letter(self, letter).await,
            },
        }
    }

    /// What goes to `logferry.dead`: the whole delivery, its id kept, so that putting it back repeats nothing.
    pub(crate) fn dead_letter(&self, letter: &DeadLetter) -> Envelope {
        Envelope {
            id: self.id,
            queue: None,
            exchange: Exchange::Dead,
            routing_key: format!("{}.{}", self.receipt.origin.stage, letter.reason),
            content_type: self.content_type.clone(),
            body: self.body.clone(),
            death: Some(self.death_of(letter, Exchange::Dead)),
        }
    }

    /// The dead letter of one event of this batch, to be published before the rest is settled.
    ///
    /// # Panics
    /// Never: stage and reason are plain words.
    #[must_use]
    pub fn event_letter(&self, event: EventLetter, letter: &DeadLetter) -> Message {
        let origin = &self.receipt.origin;
        let routing_key = format!("{}.{}", origin.stage, letter.reason);
        Message {
            id: event.id,
            exchange: Exchange::Dead,
            routing_key: RoutingKey::new(&routing_key).expect("two plain words"),
            content_type: event.content_type,
            body: event.body,
            death: Some(Death {
                batch: Some(event.batch),
                position: Some(event.position),
                ..self.death_of(letter, Exchange::Parsed)
            }),
        }
    }

    fn death_of(&self, letter: &DeadLetter, unknown: Exchange) -> Death {
        let origin = &self.receipt.origin;
        Death {
            stage: origin.stage.to_owned(),
            queue: origin.queue.to_string(),
            batch: self.id,
            position: None,
            reason: letter.reason.to_owned(),
            text: Death::bounded_text(&letter.text).to_owned(),
            at_micros: now_micros(),
            attempts: self.delivery_count.saturating_add(1),
            exchange: self.exchange.unwrap_or(unknown),
            routing_key: self.routing_key.clone(),
        }
    }

    /// The queue it came from.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.receipt.origin.queue
    }
}

/// The wall clock, in microseconds since 1970.
pub(crate) fn now_micros() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A disposition as the broker takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    Ack,
    Requeue,
}

impl Receipt {
    pub(crate) fn new(tag: u64, origin: Arc<Origin>) -> Self {
        origin.counters.delivered.add(1);
        origin.counters.unsettled.add(1);
        Self {
            tag,
            is_settled: false,
            origin,
        }
    }

    /// Marks it settled; somebody else passes the disposition on.
    pub(crate) fn take_over(&mut self) {
        if !self.is_settled {
            self.is_settled = true;
            self.origin.counters.unsettled.sub(1);
        }
    }

    pub(crate) fn finish(&mut self, settlement: Settlement) {
        if self.is_settled {
            return;
        }
        self.take_over();
        match &self.origin.settler {
            Settler::Amqp(settler) => settler.settle(&self.origin, self.tag, settlement),
            Settler::Embedded(settler) => settler.settle(&self.origin, self.tag, settlement),
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.is_settled {
            self.origin.counters.dropped_unsettled.add(1);
            tracing::warn!(queue = %self.origin.queue, stage = self.origin.stage, "delivery dropped without a disposition, giving it back");
            self.finish(Settlement::Requeue);
        }
    }
}
