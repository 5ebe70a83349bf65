use std::time::Duration;

use tokio::{
    io::{DuplexStream, duplex},
    task::{JoinHandle, yield_now},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    client::{RelpClient, RelpClientError},
    fake::{FakeSink, around, joining, limits, peer},
};

struct Served {
    stream: DuplexStream,
    sink: Arc<FakeSink>,
    stop: CancellationToken,
    task: JoinHandle<End>,
}

fn served(sink: Arc<FakeSink>, pipe_bytes: usize) -> Served {
    served_with(sink, pipe_bytes, None)
}

fn served_with(sink: Arc<FakeSink>, pipe_bytes: usize, joining: Option<Joining>) -> Served {
    let (stream, mut theirs) = duplex(pipe_bytes);
    let mut around = around(&sink);
    around.limits = limits(Some(Duration::from_secs(600)));
    around.joining = joining;
    let stop = around.stop.clone();
    let task = tokio::spawn(async move { serve(&mut theirs, &Guest::new(peer()), &around).await });
    Served {
        stream,
        sink,
        stop,
        task,
    }
}

#[tokio::test]
async fn answers_wait_for_custody_and_thousands_may_wait() {
    let served = served(FakeSink::holding(), 1 << 20);
    let mut client = RelpClient::open(served.stream).await.unwrap();
    for number in 0..10_000 {
        client.push(format!("<13>frame {number}").as_bytes());
    }
    while client.unwritten() > 0 {
        assert_eq!(client.exchange().await.unwrap(), 0);
    }
    let frames = served.sink.frames(10_000).await;
    assert_eq!(frames.len(), 10_000);
    assert_eq!(frames[9999].bytes, b"<13>frame 9999");
    assert_eq!(client.unanswered(), 10_000);
    served.sink.confirm_all();
    client.close().await.unwrap();
    assert!(matches!(served.task.await.unwrap(), End::RelpClosed));
}

#[tokio::test]
async fn close_is_answered_after_all_that_came_before() {
    let served = served(FakeSink::holding(), 1 << 20);
    let mut client = RelpClient::open(served.stream).await.unwrap();
    client.push(b"<13>a");
    let closing = tokio::spawn(async move {
        while client.unanswered() > 0 {
            client.exchange().await?;
        }
        client.close().await
    });
    served.sink.frames(1).await;
    yield_now().await;
    assert!(!closing.is_finished());
    served.sink.confirm_all();
    closing.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_batch_that_is_given_up_ends_the_session_unanswered() {
    let served = served(FakeSink::holding(), 1 << 20);
    let mut client = RelpClient::open(served.stream).await.unwrap();
    client.push(b"<13>a");
    assert_eq!(client.exchange().await.unwrap(), 0);
    served.sink.frames(1).await;
    served.sink.lose_all();
    assert!(matches!(client.exchange().await, Err(RelpClientError::Eof)));
    assert_eq!(client.unanswered(), 1);
    assert!(matches!(served.task.await.unwrap(), End::CustodyLost));
}

#[tokio::test]
async fn a_violation_ends_the_session_with_its_reason_after_the_answers() {
    let served = served(FakeSink::holding(), 1 << 20);
    let mut stream = served.stream;
    let open = b"1 open 30 relp_version=0\ncommands=syslog\n2 syslog 5 <13>a\nGET / HTTP/1.1\r\n";
    stream.write_all(open).await.unwrap();
    served.sink.frames(1).await;
    served.sink.confirm_all();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert!(answers.starts_with("1 rsp ") && answers.contains(" 200 OK\nrelp_version=0\n"));
    let reason = "no transaction number of 1 to 9 digits where a frame begins";
    let tail = format!("\n2 rsp 6 200 OK\n0 serverclose {} {reason}\n", reason.len());
    assert!(answers.ends_with(&tail), "{answers}");
    drop(stream);
    assert!(matches!(served.task.await.unwrap(), End::Violation(_)));
}

#[tokio::test]
async fn a_stop_answers_what_is_in_custody_and_says_goodbye() {
    let served = served(FakeSink::holding(), 1 << 20);
    let mut client = RelpClient::open(served.stream).await.unwrap();
    client.push(b"<13>a");
    client.exchange().await.unwrap();
    served.sink.frames(1).await;
    served.stop.cancel();
    yield_now().await;
    assert!(!served.task.is_finished());
    served.sink.confirm_all();
    assert_eq!(client.exchange().await.unwrap(), 1);
    // What comes now is not taken, and not answered.
    client.push(b"<13>b");
    assert!(matches!(
        client.exchange().await,
        Err(RelpClientError::ServerClose { .. })
    ));
    drop(client);
    assert!(matches!(served.task.await.unwrap(), End::Stopped));
    assert_eq!(served.sink.frames_so_far(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_answers_is_cut() {
    // The answers to all these do not fit into the pipe.
    let served = served(FakeSink::confirming(), 4096);
    let mut stream = served.stream;
    stream
        .write_all(b"1 open 30 relp_version=0\ncommands=syslog\n")
        .await
        .unwrap();
    let start = Instant::now();
    let mut frames = Vec::new();
    for number in 2..100_000 {
        relp::write_frame(&mut frames, relp::Txnr::new(number).unwrap(), "syslog", b"<13>a");
    }
    let written = stream.write_all(&frames).await;
    assert!(written.is_err(), "the session was not cut");
    assert!(start.elapsed() >= PATIENCE);
    assert!(matches!(served.task.await.unwrap(), End::AnswersNotRead));
    assert!(served.sink.frames_so_far() < 90_000);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_is_not_idle() {
    let served = served(FakeSink::holding(), 1 << 20);
    let mut client = RelpClient::open(served.stream).await.unwrap();
    client.push(b"<13>a");
    client.exchange().await.unwrap();
    served.sink.frames(1).await;
    advance_slowly(Duration::from_secs(6000)).await;
    served.sink.confirm_all();
    assert_eq!(client.exchange().await.unwrap(), 1);
    // Who is answered and says nothing more is.
    assert!(matches!(served.task.await.unwrap(), End::Idle));
}

#[tokio::test]
async fn a_session_reads_no_more_than_its_room() {
    let served = served(FakeSink::holding(), 1 << 20);
    let mut client = RelpClient::open(served.stream).await.unwrap();
    served.sink.room().close();
    client.push(b"<13>a");
    client.exchange().await.unwrap();
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(served.sink.frames_so_far(), 0);
    served.sink.room().open();
    served.sink.frames(1).await;
}

/// With time for timers to fire and be set again on the way.
async fn advance_slowly(duration: Duration) {
    for _ in 0..duration.as_secs() {
        tokio::time::advance(Duration::from_secs(1)).await;
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_joined_lines_wait_for_their_event() {
    let served = served_with(FakeSink::holding(), 1 << 16, joining(Duration::from_secs(5)));
    let mut client = RelpClient::open(served.stream).await.unwrap();
    for line in ["a", " 1", " 2", "b", " 1"] {
        client.push(line.as_bytes());
    }
    while client.unwritten() > 0 {
        assert_eq!(client.exchange().await.unwrap(), 0);
    }
    assert_eq!(served.sink.bytes(1).await, [b"a\n 1\n 2"]);
    served.sink.confirm_all();
    let mut answered = 0;
    while answered < 3 {
        answered += client.exchange().await.unwrap();
    }
    // The second event is not complete, and nobody has it.
    assert_eq!((answered, client.unanswered()), (3, 2));
    assert_eq!(served.sink.bytes(2).await[1], b"b\n 1");
    assert_eq!(client.unanswered(), 2);
    served.sink.confirm_all();
    while client.unanswered() > 0 {
        client.exchange().await.unwrap();
    }
    // An event under way is handed over before `close` is answered.
    client.push(b"c");
    let closing = tokio::spawn(async move {
        while client.unwritten() > 0 {
            client.exchange().await?;
        }
        client.close().await
    });
    assert_eq!(served.sink.bytes(3).await[2], b"c");
    served.sink.confirm_all();
    closing.await.unwrap().unwrap();
    assert!(matches!(served.task.await.unwrap(), End::RelpClosed));
}

#[tokio::test]
async fn a_stop_hands_over_the_event_under_way() {
    let served = served_with(FakeSink::confirming(), 1 << 16, joining(Duration::from_secs(600)));
    let mut client = RelpClient::open(served.stream).await.unwrap();
    client.push(b"a");
    client.push(b" 1");
    client.push(b"b");
    while client.unanswered() > 1 {
        client.exchange().await.unwrap();
    }
    served.stop.cancel();
    while client.unanswered() > 0 {
        client.exchange().await.unwrap();
    }
    assert_eq!(served.sink.bytes(2).await, [&b"a\n 1"[..], b"b"]);
}
