//! A folder of its own to run the binary in, and events to find.

use std::{
    borrow::Cow,
    fs,
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, Severity, Timestamp};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use settings::{Settings, Sources};
use store::{Appended, Store};
use tempfile::TempDir;
use testkit::eventually;

/// For what a busy machine does within seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Hostname, application, procid, severity, message; a second apart.
pub(crate) type Line = (&'static str, &'static str, Option<&'static str>, u8, &'static str);

/// From 2026-11-21T10:00:00Z on.
pub(crate) const EVENTS: &[Line] = &[
    ("web01", "nginx", Some("17"), 3, "connection refused by peer"),
    ("web02", "kernel", None, 2, "disk \u{1b}[31mfull\u{1b}[0m"),
    ("web01", "nginx", Some("17"), 6, "ready to serve"),
];
const BEGAN: i64 = 1_795_255_200_000_000;

pub(crate) struct Fixture {
    dir: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `logferry.toml`, which commands find in their folder.
    pub(crate) fn settings(&self, text: &str) {
        fs::write(self.path("logferry.toml"), text).expect("writes");
    }

    /// What is in the folder.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("is there");
        entries
            .map(|entry| {
                entry
                    .expect("is there")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logferry"));
        command
            .env_clear()
            .env("TZ", "UTC")
            .current_dir(self.dir.path())
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, which is not far.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        Self::outcome(self.start(args))
    }

    pub(crate) fn run_with_stdin(&self, args: &[&str], stdin: impl Into<Stdio>) -> Outcome {
        let mut command = self.command(args);
        command.stdin(stdin);
        Self::outcome(Running::start(command))
    }

    /// Runs a command on a terminal of its own, where somebody types `answer`. What it prints and what it says on stderr
    /// are one there.
    pub(crate) fn run_on_terminal(&self, args: &[&str], answer: &str) -> Outcome {
        Self::outcome(self.start_on_terminal(args, answer))
    }

    /// The same for a command that stays; what is returned is the terminal.
    pub(crate) fn start_on_terminal(&self, args: &[&str], answer: &str) -> Running {
        let quoted = args.iter().map(|arg| format!(" '{arg}'")).collect::<String>();
        let line = format!("'{}'{quoted}", env!("CARGO_BIN_EXE_logferry"));
        fs::write(self.path("answer"), answer).expect("writes");
        let answer = fs::File::open(self.path("answer")).expect("opens");
        let mut command = Command::new("script");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TERM", "dumb")
            .env("TZ", "UTC")
            .current_dir(self.dir.path())
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .stdin(answer);
        Running::start(command)
    }

    fn outcome(running: Running) -> Outcome {
        aside(|| eventually(PATIENCE, || async { running.has_ended() }));
        let (code, out, err) = running.end();
        Outcome {
            code: code.expect("ends by itself"),
            out,
            err,
        }
    }

    /// Starts a command that stays.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Puts events into the store that these settings name, a second apart from 10 o'clock on.
    pub(crate) fn store(&self, overrides: &[&str], lines: &[Line]) {
        let at = |index: usize| {
            Timestamp::from_micros(BEGAN + 1_000_000 * i64::try_from(index).expect("is small"))
        };
        self.append(
            overrides,
            lines
                .iter()
                .enumerate()
                .map(|(index, line)| (at(index), *line))
                .collect(),
        );
    }

    /// Puts messages into the embedded store, received now.
    pub(crate) fn store_now(&self, messages: &[&'static str]) {
        let now = Timestamp::now();
        self.append(
            &[],
            messages
                .iter()
                .map(|message| (now, ("h", "a", None, 6, *message)))
                .collect(),
        );
    }

    fn append(&self, overrides: &[&str], lines: Vec<(Timestamp, Line)>) {
        let key_and_value = |text: &&str| {
            let (key, value) = text.split_once('=').expect("key=value");
            (key.to_owned(), value.to_owned())
        };
        let mut overrides: Vec<_> = overrides.iter().map(key_and_value).collect();
        overrides.push((
            "data_dir".to_owned(),
            self.path("data").to_string_lossy().into_owned(),
        ));
        let settings = Settings::from_sources(&Sources {
            overrides,
            ..Sources::default()
        })
        .expect("is good");
        let (id, source) = (BatchId::mint(), BatchId::mint());
        let mut batch = EventBatchBuilder::new(id, source, "tcp", "default");
        for (position, (at, (hostname, app_name, procid, severity, message))) in lines.into_iter().enumerate()
        {
            let position = u32::try_from(position).expect("is small");
            let event_id = EventId::derive(source, position, at);
            let mut event = Event::received(event_id, position, at, "192.0.2.1:514", "tcp");
            event.hostname = Some(Cow::Borrowed(hostname));
            event.app_name = Some(Cow::Borrowed(app_name));
            event.procid = procid.map(Cow::Borrowed);
            event.severity = Severity::new(severity);
            event.message = Some(Cow::Borrowed(message));
            batch.push(&event);
        }
        let batch = batch.finish(Compression::None);
        aside(|| append(&settings, batch));
    }
}

/// Runs a future from any test: some have a runtime of their own on this thread.
fn aside<F: Future>(future: impl FnOnce() -> F + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("starts");
            runtime.block_on(future());
        });
        thread.join().expect("ends");
    });
}

async fn append(settings: &Settings, batch: Vec<u8>) {
    let store = Store::connect(&settings.store).expect("connects");
    store.migrate().await.expect("migrates");
    let mut group = store.group(1 << 20);
    group.push(batch.into()).expect("is a batch");
    let (_, appended) = store.append(group).await;
    assert!(matches!(appended, Ok(Appended::Written(_))), "{appended:?}");
    store.close().await;
}

/// A command that stays, and what it printed so far.
pub(crate) struct Running {
    child: Mutex<Child>,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let (out, err) = (Arc::default(), Arc::default());
        let readers = vec![
            read(child.stdout.take().expect("is piped"), Arc::clone(&out)),
            read(child.stderr.take().expect("is piped"), Arc::clone(&err)),
        ];
        Self {
            child: Mutex::new(child),
            out,
            err,
            readers,
        }
    }

    pub(crate) fn out(&self) -> String {
        self.out.lock().expect("no reader panics").clone()
    }

    pub(crate) fn err(&self) -> String {
        self.err.lock().expect("no reader panics").clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        let status = self.child.lock().expect("no test panics with it").try_wait();
        status.expect("is our child").is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.lock().expect("no test panics with it").id();
        kill(Pid::from_raw(i32::try_from(id).expect("is a pid")), signal).expect("it runs");
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let status = self
            .child
            .lock()
            .expect("no test panics with it")
            .wait()
            .expect("ends");
        self.join();
        (status.code(), self.out(), self.err())
    }

    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            let _ended = reader.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already in most tests.
        if let Ok(child) = self.child.get_mut() {
            let _killed = child.kill();
            let _ended = child.wait();
        }
        self.join();
    }
}

fn read(mut from: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            let text = String::from_utf8_lossy(bytes.get(..read).unwrap_or_default()).into_owned();
            into.lock().expect("no test panics with it").push_str(&text);
        }
    })
}
