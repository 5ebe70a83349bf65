//! Folders on an embedded broker: what is published of which file, and what becomes of the files.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use broker::{Broker, Disposition, QueueName, Topology};
use event::RawBatch;
use harvest::Progress;
use parking_lot::Mutex;
use service::Context;
use settings::{Settings, Sources};
use tempfile::TempDir;
use testkit::eventually;
use tokio::task::JoinHandle;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(60);

/// Frames of each batch: the file they came from, and their text.
type Batches = BTreeMap<Uuid, Vec<(String, String)>>;

struct Bench {
    dir: TempDir,
    broker: Broker,
    settings: Settings,
    taken: Arc<Mutex<Batches>>,
    consuming: JoinHandle<()>,
}

struct Running {
    task: JoinHandle<anyhow::Result<()>>,
    ctx: Context,
}

impl Bench {
    /// A folder `up`, with further `keys`.
    async fn new(keys: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("up")).unwrap();
        let quiet = if keys.contains("follow") || keys.contains("quiet") {
            ""
        } else {
            "quiet = \"0ms\""
        };
        let text = format!(
            "data_dir = \"data\"\n[harvest]\nbatch_bytes_max = \"64KiB\"\nunconfirmed_batches_max = 3\n\
             [[harvest.folder]]\nname = \"up\"\npath = \"up\"\nframe_bytes_max = \"32KiB\"\n\
             poll_interval = \"100ms\"\n{quiet}\n{keys}"
        );
        let sources = Sources {
            file: Some((dir.path().join("logferry.toml"), text)),
            ..Sources::default()
        };
        let settings = Settings::from_sources(&sources).unwrap();
        let broker = Broker::connect(&settings.broker, "test").await.unwrap();
        broker.declare(&Topology::new([])).await.unwrap();
        let taken = Arc::new(Mutex::new(Batches::new()));
        let consuming = tokio::spawn(consume(broker.clone(), Arc::clone(&taken)));
        Self {
            dir,
            broker,
            settings,
            taken,
            consuming,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("up").join(name)
    }

    /// Puts a file in its place at once, as uploads should.
    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        let hidden = path.with_file_name(format!(".{}", path.file_name().unwrap().display()));
        fs::write(&hidden, bytes).unwrap();
        fs::rename(hidden, path).unwrap();
    }

    fn start(&self) -> Running {
        let ctx = Context::new(Duration::from_secs(10));
        let (settings, broker, inner) = (self.settings.clone(), self.broker.clone(), ctx.clone());
        let task = tokio::spawn(async move { harvest::run(&settings, broker, inner).await });
        Running { task, ctx }
    }

    /// All frames that came, each batch once.
    fn frames(&self) -> Vec<String> {
        let taken = self.taken.lock();
        taken.values().flatten().map(|(_, text)| text.clone()).collect()
    }

    async fn await_frames(&self, count: usize) -> Vec<String> {
        eventually(DEADLINE, || async { self.frames().len() >= count }).await;
        let frames = self.frames();
        assert_eq!(frames.len(), count);
        frames
    }

    async fn await_file(&self, name: &str) {
        let path = self.path(name);
        eventually(DEADLINE, || async { fs::metadata(&path).is_ok() }).await;
    }

    async fn await_no_file(&self, name: &str) {
        let path = self.path(name);
        eventually(DEADLINE, || async { fs::symlink_metadata(&path).is_err() }).await;
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.consuming.abort();
    }
}

impl Running {
    async fn stop(self) {
        self.ctx.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Ends it without a word, as a crash does.
    async fn crash(self, bench: &Bench) {
        self.task.abort();
        assert!(self.task.await.is_err());
        // Threads that were at it end by themselves.
        let dir = bench.settings.data_dir.join("harvest");
        eventually(DEADLINE, || async { Progress::open(&dir) }).await;
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.ctx.metrics.encode();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
            .unwrap_or_default()
    }
}

async fn consume(broker: Broker, taken: Arc<Mutex<Batches>>) {
    let mut consumer = broker.consume(&QueueName::parser(), 100, "parser").await.unwrap();
    while let Some(delivery) = consumer.next().await {
        let mut scratch = Vec::new();
        let mut batch = RawBatch::decode(&delivery.body, &mut scratch, 1 << 24).unwrap();
        assert_eq!(batch.listener(), "up");
        let id = batch.id().as_uuid();
        let mut frames = Vec::new();
        while let Some(frame) = batch.next_frame().unwrap() {
            let text = String::from_utf8_lossy(frame.bytes).into_owned();
            frames.push((frame.peer_addr.to_owned(), text));
        }
        let before = taken.lock().insert(id, frames.clone());
        assert!(
            before.is_none_or(|before| before == frames),
            "a batch came twice and differs"
        );
        delivery.settle(Disposition::Ack).await;
    }
}

fn lines(name: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("{name} {n:06} {}", "x".repeat(n % 200)))
        .collect()
}

fn text(lines: &[String]) -> Vec<u8> {
    let mut text = lines.join("\n").into_bytes();
    text.push(b'\n');
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_middle_loses_and_repeats_nothing() {
    let bench = Bench::new("").await;
    let mut expected = Vec::new();
    for n in 0..20 {
        let lines = lines(&format!("file-{n}"), 3000);
        let bytes = text(&lines);
        match n % 3 {
            0 => bench.put(&format!("{n}.log"), &bytes),
            1 => bench.put(&format!("{n}.log.gz"), &gzip(&bytes)),
            _ => bench.put(
                &format!("{n}.log.zst"),
                &zstd::encode_all(bytes.as_slice(), 1).unwrap(),
            ),
        }
        expected.extend(lines);
    }
    for part in 1..6 {
        let running = bench.start();
        eventually(DEADLINE, || async { bench.frames().len() >= part * 8000 }).await;
        running.crash(&bench).await;
    }
    let running = bench.start();
    assert_eq!(sorted(bench.await_frames(60_000).await), sorted(expected));
    for n in 0..20 {
        let name = ["log", "log.gz", "log.zst"][n % 3];
        bench.await_file(&format!(".done/{n}.{name}")).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn the_same_name_again_is_a_new_file() {
    let bench = Bench::new("").await;
    let running = bench.start();
    for n in 0..3 {
        bench.put("a.log", format!("line {n}\n").as_bytes());
        bench.await_frames(n + 1).await;
        bench.await_no_file("a.log").await;
    }
    assert_eq!(bench.frames(), ["line 0", "line 1", "line 2"]);
    assert_eq!(fs::read(bench.path(".done/a.log.2")).unwrap(), b"line 2\n");
    assert!(
        bench
            .taken
            .lock()
            .values()
            .all(|frames| frames[0].0.ends_with("up/a.log"))
    );
    running.stop().await;
}

#[tokio::test]
async fn a_file_is_complete_when_nobody_writes_to_it() {
    let bench = Bench::new("done = \"delete\"").await;
    let running = bench.start();
    let mut writer = File::create(bench.path("slow.log")).unwrap();
    writer.write_all(b"one\n").unwrap();
    bench.put("other.log", b"other\n");
    bench.await_frames(1).await;
    writer.write_all(b"two").unwrap();
    // It was looked at while it was open, and left alone.
    bench.put("another.log", b"another\n");
    bench.await_frames(2).await;
    assert_eq!(bench.frames(), ["other", "another"]);
    drop(writer);
    assert_eq!(bench.await_frames(4).await[2..], ["one", "two"]);
    bench.await_no_file("slow.log").await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_kept_is_taken_once_and_what_is_added_too() {
    let bench = Bench::new("done = \"keep\"").await;
    bench.put("a.log", b"one\ntwo\n");
    for _ in 0..2 {
        let running = bench.start();
        bench.await_frames(2).await;
        eventually(DEADLINE, || async {
            running.metric("logferry_batches_in_flight") == 0
        })
        .await;
        running.stop().await;
    }
    let mut file = File::options().append(true).open(bench.path("a.log")).unwrap();
    file.write_all(b"three\n").unwrap();
    drop(file);
    let running = bench.start();
    assert_eq!(bench.await_frames(3).await, ["one", "two", "three"]);
    // Less than before: another file.
    fs::write(bench.path("a.log"), b"four\n").unwrap();
    assert_eq!(bench.await_frames(4).await[3], "four");
    running.stop().await;
}

#[tokio::test]
async fn bad_files_are_put_aside_with_the_reason_and_others_go_on() {
    let bench = Bench::new("recursive = true\ndone = \"delete\"").await;
    let good = lines("packed", 20_000);
    let packed = gzip(&text(&good));
    bench.put("cut.gz", &packed[..packed.len() - 1000]);
    let packed = zstd::encode_all(text(&good).as_slice(), 1).unwrap();
    bench.put("cut.zst", &packed[..packed.len() - 1000]);
    bench.put("junk.gz", &[&[0x1f, 0x8b, 8, 0][..], &[0xff; 100]].concat());
    let mut long = vec![b'x'; 100_000_000];
    long.extend_from_slice(b"\nafter the long line\n");
    bench.put("long.log", &long);
    bench.put("nul.log", b"a\0b\n");
    bench.put("wide.log", b"\xff\xfea\0\n\0\x00\xd8\n\0");
    let secret = bench.dir.path().join("secret");
    fs::write(&secret, "secret\n").unwrap();
    symlink(&secret, bench.path("link.log")).unwrap();
    symlink(bench.dir.path(), bench.path("way-out")).unwrap();
    bench.put("a\nb\x1b[2J.log", b"strange name\n");
    let running = bench.start();
    for (name, reason) in [
        ("cut.gz", "cannot be read to its end"),
        ("cut.zst", "cannot be read to its end"),
        ("junk.gz", "cannot be read to its end"),
        ("long.log", "were cut: 1"),
        ("wide.log", "do not fit its encoding"),
    ] {
        let told = format!(".failed/{name}.reason.txt");
        bench.await_file(&told).await;
        eventually(DEADLINE, || async {
            fs::read_to_string(bench.path(&told)).is_ok_and(|text| text.contains(reason))
        })
        .await;
        bench.await_no_file(name).await;
    }
    bench.await_no_file("nul.log").await;
    bench.await_no_file("a\nb\x1b[2J.log").await;
    let frames = bench.frames();
    for line in ["a\0b", "after the long line", "strange name"] {
        assert!(frames.iter().any(|frame| frame == line), "{line:?}");
    }
    assert!(frames.iter().any(|frame| frame.len() == 32 * 1024));
    assert!(frames.iter().filter(|frame| frame.starts_with("packed")).count() > 20_000);
    assert!(!frames.iter().any(|frame| frame.contains("secret")));
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret\n");
    assert_eq!(running.metric("logferry_harvest_lines_truncated_total"), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_file_that_vanishes_is_taken_as_far_as_it_is_open() {
    let bench = Bench::new("").await;
    let lines = lines("gone", 20_000);
    bench.put("gone.log", &text(&lines));
    let running = bench.start();
    eventually(DEADLINE, || async { !bench.frames().is_empty() }).await;
    // It is open now, or was already moved.
    drop(fs::remove_file(bench.path("gone.log")));
    bench.put("next.log", b"next\n");
    let frames = bench.await_frames(20_001).await;
    assert!(frames.contains(&"next".to_owned()));
    running.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_looked_into_is_told_and_waited_for() {
    let bench = Bench::new("recursive = true").await;
    let folder = bench.dir.path().join("up");
    fs::rename(&folder, bench.dir.path().join("away")).unwrap();
    let running = bench.start();
    eventually(DEADLINE, || async {
        running.metric("logferry_harvest_scans_failed_total") > 0
    })
    .await;
    fs::rename(bench.dir.path().join("away"), &folder).unwrap();
    fs::create_dir(bench.path("closed")).unwrap();
    fs::set_permissions(bench.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    bench.put("a.log", b"one\n");
    bench.await_frames(1).await;
    running.stop().await;
    fs::set_permissions(bench.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

struct Living(PathBuf);

impl Living {
    fn write(&self, bytes: &[u8]) {
        let mut file = File::options().create(true).append(true).open(&self.0).unwrap();
        file.write_all(bytes).unwrap();
    }
}

const FOLLOW: &str = "follow = true\nglob = \"*.log\"\n";

#[tokio::test]
async fn a_living_file_is_followed_through_both_rotations() {
    let bench = Bench::new(FOLLOW).await;
    let living = Living(bench.path("app.log"));
    living.write(b"1\n2\n");
    let running = bench.start();
    bench.await_frames(2).await;
    living.write(b"3\nhal");
    bench.await_frames(3).await;
    // Renamed to what the pattern does not name, and written to once more.
    let mut old = File::options().append(true).open(&living.0).unwrap();
    fs::rename(&living.0, bench.path("app.log.1")).unwrap();
    old.write_all(b"f\n").unwrap();
    living.write(b"5\n");
    bench.await_frames(5).await;
    // Copied and truncated.
    fs::copy(&living.0, bench.path("app.log.2")).unwrap();
    File::options()
        .write(true)
        .open(&living.0)
        .unwrap()
        .set_len(0)
        .unwrap();
    eventually(DEADLINE, || async {
        running.metric("logferry_harvest_files_total{folder=\"up\",what=\"truncated\"}") == 1
    })
    .await;
    living.write(b"6\n");
    bench.await_frames(6).await;
    running.stop().await;
    // While nobody looks: more, and then again from where it was.
    living.write(b"7\n");
    let running = bench.start();
    let frames = bench.await_frames(7).await;
    assert_eq!(sorted(frames), ["1", "2", "3", "5", "6", "7", "half"]);
    running.stop().await;
    // Another file in its place, as long as before.
    fs::write(&living.0, "8\n9\n").unwrap();
    let running = bench.start();
    assert_eq!(bench.await_frames(9).await[7..], ["8", "9"]);
    running.stop().await;
}

#[tokio::test]
async fn lines_of_living_files_are_joined_and_silence_completes_them() {
    let multiline =
        "[harvest.folder.multiline]\ncontinuation = '^ '\ntimeout = \"50ms\"\nbytes_max = \"32KiB\"";
    let bench = Bench::new(&format!("{FOLLOW}{multiline}")).await;
    let living = Living(bench.path("app.log"));
    let running = bench.start();
    living.write(b"a\n 1\n 2\nb\n");
    assert_eq!(bench.await_frames(2).await, ["a\n 1\n 2", "b"]);
    living.write(b"c\n 1\n");
    assert_eq!(bench.await_frames(3).await[2], "c\n 1");
    running.stop().await;
}

#[tokio::test]
async fn one_process_at_a_time_keeps_the_progress() {
    let bench = Bench::new("").await;
    let running = bench.start();
    bench.put("a.log", b"one\n");
    bench.await_frames(1).await;
    let second = bench.start().task.await.unwrap().unwrap_err();
    assert!(
        second.to_string().contains("in use by another process"),
        "{second}"
    );
    running.stop().await;
}
