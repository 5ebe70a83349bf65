//! A parser on a broker of its own, and what comes out of it.

use std::time::Duration;

use broker::{BindingKey, Broker, Delivery, Disposition, Exchange, Message, QueueName, RoutingKey, Topology};
use event::{BatchId, Compression, EventBatch, FrameDefects, PayloadKind, RawBatchBuilder, Timestamp};
use service::{Context, StageCounters};
use settings::{AmqpSettings, BrokerSettings, ProgramSettings, Secret, Settings};
use tempfile::TempDir;
use testkit::{RabbitVhost, eventually};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
pub(crate) const BYTES_MAX: usize = 1 << 24;

/// Which broker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Embedded,
    RabbitMq,
}

/// A broker with a queue `out` that takes the routes `default` and `audit`, and settings for a parser on it.
pub(crate) struct Bench {
    _dir: TempDir,
    _vhost: Option<RabbitVhost>,
    pub(crate) broker: Broker,
    pub(crate) settings: Settings,
}

pub(crate) struct Running {
    pub(crate) task: JoinHandle<anyhow::Result<()>>,
    pub(crate) ctx: Context,
    pub(crate) counters: StageCounters,
}

/// What is in an event batch, for comparisons.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Out {
    pub(crate) id: Uuid,
    pub(crate) key: String,
    pub(crate) events: Vec<(Uuid, Option<String>)>,
}

pub(crate) fn name(text: &str) -> QueueName {
    QueueName::new(text).unwrap()
}

impl Bench {
    pub(crate) async fn new(kind: Kind, programs: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let mut settings = Settings::default();
        let (queue_bytes_max, delivery_limit) = (1 << 30, 20);
        let vhost = match kind {
            Kind::Embedded => {
                settings.broker = BrokerSettings::Embedded {
                    dir: dir.path().to_owned(),
                    queue_bytes_max,
                    delivery_limit,
                };
                None
            }
            Kind::RabbitMq => {
                let vhost = testkit::rabbitmq();
                settings.broker = BrokerSettings::Amqp(AmqpSettings {
                    url: Secret::new(vhost.url().to_owned()),
                    tls_ca_file: None,
                    management_url: None,
                    connect_timeout: Duration::from_secs(5),
                    heartbeat: Duration::from_secs(10),
                    reconnect_backoff_max: Duration::from_secs(1),
                    confirm_timeout: Duration::from_secs(30),
                    queue_bytes_max,
                    delivery_limit,
                });
                Some(vhost)
            }
        };
        settings.parser.threads = 2;
        settings.parser.programs = programs
            .iter()
            .enumerate()
            .map(|(index, source)| ProgramSettings {
                name: format!("program{index}"),
                origin: format!("program{index}.vrl"),
                source: (*source).to_owned(),
            })
            .collect();
        let broker = Broker::connect(&settings.broker, "test").await.unwrap();
        broker.wait_ready(DEADLINE).await.unwrap();
        let keys = ["default", "audit"].map(|key| BindingKey::new(key).unwrap());
        broker
            .declare(&Topology::new([(name("out"), keys.to_vec())]))
            .await
            .unwrap();
        Self {
            _dir: dir,
            _vhost: vhost,
            broker,
            settings,
        }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with_grace(DEADLINE)
    }

    pub(crate) fn start_with_grace(&self, grace: Duration) -> Running {
        let ctx = Context::new(grace);
        let counters = StageCounters::new(&ctx.metrics, "parser");
        let (settings, broker, for_task) = (self.settings.clone(), self.broker.clone(), ctx.clone());
        let task = tokio::spawn(async move { parser::run(&settings, broker, for_task).await });
        Running { task, ctx, counters }
    }

    pub(crate) async fn publish(&self, body: Vec<u8>, id: Uuid) {
        self.publish_by(RoutingKey::new("syslog.tcp").unwrap(), body, id)
            .await;
    }

    pub(crate) async fn publish_by(&self, routing_key: RoutingKey, body: Vec<u8>, id: Uuid) {
        let message = Message {
            id,
            exchange: Exchange::Received,
            routing_key,
            content_type: PayloadKind::Raw.content_type(),
            body: body.into(),
            death: None,
        };
        self.broker.publisher(1).deliver(&message).await.unwrap();
    }

    /// A raw batch of these lines, published.
    pub(crate) async fn send(&self, lines: &[&[u8]]) -> BatchId {
        let id = BatchId::mint();
        self.publish(raw_batch(id, lines, Compression::Lz4), id.as_uuid())
            .await;
        id
    }

    /// `n` messages of a queue, acknowledged.
    pub(crate) async fn take(&self, queue: &str, n: usize) -> Vec<Delivery> {
        let mut consumer = self.broker.consume(&name(queue), 100, "test").await.unwrap();
        let mut taken = Vec::new();
        while taken.len() < n {
            let delivery = tokio::time::timeout(DEADLINE, consumer.next())
                .await
                .expect("a message")
                .unwrap();
            taken.push(delivery);
        }
        taken
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.ctx.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("a drain")
            .unwrap()
            .unwrap();
        assert_eq!(self.counters.in_flight(), 0);
    }

    /// Until the parser has settled `batches` deliveries that were published before this call.
    pub(crate) async fn settled(&self, bench: &Bench, frames: u64) {
        eventually(DEADLINE, || async {
            self.counters.received_so_far() >= frames
                && self.counters.in_flight() == 0
                && bench.broker.counters().unsettled == 0
        })
        .await;
    }
}

pub(crate) fn raw_batch(id: BatchId, lines: &[&[u8]], compression: Compression) -> Vec<u8> {
    let mut builder = RawBatchBuilder::new(id, "tcp");
    for (position, line) in (0..).zip(lines) {
        let at = Timestamp::from_micros(1_700_000_000_000_000 + position);
        builder.push(at, "192.0.2.1:40000", None, FrameDefects::empty(), line);
    }
    builder.finish(compression)
}

pub(crate) async fn settle(deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        delivery.settle(Disposition::Ack).await;
    }
}

pub(crate) fn read(delivery: &Delivery) -> Out {
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&delivery.body, &mut scratch, BYTES_MAX).unwrap();
    assert_eq!(delivery.id, Some(batch.id().as_uuid()));
    let key = batch.route().to_owned();
    let mut events = Vec::new();
    while let Some(event) = batch.next_event().unwrap() {
        events.push((
            event.id.as_uuid(),
            event.message.map(|message| message.into_owned()),
        ));
    }
    Out {
        id: batch.id().as_uuid(),
        key,
        events,
    }
}

pub(crate) fn messages(out: &Out) -> Vec<&str> {
    out.events
        .iter()
        .map(|(_, message)| message.as_deref().unwrap_or(""))
        .collect()
}
