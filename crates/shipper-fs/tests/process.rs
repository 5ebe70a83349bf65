//! The real process on a real RabbitMQ: killed, side by side, and on a file system that takes no more.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/queue.rs"]
mod queue;

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use testkit::{Process, eventually};
use tokio::process::Command;

use crate::queue::Queue;

const SOON: Duration = Duration::from_secs(120);
const LINES_A_BATCH: usize = 10;

const PROGRAM: &str = env!("CARGO_BIN_EXE_shipper-fs");

struct Scene {
    queue: Queue,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let queue = Queue::new("shipper-fs").await;
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "[shipper_fs]\nhttp_addr = \"off\"\nprefetch = 16\nsync_age_max = \"20ms\"\n\
             [[shipper_fs.destination]]\nname = \"all\"\ndir = {:?}\npath = \"{{hostname}}.log\"\n\
             format = \"template\"\ntemplate = \"{{message}}\"\n",
            folder.path().join("files")
        );
        fs::write(folder.path().join("logferry.toml"), settings).unwrap();
        Self { queue, folder }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("logferry.toml")
    }

    fn start(&self) -> Process {
        self.launch(&mut Process::command(PROGRAM, &self.config()))
    }

    fn launch(&self, command: &mut Command) -> Process {
        let url = self.queue.vhost.url();
        Process::start(command.env("LOGFERRY_BROKER__URL", url).stderr(Stdio::piped()))
    }

    /// Batches of lines whose numbers are in `batches`.
    async fn publish(&self, batches: Range<usize>) {
        self.queue.publish(batches, lines_of).await;
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Waits until there are `batches` whole batches, and checks that every line is there once.
    async fn all_there_once(&self, batches: usize) {
        let dir = self.dir();
        eventually(SOON, || async { lines(&dir).len() >= batches * LINES_A_BATCH }).await;
        let mut found = lines(&dir);
        let mut expected: Vec<_> = (0..batches).flat_map(lines_of).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert!(
            found == expected,
            "{} lines, {} expected",
            found.len(),
            expected.len()
        );
    }
}

fn lines_of(batch: usize) -> impl Iterator<Item = String> {
    (0..LINES_A_BATCH).map(move |line| format!("{batch}.{line} {}", "x".repeat(300)))
}

/// All lines of all files of events. What was not committed when a process was killed may be there too.
fn lines(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[tokio::test]
async fn killed_again_and_again_every_line_is_there_once() {
    let scene = Scene::new().await;
    let dir = scene.dir();
    let mut published = 0;
    for _ in 0..6 {
        let before = lines(&dir).len();
        let victims = [scene.start(), scene.start()];
        scene.publish(published..published + 60).await;
        published += 60;
        // In the middle of their work: something is written, and not all.
        eventually(SOON, || async { lines(&dir).len() > before }).await;
        for victim in victims {
            victim.kill().await;
        }
    }
    let survivors = [scene.start(), scene.start()];
    scene.all_there_once(published).await;
    for survivor in survivors {
        survivor.stop().await;
    }
    scene.all_there_once(published).await;
}

#[tokio::test]
async fn a_file_system_that_takes_no_more_is_waited_for() {
    let scene = Scene::new().await;
    // A limit that the kernel keeps, for any user: with the signal ignored, a write beyond it fails.
    let shipper = "trap '' XFSZ; ulimit -S -f 100; exec \"$0\" \"$@\"";
    let mut process = scene.launch(&mut Process::command_by(shipper, PROGRAM, &scene.config()));
    let mut log = process.log();
    scene.publish(0..60).await;
    let mut next_with = async |text: &str| {
        loop {
            let line = log.next_line().await.unwrap().expect("the process goes on");
            if line.contains(text) {
                return line;
            }
        }
    };
    let line = tokio::time::timeout(SOON, next_with("files cannot be written"))
        .await
        .unwrap();
    assert!(line.contains("File too large") && line.contains(".log"), "{line}");
    let pid = process.id().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status();
    assert!(raised.await.unwrap().success());
    tokio::time::timeout(SOON, next_with("files can be written again"))
        .await
        .unwrap();
    scene.all_there_once(60).await;
    process.stop().await;
    scene.all_there_once(60).await;
}
