//! `docker-compose.yml` with real containers, on images that are built from a Debian mirror alone: `make compose-test`.
//!
//! It needs a Docker daemon, root and minutes, so that it is no part of `make test`. Without Docker it fails and says so.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod set;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use testkit::{Pace, RelpLoad, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::set::{PATIENCE, Set};

const LINES: usize = 2000;
/// Where in its load a container is stopped: what is left takes seconds.
const STOP_AT: usize = LINES / 4;
const PER_SECOND: u32 = 500;

/// The services of Logferry, in the order of the flow.
const OURS: [&str; 7] = [
    "syslog-server",
    "harvest",
    "collector",
    "parser",
    "shipper-pgsql",
    "shipper-fs",
    "web",
];
const SERVERS: [&str; 3] = ["rabbitmq", "redis", "postgres"];

/// Above `stop_grace_period` of the slowest, and below what a person takes for a hang.
const STOP_MAX: Duration = Duration::from_secs(90);

fn key(name: &str, n: usize) -> String {
    format!("{name}-{n:06}")
}

fn lines(name: &str, count: usize) -> Vec<String> {
    let line = |n| {
        format!(
            "<134>1 2026-03-01T10:00:00Z host app 1 - - a line of {}",
            key(name, n)
        )
    };
    (0..count).map(line).collect()
}

/// Each key that was sent, with how often it was.
type Sent = BTreeMap<String, u32>;

fn each_once(name: &str, count: usize) -> Sent {
    (0..count).map(|n| (key(name, n), 1)).collect()
}

struct Load {
    name: String,
    relp: RelpLoad,
}

impl Load {
    async fn start(set: &Set, name: &str) -> Self {
        let lines = lines(name, LINES).into_iter().map(String::into_bytes);
        let pace = Pace {
            per_second: PER_SECOND,
            ..Pace::default()
        };
        let relp = RelpLoad::start_at(set.relp(), lines.collect(), pace);
        eventually(PATIENCE, || async { relp.acked() >= STOP_AT }).await;
        assert!(relp.acked() < LINES, "the load was over before anything happened");
        Self {
            name: name.to_owned(),
            relp,
        }
    }

    async fn finish(self, sent: &mut Sent) {
        let sends = self.relp.finish().await;
        sent.extend(
            sends
                .iter()
                .enumerate()
                .map(|(n, sends)| (key(&self.name, n), *sends)),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Docker: make compose-test"]
async fn the_whole_set() {
    let set = Set::new();
    set.compose(&["up", "-d"]);
    set.await_healthy(&all(), 1).await;
    assert_eq!(set.exit_codes("init"), [0]);
    eprintln!("all containers are healthy");

    let mut sent = through_every_listener(&set).await;
    set.await_rows(&sent).await;
    eprintln!("{} lines by every listener and by upload: found", sent.len());

    let load = Load::start(&set, "scale").await;
    set.compose(&["up", "-d", "--no-recreate", "--scale", "parser=3"]);
    set.await_healthy(&["parser"], 3).await;
    load.finish(&mut sent).await;
    eprintln!("parsers scaled from 1 to 3 under load");

    for service in all() {
        let load = Load::start(&set, service).await;
        let one = set.containers(service).remove(0);
        set.docker(&["stop", &one]);
        if service == "syslog-server" {
            set.docker(&["start", &one]);
            load.finish(&mut sent).await;
        } else {
            // Answers go on without it.
            load.finish(&mut sent).await;
            set.docker(&["start", &one]);
        }
        set.await_healthy(&[service], set.containers(service).len()).await;
        eprintln!("{service} stopped and started under load");
    }
    set.await_rows(&sent).await;

    let load = Load::start(&set, "last").await;
    let begun = Instant::now();
    set.compose(&["stop"]);
    let took = begun.elapsed();
    let answered = load.relp.acked();
    drop(load);
    assert!(took < STOP_MAX, "stopping took {took:?}");
    for service in OURS {
        let codes = set.exit_codes(service);
        assert!(
            codes.iter().all(|code| *code == 0),
            "{service} ended with {codes:?}"
        );
    }
    eprintln!("all stopped in {took:.1?}, each with exit code 0");

    set.compose(&["up", "-d", "--scale", "parser=3"]);
    set.await_healthy(&all(), 1).await;
    // Beyond those that were answered, some were on their way.
    sent.extend((0..answered).map(|n| (key("last", n), u32::MAX)));
    set.await_rows(&sent).await;
    check(&set, &sent);
    eprintln!(
        "{} lines answered, each found, none more often than sent",
        sent.len()
    );
}

fn all() -> Vec<&'static str> {
    SERVERS.into_iter().chain(OURS).collect()
}

async fn through_every_listener(set: &Set) -> Sent {
    let mut sent = Sent::new();
    let load = RelpLoad::start(set.relp(), lines("relp", 1000));
    sent.extend((0..).map(|n| key("relp", n)).zip(load.finish().await));

    let mut stream = TcpStream::connect(set.tcp()).await.unwrap();
    let text = lines("tcp", 1000).join("\n") + "\n";
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    sent.extend(each_once("tcp", 1000));

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for line in lines("udp", 100) {
        socket.send_to(line.as_bytes(), set.udp()).unwrap();
    }
    sent.extend(each_once("udp", 100));

    set.send_by_tls(&lines("tls", 100));
    sent.extend(each_once("tls", 100));

    set.upload("upload.log", &(lines("upload", 1000).join("\n") + "\n"));
    sent.extend(each_once("upload", 1000));
    sent
}

/// What was answered is there, in the rows and in the files, and not more often than it was sent.
fn check(set: &Set, sent: &Sent) {
    for (what, found) in [("rows", set.rows()), ("files", set.lines_of_files())] {
        for (key, sends) in sent {
            let times = found.get(key).copied().unwrap_or_default();
            assert!(
                (1..=*sends).contains(&times),
                "{key}: sent {sends} times, {times} times in {what}"
            );
        }
    }
}

#[test]
#[ignore = "needs Docker: make compose-test"]
fn secrets_that_are_missing_or_empty_are_refused() {
    let set = Set::new();
    let told = set.refused_without_secrets();
    assert!(
        told.contains("LOGFERRY_SECRETS") && told.contains("make-secrets"),
        "{told}"
    );
    for name in ["rabbitmq_password", "redis_password", "postgres_password"] {
        set.empty_secret(name);
    }
    for (service, says) in [
        ("rabbitmq", "rabbitmq_password is missing or empty"),
        ("redis", "redis_password is missing or empty"),
        ("postgres", "POSTGRES_PASSWORD_FILE is missing or empty"),
        ("parser", "broker.password_file"),
        ("shipper-pgsql", "store.password_file"),
    ] {
        let (code, told) = set.run(service);
        assert_eq!(code, Some(78), "{service}: {told}");
        assert!(told.contains(says), "{service}: {told}");
    }
}
