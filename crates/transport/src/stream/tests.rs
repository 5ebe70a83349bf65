use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use settings::{ClientCert, TlsServerSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::{
    certificates::Look,
    client::{Connection, RelpClient, TlsClient, TlsClientOptions},
    error::TlsError,
    fake::{DEADLINE, FakeSink, around, listener},
};

struct Running {
    server: String,
    sink: Arc<FakeSink>,
    meters: Meters,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn run(settings: &ListenerSettings) -> Running {
    start(StreamListener::bind(settings, &mut Inherited::none()).unwrap())
}

fn start(bound: StreamListener) -> Running {
    let (server, sink) = (bound.local_addr().to_string(), FakeSink::confirming());
    let (meters, stop) = (Meters::default(), CancellationToken::new());
    let task = tokio::spawn(bound.run(vec![Arc::clone(&sink)], meters.clone(), stop.clone()));
    Running {
        server,
        sink,
        meters,
        stop,
        task,
    }
}

impl Running {
    async fn connect(&self) -> Connection {
        Connection::connect(&self.server, None).await.unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(DEADLINE, self.task).await.unwrap().unwrap();
        assert_eq!(self.meters.connections.get(), 0);
    }
}

/// True when the peer closes without having sent anything.
async fn is_closed(connection: &mut Connection) -> bool {
    let read = timeout(DEADLINE, connection.read(&mut [0; 16])).await.unwrap();
    matches!(read, Ok(0) | Err(_))
}

#[tokio::test]
async fn five_hundred_connections_are_served() {
    let running = run(&listener(Protocol::Tcp));
    let mut connections = Vec::new();
    for _ in 0..500 {
        connections.push(running.connect().await);
    }
    for (number, connection) in connections.iter_mut().enumerate() {
        let line = format!("<13>from {number}\n");
        connection.write_all(line.as_bytes()).await.unwrap();
    }
    let frames = running.sink.frames(500).await;
    let peers: std::collections::HashSet<_> = frames.iter().map(|frame| &frame.peer.addr).collect();
    assert_eq!((frames.len(), peers.len()), (500, 500));
    assert_eq!(running.meters.connections.get(), 500);
    running.stop().await;
}

#[test]
fn addresses_are_spread_evenly_and_stay_where_they_are() {
    let addrs = |net: u8| (0..=255).map(move |host| IpAddr::from([10, 0, net, host]));
    for count in [1, 2, 4, 7, 64] {
        let mut seen = vec![0; count];
        addrs(0)
            .chain(addrs(1))
            .for_each(|addr| seen[spread(addr, count)] += 1);
        let fair = 512 / count;
        assert!(seen.iter().all(|n| (fair / 4..=fair * 3).contains(n)), "{seen:?}");
    }
    // Another version of this program must agree.
    assert_eq!(spread(IpAddr::from([192, 0, 2, 1]), 64), 20);
}

#[tokio::test]
async fn each_address_has_its_sink() {
    let bound = StreamListener::bind(&listener(Protocol::Tcp), &mut Inherited::none()).unwrap();
    let server = bound.local_addr();
    let sinks = [
        FakeSink::confirming(),
        FakeSink::confirming(),
        FakeSink::confirming(),
    ];
    let stop = CancellationToken::new();
    let task = tokio::spawn(bound.run(sinks.to_vec(), Meters::default(), stop.clone()));
    let mut expected = [0; 3];
    let mut open = Vec::new();
    for host in 1..=20 {
        let from = IpAddr::from([127, 0, 0, host]);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(server).await.unwrap();
        stream.write_all(b"<13>a\n<13>b\n").await.unwrap();
        open.push(stream);
        expected[spread(from, 3)] += 2;
    }
    for (sink, expected) in sinks.iter().zip(expected) {
        assert_eq!(sink.frames(expected).await.len(), expected);
    }
    stop.cancel();
    timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn caps_refuse_connections_and_places_come_free() {
    let mut settings = listener(Protocol::Tcp);
    settings.connections_per_peer_max = 2;
    let running = run(&settings);
    let mut first = running.connect().await;
    let mut second = running.connect().await;
    first.write_all(b"<13>a\n").await.unwrap();
    second.write_all(b"<13>b\n").await.unwrap();
    running.sink.frames(2).await;
    assert!(is_closed(&mut running.connect().await).await);
    assert_eq!(running.meters.refused_peer.get(), 1);
    // The others are still served.
    first.write_all(b"<13>c\n").await.unwrap();
    running.sink.frames(3).await;
    first.shutdown().await.unwrap();
    assert!(is_closed(&mut first).await);
    let mut third = running.connect().await;
    third.write_all(b"<13>d\n").await.unwrap();
    running.sink.frames(4).await;
    running.stop().await;
}

#[tokio::test]
async fn limits_change_while_connections_stay() {
    for protocol in [Protocol::Tcp, Protocol::Relp] {
        let mut settings = listener(protocol);
        let bound = StreamListener::bind(&settings, &mut Inherited::none()).unwrap();
        let limits = bound.limits();
        let running = start(bound);
        let mut open = running.connect().await;
        let line = |number: u32| match protocol {
            Protocol::Relp => format!("{} syslog 9 <13>12345\n", number + 1),
            _ => "<13>12345\n".to_owned(),
        };
        if protocol == Protocol::Relp {
            open.write_all(b"1 open 14 relp_version=0\n").await.unwrap();
        }
        open.write_all(line(1).as_bytes()).await.unwrap();
        running.sink.frames(1).await;

        settings.connections_max = 1;
        settings.frame_bytes_max = 5;
        limits.send_replace(ListenerLimits::from(&settings));
        let mut refused = running.connect().await;
        assert!(is_closed(&mut refused).await, "{protocol:?}");
        open.write_all(line(2).as_bytes()).await.unwrap();
        let frames = running.sink.bytes(2).await;
        assert_eq!(frames, [&b"<13>12345"[..], b"<13>1"], "{protocol:?}");

        settings.connections_max = 2;
        settings.frame_bytes_max = 480;
        settings.idle_timeout = Some(Duration::from_millis(1));
        limits.send_replace(ListenerLimits::from(&settings));
        let mut second = running.connect().await;
        open.write_all(line(3).as_bytes()).await.unwrap();
        assert_eq!(running.sink.bytes(3).await[2], b"<13>12345", "{protocol:?}");
        // Silence ends both now: the new one, and the one that was open before.
        let mut rest = Vec::new();
        for connection in [&mut open, &mut second] {
            let read = timeout(DEADLINE, connection.read_to_end(&mut rest)).await;
            assert!(matches!(read, Ok(Ok(_))), "{protocol:?}");
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn a_violation_ends_one_session_and_no_other() {
    let running = run(&listener(Protocol::Relp));
    let mut good = RelpClient::open(running.connect().await).await.unwrap();
    let mut bad = running.connect().await;
    bad.write_all(b"\x16\x03\x01 this is no RELP\n").await.unwrap();
    let mut answer = String::new();
    bad.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("0 serverclose "), "{answer}");
    drop(bad);
    good.push(b"<13>a");
    while good.unanswered() > 0 {
        good.exchange().await.unwrap();
    }
    assert_eq!(running.meters.relp_sessions.get(), 1);
    assert_eq!(running.meters.violations.get(), 1);
    good.close().await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_busy_port_names_the_listener_and_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = listener(Protocol::Tcp);
    settings.address = taken.local_addr().unwrap();
    let error = StreamListener::bind(&settings, &mut Inherited::none())
        .unwrap_err()
        .to_string();
    assert!(error.contains("listener \"test\""), "{error}");
    assert!(error.contains(&settings.address.to_string()), "{error}");
    assert!(error.contains("`address`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn accepting_pauses_only_when_nothing_is_left() {
    let surroundings = around(&FakeSink::confirming());
    let start = Instant::now();
    for errno in [Errno::ECONNABORTED, Errno::EPERM, Errno::EHOSTUNREACH] {
        pause_after(&errno.into(), &surroundings).await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(surroundings.meters.exhausted.get(), 0);
    for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM] {
        pause_after(&errno.into(), &surroundings).await;
    }
    assert!(start.elapsed() >= 3 * EXHAUSTED_PAUSE);
    assert_eq!(surroundings.meters.exhausted.get(), 3);
    surroundings.stop.cancel();
    let start = Instant::now();
    pause_after(&Errno::EMFILE.into(), &surroundings).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// A CA, a server certificate for `localhost` and a client certificate for `sender.example`.
struct Pki {
    dir: tempfile::TempDir,
}

impl Pki {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pki = Self { dir };
        fs::write(pki.path("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        for name in ["localhost", "sender.example"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            fs::write(pki.path(&format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(pki.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn listener(&self, protocol: Protocol, client_cert: ClientCert) -> ListenerSettings {
        let mut settings = listener(protocol);
        settings.tls = Some(TlsServerSettings {
            cert_file: self.path("localhost.pem"),
            key_file: self.path("localhost.key"),
            client_cert,
        });
        settings
    }

    fn client(&self, with_certificate: bool) -> TlsClient {
        let certificate = (self.path("sender.example.pem"), self.path("sender.example.key"));
        TlsClient::new(&TlsClientOptions {
            ca_file: Some(self.path("ca.pem")),
            certificate: with_certificate.then_some(certificate),
            server_name: Some("localhost".to_owned()),
        })
        .unwrap()
    }
}

#[tokio::test]
async fn the_name_in_a_client_certificate_goes_with_its_frames() {
    let pki = Pki::new();
    for protocol in [Protocol::Tcp, Protocol::Relp] {
        let running = run(&pki.listener(protocol, ClientCert::Required(pki.path("ca.pem"))));
        let connection = Connection::connect(&running.server, Some(&pki.client(true))).await;
        let mut connection = connection.unwrap();
        if protocol == Protocol::Relp {
            let mut client = RelpClient::open(connection).await.unwrap();
            client.push(b"<13>a");
            client.close().await.unwrap();
        } else {
            connection.write_all(b"<13>a\n").await.unwrap();
            connection.shutdown().await.unwrap();
        }
        let frames = running.sink.frames(1).await;
        assert_eq!(frames[0].bytes, b"<13>a");
        assert_eq!(frames[0].peer.tls_name.as_deref(), Some("sender.example"));
        running.stop().await;
    }
}

#[tokio::test]
async fn an_optional_certificate_may_be_left_out_but_not_be_wrong() {
    let (pki, other) = (Pki::new(), Pki::new());
    let running = run(&pki.listener(Protocol::Tcp, ClientCert::Optional(pki.path("ca.pem"))));
    let mut without = Connection::connect(&running.server, Some(&pki.client(false)))
        .await
        .unwrap();
    without.write_all(b"<13>a\n").await.unwrap();
    assert_eq!(running.sink.frames(1).await[0].peer.tls_name, None);
    // With TLS 1.3 the client only learns afterwards that it was refused.
    let wrong = TlsClient::new(&TlsClientOptions {
        ca_file: Some(pki.path("ca.pem")),
        certificate: Some((other.path("sender.example.pem"), other.path("sender.example.key"))),
        server_name: Some("localhost".to_owned()),
    });
    let refused = Connection::connect(&running.server, Some(&wrong.unwrap())).await;
    if let Ok(mut refused) = refused {
        assert!(is_closed(&mut refused).await);
    }
    assert_eq!(running.meters.handshakes_failed.get(), 1);
    running.stop().await;
}

#[tokio::test]
async fn without_the_certificate_that_is_required_nothing_is_taken() {
    let pki = Pki::new();
    let running = run(&pki.listener(Protocol::Tcp, ClientCert::Required(pki.path("ca.pem"))));
    if let Ok(mut refused) = Connection::connect(&running.server, Some(&pki.client(false))).await {
        assert!(is_closed(&mut refused).await);
    }
    // Plain text on a TLS port.
    let mut plain = running.connect().await;
    plain.write_all(b"<13>plain text\n").await.unwrap();
    plain.shutdown().await.unwrap();
    let mut alert = Vec::new();
    plain.read_to_end(&mut alert).await.ok();
    assert_eq!(running.meters.handshakes_failed.get(), 2);
    // And others are still served.
    let mut good = Connection::connect(&running.server, Some(&pki.client(true)))
        .await
        .unwrap();
    good.write_all(b"<13>a\n").await.unwrap();
    assert_eq!(running.sink.frames(1).await.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_client_does_not_trust_another_ca() {
    let (pki, other) = (Pki::new(), Pki::new());
    let running = run(&pki.listener(Protocol::Tcp, ClientCert::Off));
    let refused = Connection::connect(&running.server, Some(&other.client(false))).await;
    assert!(
        matches!(refused, Err(crate::ConnectError::Tls { .. })),
        "{refused:?}"
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_comes_is_cut() {
    let pki = Pki::new();
    let running = run(&pki.listener(Protocol::Tcp, ClientCert::Off));
    let mut silent = running.connect().await;
    assert!(is_closed(&mut silent).await);
    assert_eq!(running.meters.handshakes_failed.get(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_used_and_sessions_go_on() {
    let (pki, new) = (Pki::new(), Pki::new());
    let mut bound = StreamListener::bind(
        &pki.listener(Protocol::Tcp, ClientCert::Off),
        &mut Inherited::none(),
    )
    .unwrap();
    bound.certificates.as_mut().unwrap().pause = Duration::from_millis(10);
    let running = start(bound);
    let mut old = Connection::connect(&running.server, Some(&pki.client(false)))
        .await
        .unwrap();
    for file in ["localhost.pem", "localhost.key"] {
        fs::copy(new.path(file), pki.path(file)).unwrap();
    }
    let client = new.client(false);
    let connected = timeout(DEADLINE, async {
        loop {
            // Refused as long as the old certificate is shown.
            if let Ok(connection) = Connection::connect(&running.server, Some(&client)).await {
                return connection;
            }
        }
    });
    let mut connected = connected.await.unwrap();
    connected.write_all(b"<13>new\n").await.unwrap();
    old.write_all(b"<13>old\n").await.unwrap();
    running.sink.frames(2).await;
    let expiry = running.meters.certificate_not_after.get();
    assert!(expiry > 1_700_000_000, "{expiry}");
    running.stop().await;
}

#[tokio::test]
async fn files_that_do_not_fit_leave_the_certificate_and_are_told_once() {
    let (pki, other) = (Pki::new(), Pki::new());
    let settings = pki.listener(Protocol::Tcp, ClientCert::Off).tls.unwrap();
    let mut certificates = Certificates::open(&settings).unwrap();
    assert!(matches!(certificates.look(), Look::Same));
    fs::copy(other.path("localhost.key"), pki.path("localhost.key")).unwrap();
    assert!(matches!(certificates.look(), Look::Unfinished));
    assert!(matches!(certificates.look(), Look::Refused(TlsError::Config(_))));
    assert!(matches!(certificates.look(), Look::Same));
    fs::remove_file(pki.path("localhost.key")).unwrap();
    assert!(matches!(certificates.look(), Look::Unfinished));
    let Look::Refused(error) = certificates.look() else {
        panic!("it is gone");
    };
    assert!(error.to_string().contains("localhost.key"), "{error}");
    for file in ["localhost.pem", "localhost.key"] {
        fs::copy(other.path(file), pki.path(file)).unwrap();
    }
    assert!(matches!(certificates.look(), Look::Changed));
}

#[tokio::test]
async fn bad_tls_files_name_the_listener_and_the_file() {
    let pki = Pki::new();
    let mut settings = pki.listener(Protocol::Tcp, ClientCert::Off);
    settings.tls.as_mut().unwrap().cert_file = pki.path("missing.pem");
    let error = StreamListener::bind(&settings, &mut Inherited::none()).unwrap_err();
    let error = format!("{:#}", anyhow_like(&error));
    assert!(
        error.contains("listener \"test\"") && error.contains("missing.pem"),
        "{error}"
    );
}

/// The error with its sources, as binaries print it.
fn anyhow_like(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
