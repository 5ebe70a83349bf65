//! The power fails: what was answered is there afterwards, from what the disk was told to sync alone.
//!
//! `logferry run` works with every write and every sync of its data recorded (`record.c`). For moments all over the
//! load the test then works out what a disk would hold, starts `logferry run` on that, and looks for each line that
//! was answered before the moment: in the store, once, and in the files, once. So the embedded broker, the embedded
//! store and the journal of `shipper-fs` go through it together. With a RabbitMQ that went away before the first line, so
//! does the rescue queue in a file: what it had is returned to the next RabbitMQ.
//!
//! The disk is as unkind as POSIX lets it be: a write is there only after its file was synced, a name only after its
//! folder was; or, in every other case, any sectors of what was not synced are there too.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod away;
mod disk;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::guard::Guard;
use testkit::{Pace, RelpLoad, eventually, free_port};

use crate::away::Broker;
use crate::disk::{Disk, Unsynced};

const LINES: usize = 2_000;
const LINES_PER_SECOND: u32 = 1_000;
/// Moments at which the power fails, spread over the load.
const CUTS: usize = 8;
const CUTS_OF_RESCUE: usize = 4;
/// Far above what any wait here takes, even with both cores busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// So many lines were answered when the record was so long.
#[derive(Debug, Clone, Copy)]
struct Answered {
    lines: usize,
    recorded: usize,
}

/// `logferry run` on a folder of its own.
struct Installation {
    guard: Guard,
    pid: u32,
    relp: u16,
}

impl Installation {
    /// Starts it on `disk`, recorded by `recorder` into a file beside it where there is one, and with its embedded broker
    /// where no other is named.
    async fn start(guard: Guard, recorder: Option<&Path>, broker: Option<&str>) -> Self {
        let dir = guard.dir().to_owned();
        let (relp, http) = (free_port(), free_port());
        let disk = dir.join("disk");
        fs::create_dir_all(&disk).unwrap();
        let settings = format!(
            "data_dir = {disk:?}\n[service]\nhttp_addr = \"127.0.0.1:{http}\"\n[web]\naddress = \"off\"\n\
             [[syslog_server.listener]]\nname = \"relp\"\nprotocol = \"relp\"\naddress = \"127.0.0.1:{relp}\"\n\
             [[shipper_fs.destination]]\nname = \"events\"\ndir = \"{}/files\"\npath = \"events.jsonl\"\n",
            disk.display()
        );
        let elsewhere = broker.map(|url| {
            format!(
                "[broker]\nurl = {url:?}\nreconnect_backoff_max = \"500ms\"\n[rescue]\npatience = \"100ms\"\n"
            )
        });
        let settings = settings + &elsewhere.unwrap_or_default();
        fs::write(dir.join("logferry.toml"), settings).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let mut command = logferry(&dir);
        command
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(recorder) = recorder {
            command
                .env("LD_PRELOAD", recorder)
                .env("RECORD_DIR", &disk)
                .env("RECORD_LOG", dir.join("record"));
        }
        let mut guard = guard;
        let pid = guard.spawn(&mut command).unwrap();
        let mut installation = Self { guard, pid, relp };
        eventually(PATIENCE, || {
            let ended = installation.guard.ended(pid);
            assert!(ended.is_none(), "{ended:?}\n{}", installation.log());
            let is_there = std::net::TcpStream::connect(("127.0.0.1", http)).is_ok()
                && std::net::TcpStream::connect(("127.0.0.1", relp)).is_ok();
            std::future::ready(is_there)
        })
        .await;
        installation
    }

    fn dir(&self) -> &Path {
        self.guard.dir()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir().join("log")).unwrap_or_default()
    }

    fn send(&self, lines: Vec<String>, per_second: u32) -> RelpLoad {
        let lines = lines.into_iter().map(String::into_bytes).collect();
        let pace = Pace {
            per_second,
            patience: PATIENCE,
        };
        RelpLoad::start_at(([127, 0, 0, 1], self.relp).into(), lines, pace)
    }

    /// What the store has, by key.
    fn rows(&self) -> BTreeMap<String, u32> {
        let mut command = logferry(self.dir());
        let output = command
            .args(["search", "--json", "--limit", "1000000"])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        count(&output.stdout)
    }

    /// What the files have, by key.
    fn lines(&self) -> BTreeMap<String, u32> {
        let bytes = fs::read(self.dir().join("disk/files/events.jsonl")).unwrap_or_default();
        count(&bytes)
    }

    fn kill(&mut self) {
        let pid = self.pid;
        self.guard.signal(Signal::SIGKILL, |found, _| found == pid);
        while self.guard.ended(pid).is_none() {
            std::thread::yield_now();
        }
    }
}

fn logferry(dir: &Path) -> Command {
    let programs = testkit::binaries::folder(testkit::binaries::Profile::Dev);
    let mut command = Command::new(programs.join("logferry"));
    command.env("LOGFERRY_CONFIG", dir.join("logferry.toml"));
    command
}

/// Events by the key at the end of their message; every line must be a whole event.
fn count(json_lines: &[u8]) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in json_lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let event: serde_json::Value = serde_json::from_slice(line)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
        let message = event.get("message").unwrap().as_str().unwrap();
        let key = message.split_whitespace().next_back().unwrap();
        *counts.entry(key.to_owned()).or_default() += 1;
    }
    counts
}

fn line(key: &str) -> String {
    format!(
        "<134>1 2026-03-01T10:00:00Z host app - - - {} {key}",
        "a line ".repeat(20)
    )
}

/// The recorder, compiled by the system's C compiler.
fn recorder(dir: &Path) -> PathBuf {
    let library = dir.join("record.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_cut/record.c");
    let output = Command::new("cc")
        .args(["-O1", "-Wall", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    library
}

/// What was recorded in a load, and what was answered meanwhile.
struct Recording {
    log: Vec<u8>,
    answered: Vec<Answered>,
    empty: Disk,
    /// Bytes of the rescue queue's file.
    rescue_bytes: u64,
    /// Keeps the folder, whose inodes the records name.
    _installation: Installation,
}

/// A broker that is named goes away before the load begins.
async fn record(broker: Option<&Broker>) -> Recording {
    let guard = Guard::new("power-cut", Signal::SIGKILL).unwrap();
    let library = recorder(guard.dir());
    let url = broker.map(Broker::url);
    let mut installation = Installation::start(guard, Some(&library), url.as_deref()).await;
    if let Some(broker) = broker {
        // It listens before it has reached its broker, without which it would not start.
        installation.send(vec![line("warm")], 1).finish().await;
        broker.leave();
    }
    let disk = installation.dir().join("disk");
    let record = installation.dir().join("record");
    let lines = (0..LINES).map(|number| line(&format!("key-{number}"))).collect();
    let load = installation.send(lines, LINES_PER_SECOND);
    let mut answered = Vec::new();
    eventually(PATIENCE, || {
        // In this order: whatever made these answers possible is in the record already.
        let lines = load.acked();
        let recorded = usize::try_from(fs::metadata(&record).unwrap().len()).unwrap();
        if answered.last().is_none_or(|last: &Answered| last.lines < lines) {
            answered.push(Answered { lines, recorded });
        }
        std::future::ready(lines == LINES)
    })
    .await;
    assert_eq!(load.finish().await, [1; LINES], "nothing was sent twice");
    installation.kill();

    let log = fs::read(&record).unwrap();
    let empty = Disk::new(&disk);
    assert_complete(&log, &disk);
    let rescue = disk.join("rescue/rescue.sqlite");
    Recording {
        log,
        answered,
        empty,
        rescue_bytes: fs::metadata(rescue).map_or(0, |metadata| metadata.len()),
        _installation: installation,
    }
}

/// The record has all that was written, or this test would prove nothing.
fn assert_complete(log: &[u8], disk: &Path) {
    let mut all = Disk::new(disk);
    assert_eq!(all.follow(log), log.len(), "the last record is whole");
    let mut compared = 0;
    for folder in ["", "store", "files", "files/.logferry", "rescue"] {
        let Ok(entries) = fs::read_dir(disk.join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            // Its pages are written through memory, and made anew after a power cut.
            if path.is_file() && !path.to_string_lossy().ends_with("-shm") {
                let is_same = all.written(&path) == fs::read(&path).unwrap();
                assert!(is_same, "{} was not recorded whole", path.display());
                compared += 1;
            }
        }
    }
    assert!(compared >= 4, "a queue file, the store, their logs: {compared}");
}

#[tokio::test]
async fn what_was_answered_survives_a_power_cut() {
    let recording = record(None).await;
    for (answered, unsynced) in recording.cuts(CUTS) {
        survives(&recording, answered, unsynced, None).await;
    }
}

#[tokio::test]
async fn what_was_rescued_into_the_file_survives_a_power_cut() {
    let broker = Broker::new().await;
    let recording = record(Some(&broker)).await;
    assert!(recording.rescue_bytes > 0, "nothing was rescued into the file");
    for (answered, unsynced) in recording.cuts(CUTS_OF_RESCUE) {
        // A new one each time: nothing was left with the one that went away.
        let vhost = testkit::rabbitmq();
        survives(&recording, answered, unsynced, Some(vhost.url())).await;
    }
}

impl Recording {
    /// So many moments all over the load, each with what became of the writes that were not synced.
    fn cuts(&self, count: usize) -> impl Iterator<Item = (Answered, Unsynced)> {
        let samples = &self.answered;
        assert!(samples.len() > count, "{} samples", samples.len());
        (1..=count).map(move |cut| {
            let unsynced = if cut % 2 == 0 {
                Unsynced::Torn(cut as u64)
            } else {
                Unsynced::Lost
            };
            (samples[(samples.len() - 1) * cut / count], unsynced)
        })
    }
}

/// Starts on what the disk held then, and looks for what was answered.
async fn survives(recording: &Recording, answered: Answered, unsynced: Unsynced, broker: Option<&str>) {
    let mut disk = recording.empty.clone();
    disk.follow(&recording.log[..answered.recorded]);
    let guard = Guard::new("power-cut", Signal::SIGKILL).unwrap();
    disk.write_to(&guard.dir().join("disk"), unsynced);
    let mut installation = Installation::start(guard, None, broker).await;
    installation.send(vec![line("fresh")], 1).finish().await;
    let what = format!("{answered:?} {unsynced:?}");
    let is_all_there = |found: &BTreeMap<String, u32>| {
        let keys = (0..answered.lines).map(|number| format!("key-{number}"));
        keys.chain(["fresh".to_owned()])
            .all(|key| found.contains_key(&key))
    };
    let missing = |found: &BTreeMap<String, u32>| {
        let keys = (0..answered.lines).map(|number| format!("key-{number}"));
        keys.filter(|key| !found.contains_key(key))
            .take(5)
            .collect::<Vec<_>>()
    };
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (rows, lines) = (installation.rows(), installation.lines());
        if is_all_there(&rows) && is_all_there(&lines) {
            for (place, found) in [("rows", rows), ("lines", lines)] {
                let twice: Vec<_> = found.iter().filter(|(_, count)| **count > 1).take(5).collect();
                assert!(twice.is_empty(), "{what}: twice among {place}: {twice:?}");
            }
            break;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{what}: lost rows {:?}, lost lines {:?}\n{}",
            missing(&rows),
            missing(&lines),
            installation.log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    installation.kill();
}
