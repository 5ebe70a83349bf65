//! The shipper on the embedded broker.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use broker::{BindingKey, Exchange, Message, RoutingKey, Topology};
use event::{BatchId, Compression, Event, EventBatch, EventBatchBuilder, EventId, PayloadKind, Timestamp};
use settings::{BrokerSettings, DestinationSettings, FileCompression, FileFormat};
use testkit::eventually;

use super::*;

const SOON: Duration = Duration::from_secs(30);

/// A broker with the shipper's queue, and a folder for files.
struct Scene {
    broker: Broker,
    settings: ShipperFsSettings,
    folder: tempfile::TempDir,
}

/// A shipper that runs.
struct Running {
    ctx: Context,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = BrokerSettings::Embedded {
            dir: folder.path().join("queues"),
            queue_bytes_max: 1 << 30,
            delivery_limit: 20,
        };
        let broker = Broker::connect(&broker, "test").await.unwrap();
        let queue = QueueName::new(STAGE).unwrap();
        let topology = Topology::new([(queue, vec![BindingKey::all()])]);
        broker.declare(&topology).await.unwrap();
        let destination = destination("all", &folder.path().join("all"), "{hostname}.log", &[]);
        Self {
            broker,
            settings: ShipperFsSettings {
                queue: STAGE.to_owned(),
                binding_keys: vec!["#".to_owned()],
                when_full: settings::WhenFull::Wait,
                prefetch: 16,
                sync_age_max: Duration::from_millis(20),
                sync_bytes_max: 1 << 20,
                idle_close: Duration::from_secs(60),
                open_files_max: 100,
                batch_bytes_max: 1 << 20,
                destinations: vec![destination],
            },
            folder,
        }
    }

    fn start(&self) -> Running {
        let ctx = Context::new(Duration::from_secs(2));
        let (settings, broker) = (self.settings.clone(), self.broker.clone());
        let task = tokio::spawn({
            let ctx = ctx.clone();
            async move { run(&settings, broker, ctx).await }
        });
        Running { ctx, task }
    }

    async fn publish(&self, body: Bytes) {
        let mut scratch = Vec::new();
        let id = EventBatch::decode(&body, &mut scratch, 1 << 20)
            .map_or_else(|_| BatchId::mint(), |batch| batch.id());
        let message = Message {
            id: id.as_uuid(),
            exchange: Exchange::Parsed,
            routing_key: RoutingKey::new("default").unwrap(),
            content_type: PayloadKind::Events.content_type(),
            body,
            death: None,
        };
        self.broker.publisher(16).deliver(&message).await.unwrap();
    }

    async fn acked(&self, deliveries: u64) {
        eventually(SOON, || async {
            let counted = self.broker.counters();
            counted.acked == deliveries && counted.unsettled == 0
        })
        .await;
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    #[track_caller]
    fn lines(&self, path: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(path)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn close(self) {
        self.broker.close().await;
        self.folder.close().unwrap();
    }
}

impl Running {
    async fn stop(self) {
        self.ctx.stop.cancel();
        let ended = tokio::time::timeout(SOON, self.task).await;
        ended.unwrap().unwrap().unwrap();
    }
}

fn destination(name: &str, dir: &Path, path: &str, routes: &[&str]) -> DestinationSettings {
    DestinationSettings {
        name: name.to_owned(),
        dir: dir.to_owned(),
        path: path.to_owned(),
        format: FileFormat::Template("{message}".to_owned()),
        compression: FileCompression::None,
        routes: routes.iter().map(|route| (*route).to_owned()).collect(),
    }
}

/// Events of `hostname`, with these messages.
fn batch(route: &str, hostname: &str, messages: &[&str]) -> Bytes {
    mixed_batch(route, messages.iter().map(|message| (hostname, *message)))
}

/// Events with these hostnames and messages.
fn mixed_batch<'a>(route: &str, events: impl IntoIterator<Item = (&'a str, &'a str)>) -> Bytes {
    let (id, now) = (BatchId::mint(), Timestamp::now());
    let mut builder = EventBatchBuilder::new(id.derive(route), id, "tcp", route);
    for (position, (hostname, message)) in (0..).zip(events) {
        let id = EventId::derive(id, position, now);
        let mut event = Event::received(id, position, now, "192.0.2.1:4", "tcp");
        event.hostname = Some(hostname.into());
        event.message = Some(message.into());
        builder.push(&event);
    }
    builder.finish(Compression::Lz4).into()
}

#[tokio::test]
async fn batches_become_lines_and_a_repeated_one_adds_none() {
    let scene = Scene::new().await;
    let running = scene.start();
    let numbers: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let batches: Vec<_> = numbers
        .iter()
        .map(|number| batch("default", "h", &["a", number]))
        .collect();
    for body in batches.iter().chain(&batches) {
        scene.publish(body.clone()).await;
    }
    scene.acked(40).await;
    let expected: Vec<_> = numbers.iter().flat_map(|number| ["a", number]).collect();
    assert_eq!(scene.lines("all/h.log"), expected);
    let metrics = running.ctx.metrics.encode();
    for line in [
        "logferry_events_received_total{stage=\"shipper-fs\"} 80",
        "logferry_events_sent_total{stage=\"shipper-fs\"} 40",
        "logferry_events_dropped_total{stage=\"shipper-fs\",reason=\"repeated\"} 40",
        "logferry_files_repeated_batches_total 20",
        "logferry_files_lines_total 40",
        "logferry_files_bytes_total 90",
        "logferry_files_open 1",
        "logferry_files_writable{destination=\"all\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    assert!(running.ctx.health.is_ready());
    running.stop().await;

    // Another process, later.
    let running = scene.start();
    scene.publish(batches[0].clone()).await;
    scene.acked(41).await;
    running.stop().await;
    assert_eq!(scene.lines("all/h.log"), expected);
    scene.close().await;
}

#[tokio::test]
async fn every_destination_gets_its_routes() {
    let mut scene = Scene::new().await;
    let dir = scene.path("audit");
    scene
        .settings
        .destinations
        .push(destination("audit", &dir, "{hostname}/x", &["audit", "other"]));
    let mut packed = destination("packed", &dir, "packed.zst", &["audit"]);
    (packed.format, packed.compression) = (FileFormat::Json, FileCompression::Zstd);
    scene.settings.destinations.push(packed);
    let running = scene.start();
    scene.publish(batch("default", "../h", &["one"])).await;
    scene.publish(batch("audit", "../h", &["two", "three"])).await;
    scene.acked(2).await;
    running.stop().await;
    assert_eq!(scene.lines("all/_._h.log"), ["one", "two", "three"]);
    assert_eq!(scene.lines("audit/_._h/x"), ["two", "three"]);
    let packed = fs::read(scene.path("audit/packed.zst")).unwrap();
    let unpacked = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    assert_eq!(unpacked.lines().count(), 2);
    assert!(unpacked.contains("\"message\":\"three\""), "{unpacked}");
    scene.close().await;
}

#[tokio::test]
async fn what_no_destination_takes_is_counted() {
    let mut scene = Scene::new().await;
    scene.settings.destinations[0].routes = vec!["audit".to_owned()];
    let running = scene.start();
    scene.publish(batch("default", "h", &["one", "two"])).await;
    scene.acked(1).await;
    let dropped = "logferry_events_dropped_total{stage=\"shipper-fs\",reason=\"no_destination\"} 2";
    let metrics = running.ctx.metrics.encode();
    assert!(metrics.lines().any(|line| line == dropped), "{metrics}");
    running.stop().await;
    scene.close().await;
}

#[tokio::test]
async fn what_is_no_batch_is_dead_lettered_and_the_rest_goes_on() {
    let scene = Scene::new().await;
    let running = scene.start();
    scene.publish(batch("default", "h", &["before"])).await;
    scene.publish(Bytes::from_static(b"not a batch")).await;
    scene.publish(batch("default", "h", &["after"])).await;
    let dead = dead_letters(&scene.broker, 1).await.remove(0);
    assert_eq!(&dead.body[..], b"not a batch");
    let death = dead.death.clone().unwrap();
    assert_eq!((&*death.stage, &*death.reason), (STAGE, UNDECODABLE));
    dead.settle(Disposition::Ack).await;
    eventually(SOON, || async { scene.lines("all/h.log") == ["before", "after"] }).await;
    running.stop().await;
    scene.close().await;
}

#[tokio::test]
async fn a_group_is_written_when_the_broker_hands_out_no_more() {
    let mut scene = Scene::new().await;
    // Otherwise it would take a minute.
    (scene.settings.sync_age_max, scene.settings.prefetch) = (Duration::from_secs(60), 3);
    let running = scene.start();
    for message in ["1", "2", "3"] {
        scene.publish(batch("default", "h", &[message])).await;
    }
    scene.acked(3).await;
    assert_eq!(scene.lines("all/h.log"), ["1", "2", "3"]);
    running.stop().await;
    scene.close().await;
}

#[tokio::test]
async fn more_hosts_than_open_files() {
    let mut scene = Scene::new().await;
    scene.settings.open_files_max = 2;
    let dir = scene.path("all");
    scene.settings.destinations = vec![destination("all", &dir, "{message}", &[])];
    let running = scene.start();
    let messages: Vec<_> = (0..50).map(|number| format!("m{number}")).collect();
    let messages: Vec<_> = messages.iter().map(String::as_str).collect();
    for _ in 0..3 {
        scene.publish(batch("default", "h", &messages)).await;
    }
    scene.acked(3).await;
    running.stop().await;
    for message in messages {
        assert_eq!(scene.lines(&format!("all/{message}")), [message; 3]);
    }
    scene.close().await;
}

#[tokio::test]
async fn a_drain_writes_what_was_gathered() {
    let mut scene = Scene::new().await;
    // Without the stop nothing would be written for a minute.
    scene.settings.sync_age_max = Duration::from_secs(60);
    let running = scene.start();
    scene.publish(batch("default", "h", &["one", "two"])).await;
    eventually(SOON, || async { scene.broker.counters().unsettled == 1 }).await;
    assert_eq!(scene.lines("all/h.log").len(), 0);
    running.stop().await;
    assert_eq!(scene.lines("all/h.log"), ["one", "two"]);
    assert_eq!(scene.broker.counters().acked, 1);
    scene.close().await;
}

#[tokio::test]
async fn what_cannot_be_written_stays_with_the_broker_until_it_can() {
    let mut scene = Scene::new().await;
    let dir = scene.path("all");
    scene.settings.destinations = vec![destination("all", &dir, "logs/{hostname}", &[])];
    let running = scene.start();
    scene.publish(batch("default", "h", &["before"])).await;
    scene.acked(1).await;
    // A file where the folder of all files belongs.
    fs::rename(dir.join("logs"), dir.join("rotated")).unwrap();
    fs::write(dir.join("logs"), "").unwrap();
    scene.publish(batch("default", "h", &["during"])).await;
    scene.publish(batch("default", "b", &["too"])).await;
    eventually(SOON, || async { !running.ctx.health.is_ready() }).await;
    let writable = "logferry_files_writable{destination=\"all\"} 0";
    assert!(running.ctx.metrics.encode().contains(writable));
    fs::remove_file(dir.join("logs")).unwrap();
    scene.acked(3).await;
    assert!(running.ctx.health.is_ready());
    assert_eq!(scene.lines("all/rotated/h"), ["before"]);
    assert_eq!(scene.lines("all/logs/h"), ["during"]);
    assert_eq!(scene.lines("all/logs/b"), ["too"]);

    // And what cannot be written in time for the end goes back.
    fs::rename(dir.join("logs"), dir.join("rotated2")).unwrap();
    fs::write(dir.join("logs"), "").unwrap();
    scene.publish(batch("default", "c", &["late"])).await;
    eventually(SOON, || async { !running.ctx.health.is_ready() }).await;
    running.stop().await;
    let counted = scene.broker.counters();
    assert_eq!((counted.requeued, counted.dropped_unsettled), (1, 0));
    fs::remove_file(dir.join("logs")).unwrap();
    let running = scene.start();
    scene.acked(4).await;
    running.stop().await;
    assert_eq!(scene.lines("all/logs/c"), ["late"]);
    scene.close().await;
}

#[tokio::test]
async fn a_planted_link_concerns_only_the_events_that_lead_there() {
    let mut scene = Scene::new().await;
    let (dir, other) = (scene.path("all"), scene.path("other"));
    scene
        .settings
        .destinations
        .push(destination("other", &other, "{hostname}.log", &[]));
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(&dir).unwrap();
    symlink(outside.path().join("target"), dir.join("b.log")).unwrap();
    let running = scene.start();
    let mixed = mixed_batch("default", [("h", "1"), ("b", "2"), ("h", "3"), ("b", "4")]);
    scene.publish(mixed.clone()).await;
    scene.publish(batch("default", "h", &["5"])).await;
    scene.acked(2).await;
    assert!(running.ctx.health.is_ready());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(scene.lines("all/h.log"), ["1", "3", "5"]);
    assert_eq!(scene.lines("other/b.log"), ["2", "4"]);
    let metrics = running.ctx.metrics.encode();
    for line in [
        "logferry_events_received_total{stage=\"shipper-fs\"} 5",
        "logferry_events_sent_total{stage=\"shipper-fs\"} 3",
        "logferry_events_dead_lettered_total{stage=\"shipper-fs\",reason=\"path_refused\"} 2",
        "logferry_files_writable{destination=\"all\"} 1",
        "logferry_files_lines_total 8",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }

    let letters = dead_letters(&scene.broker, 2).await;
    let batch = EventBatch::decode(&mixed, &mut Vec::new(), 1 << 20).unwrap().id();
    for (letter, (position, message)) in letters.iter().zip([(1, "2"), (3, "4")]) {
        let death = letter.death.as_ref().unwrap();
        assert_eq!((&*death.stage, &*death.reason), (STAGE, "path_refused"));
        assert_eq!(
            (death.batch, death.position),
            (Some(batch.as_uuid()), Some(position))
        );
        assert!(death.text.contains("destination \"all\""), "{}", death.text);
        assert!(death.text.contains("all/b.log"), "{}", death.text);
        let mut scratch = Vec::new();
        let mut alone = EventBatch::decode(&letter.body, &mut scratch, 1 << 20).unwrap();
        let event = alone.next_event().unwrap().unwrap();
        assert_eq!(event.message.as_deref(), Some(message));
    }

    // The same batch again gives no letters, and letters that are put back give lines where there are none.
    scene.publish(mixed).await;
    fs::remove_file(dir.join("b.log")).unwrap();
    for letter in letters {
        scene.publish(letter.body.clone()).await;
        letter.settle(Disposition::Ack).await;
    }
    scene.acked(7).await;
    running.stop().await;
    assert_eq!(scene.lines("all/b.log"), ["2", "4"]);
    assert_eq!(scene.lines("other/b.log"), ["2", "4"]);
    scene.close().await;
}

/// So many of them, in order.
async fn dead_letters(broker: &Broker, count: usize) -> Vec<Delivery> {
    let mut consumer = broker.consume(&QueueName::dead(), 16, "test").await.unwrap();
    let mut letters = Vec::new();
    while letters.len() < count {
        let next = tokio::time::timeout(SOON, consumer.next()).await;
        letters.push(next.unwrap().unwrap());
    }
    letters
}

#[tokio::test]
async fn shippers_side_by_side_write_each_line_once() {
    let scene = Scene::new().await;
    let running: Vec<_> = (0..3).map(|_| scene.start()).collect();
    let mut expected = Vec::new();
    for number in 0..60 {
        let message = format!("{number:03} {}", "x".repeat(500));
        let body = batch("default", "h", &[&message, "end"]);
        scene.publish(body.clone()).await;
        // The other delivery may go to another shipper.
        if number % 3 == 0 {
            scene.publish(body).await;
        }
        expected.push(message);
    }
    scene.acked(80).await;
    for running in running {
        running.stop().await;
    }
    let mut found = scene.lines("all/h.log");
    // A batch's lines stay together.
    assert!(found.chunks(2).all(|pair| pair[1] == "end"));
    found.retain(|line| line != "end");
    found.sort_unstable();
    assert!(found == expected);
    scene.close().await;
}

#[tokio::test]
async fn a_start_needs_a_destination_and_good_templates() {
    let mut scene = Scene::new().await;
    let ctx = || Context::new(Duration::from_secs(1));
    scene.settings.destinations[0].path = "{hostnam}".to_owned();
    let error = run(&scene.settings, scene.broker.clone(), ctx())
        .await
        .unwrap_err();
    let start = "shipper_fs.destination \"all\": path: unknown name {hostnam}; allowed are ";
    assert!(error.to_string().starts_with(start), "{error}");
    assert!(check(&scene.settings).is_err());
    let dir = scene.path("all");
    scene.settings.destinations = ["a", "b"]
        .map(|name| destination(name, &dir, "x", &[name]))
        .into();
    let error = check(&scene.settings).unwrap_err().to_string();
    assert!(error.contains("dir and path are those of \"a\""), "{error}");
    scene.settings.destinations.clear();
    let error = run(&scene.settings, scene.broker.clone(), ctx())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("[[shipper_fs.destination]]"),
        "{error}"
    );
    scene.close().await;
}

#[test]
fn settings_without_a_destination_are_a_mistake_of_the_service() {
    let sources = settings::Sources {
        file: Some(("logferry.toml".into(), String::new())),
        ..settings::Sources::default()
    };
    let settings = settings::Settings::from_sources(&sources).unwrap();
    let error = (SPEC.check)(&settings).unwrap_err().to_string();
    assert!(error.contains("[[shipper_fs.destination]]"), "{error}");
    // All in one process does without files.
    check(&settings.shipper_fs).unwrap();
}
