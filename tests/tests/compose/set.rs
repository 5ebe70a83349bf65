//! A set of containers of its own, and what can be seen of it from outside.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use testkit::{binaries, free_port};
use tokio::time::MissedTickBehavior;

/// Containers start slowly on a machine that does something else as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks at containers, each of which starts programs.
const LOOK: Duration = Duration::from_secs(1);

/// Whom the image runs as.
const USER: u32 = 10514;

/// A set with ports, volumes and secrets of its own. It goes with this, and with all of them.
pub(crate) struct Set {
    dir: tempfile::TempDir,
    project: String,
    compose: Vec<&'static str>,
    release: PathBuf,
    ports: Ports,
}

struct Ports {
    tcp: u16,
    udp: u16,
    relp: u16,
    tls: u16,
    web: u16,
}

impl Set {
    pub(crate) fn new() -> Self {
        let answers = |command: &[&str]| {
            let (program, arguments) = command.split_first().unwrap();
            let output = Command::new(program).args(arguments).output();
            output.is_ok_and(|output| output.status.success())
        };
        assert!(
            answers(&["docker", "info"]),
            "there is no Docker here, and this test needs it: install docker.io and a docker-compose, start dockerd, and \
             be root or in the group docker"
        );
        let compose = [vec!["docker", "compose"], vec!["docker-compose"]];
        let compose = compose.into_iter().find(|command| {
            let mut version = command.clone();
            version.push("version");
            answers(&version)
        });
        let compose = compose.expect("neither `docker compose` nor `docker-compose` is installed");
        let release =
            std::env::var_os("LOGFERRY_RELEASE").expect("make compose-test says where the programs are");
        let dir = tempfile::tempdir().unwrap();
        let set = Self {
            project: format!("logferry-test-{}-{}", std::process::id(), free_port()),
            dir,
            compose,
            release: release.into(),
            ports: Ports {
                tcp: free_port(),
                udp: free_port(),
                relp: free_port(),
                tls: free_port(),
                web: free_port(),
            },
        };
        for folder in [set.uploads(), set.files()] {
            fs::create_dir(&folder).unwrap();
            chown(folder, Some(USER), Some(USER))
                .expect("the folders of the containers can be given to their user by root");
        }
        let secrets = binaries::project().join("deploy/docker/make-secrets");
        succeed(Command::new(secrets).arg(set.secrets()));
        set
    }

    fn secrets(&self) -> PathBuf {
        self.dir.path().join("secrets")
    }

    fn uploads(&self) -> PathBuf {
        self.dir.path().join("uploads")
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    pub(crate) fn relp(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.relp).into()
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.tcp).into()
    }

    pub(crate) fn udp(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.udp).into()
    }

    /// Compose with these arguments, on this set.
    fn command(&self, arguments: &[&str]) -> Command {
        let (program, first) = self.compose.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(first).args(["-p", &self.project]);
        for file in ["docker-compose.yml", "deploy/docker/airgap/docker-compose.yml"] {
            command.arg("-f").arg(binaries::project().join(file));
        }
        command
            .args(arguments)
            .current_dir(binaries::project())
            .stdin(Stdio::null())
            .env("LOGFERRY_SECRETS", self.secrets())
            .env("UPLOADS", self.uploads())
            .env("FILES", self.files());
        for (name, port) in [
            ("SYSLOG_TCP_PORT", self.ports.tcp),
            ("SYSLOG_UDP_PORT", self.ports.udp),
            ("RELP_PORT", self.ports.relp),
            ("SYSLOG_TLS_PORT", self.ports.tls),
            ("WEB_PORT", self.ports.web),
        ] {
            command.env(name, format!("127.0.0.1:{port}"));
        }
        command
    }

    /// What compose prints.
    pub(crate) fn compose(&self, arguments: &[&str]) -> String {
        succeed(&mut self.command(arguments))
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        succeed(Command::new("docker").args(arguments))
    }

    /// The containers of a service.
    pub(crate) fn containers(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let ids = self.docker(&["ps", "-aq", "--filter", &project, "--filter", &service]);
        ids.lines().map(str::to_owned).collect()
    }

    pub(crate) async fn await_healthy(&self, services: &[&str], count: usize) {
        for service in services {
            look_until(|| {
                let format = "{{.State.Health.Status}}";
                let mut arguments = vec!["inspect", "-f", format];
                let containers = self.containers(service);
                arguments.extend(containers.iter().map(String::as_str));
                let told = self.docker(&arguments);
                told.lines().filter(|status| *status == "healthy").count() >= count
            })
            .await;
        }
    }

    pub(crate) fn exit_codes(&self, service: &str) -> Vec<i32> {
        let code = |id: &String| self.docker(&["inspect", "-f", "{{.State.ExitCode}}", id]);
        let codes = self.containers(service);
        codes.iter().map(|id| code(id).trim().parse().unwrap()).collect()
    }

    /// Lines by `logferry send`, which trusts the certificate of the set.
    pub(crate) fn send_by_tls(&self, lines: &[String]) {
        let mut command = Command::new(self.release.join("logferry"));
        command
            .args(["send", "--raw", "--protocol", "tcp", "--tls", "--ca"])
            .arg(self.secrets().join("tls_cert.pem"))
            .args(["--to", &format!("localhost:{}", self.ports.tls)])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all((lines.join("\n") + "\n").as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// As uploads should be: under a hidden name first.
    pub(crate) fn upload(&self, name: &str, text: &str) {
        let hidden = self.uploads().join(format!(".{name}"));
        fs::write(&hidden, text).unwrap();
        chown(&hidden, Some(USER), Some(USER)).unwrap();
        fs::rename(hidden, self.uploads().join(name)).unwrap();
    }

    /// Rows, by the last word of their message.
    pub(crate) fn rows(&self) -> BTreeMap<String, u32> {
        let sql = "SELECT message FROM events WHERE message IS NOT NULL";
        let postgres = self.containers("postgres").remove(0);
        let psql = ["psql", "-U", "logferry", "-d", "logferry", "-Atc", sql];
        count(&self.docker(&[&["exec", &postgres], &psql[..]].concat()))
    }

    /// Waits until all of these are there.
    pub(crate) async fn await_rows(&self, sent: &BTreeMap<String, u32>) {
        look_until(|| {
            let rows = self.rows();
            sent.keys().all(|key| rows.contains_key(key))
        })
        .await;
    }

    /// What shipper-fs wrote, by the last word of each message.
    pub(crate) fn lines_of_files(&self) -> BTreeMap<String, u32> {
        let mut messages = String::new();
        collect(&self.files(), &mut messages);
        count(&messages)
    }

    /// What compose says when nobody told it where the secrets are.
    pub(crate) fn refused_without_secrets(&self) -> String {
        let output = self
            .command(&["config"])
            .env("LOGFERRY_SECRETS", "")
            .output()
            .unwrap();
        assert!(!output.status.success());
        text(&output)
    }

    pub(crate) fn empty_secret(&self, name: &str) {
        let path = self.secrets().join(name);
        fs::remove_file(&path).unwrap();
        fs::write(path, "").unwrap();
    }

    /// Runs one service alone until it ends.
    pub(crate) fn run(&self, service: &str) -> (Option<i32>, String) {
        let output = self
            .command(&["run", "--rm", "--no-deps", "-T", service])
            .output()
            .unwrap();
        (output.status.code(), text(&output))
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.command(&["logs", "--no-color", "--tail=15"]).output();
            eprintln!("{}", logs.map(|logs| text(&logs)).unwrap_or_default());
        }
        let down = self
            .command(&["down", "-v", "--remove-orphans", "--timeout", "20"])
            .output();
        if !down.is_ok_and(|down| down.status.success()) {
            eprintln!("containers of {} may be left: docker ps -a", self.project);
        }
    }
}

/// `testkit::eventually` at the pace of something that costs.
#[track_caller]
fn look_until(mut is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + PATIENCE;
        loop {
            looks.tick().await;
            if is_so() {
                break;
            }
            assert!(
                Instant::now() < end,
                "{caller}: did not happen within {PATIENCE:?}"
            );
        }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn count(messages: &str) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for key in messages
        .lines()
        .filter_map(|line| line.split_whitespace().next_back())
    {
        *counts.entry(key.to_owned()).or_default() += 1;
    }
    counts
}

/// The messages of the JSON lines of all files below `folder`.
fn collect(folder: &Path, messages: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, messages);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            for event in lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
                messages.push_str(
                    event
                        .get("message")
                        .and_then(|message| message.as_str())
                        .unwrap_or_default(),
                );
                messages.push('\n');
            }
        }
    }
}
