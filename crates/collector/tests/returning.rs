//! Batches back from a rescue file to the embedded broker.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeSet, time::Duration};

use broker::{Broker, Consumer, Delivery, Disposition, QueueName, Topology};
use event::PayloadKind;
use rescue::{Batch, Queue, Rescue};
use service::Context;
use settings::{BrokerSettings, CollectorSettings, RescueSettings, Settings};
use tokio::{task::JoinHandle, time::timeout};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(60);

struct Place {
    dir: tempfile::TempDir,
    broker: Broker,
    rescue: RescueSettings,
    settings: CollectorSettings,
}

struct Running {
    ctx: Context,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Place {
    async fn new(queue_bytes_max: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let broker = BrokerSettings::Embedded {
            dir: dir.path().join("queues"),
            queue_bytes_max,
            delivery_limit: 20,
        };
        let broker = Broker::connect(&broker, "test").await.unwrap();
        broker.declare(&Topology::new([])).await.unwrap();
        let Settings {
            mut rescue,
            collector: mut settings,
            ..
        } = Settings::default();
        rescue.file.dir = dir.path().join("rescue");
        rescue.timeout = DEADLINE;
        settings.poll_interval = Duration::from_millis(10);
        Self {
            dir,
            broker,
            rescue,
            settings,
        }
    }

    fn queue(&self) -> Queue {
        Rescue::open(&self.rescue).unwrap().queues()[0].clone()
    }

    fn start(&self) -> Running {
        let ctx = Context::new(DEADLINE);
        let (settings, rescue) = (self.settings.clone(), self.rescue.clone());
        let (broker, own) = (self.broker.clone(), ctx.clone());
        let task = tokio::spawn(async move { collector::run(&settings, &rescue, broker, own).await });
        Running { ctx, task }
    }

    async fn consumer(&self, queue: &str) -> Consumer {
        let queue = QueueName::new(queue).unwrap();
        self.broker.consume(&queue, 1000, "test").await.unwrap()
    }

    async fn is_empty(&self) {
        let queue = self.queue();
        testkit::eventually(DEADLINE, || async { queue.depth().await.unwrap().batches == 0 }).await;
    }
}

impl Running {
    async fn stop(self) {
        self.ctx.stop.cancel();
        timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }
}

async fn next(consumer: &mut Consumer) -> Delivery {
    timeout(DEADLINE, consumer.next()).await.unwrap().unwrap()
}

fn batch(number: usize) -> Batch {
    Batch {
        id: Uuid::now_v7(),
        routing_key: format!("syslog.tcp_{number}"),
        content_type: PayloadKind::Raw.content_type().to_owned(),
        body: format!("batch {number}").into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_returned_oldest_first_as_they_were() {
    let mut place = Place::new(1 << 30).await;
    // One at a time, so that their order can be told.
    place.settings.prefetch = 1;
    let queue = place.queue();
    let batches: Vec<_> = (0..20).map(batch).collect();
    for batch in &batches {
        queue.push(batch).await.unwrap();
    }
    let running = place.start();
    let mut consumer = place.consumer("parser").await;
    for batch in &batches {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.id, Some(batch.id));
        assert_eq!(delivery.routing_key.as_str(), batch.routing_key);
        assert_eq!(delivery.body, batch.body);
        delivery.settle(Disposition::Ack).await;
    }
    place.is_empty().await;
    let metrics = || running.ctx.metrics.encode();
    testkit::eventually(DEADLINE, || async {
        metrics().contains("logferry_rescue_returned_batches_total{queue=\"file\"} 20")
            && metrics().contains("logferry_rescue_batches{queue=\"file\"} 0")
    })
    .await;
    assert!(running.ctx.health.is_ready());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_collectors_return_each_batch_once() {
    const COUNT: usize = 300;
    let place = Place::new(1 << 30).await;
    let queue = place.queue();
    let batches: Vec<_> = (0..COUNT).map(batch).collect();
    for batch in &batches {
        queue.push(batch).await.unwrap();
    }
    let running = [place.start(), place.start()];
    let mut consumer = place.consumer("parser").await;
    let mut ids = BTreeSet::new();
    for _ in 0..COUNT {
        let delivery = next(&mut consumer).await;
        assert!(ids.insert(delivery.id.unwrap()), "one came twice");
        delivery.settle(Disposition::Ack).await;
    }
    place.is_empty().await;
    for running in running {
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_batch_any_more_goes_to_the_dead_letters() {
    let place = Place::new(1 << 30).await;
    let queue = place.queue();
    let (damaged, good) = (batch(0), batch(1));
    queue.push(&damaged).await.unwrap();
    let stranger = Batch {
        content_type: "text/plain".to_owned(),
        ..batch(2)
    };
    queue.push(&stranger).await.unwrap();
    queue.push(&good).await.unwrap();
    let file = rusqlite::Connection::open(place.dir.path().join("rescue/rescue.sqlite")).unwrap();
    file.busy_timeout(DEADLINE).unwrap();
    file.execute("UPDATE body SET body = x'00ff' WHERE seq = 1", [])
        .unwrap();
    let running = place.start();
    let mut consumer = place.consumer("parser").await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.id, Some(good.id));
    delivery.settle(Disposition::Ack).await;
    let mut dead = place.consumer("dead").await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let delivery = next(&mut dead).await;
        let death = delivery.death.clone().unwrap();
        assert_eq!(
            (death.stage.as_str(), death.reason.as_str()),
            ("collector", "damaged")
        );
        assert_eq!(death.queue, "rescue-file");
        bodies.push((death.batch, delivery.body.to_vec()));
        delivery.settle(Disposition::Ack).await;
    }
    bodies.sort();
    let mut expected = [
        (Some(damaged.id), b"\x00\xff".to_vec()),
        (Some(stranger.id), stranger.body.to_vec()),
    ];
    expected.sort();
    assert_eq!(bodies, expected);
    place.is_empty().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_wait_while_the_queue_is_full() {
    let place = Place::new(20_000).await;
    let queue = place.queue();
    for number in 0..6 {
        let large = Batch {
            body: vec![b'x'; 9_000].into(),
            ..batch(number)
        };
        queue.push(&large).await.unwrap();
    }
    let running = place.start();
    testkit::eventually(DEADLINE, || async { place.broker.counters().nacked > 0 }).await;
    assert!(queue.depth().await.unwrap().batches > 0);
    let mut consumer = place.consumer("parser").await;
    let mut ids = BTreeSet::new();
    while ids.len() < 6 {
        let delivery = next(&mut consumer).await;
        ids.insert(delivery.id.unwrap());
        delivery.settle(Disposition::Ack).await;
    }
    place.is_empty().await;
    running.stop().await;
}
