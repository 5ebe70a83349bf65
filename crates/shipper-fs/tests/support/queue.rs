//! A shipper's queue on a real RabbitMQ, and batches for it. Both shippers test their process with it.

use std::{ops::Range, time::Duration};

use broker::{BindingKey, Broker, Exchange, Message, QueueName, RoutingKey, Topology};
use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, PayloadKind, Timestamp};
use settings::{Settings, Sources};
use testkit::RabbitVhost;

/// A vhost with one queue, which takes all routes.
pub(crate) struct Queue {
    pub(crate) vhost: RabbitVhost,
    pub(crate) broker: Broker,
}

impl Queue {
    pub(crate) async fn new(name: &str) -> Self {
        let vhost = testkit::rabbitmq();
        // A batch may be in the hands of many processes that are killed.
        let overrides = [("broker.url", vhost.url()), ("broker.delivery_limit", "1000")];
        let settings = Settings::from_sources(&Sources {
            overrides: overrides
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            ..Sources::default()
        });
        let broker = Broker::connect(&settings.unwrap().broker, "test").await.unwrap();
        broker.wait_ready(Duration::from_secs(120)).await.unwrap();
        let queue = QueueName::new(name).unwrap();
        let topology = Topology::new([(queue, vec![BindingKey::all()])]);
        broker.declare(&topology).await.unwrap();
        Self { vhost, broker }
    }

    /// A batch for each of the numbers, with the messages that `messages_of` makes of it; one host for every third batch.
    pub(crate) async fn publish<I: Iterator<Item = String>>(
        &self,
        batches: Range<usize>,
        messages_of: impl Fn(usize) -> I,
    ) {
        let publisher = self.broker.publisher(64);
        for number in batches {
            let (id, now) = (BatchId::mint(), Timestamp::now());
            let mut builder = EventBatchBuilder::new(id, id, "tcp", "default");
            let host = format!("h{}", number % 3);
            for (position, message) in (0..).zip(messages_of(number)) {
                let id = EventId::derive(id, position, now);
                let mut event = Event::received(id, position, now, "192.0.2.1:4000", "tcp");
                event.hostname = Some(host.as_str().into());
                event.message = Some(message.into());
                builder.push(&event);
            }
            let message = Message {
                id: id.as_uuid(),
                exchange: Exchange::Parsed,
                routing_key: RoutingKey::new("default").unwrap(),
                content_type: PayloadKind::Events.content_type(),
                body: builder.finish(Compression::Lz4).into(),
                death: None,
            };
            publisher.deliver(&message).await.unwrap();
        }
    }
}
