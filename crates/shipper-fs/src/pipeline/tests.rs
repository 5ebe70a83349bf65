//! Groups between forming and writing: another process writes a part, or time runs out.

use std::{fs, path::Path};

use broker::{Broker, DeadLetter, EventLetter, Exchange, Message, RoutingKey};
use event::{Compression, Event, EventBatchBuilder, EventId, Timestamp};
use service::Context;
use settings::{BrokerSettings, DestinationSettings, FileCompression, FileFormat};

use super::*;
use crate::{
    destination::Destination,
    disk::{Disk, NoFaults},
    group::{Fate, Formatted},
    journal::Bounds,
};

fn batch(message: &str) -> Bytes {
    let (id, now) = (BatchId::mint(), Timestamp::now());
    let mut builder = EventBatchBuilder::new(id, id, "tcp", "default");
    let mut event = Event::received(EventId::derive(id, 0, now), 0, now, "", "tcp");
    event.message = Some(message.into());
    builder.push(&event);
    builder.finish(Compression::None).into()
}

fn destinations(dir: &Path) -> Arc<[Destination]> {
    let settings = DestinationSettings {
        name: "all".into(),
        dir: dir.into(),
        path: "file".into(),
        format: FileFormat::Template("{message}".into()),
        compression: FileCompression::None,
        routes: Vec::new(),
    };
    [Destination::new(&settings).unwrap()].into()
}

fn open(destinations: &[Destination]) -> Writer {
    Writer::open(&destinations[0], 1, Bounds::default(), Disk::new(NoFaults)).unwrap()
}

impl Origin for usize {
    fn event_letter(&self, event: EventLetter, _: &DeadLetter) -> Message {
        Message {
            id: event.id,
            exchange: Exchange::Dead,
            routing_key: RoutingKey::new("shipper-fs.test").unwrap(),
            content_type: event.content_type,
            body: event.body,
            death: None,
        }
    }
}

/// A writing thread to be, the way in and the way out.
async fn shelver(
    dir: &Path,
    destinations: &Arc<[Destination]>,
) -> (
    Shelver<usize>,
    mpsc::Sender<Group<usize>>,
    mpsc::Receiver<Settled<usize>>,
) {
    let ctx = Context::new(Duration::from_secs(1));
    let meters = Meters::new(&ctx.metrics);
    let (groups_in, groups) = mpsc::channel(4);
    let (results, results_out) = mpsc::channel(4);
    let (used, _) = mpsc::channel(1);
    let shared = Shared {
        limits: Limits {
            age_max: Duration::ZERO,
            bytes_max: 1,
            files_max: 1,
            prefetch: 1,
            idle_close: Duration::from_secs(1),
        },
        unsettled: 0.into(),
        in_flight: Mutex::default(),
        meters: meters.clone(),
        give_up: CancellationToken::new(),
    };
    let broker = BrokerSettings::Embedded {
        dir: dir.join("queues"),
        queue_bytes_max: 1 << 20,
        delivery_limit: 20,
    };
    let broker = Broker::connect(&broker, "test").await.unwrap();
    let writer = open(destinations);
    let formatter = Formatter::new(Arc::clone(destinations), vec![writer.recent()], 1 << 20);
    let health = ctx.health.component("files");
    let shelver = Shelver {
        shared: Arc::new(shared),
        writers: vec![writer],
        formatter,
        publisher: broker.publisher(1),
        groups,
        results,
        used,
        readiness: Readiness::new(health, meters, ["all".to_owned()].into_iter()),
        has_given_up: false,
    };
    (shelver, groups_in, results_out)
}

fn add(
    formatter: &mut Formatter,
    group: &mut Group<usize>,
    body: &Bytes,
    delivery: usize,
    in_flight: &[BatchId],
) -> Formatted {
    let in_flight = in_flight.iter().copied().collect();
    let batch = formatter.format(body, &mut group.parts, &in_flight).unwrap();
    let held = Held {
        body: body.clone(),
        delivery,
        batch,
    };
    group.push(held, None);
    batch
}

fn numbers(held: &[Held<usize>]) -> Vec<usize> {
    held.iter().map(|held| held.delivery).collect()
}

#[tokio::test]
async fn what_another_process_wrote_meanwhile_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let destinations = destinations(dir.path());
    let (mut shelver, groups, mut results) = shelver(dir.path(), &destinations).await;
    let bodies = ["one", "two", "three"].map(batch);
    let mut group = Group::new(vec![Part::default()]);
    for (number, body) in bodies.iter().enumerate() {
        let batch = add(&mut shelver.formatter, &mut group, body, number, &[]);
        assert_eq!((batch.fate, batch.events), (Fate::Formatted, 1));
    }
    let mut theirs = Group::new(vec![Part::default()]);
    add(&mut shelver.formatter, &mut theirs, &bodies[1], 0, &[]);
    open(&destinations).commit(&theirs.parts[0]).unwrap();

    groups.send(group).await.unwrap();
    drop(groups);
    shelver.write().await;
    let Some(Settled::Written(held)) = results.recv().await else {
        panic!("not written");
    };
    assert_eq!(numbers(&held), [0, 1, 2]);
    let text = fs::read_to_string(dir.path().join("file")).unwrap();
    assert_eq!(text, "two\none\nthree\n");
}

#[tokio::test]
async fn a_repeat_is_not_acknowledged_when_the_first_was_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let destinations = destinations(dir.path());
    let (mut shelver, groups, mut results) = shelver(dir.path(), &destinations).await;
    fs::create_dir(dir.path().join("file")).unwrap();
    let body = batch("one");
    let (mut first, mut second) = (
        Group::new(vec![Part::default()]),
        Group::new(vec![Part::default()]),
    );
    let batch = add(&mut shelver.formatter, &mut first, &body, 0, &[]);
    let repeat = add(&mut shelver.formatter, &mut second, &body, 1, &[batch.id]);
    assert_eq!((batch.fate, repeat.fate), (Fate::Formatted, Fate::Repeated));
    groups.send(first).await.unwrap();
    groups.send(second).await.unwrap();
    drop(groups);
    shelver.shared.give_up.cancel();
    shelver.write().await;
    for number in [0, 1] {
        let Some(Settled::GivenBack(held)) = results.recv().await else {
            panic!("not given back");
        };
        assert_eq!(numbers(&held), [number]);
    }
}
