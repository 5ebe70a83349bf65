//! A process from its arguments to its exit code, with real signals.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use service::{Wish, control};

/// `cargo test` and `cargo nextest` build the examples beside the tests.
fn idle() -> Command {
    let test = env::current_exe().expect("a test has a path");
    let target = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/<profile>/deps/<test>");
    let mut command = Command::new(target.join("examples/idle"));
    command
        .env_clear()
        .current_dir(env::temp_dir())
        .stdin(Stdio::null());
    command.args([
        "--set",
        "broker.url=amqp://127.0.0.1:1",
        "--set",
        "parser.http_addr=127.0.0.1:0",
    ]);
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("examples are built with the tests");
    let text = |bytes| String::from_utf8(bytes).expect("is text");
    (status.code(), text(stdout), text(stderr))
}

/// A running process and what it writes to stderr, line by line.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    read: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("examples are built with the tests");
        let stderr = BufReader::new(child.stderr.take().expect("is piped"));
        Self {
            child,
            stderr,
            read: String::new(),
        }
    }

    fn metrics_addr(&mut self) -> String {
        let line = self.until("serving metrics");
        let (_, addr) = line.trim_end().rsplit_once("addr=").expect("names the address");
        addr.to_owned()
    }

    /// Reads up to the line that has `text` in it.
    fn until(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).expect("reads");
            assert!(read > 0, "ended before {text:?}:\n{}", self.read);
            self.read.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("is a pid"));
        kill(pid, signal).expect("the process is there");
    }

    /// Waits for the end.
    fn end(mut self) -> (Option<i32>, String) {
        self.stderr.read_to_string(&mut self.read).expect("reads");
        let status = self.child.wait().expect("ends");
        (status.code(), self.read.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already unless the test failed.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn a_signal_drains() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut running = Running::start(&mut idle());
        running.until("started");
        running.signal(signal);
        let (code, log) = running.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(
            log.contains(&format!("signal=\"{signal}\"")) && log.contains("drained"),
            "{log}"
        );
    }
}

#[test]
fn a_hangup_takes_over_what_can_change_and_refuses_the_rest_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("logferry.toml");
    let write = |text: &str| fs::write(&file, text).expect("writes");
    write("");
    let mut command = idle();
    command.arg("--config").arg(&file);
    let mut running = Running::start(&mut command);
    let addr = running.metrics_addr();
    running.until("started");
    let is_in_force = |value| {
        let line = format!("logferry_settings_reload_successful {value}");
        get(&addr, "/metrics").contains(&line)
    };
    assert!(is_in_force(1));

    write("[service]\nlog_level = \"debug\"\n");
    running.signal(Signal::SIGHUP);
    let line = running.until("settings reloaded");
    assert!(line.contains("keys=\"service.log_level\""), "{line}");

    // A key of another service is no matter of this one.
    write("[service]\nlog_level = \"warn\"\n[parser]\nthreads = 3\n[web]\ntails_max = 3\n");
    running.signal(Signal::SIGHUP);
    let line = running.until("settings not reloaded, the old ones stay");
    assert!(
        line.contains("parser.threads cannot change while running") && !line.contains("log_level"),
        "{line}"
    );
    assert!(is_in_force(0));

    write("[service]\nlog_level = \"loud\"\n[parser]\nprefetch = 0\n");
    running.signal(Signal::SIGHUP);
    for key in ["service.log_level", "parser.prefetch"] {
        let line = running.until("settings not reloaded");
        assert!(line.contains(key), "{line}");
    }
    // What the service itself finds is a mistake too.
    write("[[parser.program]]\nname = \"bad\"\nsource = \"x\"\n");
    running.signal(Signal::SIGHUP);
    let line = running.until("settings not reloaded");
    assert!(line.contains("no program compiles here"), "{line}");

    write("");
    running.signal(Signal::SIGHUP);
    running.until("settings reloaded");
    assert!(is_in_force(1));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().0, Some(0));
}

#[tokio::test]
async fn a_process_can_be_asked_to_reload() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("logferry.toml");
    fs::write(&file, "").expect("writes");
    let mut command = idle();
    command.arg("--config").arg(&file);
    let mut running = Running::start(&mut command);
    running.until("started");
    let pid = running.child.id();
    assert!(control::running().expect("Linux lists sockets").contains(&pid));
    let ask = async |wish| control::ask(pid, wish).await.expect("answers");
    let who = ask(Wish::Who).await;
    assert_eq!((who.service.as_str(), who.pid, who.ok), ("parser", pid, true));
    assert_eq!(who.file, Some(file.clone()));

    fs::write(&file, "[service]\nlog_level = \"debug\"\n").expect("writes");
    for wish in [Wish::Check, Wish::Check, Wish::Reload] {
        let report = ask(wish).await;
        assert_eq!(
            (report.keys, report.ok),
            (vec!["service.log_level".to_owned()], true)
        );
    }
    assert_eq!(ask(Wish::Reload).await.keys, Vec::<String>::new());
    fs::remove_file(&file).expect("is there");
    let report = ask(Wish::Reload).await;
    assert!(
        !report.ok && report.problems.join("").contains("logferry.toml"),
        "{report:?}"
    );
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().0, Some(0));
}

/// A full disk under the log must not stop what the process does.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    const SIGTERM_BIT: u64 = 1 << 14;
    let full = fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let mut child = idle()
        .stderr(full)
        .spawn()
        .expect("examples are built with the tests");
    let status = format!("/proc/{}/status", child.id());
    let catches_sigterm = || {
        let status = fs::read_to_string(&status).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        Some(caught & SIGTERM_BIT != 0)
    };
    while child.try_wait().expect("is our child").is_none() && catches_sigterm() != Some(true) {
        std::thread::yield_now();
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("is a pid"));
    kill(pid, Signal::SIGTERM).expect("is not waited for yet");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

/// Found by torture: the text of the failure could not be written, which panicked, and the exit code was 101.
#[test]
fn a_failed_start_that_nobody_can_be_told_of_keeps_its_exit_code() {
    let full = || {
        let full = fs::File::options().write(true).open("/dev/full");
        full.expect("Linux has it")
    };
    let code = |command: &mut Command| command.stderr(full()).status().expect("starts").code();
    assert_eq!(code(idle().env("IDLE", "start")), Some(1));
    assert_eq!(code(idle().args(["--set", "service.log_level=loud"])), Some(78));
}

#[test]
fn a_drain_is_bounded() {
    let mut running = Running::start(
        idle()
            .env("IDLE", "hang")
            .args(["--set", "service.shutdown_grace=200ms"]),
    );
    running.until("started");
    running.signal(Signal::SIGTERM);
    let (code, log) = running.end();
    assert_eq!(code, Some(70), "{log}");
    assert!(
        log.contains("drain timed out") && log.contains("in_flight=3"),
        "{log}"
    );
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut running = Running::start(
        idle()
            .env("IDLE", "hang")
            .args(["--set", "service.shutdown_grace=1h"]),
    );
    running.until("started");
    running.signal(Signal::SIGTERM);
    running.until("stopping");
    running.signal(Signal::SIGINT);
    let (code, log) = running.end();
    assert_eq!(code, Some(70), "{log}");
    assert!(
        log.contains("second signal") && log.contains("in_flight=3"),
        "{log}"
    );
}

#[test]
fn exit_codes_tell_the_ends_apart() {
    for (fault, code, says) in [
        ("start", 1, "parser: cannot start: no broker here"),
        ("run", 70, "the broker went away for good"),
        ("panic", 70, "a bug"),
        ("end", 70, "ended without being told to stop"),
    ] {
        let (ended, _, log) = output(idle().env("IDLE", fault));
        assert_eq!(ended, Some(code), "{fault}: {log}");
        assert!(log.contains(says), "{fault}: {log}");
    }
}

#[test]
fn usage() {
    let (code, _, told) = output(idle().arg("--flavour"));
    assert_eq!(code, Some(64), "{told}");
    let (code, _, told) = output(idle().args(["--set", "broker"]));
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("write KEY=VALUE"), "{told}");
    let (code, help, _) = output(idle().arg("--help"));
    assert_eq!(code, Some(0));
    for part in [
        "--config",
        "--set",
        "--check",
        "--http-addr",
        "Examples:",
        "idle --check",
    ] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    assert_eq!(
        output(idle().arg("--version")),
        (Some(0), "parser 1.2.3\n".to_owned(), String::new())
    );
}

#[test]
fn check_tells_all_mistakes() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("logferry.toml");
    std::fs::write(&file, "[parser]\nprefetch = 0\nthread = 2\n").expect("writes");
    let (code, _, told) = output(
        idle()
            .arg("--check")
            .arg("--config")
            .arg(&file)
            .env("LOGFERRY_STORE__URL", ""),
    );
    assert_eq!(code, Some(78), "{told}");
    let file = file.display();
    assert_eq!(
        told,
        format!(
            "{file}:2: parser.prefetch = 0: must be from 1 to 65535\n\
             {file}:3: parser.thread: is not a setting: did you mean `threads`?\n\
             environment LOGFERRY_STORE__URL: store.url: is empty: leave it out, or give it a value\n"
        )
    );
}

#[test]
fn check_tells_that_all_is_well() {
    let (code, told, log) = output(idle().arg("--check"));
    assert_eq!((code, log.as_str()), (Some(0), ""));
    assert_eq!(told, "settings are good: no file, so defaults and environment\n");
}

#[test]
fn check_runs_the_check_of_the_service() {
    let program = "parser.program=[{ name = \"a\", source = \".\" }]";
    let (code, _, told) = output(idle().args(["--check", "--set", program]));
    assert_eq!(
        (code, told.as_str()),
        (Some(78), "settings, program \"a\": no program compiles here\n")
    );
}

#[test]
fn one_process_alone_cannot_use_embedded_queues() {
    let (code, _, told) = output(idle().args(["--set", "broker.url=embedded"]));
    assert_eq!(code, Some(78), "{told}");
    assert!(
        told.contains("LOGFERRY_BROKER__URL") && told.contains("logferry run"),
        "{told}"
    );
}

#[test]
fn a_busy_port_names_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let addr = taken.local_addr().expect("has an address").to_string();
    let (code, _, told) = output(idle().args(["--http-addr", &addr]));
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("parser.http_addr") && told.contains(&addr),
        "{told}"
    );
}

#[test]
fn json_lines_are_json_even_for_a_panic() {
    let (_, _, log) = output(idle().env("IDLE", "panic").args(["--log-format", "json"]));
    assert!(log.contains("\"panic\":\"a bug\""), "{log}");
    for line in log.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "{line}");
    }
}

#[test]
fn metrics_and_readiness_are_served() {
    let mut running = Running::start(&mut idle());
    let addr = running.metrics_addr();
    running.until("started");
    assert!(get(&addr, "/readyz").starts_with("HTTP/1.1 200 "));
    assert!(get(&addr, "/metrics").contains("logferry_batches_in_flight{stage=\"parser\"} 3"));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().0, Some(0));
}

fn get(addr: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).expect("connects");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("reads");
    answer
}

#[test]
fn a_service_manager_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("manager");
    let manager = UnixDatagram::bind(&path).expect("binds");
    manager
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("is a time");
    let hear = || {
        let mut words = [0; 200];
        let length = manager.recv(&mut words).expect("is told something in time");
        String::from_utf8_lossy(words.get(..length).unwrap_or_default()).into_owned()
    };
    let mut running = Running::start(idle().env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000"));
    let (mut is_ready, mut beats) = (false, 0);
    while !is_ready || beats < 3 {
        match hear().as_str() {
            "READY=1\nSTATUS=running" => is_ready = true,
            "WATCHDOG=1" => beats += 1,
            other => panic!("strange words: {other}"),
        }
    }
    running.until("started");
    running.signal(Signal::SIGHUP);
    while hear() != "RELOADING=1\nSTATUS=reading settings" {}
    while hear() != "READY=1\nSTATUS=running" {}
    running.signal(Signal::SIGTERM);
    while hear() != "STOPPING=1\nSTATUS=draining" {}
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn a_manager_that_is_not_there_is_a_failed_start() {
    let (code, _, told) = output(idle().env("NOTIFY_SOCKET", "/nowhere/at/all"));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("NOTIFY_SOCKET"), "{told}");
}

/// Each thread has lost all rights of root but one. Started by somebody else, it says what is wrong.
#[test]
fn root_becomes_the_user_of_the_settings() {
    let mut command = idle();
    command.args(["--set", "service.user=nobody"]);
    if !geteuid().is_root() {
        let (code, _, told) = output(&mut command);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("service.user = \"nobody\""), "{told}");
        return;
    }
    let nobody = User::from_name("nobody").expect("looks up").expect("is there");
    let mut running = Running::start(&mut command);
    running.until("started");
    let tasks = fs::read_dir(format!("/proc/{}/task", running.child.id())).expect("runs");
    let mut threads = 0;
    for task in tasks {
        let status = task.expect("is there").path().join("status");
        let status = fs::read_to_string(status).expect("the thread is there");
        let words = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.expect("Linux tells").split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(words("Uid:"), [nobody.uid.to_string().as_str(); 4]);
        assert_eq!(words("Gid:"), [nobody.gid.to_string().as_str(); 4]);
        // CAP_NET_BIND_SERVICE is the tenth.
        for set in ["CapPrm:", "CapEff:"] {
            assert_eq!(words(set), ["0000000000000400"], "{set}");
        }
        assert_eq!(words("CapInh:"), ["0000000000000000"]);
        assert_eq!(words("NoNewPrivs:"), ["1"]);
        threads += 1;
    }
    assert!(threads > 1, "there are threads beside the first");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn a_user_that_is_not_there_is_named() {
    let (code, _, told) = output(idle().args(["--set", "service.user=no-such-user"]));
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("no-such-user") && told.contains("no such user"),
        "{told}"
    );
}
