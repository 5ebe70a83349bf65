use settings::Protocol;
use tokio::time::timeout;

use super::*;
use crate::fake::{DEADLINE, FakeSink, listener};

async fn sender(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

#[tokio::test]
async fn each_datagram_is_a_frame_of_its_sender() {
    let bound = DatagramListener::bind(&listener(Protocol::Udp), &mut Inherited::none()).unwrap();
    let (first, second) = (sender(bound.local_addr()).await, sender(bound.local_addr()).await);
    let sink = FakeSink::confirming();
    let stop = CancellationToken::new();
    let task = tokio::spawn(bound.run(Arc::clone(&sink), Meters::default(), stop.clone()));
    first.send(b"<13>a\n").await.unwrap();
    first.send(b"").await.unwrap();
    first.send(b"<13>b\nc\0").await.unwrap();
    second.send(&[b'x'; 65_000]).await.unwrap();
    let mut frames = sink.frames(3).await;
    frames.sort_by_key(|frame| frame.bytes.len());
    assert_eq!(frames[0].bytes, b"<13>a");
    assert_eq!(frames[0].peer.addr, first.local_addr().unwrap().to_string());
    assert_eq!(frames[1].bytes, b"<13>b\nc");
    assert_eq!(frames[2].bytes.len(), 65_000);
    assert_eq!(frames[2].peer.addr, second.local_addr().unwrap().to_string());
    stop.cancel();
    timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn long_datagrams_are_cut_and_what_is_cut_is_counted() {
    let mut settings = listener(Protocol::Udp);
    settings.frame_bytes_max = 1000;
    let bound = DatagramListener::bind(&settings, &mut Inherited::none()).unwrap();
    let sender = sender(bound.local_addr()).await;
    sender.send(&[b'x'; 1500]).await.unwrap();
    let (sink, meters) = (FakeSink::confirming(), Meters::default());
    let stop = CancellationToken::new();
    let task = tokio::spawn(bound.run(Arc::clone(&sink), meters.clone(), stop.clone()));
    let frames = sink.frames(1).await;
    assert_eq!(
        (frames[0].bytes.len(), frames[0].defects),
        (1000, FrameDefects::TRUNCATED)
    );
    stop.cancel();
    timeout(DEADLINE, task).await.unwrap().unwrap();
    assert_eq!(meters.discarded_bytes.get(), 500);
}

#[tokio::test]
async fn what_the_kernel_drops_is_counted_to_the_last_datagram() {
    let mut settings = listener(Protocol::Udp);
    settings.receive_buffer = 16 * 1024;
    let bound = DatagramListener::bind(&settings, &mut Inherited::none()).unwrap();
    let sender = sender(bound.local_addr()).await;
    let sink = FakeSink::confirming();
    sink.room().close();
    let stop = CancellationToken::new();
    let task = tokio::spawn(bound.run(Arc::clone(&sink), Meters::default(), stop.clone()));
    for _ in 0..1000 {
        sender.send(&[b'x'; 500]).await.unwrap();
    }
    // Drops show while nothing is read.
    sink.frames_and_lost(1).await;
    assert_eq!(sink.frames_so_far(), 0);
    sink.room().open();
    let (frames, lost) = sink.frames_and_lost(1000).await;
    assert!(frames > 0 && lost > 0);
    assert_eq!(frames + lost, 1000);
    stop.cancel();
    timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_takes_what_has_arrived() {
    let bound = DatagramListener::bind(&listener(Protocol::Udp), &mut Inherited::none()).unwrap();
    let sender = sender(bound.local_addr()).await;
    for _ in 0..300 {
        sender.send(b"<13>arrived").await.unwrap();
    }
    let sink = FakeSink::confirming();
    let stop = CancellationToken::new();
    stop.cancel();
    let run = bound.run(Arc::clone(&sink), Meters::default(), stop);
    timeout(DEADLINE, run).await.unwrap();
    assert_eq!(sink.frames_so_far(), 300);
}
