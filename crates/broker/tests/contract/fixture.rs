//! The two kinds of broker behind one set of handles.

use std::{path::PathBuf, time::Duration};

use broker::{
    BindingKey, Broker, Consumer, Delivery, Disposition, Exchange, Message, QueueName, RoutingKey, Topology,
};
use settings::{AmqpSettings, BrokerSettings, Secret};
use testkit::{RabbitMq, RabbitVhost};
use uuid::Uuid;

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Fixture {
    place: Place,
    pub(crate) queue_bytes_max: u64,
    pub(crate) delivery_limit: u32,
    pub(crate) confirm_timeout: Duration,
}

enum Place {
    Embedded(tempfile::TempDir),
    Shared(RabbitVhost),
    Private(RabbitMq),
}

impl Fixture {
    pub(crate) fn embedded() -> Self {
        Self::new(Place::Embedded(tempfile::tempdir().unwrap()))
    }

    /// A vhost of its own, on a server of its own for tests that break it.
    pub(crate) async fn rabbitmq(is_private: bool) -> Self {
        Self::new(if is_private {
            Place::Private(RabbitMq::start_private().await)
        } else {
            Place::Shared(tokio::task::spawn_blocking(testkit::rabbitmq).await.unwrap())
        })
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            queue_bytes_max: 64 << 20,
            delivery_limit: 3,
            confirm_timeout: Duration::from_secs(30),
        }
    }

    pub(crate) fn settings(&self) -> BrokerSettings {
        let (queue_bytes_max, delivery_limit) = (self.queue_bytes_max, self.delivery_limit);
        let url = match &self.place {
            Place::Embedded(dir) => {
                return BrokerSettings::Embedded {
                    dir: dir.path().into(),
                    queue_bytes_max,
                    delivery_limit,
                };
            }
            Place::Shared(vhost) => vhost.url().to_owned(),
            Place::Private(server) => server.url(),
        };
        BrokerSettings::Amqp(AmqpSettings {
            url: Secret::new(url),
            tls_ca_file: None,
            management_url: None,
            connect_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            reconnect_backoff_max: Duration::from_millis(500),
            confirm_timeout: self.confirm_timeout,
            queue_bytes_max,
            delivery_limit,
        })
    }

    /// A connected broker with the queues of [`topology`].
    pub(crate) async fn open(&self) -> Broker {
        let broker = Broker::connect(&self.settings(), "contract test").await.unwrap();
        broker.wait_ready(DEADLINE).await.unwrap();
        broker.declare(&topology()).await.unwrap();
        broker
    }

    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.place, Place::Embedded(_))
    }

    /// The server that only this test uses; `None` for the embedded broker.
    pub(crate) fn server(&self) -> Option<&RabbitMq> {
        match &self.place {
            Place::Private(server) => Some(server),
            Place::Embedded(_) => None,
            Place::Shared(_) => panic!("this test needs a server of its own"),
        }
    }

    /// The queue file of the embedded broker.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Embedded(dir) => Some(dir.path().join("queues.sqlite")),
            Place::Shared(_) | Place::Private(_) => None,
        }
    }
}

/// `parser`, `dead`, `store` (routes `default` and `audit.#`) and `files` (route `default`).
pub(crate) fn topology() -> Topology {
    let key = |text| BindingKey::new(text).unwrap();
    Topology::new([
        (store(), vec![key("default"), key("audit.#")]),
        (files(), vec![key("default")]),
    ])
}

pub(crate) fn store() -> QueueName {
    QueueName::new("store").unwrap()
}

pub(crate) fn files() -> QueueName {
    QueueName::new("files").unwrap()
}

pub(crate) fn message(exchange: Exchange, routing_key: &str, body: impl Into<Vec<u8>>) -> Message {
    Message {
        id: Uuid::now_v7(),
        exchange,
        routing_key: RoutingKey::new(routing_key).unwrap(),
        content_type: "text/plain",
        body: body.into().into(),
        death: None,
    }
}

/// For the queue `parser`.
pub(crate) fn received(body: impl Into<Vec<u8>>) -> Message {
    message(Exchange::Received, "syslog.tcp", body)
}

/// Publishes numbers as text to the queue `parser`, confirmed, in order.
pub(crate) async fn publish_numbers(broker: &Broker, numbers: std::ops::Range<usize>) {
    let publisher = broker.publisher(64);
    let mut confirms = Vec::new();
    for number in numbers {
        confirms.push(publisher.publish(&received(number.to_string())).await.unwrap());
    }
    for confirm in confirms {
        confirm.await.unwrap();
    }
}

pub(crate) fn number(delivery: &Delivery) -> usize {
    std::str::from_utf8(&delivery.body).unwrap().parse().unwrap()
}

pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    tokio::time::timeout(DEADLINE, consumer.next())
        .await
        .expect("a delivery was due")
        .expect("the broker is open")
}

pub(crate) async fn parser(broker: &Broker, prefetch: u16) -> Consumer {
    broker
        .consume(&QueueName::parser(), prefetch, "parser")
        .await
        .unwrap()
}

/// Takes and acknowledges numbers until `count` were seen.
pub(crate) async fn take_numbers(consumer: &mut Consumer, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let delivery = next(consumer).await;
        numbers.push(number(&delivery));
        delivery.settle(Disposition::Ack).await;
    }
    numbers
}
