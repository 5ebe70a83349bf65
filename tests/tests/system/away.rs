//! Intake while RabbitMQ takes nothing, with no rescue queue: senders wait, datagrams that are lost are counted, and
//! all goes on afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::{Pipeline, RabbitMq, RelpLoad, Service, eventually, free_port};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

use crate::support::{Counts, PATIENCE, assert_counts, each_once, file_counts, key, lines};

/// With their padding 24 MB: more than sockets hold.
const TCP_LINES: usize = 40_000;
const PADDING: usize = 600;
const RELP_LINES: usize = 10_000;
/// More than the receive buffer of the narrow listener holds.
const DATAGRAMS: usize = 2_000;

#[tokio::test]
async fn an_alarm_of_rabbitmq_makes_senders_wait() {
    let broker = RabbitMq::start_private().await;
    waits_and_goes_on(
        &broker,
        async || broker.set_alarm(true).await,
        async || {
            broker.set_alarm(false).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_rabbitmq_that_is_away_makes_senders_wait() {
    let broker = RabbitMq::start_private().await;
    waits_and_goes_on(
        &broker,
        async || broker.stop().await,
        async || broker.start().await,
    )
    .await;
}

async fn waits_and_goes_on(broker: &RabbitMq, begin: impl AsyncFnOnce(), end: impl AsyncFnOnce()) {
    let services = [Service::SyslogServer, Service::Parser, Service::ShipperFs];
    let narrow = free_port();
    let pipeline = Pipeline::over(&broker.url(), "embedded")
        .settings(&format!(
            "[rescue]\norder = []\n\
             [[syslog_server.listener]]\nname = \"narrow\"\nprotocol = \"udp\"\n\
             address = \"127.0.0.1:{narrow}\"\nreceive_buffer = \"64KiB\"\n"
        ))
        .services(&services)
        .start()
        .await;
    let intake = async |name: &str| pipeline.metric(Service::SyslogServer, &[name]).await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    begin().await;
    // RabbitMQ blocks a connection when it publishes, not before.
    eventually(PATIENCE, || async {
        udp.send_to(b"is it away?", pipeline.udp()).await.unwrap();
        intake("logferry_broker_ready ").await < 0.5
    })
    .await;

    let relp = RelpLoad::start(pipeline.relp(), lines("relp", RELP_LINES));
    let tcp = TcpLoad::start(pipeline.tcp(), padded("tcp", TCP_LINES)).await;
    udp.connect(("127.0.0.1", narrow)).await.unwrap();
    for line in padded("udp", DATAGRAMS) {
        udp.send(line.as_bytes()).await.unwrap();
    }
    tcp.stalls().await;
    assert_eq!(relp.acked(), 0, "answered without a broker");

    end().await;
    tcp.finish().await;
    let sends = relp.finish().await;
    // The kernel tells what it dropped with the next datagram.
    let mut sent = DATAGRAMS;
    let datagrams = eventually(PATIENCE, || {
        sent += 1;
        let udp = &udp;
        async move {
            udp.send(b"one more").await.unwrap();
            let taken = intake("logferry_intake_frames_total{listener=\"narrow\"}").await;
            let dropped = intake("logferry_intake_kernel_drops_total{listener=\"narrow\"}").await;
            let told = dropped > 0.0 && (taken + dropped - sent as f64).abs() < 0.5;
            told.then_some(taken)
        }
    })
    .await;

    let asked = intake("logferry_intake_frames_total{listener=\"udp\"}").await;
    let all = (TCP_LINES + RELP_LINES) as f64 + datagrams + asked;
    let shipped = ["logferry_events_sent_total{stage=\"shipper-fs\"}"];
    eventually(PATIENCE, || async {
        pipeline.metric(Service::ShipperFs, &shipped).await >= all
    })
    .await;
    for service in services {
        assert!(pipeline.terminate(service).await.success(), "{}", service.name());
    }
    let found = file_counts(&pipeline.events_file());
    let of = |name: &str| -> Counts {
        let found = found.iter().filter(|(key, _)| key.starts_with(name));
        found.map(|(key, count)| (key.clone(), *count)).collect()
    };
    assert_counts(&of("tcp-"), &each_once("tcp", TCP_LINES));
    for (n, sends) in sends.iter().enumerate() {
        let found = found.get(&key("relp", n)).copied().unwrap_or_default();
        assert!(
            (1..=*sends).contains(&found),
            "relp line {n}: sent {sends} times, found {found}"
        );
    }
}

/// Lines that fill sockets sooner.
fn padded(name: &str, count: usize) -> Vec<String> {
    let padding = "x".repeat(PADDING);
    let lines = (0..count).map(|n| {
        format!(
            "<134>1 2026-03-01T10:00:00Z host app - - - {padding} {}",
            key(name, n)
        )
    });
    lines.collect()
}

/// A sender over TCP that tells how far it came.
struct TcpLoad {
    written: Arc<AtomicUsize>,
    total: usize,
    task: tokio::task::JoinHandle<()>,
}

impl TcpLoad {
    async fn start(to: std::net::SocketAddr, lines: Vec<String>) -> Self {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let text = lines.join("\n") + "\n";
        let (written, total) = (Arc::new(AtomicUsize::new(0)), text.len());
        let count = Arc::clone(&written);
        let task = tokio::spawn(async move {
            for chunk in text.as_bytes().chunks(64 * 1024) {
                stream.write_all(chunk).await.unwrap();
                count.fetch_add(chunk.len(), Ordering::Relaxed);
            }
            stream.shutdown().await.unwrap();
        });
        Self { written, total, task }
    }

    /// Waits until nothing more is taken from it.
    async fn stalls(&self) {
        let (mut last, mut same) = (0, 0);
        eventually(PATIENCE, || {
            let now = self.written.load(Ordering::Relaxed);
            same = if now == last { same + 1 } else { 0 };
            last = now;
            let stalled = same > 20;
            async move { stalled }
        })
        .await;
        assert!(!self.task.is_finished(), "all {} bytes were taken", self.total);
    }

    async fn finish(self) {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}
