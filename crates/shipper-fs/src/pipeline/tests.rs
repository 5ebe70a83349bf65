//! A group that another process wrote a part of, between forming and writing.

use event::{Compression, Event, EventBatchBuilder, EventId, Timestamp};
use service::Context;
use settings::{DestinationSettings, FileCompression, FileFormat};

use super::*;
use crate::{
    destination::Destination,
    disk::{Disk, NoFaults},
    group::Fate,
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

#[tokio::test]
async fn what_another_process_wrote_meanwhile_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let destinations: Arc<[Destination]> = [Destination::new(&DestinationSettings {
        name: "all".into(),
        dir: dir.path().into(),
        path: "file".into(),
        format: FileFormat::Template("{message}".into()),
        compression: FileCompression::None,
        routes: Vec::new(),
    })
    .unwrap()]
    .into();
    let open = || Writer::open(&destinations[0], 1, Bounds::default(), Disk::new(NoFaults)).unwrap();
    let (ours, mut theirs) = (open(), open());
    let mut formatter = Formatter::new(Arc::clone(&destinations), vec![ours.recent()], 1 << 20);

    let bodies = ["one", "two", "three"].map(batch);
    let mut group = Group::new(vec![Part::default()]);
    for (number, body) in bodies.iter().enumerate() {
        let batch = formatter.format(body, &mut group.parts, &HashSet::new()).unwrap();
        assert_eq!((batch.fate, batch.events), (Fate::Formatted, 1));
        group.push(Held {
            body: body.clone(),
            delivery: number,
            batch,
        });
    }
    let mut twice = vec![Part::default()];
    formatter.format(&bodies[1], &mut twice, &HashSet::new()).unwrap();
    theirs.commit(&twice[0]).unwrap();

    let ctx = Context::new(Duration::from_secs(1));
    let meters = Meters::new(&ctx.metrics);
    let (groups_in, groups) = mpsc::channel(1);
    let (results, mut results_out) = mpsc::channel(1);
    let (used, _used_out) = mpsc::channel(1);
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
    let shelver = Shelver {
        shared: Arc::new(shared),
        writers: vec![ours],
        formatter,
        groups,
        results,
        used,
        readiness: Readiness::new(
            ctx.health.component("files"),
            meters,
            ["all".to_owned()].into_iter(),
        ),
    };
    groups_in.send(group).await.unwrap();
    drop(groups_in);
    shelver.write().await;
    let Some(Settled::Written(held)) = results_out.recv().await else {
        panic!("not written");
    };
    let deliveries: Vec<_> = held.iter().map(|held| held.delivery).collect();
    assert_eq!(deliveries, [0, 1, 2]);
    let text = std::fs::read_to_string(dir.path().join("file")).unwrap();
    assert_eq!(text, "two\none\nthree\n");
}
