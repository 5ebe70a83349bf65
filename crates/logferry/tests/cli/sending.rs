//! `send` and `bench` against intake on the embedded broker.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use broker::{Broker, Consumer, Disposition, QueueName, Topology};
use event::RawBatch;
use service::Context;
use settings::{BrokerSettings, ClientCert, Protocol, Settings, Sources, TlsServerSettings};
use syslog_server::Server;
use tempfile::TempDir;
use testkit::Authority;
use tokio::runtime::Runtime;

use crate::fixture::{Fixture, Outcome, PATIENCE};

/// Intake that runs beside the test.
struct Intake {
    runtime: Runtime,
    addrs: Vec<(String, SocketAddr)>,
    consumer: Consumer,
    _dir: TempDir,
}

impl Intake {
    fn start() -> Self {
        Self::start_with(None)
    }

    /// With `tls`, on the listeners for streams.
    fn start_with(tls: Option<&TlsServerSettings>) -> Self {
        let runtime = Runtime::new().expect("starts");
        let dir = tempfile::tempdir().expect("a folder");
        let broker_settings = BrokerSettings::Embedded {
            dir: dir.path().to_owned(),
            queue_bytes_max: 1 << 30,
            delivery_limit: 20,
        };
        let (addrs, consumer) = runtime.block_on(async {
            let broker = Broker::connect(&broker_settings, "test").await.expect("connects");
            broker.declare(&Topology::new([])).await.expect("declares");
            let mut settings = Settings::from_sources(&Sources::default()).expect("is good");
            for listener in &mut settings.syslog_server.listeners {
                listener.address.set_port(0);
                if listener.protocol != Protocol::Udp {
                    listener.tls = tls.cloned();
                }
            }
            let server = Server::bind(&settings.syslog_server).expect("binds");
            let addrs = server.addrs().into_iter();
            let addrs = addrs.map(|listening| (listening.name, listening.addr)).collect();
            let consumer = broker
                .consume(&QueueName::parser(), 1000, "test")
                .await
                .expect("consumes");
            tokio::spawn(server.run(broker, Context::new(Duration::from_secs(5))));
            (addrs, consumer)
        });
        Self {
            runtime,
            addrs,
            consumer,
            _dir: dir,
        }
    }

    fn to(&self, listener: &str) -> String {
        let found = self.addrs.iter().find(|(name, _)| name == listener);
        found.expect("is a listener").1.to_string()
    }

    /// The next frames.
    fn frames(&mut self, count: usize) -> Vec<String> {
        let consumer = &mut self.consumer;
        let frames = async {
            let mut frames = Vec::new();
            while frames.len() < count {
                let delivery = consumer.next().await.expect("is open");
                let mut scratch = Vec::new();
                let mut batch = RawBatch::decode(&delivery.body, &mut scratch, 1 << 24).expect("is a batch");
                while let Some(frame) = batch.next_frame().expect("is a frame") {
                    frames.push(String::from_utf8(frame.bytes.to_vec()).expect("is text"));
                }
                delivery.settle(Disposition::Ack).await;
            }
            frames
        };
        let frames = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, frames).await });
        let frames = frames.expect("the frames came");
        assert_eq!(frames.len(), count);
        frames
    }
}

#[test]
fn a_message_is_sent_with_a_header_and_acknowledged() {
    let (fixture, mut intake) = (Fixture::new(), Intake::start());
    let told = fixture.run(&[
        "send",
        "disk is full",
        "--priority",
        "daemon.crit",
        "--app-name",
        "df",
        "--hostname",
        "web01",
        "--to",
        &intake.to("relp"),
    ]);
    assert_eq!((told.code, &*told.err), (0, ""), "{told:?}");
    assert!(
        told.out.starts_with("sent 1 message (") && told.out.ends_with(": all acknowledged\n"),
        "{told:?}"
    );
    let frame = intake.frames(1).remove(0);
    assert!(
        frame.starts_with("<26>1 20")
            && frame.contains("Z web01 df ")
            && frame.ends_with(" - - disk is full"),
        "{frame}"
    );
}

#[test]
fn the_lines_of_a_file_are_sent_by_each_protocol() {
    let (fixture, mut intake) = (Fixture::new(), Intake::start());
    fs::write(fixture.path("app.log"), "<13>one\r\n\n<13>two\n404 three").expect("writes");
    for (protocol, framing, acked) in [
        ("relp", "lf", Some(3)),
        ("tcp", "octet-counted", None),
        ("tcp", "lf", None),
        ("udp", "lf", None),
    ] {
        let to = intake.to(protocol);
        let told = fixture.run(&[
            "send",
            "--raw",
            "--file",
            "app.log",
            "--protocol",
            protocol,
            "--framing",
            framing,
            "--to",
            &to,
            "--json",
        ]);
        assert_eq!(told.code, 0, "{told:?}");
        let report = told.json();
        assert_eq!(
            (&report["ok"], &report["sent"], &report["bytes"]),
            (&true.into(), &3.into(), &23.into())
        );
        assert_eq!(report.get("acked"), acked.map(serde_json::Value::from).as_ref());
        let mut frames = intake.frames(3);
        frames.sort_unstable();
        assert_eq!(
            frames,
            ["404 three", "<13>one", "<13>two"],
            "{protocol} {framing}"
        );
    }
}

#[test]
fn stdin_is_sent_line_by_line() {
    let (fixture, mut intake) = (Fixture::new(), Intake::start());
    fs::write(fixture.path("lines"), "a\nb\n").expect("writes");
    let to = intake.to("relp");
    let lines = File::open(fixture.path("lines")).expect("is there");
    let Outcome { code, out, .. } = fixture.run_with_stdin(&["send", "--to", &to], lines);
    assert_eq!(code, 0);
    assert!(out.starts_with("sent 2 messages"), "{out}");
    let frames = intake.frames(2);
    assert!(
        frames[0].ends_with(" - - a") && frames[1].ends_with(" - - b"),
        "{frames:?}"
    );
}

#[test]
fn what_is_not_acknowledged_is_told_and_fails() {
    let fixture = Fixture::new();
    // Answers `open` and goes away.
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let to = listener.local_addr().expect("is bound").to_string();
    let server = thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("accepts");
        let mut open = [0; 1000];
        let _read = stream.read(&mut open).expect("reads");
        let offers = "200 OK\nrelp_version=0\ncommands=syslog";
        writeln!(stream, "1 rsp {} {offers}", offers.len()).expect("writes");
        let _read = stream.read(&mut open).expect("reads");
    });
    let told = fixture.run(&["send", "one", "two", "--to", &to]);
    server.join().expect("ends");
    assert_eq!((told.code, &*told.out), (1, ""), "{told:?}");
    assert!(told.err.starts_with("logferry send: "), "{told:?}");
    assert!(
        told.err.contains("sent 2 messages") && told.err.contains("0 acknowledged"),
        "{told:?}"
    );
    // And nobody listens any more.
    let told = fixture.run(&["send", "one", "--to", &to, "--json"]);
    assert_eq!(told.code, 1, "{told:?}");
    let report = told.json();
    assert_eq!(
        (&report["ok"], &report["sent"], &report["acked"]),
        (&false.into(), &0.into(), &0.into())
    );
    assert!(
        report["error"].as_str().is_some_and(|error| error.contains(&to)),
        "{report}"
    );
}

#[test]
fn mistakes_in_arguments_are_told() {
    let fixture = Fixture::new();
    for (args, expected) in [
        (
            &["send", "x", "--protocol", "udp", "--tls"][..],
            "no TLS over udp",
        ),
        (
            &["send", "a\nb", "--protocol", "tcp", "--framing", "lf"],
            "--framing octet-counted",
        ),
        (&["send", "x", "--to", "localhost"], "a host and a port"),
        (&["send", "x", "--priority", "loud"], "user.notice"),
        (&["send", "x", "--ca", "ca.pem"], "--tls"),
        (&["bench", "--size", "3"], "a number from"),
        (&["bench", "--rate", "0"], "0"),
    ] {
        let told = fixture.run(args);
        assert_eq!(told.code, 64, "{args:?}: {told:?}");
        assert!(told.err.contains(expected), "{args:?}: {told:?}");
    }
}

#[test]
fn a_bench_counts_what_it_sends_and_every_message_arrives_once() {
    let (fixture, mut intake) = (Fixture::new(), Intake::start());
    for (protocol, more) in [
        ("relp", &["--connections", "3", "--window", "50"][..]),
        ("tcp", &["--connections", "2", "--framing", "lf"]),
        ("tcp", &["--rate", "5000"]),
        ("udp", &[]),
    ] {
        let to = intake.to(protocol);
        let args = [
            "bench",
            "--json",
            "--count",
            "1000",
            "--size",
            "150",
            "--protocol",
            protocol,
            "--to",
            &to,
        ];
        let told = fixture.run(&[&args[..], more].concat());
        assert_eq!(told.code, 0, "{told:?}");
        let report = told.json();
        assert_eq!(
            (&report["ok"], &report["sent"]),
            (&true.into(), &1000.into()),
            "{report}"
        );
        let run = report["run"].as_str().expect("has a run").to_owned();
        let frames = intake.frames(1000);
        assert!(frames.iter().all(|frame| frame.len() == 150));
        let number = |frame: &String| {
            let (_, number) = frame.split_once(&format!(" run={run} seq="))?;
            number.split(' ').next()?.parse::<u64>().ok()
        };
        let numbers: BTreeSet<_> = frames.iter().filter_map(number).collect();
        assert_eq!(numbers, (0..1000).collect(), "{protocol} {more:?}");
        if protocol == "relp" {
            assert_eq!(report["acked"], 1000);
            assert!(
                report["latency_ms"]["p99.9"].as_f64().is_some_and(|ms| ms > 0.0),
                "{report}"
            );
        }
        if more.contains(&"--rate") {
            assert!(
                report["seconds"].as_f64().is_some_and(|seconds| seconds > 0.15),
                "{report}"
            );
        }
    }
}

#[test]
fn a_bench_of_a_duration_ends_and_tells_it_to_people() {
    let (fixture, intake) = (Fixture::new(), Intake::start());
    let told = fixture.run(&[
        "bench",
        "--duration",
        "300ms",
        "--rate",
        "1000",
        "--to",
        &intake.to("relp"),
    ]);
    assert_eq!(told.code, 0, "{told:?}");
    for expected in ["\nsent     ", "\nacked    ", "\nrate     ", "\nlatency  p50 "] {
        assert!(told.out.contains(expected), "{told:?}");
    }
}

#[test]
fn messages_go_over_tls_with_a_client_certificate() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().expect("a folder");
    let ca = Authority::new(dir.path(), "ca");
    let other = Authority::new(dir.path(), "other");
    let server = ca.issue("server", "localhost");
    let client = ca.issue("client", "client-7.example");
    let mut intake = Intake::start_with(Some(&TlsServerSettings {
        cert_file: server.cert_file,
        key_file: server.key_file,
        client_cert: ClientCert::Required(ca.file().to_owned()),
    }));
    let path = |path: &std::path::Path| path.to_str().expect("is text").to_owned();
    let (cert, key) = (path(&client.cert_file), path(&client.key_file));
    let own = ["--cert", &cert, "--key", &key];
    let (right, wrong) = (path(ca.file()), path(other.file()));
    for protocol in ["relp", "tcp"] {
        let to = intake.to(protocol).replace("127.0.0.1", "localhost");
        let send = |more: &[&str]| {
            let text = format!("{protocol} over TLS");
            let args = ["send", &text, "--protocol", protocol, "--to", &to, "--tls"];
            fixture.run(&[&args[..], more].concat())
        };
        let trusted = [&["--ca", &right][..], &own].concat();
        let told = send(&trusted);
        assert_eq!((told.code, &*told.err), (0, ""), "{told:?}");
        let frame = intake.frames(1).remove(0);
        assert!(frame.ends_with(&format!("{protocol} over TLS")), "{frame}");

        for (args, expected) in [
            (&[&["--ca", &wrong][..], &own].concat()[..], "--ca"),
            (&own, "--ca"),
            (
                &[&trusted[..], &["--server-name", "elsewhere.example"]].concat(),
                "elsewhere.example",
            ),
            (&["--ca", &right], "--cert"),
        ] {
            let told = send(args);
            assert_eq!((told.code, &*told.out), (1, ""), "{args:?}: {told:?}");
            assert!(told.err.contains(expected), "{args:?}: {told:?}");
            assert!(
                told.err.contains("sent 0 messages") || protocol == "tcp",
                "{told:?}"
            );
        }
    }
    // Nothing came besides.
    let to = intake.to("udp");
    let told = fixture.run(&["send", "the last", "--protocol", "udp", "--to", &to]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(intake.frames(1).remove(0).ends_with("the last"));
}
