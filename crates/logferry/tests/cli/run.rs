//! `logferry run` with nothing installed: the way of a line from a socket to a search, and what stands in its way.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
};

use nix::sys::signal::Signal;
use testkit::eventually;

use crate::fixture::{Fixture, PATIENCE, Running};

/// Ports that the system chooses, so that tests run side by side.
const FREE_PORTS: [&str; 10] = [
    "--set",
    "syslog_server.listener.relp.address=127.0.0.1:0",
    "--set",
    "syslog_server.listener.tcp.address=127.0.0.1:0",
    "--set",
    "syslog_server.listener.udp.address=127.0.0.1:0",
    "--set",
    "service.http_addr=127.0.0.1:0",
    "--set",
    "web.address=127.0.0.1:0",
];

/// A `logferry run` that has said where it listens.
pub(crate) struct Run {
    running: Running,
}

impl Run {
    pub(crate) async fn start(fixture: &Fixture) -> Self {
        Self::start_with(fixture, &FREE_PORTS).await
    }

    async fn start_with(fixture: &Fixture, args: &[&str]) -> Self {
        let running = fixture.start(&[&["run"], args].concat());
        eventually(PATIENCE, || async {
            running.out().contains("Ctrl-C") || running.has_ended()
        })
        .await;
        assert!(!running.has_ended(), "{}", running.err());
        Self { running }
    }

    /// The address after `what` in what it printed.
    pub(crate) fn addr(&self, what: &str) -> SocketAddr {
        let out = self.running.out();
        let (_, after) = out
            .split_once(what)
            .unwrap_or_else(|| panic!("no {what:?} in {out}"));
        let addr = after.split([',', '\n', '/']).next().unwrap_or_default();
        addr.parse().unwrap_or_else(|error| panic!("{error}: {addr}"))
    }

    pub(crate) fn send(&self, line: &str) {
        let mut stream = TcpStream::connect(self.addr(" tcp ")).expect("connects");
        stream.write_all(line.as_bytes()).expect("sends");
    }

    /// Ends it as Ctrl-C or a service manager does.
    pub(crate) fn stop(self, signal: Signal) -> String {
        self.running.signal(signal);
        let (code, _, err) = self.running.end();
        assert_eq!(code, Some(0), "{err}");
        err
    }
}

/// Waits until a search finds so many lines.
pub(crate) async fn found(fixture: &Fixture, word: &str, count: usize) -> String {
    eventually(PATIENCE, || async {
        let found = fixture.run(&["search", "--limit", "all", word]);
        (found.out.lines().count() == count).then_some(found.out)
    })
    .await
}

#[tokio::test]
async fn a_line_goes_in_and_is_found() {
    let fixture = Fixture::new();
    let run = Run::start(&fixture).await;
    run.send("<13>1 2026-11-21T10:00:00Z web01 app 7 - - hello by tcp\n");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("binds");
    udp.send_to(b"<11>Nov 21 10:00:00 web02 app: hello by udp", run.addr(" udp "))
        .expect("sends");
    let lines = found(&fixture, "hello", 2).await;
    assert!(lines.contains("notice  web01 app[7] hello by tcp"), "{lines}");
    assert!(lines.contains("err     web02 app    hello by udp"), "{lines}");
    let data = fixture.path("data").canonicalize().expect("was made");
    let out = run.running.out();
    assert!(out.contains(&format!("data      {}\n", data.display())), "{out}");
    assert!(
        out.contains("relp 127.0.0.1:") && out.contains("logger -n 127.0.0.1 -P "),
        "{out}"
    );

    let metrics = get(run.addr("http://"), "/metrics");
    for stage in ["syslog-server", "parser", "shipper-pgsql"] {
        let line = format!("logferry_events_sent_total{{stage=\"{stage}\"}} 2");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    for line in [
        "logferry_broker_ready 1",
        "logferry_broker_messages_unconfirmed 0",
        "logferry_broker_deliveries_unsettled 0",
        "logferry_broker_reconnects_total 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(get(run.addr("http://"), "/readyz").starts_with("HTTP/1.1 200"));
    let log = run.stop(Signal::SIGTERM);
    assert!(
        log.contains("drained in_flight=0") && !log.contains(" WARN ") && !log.contains(" ERROR "),
        "{log}"
    );
}

#[tokio::test]
async fn rules_and_limits_change_while_it_runs() {
    let fixture = Fixture::new();
    let settings = |program: &str, more: &str| {
        fixture.settings(&format!(
            "[[parser.program]]\nname = \"mark\"\nsource = '{program}'\n\
             [[syslog_server.listener]]\nname = \"tcp\"\nprotocol = \"tcp\"\naddress = \"127.0.0.1:0\"\n{more}"
        ));
    };
    settings(".app_name = \"before\"", "");
    let run = Run::start_with(&fixture, &FREE_PORTS[6..]).await;
    run.send("<13>1 - web01 app - - - first\n");
    assert!(found(&fixture, "first", 1).await.contains("before"));
    let mut open = TcpStream::connect(run.addr(" tcp ")).expect("connects");
    open.write_all(b"<13>1 - web01 app - - - opened\n")
        .expect("sends");
    found(&fixture, "opened", 1).await;

    settings(".app_name = \"after\"", "connections_max = 1\n");
    run.running.signal(Signal::SIGHUP);
    let log = eventually(PATIENCE, || async {
        let log = run.running.err();
        log.contains("settings reloaded").then_some(log)
    })
    .await;
    for key in [
        "parser.program.mark.source",
        "syslog_server.listener.tcp.connections_max",
    ] {
        assert!(log.contains(key), "{key} is not in {log}");
    }
    // The session that is open goes on, and there is no place for another one.
    open.write_all(b"<13>1 - web01 app - - - second\n")
        .expect("sends");
    assert!(found(&fixture, "second", 1).await.contains("after"));
    let mut refused = TcpStream::connect(run.addr(" tcp ")).expect("connects");
    let read = std::io::Read::read(&mut refused, &mut [0; 1]);
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");

    // One mistake, and nothing changes.
    settings(".app_name = ", "connections_max = 9\n");
    let file = fixture.path("logferry.toml");
    let file = file.to_str().expect("is text");
    let told = fixture.run(&["reload", "--config", file]);
    assert_eq!(told.code, 78, "{told:?}");
    assert!(
        told.out.contains("logferry[") && told.out.contains("syntax error"),
        "{told:?}"
    );
    open.write_all(b"<13>1 - web01 app - - - third\n").expect("sends");
    assert!(found(&fixture, "third", 1).await.contains("after"));

    settings(".app_name = \"last\"", "connections_max = 9\n");
    let told = fixture.run(&["reload", "--config", file, "--json"]);
    assert_eq!(told.code, 0, "{told:?}");
    let keys = [
        "parser.program.mark.source",
        "syslog_server.listener.tcp.connections_max",
    ];
    assert_eq!(told.json()["keys"], serde_json::json!(keys));
    run.send("<13>1 - web01 app - - - fourth\n");
    assert!(found(&fixture, "fourth", 1).await.contains("last"));
    run.stop(Signal::SIGTERM);
}

#[tokio::test]
async fn it_ends_when_its_terminal_is_closed() {
    let fixture = Fixture::new();
    let terminal = fixture.start_on_terminal(&[&["run"], &FREE_PORTS[..]].concat(), "");
    let socket = fixture.path("data/logferry.sock");
    let is_there = || socket.try_exists().expect("is known");
    eventually(PATIENCE, || async {
        terminal.out().contains("Ctrl-C") && is_there()
    })
    .await;
    terminal.signal(Signal::SIGKILL);
    // It takes its socket away at an end in good order only.
    eventually(PATIENCE, || async { !is_there() }).await;
}

#[test]
fn without_a_process_there_is_nothing_to_reload() {
    let fixture = Fixture::new();
    fixture.settings("");
    let told = fixture.run(&["reload", "--config", "logferry.toml"]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(
        told.err.contains("no such process of Logferry runs here"),
        "{told:?}"
    );
    // Process 1 is none of Logferry.
    let told = fixture.run(&["reload", "--pid", "1"]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.err.contains("it is no process of Logferry"), "{told:?}");
    assert_eq!(fixture.run(&["reload", "--config", "nowhere.toml"]).code, 1);
}

#[tokio::test]
async fn files_are_written_where_the_settings_say() {
    let fixture = Fixture::new();
    fixture.settings("[[shipper_fs.destination]]\nname = \"all\"\ndir = \"files\"\npath = \"{hostname}.log\"\nformat = \"raw\"\n[parser]\nraw = \"always\"\n");
    let run = Run::start(&fixture).await;
    let line = "<13>1 - web01 app - - - into a file\n";
    run.send(line);
    let path = fixture.path("files/web01.log");
    eventually(PATIENCE, || async {
        fs::read_to_string(&path).is_ok_and(|text| text == line)
    })
    .await;
    found(&fixture, "file", 1).await;
    run.stop(Signal::SIGTERM);
}

#[tokio::test]
async fn the_servers_of_the_settings_are_used() {
    let (vhost, database) = (testkit::rabbitmq(), testkit::postgres());
    let fixture = Fixture::new();
    fixture.settings(&format!(
        "[broker]\nurl = {:?}\n[store]\nurl = {:?}\n",
        vhost.url(),
        database.url()
    ));
    let run = Run::start(&fixture).await;
    run.send("<13>1 - web01 app - - - over rabbits and elephants\n");
    found(&fixture, "rabbits", 1).await;
    // The data folder holds the rescue file, and no queues or events of its own.
    assert_eq!(fixture.names(), ["logferry.toml", "data"]);
    for embedded in ["queues", "store"] {
        let path = fixture.path(&format!("data/{embedded}"));
        assert!(!path.try_exists().unwrap(), "{} is there", path.display());
    }
    run.stop(Signal::SIGTERM);
}

#[tokio::test]
async fn rows_stay_and_what_was_under_way_goes_on() {
    let fixture = Fixture::new();
    let run = Run::start(&fixture).await;
    run.send("<13>1 - web01 app - - - kept one\n");
    found(&fixture, "kept", 1).await;
    // Stopped right after a line was taken: it is stored by now or after the next start.
    let before = sent(&run);
    run.send("<13>1 - web01 app - - - kept two\n");
    eventually(PATIENCE, || async { sent(&run) > before }).await;
    run.stop(Signal::SIGINT);
    let run = Run::start(&fixture).await;
    run.send("<13>1 - web01 app - - - kept three\n");
    let lines = found(&fixture, "kept", 3).await;
    for line in ["kept one", "kept two", "kept three"] {
        assert_eq!(lines.matches(line).count(), 1, "{lines}");
    }
    run.stop(Signal::SIGTERM);
}

/// Frames that intake has handed on.
fn sent(run: &Run) -> u64 {
    let metrics = get(run.addr("http://"), "/metrics");
    let name = "logferry_events_sent_total{stage=\"syslog-server\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |count| count.parse().expect("is a number"))
}

#[tokio::test]
async fn one_run_for_each_folder() {
    let fixture = Fixture::new();
    let run = Run::start(&fixture).await;
    let told = fixture.run(&[&["run"], &FREE_PORTS[..]].concat());
    assert_eq!(told.code, 1, "{told:?}");
    assert!(
        told.err.contains("in use by another logferry (process ") && told.err.contains("--data DIR"),
        "{told:?}"
    );
    // Also when it is started just as the first, which has the ports too.
    let told = fixture.run(&["run", "--http-addr", &run.addr("http://").to_string()]);
    assert!(
        told.code == 1 && told.err.contains("in use by another logferry"),
        "{told:?}"
    );
    run.stop(Signal::SIGTERM);
}

#[test]
fn what_stands_in_the_way_is_told_with_the_way_out() {
    let fixture = Fixture::new();
    fs::write(fixture.path("thesis.txt"), "years of work").expect("writes");
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let taken = taken.local_addr().expect("has an address");
    let busy = format!("syslog_server.listener.tcp.address={taken}");
    let ports = &FREE_PORTS[..];
    for (args, code, says) in [
        (&["--data", "."][..], 1, &["thesis.txt", "--data DIR"][..]),
        (&["--data", "thesis.txt"], 1, &["thesis.txt", "--data DIR"]),
        (
            &["--data", "/proc/logferry"],
            1,
            &["/proc/logferry", "--data DIR"],
        ),
        (
            &["--set", &busy],
            1,
            &["\"tcp\"", "--set syslog_server.listener.tcp.address="],
        ),
        (
            &["--set", "service.http_addr=1.2.3.4"],
            78,
            &["service.http_addr", "\"off\""],
        ),
        (
            &["--set", "parser.program=[{ name = \"a\", source = \".a = \" }]"],
            78,
            &["syntax error"],
        ),
        (&["--port", "1"], 64, &["--port"]),
    ] {
        let told = fixture.run(&[&["run"], ports, args].concat());
        assert_eq!(told.code, code, "{args:?}: {told:?}");
        assert!(
            says.iter().all(|part| told.err.contains(part)),
            "{args:?}: {told:?}"
        );
    }
    let told = fixture.run(&["run", "--http-addr", &taken.to_string()]);
    assert!(
        told.code == 1 && told.err.contains("service.http_addr"),
        "{told:?}"
    );
    assert_eq!(fixture.names(), ["thesis.txt"], "nothing was made");
}

pub(crate) fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).expect("connects");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("writes");
    std::io::read_to_string(stream).expect("answers")
}
