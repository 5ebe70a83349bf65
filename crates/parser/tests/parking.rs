//! One shipper is down, and its queue reaches its bound: what becomes of the others, on a real RabbitMQ.

use std::{fs, process::Stdio, time::Duration};

use broker::{BindingKey, Broker, Consumer, Disposition, Exchange, Message, QueueName, RoutingKey, Topology};
use bytes::Bytes;
use event::{BatchId, Compression, EventBatch, FrameDefects, PayloadKind, RawBatchBuilder, Timestamp};
use service::Context;
use settings::{Settings, Sources};
use tempfile::TempDir;
use testkit::{Process, RabbitVhost, eventually};
use tokio::{process::Command, task::JoinHandle};

/// For what a busy machine does within seconds.
const DEADLINE: Duration = Duration::from_secs(120);

/// A RabbitMQ with room for about a megabyte in each queue, and the settings of a parser.
struct Place {
    dir: TempDir,
    vhost: RabbitVhost,
    settings: Settings,
    broker: Broker,
    batch_events: usize,
    /// What the settings are made of.
    overrides: Vec<(String, String)>,
}

/// There are two shippers.
const FILE: &str = "[[shipper_fs.destination]]\nname = \"a\"\ndir = \"/nowhere\"\n";

fn stopped() -> QueueName {
    QueueName::new("shipper-pgsql").expect("is a name")
}

fn going_on() -> QueueName {
    QueueName::new("shipper-fs").expect("is a name")
}

impl Place {
    async fn new(when_full: &str, queue_bytes_max: &str, park_bytes_max: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let vhost = tokio::task::spawn_blocking(testkit::rabbitmq)
            .await
            .expect("starts");
        let overrides = [
            ("data_dir", dir.path().to_str().expect("is text")),
            ("broker.url", vhost.url()),
            ("broker.queue_bytes_max", queue_bytes_max),
            ("parser.compression", "none"),
            ("parser.prefetch", "16"),
            ("parser.park_bytes_max", park_bytes_max),
            ("shipper_pgsql.when_full", when_full),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        let settings = Settings::from_sources(&Sources {
            file: Some(("logferry.toml".into(), FILE.to_owned())),
            overrides: overrides.clone(),
            ..Sources::default()
        })
        .expect("are good");
        let broker = Broker::connect(&settings.broker, "test").await.expect("connects");
        broker.wait_ready(DEADLINE).await.expect("is there");
        let all = || vec![BindingKey::all()];
        let bound = Topology::new([(stopped(), all()), (going_on(), all())]);
        // The queue of a shipper that parks loses the binding that it had.
        broker.declare(&bound).await.expect("declares");
        if when_full == "park" {
            broker.declare(&bound.direct(&stopped())).await.expect("declares");
        }
        Self {
            dir,
            vhost,
            settings,
            broker,
            batch_events: 50,
            overrides,
        }
    }

    /// A parser of its own connection, until it is stopped.
    async fn parse(&self) -> Parsing {
        let ctx = Context::new(Duration::from_secs(20));
        let broker = Broker::connect(&self.settings.broker, "parser")
            .await
            .expect("connects");
        let parser = parser::Parser::start(&self.settings, broker.clone(), ctx.clone())
            .await
            .expect("starts")
            .expect("was not stopped");
        let task = tokio::spawn(async move {
            parser.run().await.expect("drains");
            broker.close().await;
        });
        Parsing { ctx, task }
    }

    /// A parser in a process of its own, which can be killed.
    fn process(&self) -> Command {
        let file = self.dir.path().join("logferry.toml");
        fs::write(&file, FILE).expect("writes");
        let mut command = Process::command(env!("CARGO_BIN_EXE_parser"), &file);
        command.arg("--set").arg("parser.http_addr=off");
        for (key, value) in &self.overrides {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command
    }

    async fn publish(&self, batches: std::ops::Range<usize>, line_bytes: usize) {
        let publisher = self.broker.publisher(32);
        for number in batches {
            let id = BatchId::mint();
            let mut batch = RawBatchBuilder::new(id, "tcp");
            for event in 0..self.batch_events {
                let padding = "x".repeat(line_bytes);
                let line = format!("<13>1 - h a - - - {number} {event} {padding}");
                let defects = FrameDefects::empty();
                batch.push(Timestamp::now(), "127.0.0.1:1", None, defects, line.as_bytes());
            }
            let message = Message {
                id: id.as_uuid(),
                exchange: Exchange::Received,
                routing_key: RoutingKey::new("syslog.tcp").expect("is a key"),
                content_type: PayloadKind::Raw.content_type(),
                body: Bytes::from(batch.finish(Compression::Lz4)),
                death: None,
            };
            publisher.deliver(&message).await.expect("is taken");
        }
    }

    async fn end(self) {
        self.broker.close().await;
        drop(self.vhost);
    }

    async fn consume(&self, queue: &QueueName) -> Consumer {
        self.broker.consume(queue, 64, "test").await.expect("is there")
    }
}

/// Takes batches until the one of this number was there; returns their numbers in order, each once.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<usize> {
    let (mut numbers, mut ids) = (Vec::new(), std::collections::HashSet::new());
    while numbers.len() < count {
        let delivery = tokio::time::timeout(DEADLINE, consumer.next())
            .await
            .expect("a batch was due")
            .expect("is open");
        assert_eq!(delivery.exchange, Some(Exchange::Parsed));
        assert_eq!(delivery.routing_key, "default");
        let mut scratch = Vec::new();
        let mut batch = EventBatch::decode(&delivery.body, &mut scratch, 1 << 24).expect("is a batch");
        // A repetition is known by its id, as stores know it.
        if ids.insert(batch.id()) {
            assert!(batch.len().is_multiple_of(50), "the batch is whole");
            let event = batch.next_event().expect("reads").expect("has events");
            let message = event.message.expect("has one").into_owned();
            let number = message.split(' ').next().expect("begins with it");
            numbers.push(number.parse().expect("is a number"));
        }
        delivery.settle(Disposition::Ack).await;
    }
    numbers
}

/// A parser that runs.
struct Parsing {
    ctx: Context,
    task: JoinHandle<()>,
}

impl Parsing {
    /// What it tells of the stopped shipper's queue.
    fn metric(&self, name: &str) -> Option<i64> {
        let label = format!("{name}{{queue=\"{}\"}} ", stopped());
        let metrics = self.ctx.metrics.encode();
        let line = metrics.lines().find_map(|line| line.strip_prefix(&label))?;
        line.parse().ok()
    }

    fn parked(&self) -> Option<i64> {
        self.metric("logferry_parked_batches")
    }

    async fn stop(self) {
        self.ctx.stop.cancel();
        self.task.await.expect("ends");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_batches_return_in_order_while_the_other_shipper_goes_on() {
    let place = Place::new("park", "1MiB", "64MiB").await;
    let parser = place.parse().await;
    let mut other = place.consume(&going_on()).await;
    let count = 200;
    let (_, taken) = tokio::join!(place.publish(0..count, 200), take(&mut other, count));
    assert_eq!(taken, (0..count).collect::<Vec<_>>(), "nobody held it up");
    let parked = parser.parked().expect("is told");
    assert!(
        parked > 50,
        "{parked} are parked, the others fill a queue of one MiB"
    );
    eventually(DEADLINE, async || {
        let bytes = parser.metric("logferry_queue_bytes");
        bytes.is_some_and(|bytes| bytes > 500_000)
            && parser.metric("logferry_queue_bytes_max") == Some(1 << 20)
    })
    .await;

    // The parser ends, and another finds what was parked.
    parser.stop().await;
    let parser = place.parse().await;
    assert!(parser.parked().is_some_and(|parked| parked > 50));
    let mut late = place.consume(&stopped()).await;
    let more = count + 20;
    let (_, taken) = tokio::join!(place.publish(count..more, 200), take(&mut late, more));
    assert_eq!(taken, (0..more).collect::<Vec<_>>(), "in order, each once");
    eventually(DEADLINE, async || parser.parked() == Some(0)).await;
    // And new ones go straight there again.
    place.publish(more..more + 1, 200).await;
    assert_eq!(take(&mut late, 1).await, [more]);
    parser.stop().await;
    drop((other, late));
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_batches_survive_a_kill_of_the_parser() {
    let place = Place::new("park", "1MiB", "64MiB").await;
    let process = Process::start(&mut place.process());
    let mut other = place.consume(&going_on()).await;
    let count = 150;
    let (_, taken) = tokio::join!(place.publish(0..count, 200), take(&mut other, count));
    assert_eq!(taken, (0..count).collect::<Vec<_>>());
    process.kill().await;

    let parser = place.parse().await;
    let mut late = place.consume(&stopped()).await;
    let mut taken = take(&mut late, count).await;
    taken.sort_unstable();
    assert_eq!(taken, (0..count).collect::<Vec<_>>());
    parser.stop().await;
    drop((other, late));
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_fills_up_is_announced_before_its_bound() {
    let place = Place::new("wait", "1MiB", "64MiB").await;
    let mut command = place.process();
    command.arg("--set").arg("parser.queue_warn_percent=40");
    let mut process = Process::start(command.stderr(Stdio::piped()));
    let mut log = process.log();
    let mut other = place.consume(&going_on()).await;
    // Above half of what the stopped shipper's queue takes, and below all of it.
    let count = 45;
    let (_, taken) = tokio::join!(place.publish(0..count, 200), take(&mut other, count));
    assert_eq!(taken.len(), count);
    let mut next_with = async |text: &str| {
        let next = async {
            loop {
                let line = log.next_line().await.expect("reads").expect("goes on");
                assert!(!line.contains("is full"), "{line}");
                if line.contains(text) && line.contains("queue=shipper-pgsql") {
                    return line;
                }
            }
        };
        tokio::time::timeout(DEADLINE, next).await.expect("is told")
    };
    let line = next_with("a queue fills up").await;
    let (_, percent) = line.split_once("percent=").expect("is told");
    let percent: u64 = percent
        .split(' ')
        .next()
        .and_then(|percent| percent.parse().ok())
        .expect("is a number");
    assert!((40..100).contains(&percent), "{line}");
    assert!(line.contains("broker.queue_bytes_max"), "{line}");
    let mut late = place.consume(&stopped()).await;
    assert_eq!(take(&mut late, count).await.len(), count, "none was refused");
    next_with("a queue has room again").await;
    process.stop().await;
    drop((other, late));
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_wait_everybody_waits_and_nothing_is_lost() {
    let place = Place::new("wait", "1MiB", "64MiB").await;
    let parser = place.parse().await;
    let mut other = place.consume(&going_on()).await;
    let count = 150;
    place.publish(0..count, 200).await;
    // The bound is reached: raw batches stay where they are.
    eventually(DEADLINE, async || {
        place.broker.counters().published >= count as u64
    })
    .await;
    eventually(DEADLINE, async || {
        let waiting = place
            .broker
            .fill(&QueueName::parser())
            .await
            .expect("is there")
            .ready;
        parser
            .ctx
            .metrics
            .encode()
            .contains("logferry_retries_total{stage=\"parser\",reason=\"nacked\"}")
            && waiting > 0
    })
    .await;
    assert_eq!(parser.parked(), None);
    let mut late = place.consume(&stopped()).await;
    let (mut first, mut second) = tokio::join!(take(&mut late, count), take(&mut other, count));
    first.sort_unstable();
    second.sort_unstable();
    assert_eq!((&first, &second), (&(0..count).collect(), &(0..count).collect()));
    parser.stop().await;
    drop((other, late));
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_file_queue_holds_and_nothing_is_lost() {
    let place = Place::new("park", "1MiB", "1MiB").await;
    let parser = place.parse().await;
    let mut other = place.consume(&going_on()).await;
    let count = 300;
    place.publish(0..count, 200).await;
    eventually(DEADLINE, async || {
        let waiting = place
            .broker
            .fill(&QueueName::parser())
            .await
            .expect("is there")
            .ready;
        parser.parked().is_some_and(|parked| parked > 20) && waiting > 0
    })
    .await;
    let mut late = place.consume(&stopped()).await;
    let (first, mut second) = tokio::join!(take(&mut late, count), take(&mut other, count));
    // Its queue was full meanwhile, too, and what waits keeps no order.
    second.sort_unstable();
    assert_eq!(first, (0..count).collect::<Vec<_>>());
    assert_eq!(second, (0..count).collect::<Vec<_>>());
    parser.stop().await;
    drop((other, late));
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two million events take minutes in a debug build: make stopped-shipper"]
async fn a_shipper_stopped_for_two_million_events_holds_up_nobody() {
    for when_full in ["wait", "park"] {
        // Parked: nearly all of them, as the queue holds few.
        let queue_bytes_max = if when_full == "wait" { "16GiB" } else { "8MiB" };
        let mut place = Place::new(when_full, queue_bytes_max, "16GiB").await;
        place.batch_events = 1000;
        let parser = place.parse().await;
        let mut other = place.consume(&going_on()).await;
        let count = 2000;
        let began = std::time::Instant::now();
        let (_, taken) = tokio::join!(place.publish(0..count, 40), take(&mut other, count));
        assert_eq!(taken, (0..count).collect::<Vec<_>>());
        let passed = began.elapsed();
        let parked = parser.parked();
        let began = std::time::Instant::now();
        let mut late = place.consume(&stopped()).await;
        assert_eq!(take(&mut late, count).await, (0..count).collect::<Vec<_>>());
        let returned = began.elapsed();
        eprintln!(
            "{when_full}: 2,000,000 events passed the stopped shipper in {passed:?} ({parked:?} batches parked), which took them in {returned:?}"
        );
        parser.stop().await;
        drop((other, late));
        place.end().await;
    }
}
