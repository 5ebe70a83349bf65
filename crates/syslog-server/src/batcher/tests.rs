use event::{Compression, RawBatch};
use service::Metrics;
use tokio::time::advance;
use transport::{Custody, Ticket};

use super::*;

/// Frames of one read, with the tickets they got.
struct Read {
    peer: Peer,
    frames: std::vec::IntoIter<Vec<u8>>,
    current: Vec<u8>,
    unplaced: usize,
    placed: Vec<(usize, Ticket)>,
}

impl FrameSource for Read {
    fn next_frame(&mut self) -> Option<(&Peer, Frame<'_>)> {
        self.current = self.frames.next()?;
        self.unplaced += 1;
        let frame = Frame {
            bytes: &self.current,
            defects: event::FrameDefects::empty(),
        };
        Some((&self.peer, frame))
    }

    fn placed(&mut self, ticket: &Ticket) {
        self.placed
            .push((std::mem::take(&mut self.unplaced), ticket.clone()));
    }
}

fn read(count: usize, bytes: usize) -> Read {
    Read {
        peer: Peer {
            addr: "192.0.2.1:1000".to_owned(),
            tls_name: Some("sender.example".to_owned()),
        },
        frames: vec![vec![b'x'; bytes]; count].into_iter(),
        current: Vec::new(),
        unplaced: 0,
        placed: Vec::new(),
    }
}

const AGE_MAX: Duration = Duration::from_millis(5);

fn batcher(bytes_max: usize, frames_max: u32) -> Batcher {
    let limits = Limits {
        bytes_max,
        frames_max,
        age_max: AGE_MAX,
        unconfirmed_max: 3,
    };
    let batcher = Batcher::new("test", limits, ListenerMetrics::new(&Metrics::new(), "test"));
    batcher.set_ready(true);
    batcher
}

#[track_caller]
fn published(next: Next) -> Batch {
    match next {
        Next::Publish(batch) => batch,
        Next::Wait(due) => panic!("nothing to publish before {due:?}"),
    }
}

#[track_caller]
fn due_at(next: &Next) -> Option<Instant> {
    match next {
        Next::Publish(batch) => panic!("{} frames to publish", batch.builder.frames()),
        Next::Wait(due) => *due,
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_goes_at_once_when_the_broker_is_idle_and_waits_for_company_when_it_is_not() {
    let batcher = batcher(10_000, 100);
    assert_eq!(due_at(&batcher.next(false)), None);
    batcher.take(&mut read(1, 10));
    batcher.changed().await;
    assert_eq!(published(batcher.next(false)).builder.frames(), 1);
    batcher.take(&mut read(1, 10));
    let opened_at = Instant::now();
    advance(AGE_MAX / 2).await;
    batcher.take(&mut read(1, 10));
    assert_eq!(due_at(&batcher.next(false)), Some(opened_at + AGE_MAX));
    advance(AGE_MAX / 2).await;
    assert_eq!(published(batcher.next(false)).builder.frames(), 2);
    // And at once when the last one is settled.
    batcher.take(&mut read(1, 10));
    batcher.settled();
    due_at(&batcher.next(false));
    batcher.settled();
    assert_eq!(published(batcher.next(false)).builder.frames(), 1);
    batcher.settled();
    assert_eq!(batcher.unsettled(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_few_batches_of_some_size_go_side_by_side() {
    let batcher = batcher(1 << 20, 1000);
    batcher.take(&mut read(1, 10));
    assert_eq!(published(batcher.next(false)).builder.frames(), 1);
    let worth_it = usize::try_from(SIDE_BY_SIDE_FRAMES).unwrap();
    for _ in 1..SIDE_BY_SIDE {
        batcher.take(&mut read(worth_it - 1, 10));
        assert!(due_at(&batcher.next(false)).is_some());
        batcher.take(&mut read(1, 10));
        assert_eq!(
            published(batcher.next(false)).builder.frames(),
            SIDE_BY_SIDE_FRAMES
        );
    }
    // Beside so many the next one waits for its age.
    batcher.take(&mut read(worth_it, 10));
    assert!(due_at(&batcher.next(false)).is_some());
    batcher.settled();
    batcher.take(&mut read(1, 10));
    assert_eq!(
        published(batcher.next(false)).builder.frames(),
        SIDE_BY_SIDE_FRAMES + 1
    );
}

#[tokio::test]
async fn batches_close_by_frames_and_by_bytes_and_each_frame_has_its_ticket() {
    let by_frames = batcher(1 << 20, 10);
    let mut read_of_25 = read(25, 10);
    by_frames.take(&mut read_of_25);
    let counts: Vec<_> = read_of_25.placed.iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [10, 10, 5]);
    let (first, second) = (published(by_frames.next(false)), published(by_frames.next(false)));
    assert!(due_at(&by_frames.next(false)).is_some());
    assert_eq!((first.builder.frames(), second.builder.frames()), (10, 10));
    second.settler.confirm();
    assert_eq!(read_of_25.placed[0].1.custody(), Custody::Awaited);
    assert_eq!(read_of_25.placed[1].1.custody(), Custody::Confirmed);
    drop(first);
    assert_eq!(read_of_25.placed[0].1.custody(), Custody::Lost);

    let by_bytes = batcher(10_000, 1000);
    by_bytes.take(&mut read(25, 1000));
    let first = published(by_bytes.next(false));
    assert!(first.builder.size() <= 10_000 && first.builder.frames() == 9);
    // One frame that is too large by itself still goes.
    let large = batcher(1000, 1000);
    large.take(&mut read(1, 5000));
    assert_eq!(published(large.next(false)).builder.frames(), 1);
}

#[tokio::test]
async fn frames_keep_peer_and_listener() {
    let batcher = batcher(10_000, 100);
    let before = Timestamp::now();
    batcher.take(&mut read(2, 10));
    let payload = published(batcher.next(false)).builder.finish(Compression::Lz4);
    let mut scratch = Vec::new();
    let mut batch = RawBatch::decode(&payload, &mut scratch, 1 << 20).unwrap();
    assert_eq!((batch.listener(), batch.len()), ("test", 2));
    let frame = batch.next_frame().unwrap().unwrap();
    assert_eq!(frame.peer_addr, "192.0.2.1:1000");
    assert_eq!(frame.tls_peer, Some("sender.example"));
    assert!((before..=Timestamp::now()).contains(&frame.received_at));
}

#[tokio::test]
async fn there_is_room_while_the_broker_takes_batches_and_not_too_many_are_unconfirmed() {
    let batcher = batcher(10_000, 1);
    assert!(batcher.room().is_open());
    batcher.take(&mut read(2, 10));
    assert!(batcher.room().is_open());
    batcher.take(&mut read(1, 10));
    assert!(!batcher.room().is_open());
    batcher.settled();
    assert!(batcher.room().is_open());
    batcher.set_ready(false);
    assert!(!batcher.room().is_open());
    batcher.set_ready(true);
    assert!(batcher.room().is_open());
}

#[tokio::test(start_paused = true)]
async fn the_last_batch_goes_without_waiting() {
    let batcher = batcher(10_000, 100);
    batcher.take(&mut read(1, 10));
    published(batcher.next(false));
    batcher.take(&mut read(1, 10));
    due_at(&batcher.next(false));
    assert_eq!(published(batcher.next(true)).builder.frames(), 1);
    assert_eq!(due_at(&batcher.next(true)), None);
}
