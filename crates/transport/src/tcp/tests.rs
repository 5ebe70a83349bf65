use std::time::Duration;

use event::FrameDefects;
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    task::{JoinHandle, yield_now},
    time::advance,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::fake::{FakeSink, around, joining, limits, peer};

struct Served {
    stream: DuplexStream,
    sink: std::sync::Arc<FakeSink>,
    stop: CancellationToken,
    discarded: prometheus_client::metrics::counter::Counter,
    task: JoinHandle<End>,
}

fn served(idle_timeout: Option<Duration>) -> Served {
    let (stream, mut theirs) = duplex(1 << 16);
    let sink = FakeSink::holding();
    let mut around = around(&sink);
    around.limits = limits(idle_timeout);
    let (stop, discarded) = (around.stop.clone(), around.meters.discarded_bytes.clone());
    let task = tokio::spawn(async move { serve(&mut theirs, &Guest::new(peer()), &around).await });
    Served {
        stream,
        sink,
        stop,
        discarded,
        task,
    }
}

#[tokio::test]
async fn frames_have_their_peer_and_the_end_of_the_stream_is_a_defect() {
    let mut served = served(None);
    served.stream.write_all(b"<13>a\n5 <13>b<13>half").await.unwrap();
    drop(served.stream);
    assert!(matches!(served.task.await.unwrap(), End::Eof));
    let frames = served.sink.frames(3).await;
    assert!(frames.iter().all(|frame| frame.peer == peer()));
    assert_eq!(frames[0].bytes, b"<13>a");
    assert_eq!(frames[1].bytes, b"<13>b");
    assert_eq!(
        (&*frames[2].bytes, frames[2].defects),
        (&b"<13>half"[..], FrameDefects::UNTERMINATED)
    );
    assert_eq!(frames.len(), 3);
}

#[tokio::test]
async fn megabytes_without_a_line_feed_are_one_cut_frame() {
    let mut served = served(None);
    let garbage = vec![b'x'; 1 << 20];
    for _ in 0..10 {
        served.stream.write_all(&garbage).await.unwrap();
    }
    served.stream.write_all(b"\n<13>next\n").await.unwrap();
    let frames = served.sink.frames(2).await;
    assert_eq!(frames[0].defects, FrameDefects::TRUNCATED);
    assert_eq!(frames[0].bytes.len(), 65_536);
    assert_eq!(frames[1].bytes, b"<13>next");
    drop(served.stream);
    served.task.await.unwrap();
    assert_eq!(served.discarded.get(), (10 << 20) - 65_536);
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_is_slow_and_not_idle() {
    let mut served = served(Some(Duration::from_secs(10)));
    for byte in b"<13>a slow line\n" {
        served.stream.write_all(&[*byte]).await.unwrap();
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(served.sink.bytes(1).await, [b"<13>a slow line"]);
    // And then silence.
    assert!(matches!(served.task.await.unwrap(), End::Idle));
}

#[tokio::test(start_paused = true)]
async fn without_room_nothing_is_read_and_nobody_is_idle() {
    let mut served = served(Some(Duration::from_secs(10)));
    served.sink.room().close();
    served.stream.write_all(b"<13>a\n").await.unwrap();
    for _ in 0..100 {
        advance(Duration::from_secs(1)).await;
        yield_now().await;
    }
    assert_eq!(served.sink.frames_so_far(), 0);
    served.sink.room().open();
    assert_eq!(served.sink.bytes(1).await, [b"<13>a"]);
}

#[tokio::test]
async fn a_stop_takes_what_has_arrived() {
    let mut served = served(None);
    served.sink.room().close();
    let lines = b"<13>a line that has arrived\n".repeat(1000);
    served.stream.write_all(&lines).await.unwrap();
    served.stream.write_all(b"<13>half").await.unwrap();
    served.sink.room().open();
    served.stop.cancel();
    assert!(matches!(served.task.await.unwrap(), End::Stopped));
    let frames = served.sink.frames(1001).await;
    assert_eq!(frames.len(), 1001);
    assert_eq!(frames[1000].defects, FrameDefects::UNTERMINATED);
}

#[tokio::test(start_paused = true)]
async fn lines_are_joined_and_silence_completes_an_event() {
    let (mut stream, mut theirs) = duplex(1 << 16);
    let sink = FakeSink::holding();
    let mut around = around(&sink);
    around.joining = joining(Duration::from_secs(1));
    let task = tokio::spawn(async move { serve(&mut theirs, &Guest::new(peer()), &around).await });
    stream.write_all(b"a\n 1\n 2\nb\n").await.unwrap();
    assert_eq!(sink.bytes(1).await, [b"a\n 1\n 2"]);
    // The clock goes on by itself when all wait.
    assert_eq!(sink.bytes(2).await[1], b"b");
    stream.write_all(b"c\n").await.unwrap();
    stream.write_all(b" 1\nd\n un").await.unwrap();
    drop(stream);
    assert!(matches!(task.await.unwrap(), End::Eof));
    let frames = sink.frames(4).await;
    assert_eq!(frames[2].bytes, b"c\n 1");
    assert_eq!(frames[3].bytes, b"d\n un");
    assert_eq!(frames[3].defects, FrameDefects::UNTERMINATED);
    assert_eq!(frames.len(), 4);
}
