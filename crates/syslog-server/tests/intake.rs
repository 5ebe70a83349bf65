//! The whole of intake: real sockets in, the embedded broker out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{net::SocketAddr, time::Duration};

use broker::{Broker, Consumer, Disposition, QueueName, Topology};
use event::{FrameDefects, RawBatch, Timestamp};
use service::Context;
use settings::{BrokerSettings, Compression, IntakeSettings, ListenerSettings, Protocol};
use syslog_server::Server;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::JoinHandle,
    time::timeout,
};
use transport::{Connection, RelpClient, RelpClientError};

const DEADLINE: Duration = Duration::from_secs(120);

/// How long something is watched that must not happen.
const NEVER: Duration = Duration::from_millis(500);

/// A frame as the parser gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    listener: String,
    peer_addr: String,
    received_at: Timestamp,
    defects: FrameDefects,
    bytes: Vec<u8>,
}

struct Intake {
    addrs: Vec<(String, SocketAddr)>,
    ctx: Context,
    broker: Broker,
    task: JoinHandle<anyhow::Result<()>>,
    _dir: TempDir,
}

fn listener(protocol: Protocol) -> ListenerSettings {
    let name = match protocol {
        Protocol::Relp => "relp",
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    ListenerSettings {
        name: name.to_owned(),
        protocol,
        address: ([127, 0, 0, 1], 0).into(),
        frame_bytes_max: 65_536,
        idle_timeout: None,
        connections_max: 1000,
        connections_per_peer_max: 1000,
        receive_buffer: 1 << 20,
        time_zone: "UTC".to_owned(),
        tls: None,
        multiline: None,
    }
}

fn settings(protocols: &[Protocol]) -> IntakeSettings {
    IntakeSettings {
        listeners: protocols.iter().copied().map(listener).collect(),
        batch_bytes_max: 128 * 1024,
        batch_frames_max: 1024,
        batch_age_max: Duration::from_millis(5),
        unconfirmed_batches_max: 128,
        compression: Compression::Lz4,
    }
}

async fn start(settings: IntakeSettings, queue_bytes_max: u64) -> Intake {
    let dir = tempfile::tempdir().unwrap();
    let broker_settings = BrokerSettings::Embedded {
        dir: dir.path().to_owned(),
        queue_bytes_max,
        delivery_limit: 20,
    };
    let broker = Broker::connect(&broker_settings, "test").await.unwrap();
    broker.declare(&Topology::new([])).await.unwrap();
    let server = Server::bind(&settings).unwrap();
    let addrs = server
        .addrs()
        .into_iter()
        .map(|listening| (listening.name, listening.addr));
    let addrs = addrs.collect();
    let ctx = Context::new(Duration::from_secs(30));
    let task = tokio::spawn(server.run(broker.clone(), ctx.clone()));
    Intake {
        addrs,
        ctx,
        broker,
        task,
        _dir: dir,
    }
}

impl Intake {
    fn addr(&self, listener: &str) -> SocketAddr {
        self.addrs.iter().find(|(name, _)| name == listener).unwrap().1
    }

    async fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr("tcp")).await.unwrap();
        // What is written has then arrived.
        stream.set_nodelay(true).unwrap();
        stream
    }

    async fn relp(&self) -> RelpClient<Connection> {
        let server = self.addr("relp").to_string();
        let connection = Connection::connect(&server, None).await.unwrap();
        RelpClient::open(connection).await.unwrap()
    }

    async fn consumer(&self) -> Consumer {
        self.broker
            .consume(&QueueName::parser(), 1000, "test")
            .await
            .unwrap()
    }

    /// The frames in the queue, when there are so many.
    async fn frames(&self, count: usize) -> Vec<Got> {
        let mut consumer = self.consumer().await;
        let mut got = Vec::new();
        let mut ids = std::collections::HashSet::new();
        while got.len() < count {
            let delivery = timeout(DEADLINE, consumer.next()).await.unwrap().unwrap();
            let mut scratch = Vec::new();
            let mut batch = RawBatch::decode(&delivery.body, &mut scratch, 1 << 24).unwrap();
            assert_eq!(delivery.id, Some(batch.id().as_uuid()));
            assert!(ids.insert(batch.id()), "each batch comes once");
            assert_eq!(
                delivery.routing_key.as_str(),
                format!("syslog.{}", batch.listener())
            );
            let listener = batch.listener().to_owned();
            while let Some(frame) = batch.next_frame().unwrap() {
                got.push(Got {
                    listener: listener.clone(),
                    peer_addr: frame.peer_addr.to_owned(),
                    received_at: frame.received_at,
                    defects: frame.defects,
                    bytes: frame.bytes.to_vec(),
                });
            }
            delivery.settle(Disposition::Ack).await;
        }
        assert_eq!(got.len(), count);
        got
    }

    /// Waits until `/metrics` has this line.
    async fn shows(&self, line: &str) {
        let line = format!("\n{line}\n");
        testkit::eventually(DEADLINE, || async { self.ctx.metrics.encode().contains(&line) }).await;
    }

    async fn stop(self) {
        self.ctx.stop.cancel();
        timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
        self.broker.close().await;
    }
}

#[tokio::test]
async fn each_protocol_delivers_each_frame_once_with_its_peer_listener_and_time() {
    let intake = start(settings(&[Protocol::Relp, Protocol::Tcp, Protocol::Udp]), 1 << 30).await;
    let before = Timestamp::now();
    let mut tcp = intake.tcp().await;
    let tcp_peer = tcp.local_addr().unwrap().to_string();
    tcp.write_all(b"<13>by line\n17 <13>octet\ncounted<13>by half")
        .await
        .unwrap();
    tcp.shutdown().await.unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let udp_peer = udp.local_addr().unwrap().to_string();
    udp.send_to(b"<13>by datagram\n", intake.addr("udp"))
        .await
        .unwrap();
    let mut relp = intake.relp().await;
    relp.push(b"<13>by relp");
    relp.close().await.unwrap();

    let mut got = intake.frames(5).await;
    got.sort_by(|a, b| (&a.listener, &a.bytes).cmp(&(&b.listener, &b.bytes)));
    let lines: Vec<_> = got
        .iter()
        .map(|got| (&*got.listener, std::str::from_utf8(&got.bytes).unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            ("relp", "<13>by relp"),
            ("tcp", "<13>by half"),
            ("tcp", "<13>by line"),
            ("tcp", "<13>octet\ncounted"),
            ("udp", "<13>by datagram"),
        ]
    );
    assert_eq!(got[1].defects, FrameDefects::UNTERMINATED);
    assert!(got[1..4].iter().all(|got| got.peer_addr == tcp_peer));
    assert_eq!(got[4].peer_addr, udp_peer);
    assert!(
        got.iter()
            .all(|got| (before..=Timestamp::now()).contains(&got.received_at))
    );

    for expected in [
        "logferry_intake_frames_total{listener=\"tcp\"} 3",
        "logferry_intake_frames_total{listener=\"udp\"} 1",
        "logferry_intake_connections_accepted_total{listener=\"relp\"} 1",
        "logferry_intake_batches_unconfirmed{listener=\"relp\"} 0",
        "logferry_events_received_total{stage=\"syslog-server\"} 5",
        "logferry_events_sent_total{stage=\"syslog-server\"} 5",
    ] {
        intake.shows(expected).await;
    }
    assert!(intake.ctx.health.is_ready());
    intake.stop().await;
}

#[tokio::test]
async fn thousands_of_transactions_are_answered_in_order() {
    let intake = start(settings(&[Protocol::Relp]), 1 << 30).await;
    let mut relp = intake.relp().await;
    for number in 0..20_000 {
        relp.push(format!("<13>{number}").as_bytes());
    }
    timeout(DEADLINE, relp.close()).await.unwrap().unwrap();
    let got = intake.frames(20_000).await;
    for (number, got) in got.iter().enumerate() {
        assert_eq!(got.bytes, format!("<13>{number}").into_bytes());
    }
    intake.stop().await;
}

/// Frames of which each fills a batch, and a queue that holds a few of them.
fn full_soon() -> (IntakeSettings, u64) {
    let mut settings = settings(&[Protocol::Relp, Protocol::Tcp]);
    settings.batch_frames_max = 1;
    settings.unconfirmed_batches_max = 4;
    settings.compression = Compression::None;
    (settings, 200_000)
}

#[tokio::test]
async fn relp_answers_wait_while_the_queue_is_full_and_nothing_is_lost() {
    let (settings, queue_bytes_max) = full_soon();
    let intake = start(settings, queue_bytes_max).await;
    let mut relp = intake.relp().await;
    for number in 0..40_u8 {
        relp.push(&[number + b' '; 20_000]);
    }
    let mut answered = 0;
    let stuck = async {
        while relp.unanswered() > 0 {
            answered += relp.exchange().await.unwrap();
        }
    };
    // The queue takes some ten of them.
    assert!(timeout(NEVER, stuck).await.is_err());
    assert!((1..20).contains(&answered), "{answered}");
    assert_eq!(intake.broker.counters().confirmed, u64::from(answered));
    let (got, closed) = tokio::join!(intake.frames(40), relp.close());
    closed.unwrap();
    let mut numbers: Vec<_> = got.iter().map(|got| got.bytes[0]).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (b' '..b' ' + 40).collect::<Vec<_>>());
    intake.stop().await;
}

#[tokio::test]
async fn tcp_is_not_read_while_the_queue_is_full_and_nothing_is_lost() {
    let (settings, queue_bytes_max) = full_soon();
    let intake = start(settings, queue_bytes_max).await;
    let mut tcp = intake.tcp().await;
    // More than all the buffers between here and there.
    let line = [&vec![b'x'; 20_000][..], b"\n"].concat();
    let mut written = 0;
    let stuck = async {
        while written < 2000 {
            tcp.write_all(&line).await.unwrap();
            written += 1;
        }
    };
    assert!(timeout(NEVER, stuck).await.is_err(), "all was read");
    let metrics = intake.ctx.metrics.encode();
    let unconfirmed = metrics
        .lines()
        .find_map(|line| line.strip_prefix("logferry_intake_batches_unconfirmed{listener=\"tcp\"} "))
        .map(|number| number.parse::<u32>().unwrap());
    // What is allowed, and what the last read brought.
    assert!(
        unconfirmed.is_some_and(|unconfirmed| (4..32).contains(&unconfirmed)),
        "{unconfirmed:?}"
    );
    tcp.shutdown().await.unwrap();
    drop(tcp);
    // The last line was cut by giving up in the middle of it. It need not come
    // last: a batch that the full queue refused is passed by those behind it.
    let got = intake.frames(written + 1).await;
    let whole = got.iter().filter(|got| got.bytes.len() == 20_000).count();
    assert_eq!(whole, written);
    intake.stop().await;
}

#[tokio::test]
async fn a_stop_flushes_confirms_answers_and_closes() {
    let mut settings = settings(&[Protocol::Relp, Protocol::Tcp, Protocol::Udp]);
    // What is open is not old enough for a long time.
    settings.batch_age_max = Duration::from_secs(3600);
    let intake = start(settings, 1 << 30).await;
    let mut relp = intake.relp().await;
    let mut tcp = intake.tcp().await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.connect(intake.addr("udp")).await.unwrap();
    for _ in 0..1000 {
        relp.push(b"<13>by relp");
        tcp.write_all(b"<13>by tcp\n").await.unwrap();
        udp.send(b"<13>by udp").await.unwrap();
    }
    while relp.unwritten() > 0 {
        relp.exchange().await.unwrap();
    }
    let all_taken = "logferry_intake_frames_total{listener=\"relp\"} 1000";
    testkit::eventually(DEADLINE, || async {
        intake.ctx.metrics.encode().contains(all_taken)
    })
    .await;
    intake.ctx.stop.cancel();
    let answers = async {
        while relp.unanswered() > 0 {
            relp.exchange().await.unwrap();
        }
        relp.push(b"<13>too late");
        loop {
            match relp.exchange().await {
                Ok(answered) => assert_eq!(answered, 0),
                Err(error) => break error,
            }
        }
    };
    let goodbye = timeout(DEADLINE, answers).await.unwrap();
    assert!(
        matches!(goodbye, RelpClientError::ServerClose { .. }),
        "{goodbye}"
    );
    drop(relp);
    assert_eq!(tcp.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(intake.frames(3000).await.len(), 3000);
    intake.stop().await;
}

#[tokio::test]
async fn the_heartbeat_tells_who_is_connected_and_what_answers_mean() {
    let intake = start(settings(&[Protocol::Relp, Protocol::Tcp]), 1 << 30).await;
    let mut relp = intake.relp().await;
    relp.push(b"<13>by relp");
    while relp.unanswered() > 0 {
        relp.exchange().await.unwrap();
    }
    let mut tcp = intake.tcp().await;
    tcp.write_all(b"<13>by tcp\n").await.unwrap();
    intake.frames(2).await;
    let backlog = broker::Backlog {
        messages: 10,
        bytes: 1 << 20,
    };
    let mut listening = intake.broker.listen_to_status(backlog);
    let speaker = intake.broker.clone();
    let pulse = syslog_server::PULSE.start(&intake.ctx, move |key, beat| speaker.announce(key, beat));
    let heard = timeout(DEADLINE, listening.next()).await.unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&heard.body).unwrap();
    let schema = include_str!("../../../proto/status.schema.json");
    let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    assert!(validator.is_valid(&json), "{json:#}");
    let beat: service::Heartbeat = serde_json::from_value(json).unwrap();
    assert_eq!(heard.routing_key, format!("syslog-server.{}", beat.instance));
    assert_eq!((beat.counters.received, beat.clients_total), (2, 2));
    let clients: Vec<_> = beat
        .clients
        .iter()
        .map(|client| (client.protocol.as_str(), client.frames, client.bytes))
        .collect();
    assert_eq!(clients, [("relp", 1, 11), ("tcp", 1, 10)]);
    assert_eq!(
        beat.durability.map(|now| now.in_force),
        Some("embedded".to_owned())
    );
    drop(relp);
    testkit::eventually(DEADLINE, || async {
        intake.ctx.clients().list("syslog-server", 10).1 == 1
    })
    .await;
    intake.stop().await;
    pulse.await.unwrap();
}

#[tokio::test]
async fn one_senders_garbage_is_not_anothers_trouble() {
    let mut settings = settings(&[Protocol::Tcp, Protocol::Relp]);
    settings.listeners[0].frame_bytes_max = 1000;
    let intake = start(settings, 1 << 30).await;
    let mut good = intake.tcp().await;
    good.write_all(b"<13>before\n").await.unwrap();
    let mut bad = intake.tcp().await;
    bad.write_all(&vec![b'x'; 10 << 20]).await.unwrap();
    bad.write_all(b"\n9999 <13>a count that lies").await.unwrap();
    bad.shutdown().await.unwrap();
    let mut no_relp = TcpStream::connect(intake.addr("relp")).await.unwrap();
    no_relp.write_all(b"<13>this is no RELP\n").await.unwrap();
    let mut goodbye = String::new();
    no_relp.read_to_string(&mut goodbye).await.unwrap();
    assert!(goodbye.starts_with("0 serverclose "), "{goodbye}");
    good.write_all(b"<13>after\n").await.unwrap();
    let got = intake.frames(4).await;
    let count = |defects| got.iter().filter(|got| got.defects == defects).count();
    assert_eq!(count(FrameDefects::empty()), 2);
    assert_eq!(count(FrameDefects::TRUNCATED), 1);
    assert_eq!(count(FrameDefects::UNTERMINATED), 1);
    let discarded = (10 << 20) - 1000;
    for expected in [
        format!("logferry_intake_discarded_bytes_total{{listener=\"tcp\"}} {discarded}"),
        "logferry_intake_frames_truncated_total{listener=\"tcp\"} 1".to_owned(),
        "logferry_intake_relp_violations_total{listener=\"relp\"} 1".to_owned(),
    ] {
        intake.shows(&expected).await;
    }
    intake.stop().await;
}

#[tokio::test]
async fn a_busy_port_names_the_listener_and_the_setting() {
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for (protocol, taken) in [
        (Protocol::Tcp, tcp.local_addr().unwrap()),
        (Protocol::Relp, tcp.local_addr().unwrap()),
        (Protocol::Udp, udp.local_addr().unwrap()),
    ] {
        let mut settings = settings(&[protocol]);
        settings.listeners[0].address = taken;
        let error = format!("{:#}", Server::bind(&settings).unwrap_err());
        for expected in [&settings.listeners[0].name, &taken.to_string(), "`address`"] {
            assert!(error.contains(expected), "{expected} in {error}");
        }
    }
}
