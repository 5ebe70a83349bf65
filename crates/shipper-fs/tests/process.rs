//! The real process on a real RabbitMQ: killed, side by side, and on a file system that takes no more.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use broker::{BindingKey, Broker, Exchange, Message, QueueName, RoutingKey, Topology};
use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, PayloadKind, Timestamp};
use settings::{AmqpSettings, BrokerSettings, Secret};
use testkit::{RabbitVhost, eventually};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const SOON: Duration = Duration::from_secs(120);
const LINES_A_BATCH: usize = 10;

struct Scene {
    vhost: RabbitVhost,
    broker: Broker,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let vhost = testkit::rabbitmq();
        let settings = BrokerSettings::Amqp(AmqpSettings {
            url: Secret::new(vhost.url().to_owned()),
            tls_ca_file: None,
            connect_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(30),
            reconnect_backoff_max: Duration::from_secs(1),
            confirm_timeout: Duration::from_secs(30),
            queue_bytes_max: 1 << 30,
            delivery_limit: 1000,
        });
        let broker = Broker::connect(&settings, "test").await.unwrap();
        broker.wait_ready(SOON).await.unwrap();
        let queue = QueueName::new("shipper-fs").unwrap();
        let topology = Topology::new([(queue, vec![BindingKey::all()])]);
        broker.declare(&topology).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "[shipper_fs]\nhttp_addr = \"off\"\nprefetch = 16\nsync_age_max = \"20ms\"\n\
             [[shipper_fs.destination]]\nname = \"all\"\ndir = {:?}\npath = \"{{hostname}}.log\"\n\
             format = \"template\"\ntemplate = \"{{message}}\"\n",
            folder.path().join("files")
        );
        fs::write(folder.path().join("logferry.toml"), settings).unwrap();
        Self {
            vhost,
            broker,
            folder,
        }
    }

    /// Starts the program, by way of `shell` where there is one.
    fn start(&self, shell: Option<&str>) -> Child {
        let program = env!("CARGO_BIN_EXE_shipper-fs");
        let mut command = match shell {
            None => Command::new(program),
            Some(script) => {
                let mut command = Command::new("sh");
                command.args(["-c", script, program]);
                command
            }
        };
        command
            .arg("--config")
            .arg(self.folder.path().join("logferry.toml"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LOGFERRY_BROKER__URL", self.vhost.url())
            .kill_on_drop(true)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Batches of lines whose numbers are in `batches`, one host for every third batch.
    async fn publish(&self, batches: Range<usize>) {
        let publisher = self.broker.publisher(64);
        for number in batches {
            let (id, now) = (BatchId::mint(), Timestamp::now());
            let mut builder = EventBatchBuilder::new(id, id, "tcp", "default");
            let host = format!("h{}", number % 3);
            for (position, line) in (0..).zip(lines_of(number)) {
                let mut event = Event::received(EventId::derive(id, position, now), position, now, "", "tcp");
                event.hostname = Some(host.as_str().into());
                event.message = Some(line.into());
                builder.push(&event);
            }
            let message = Message {
                id: id.as_uuid(),
                exchange: Exchange::Parsed,
                routing_key: RoutingKey::new("default").unwrap(),
                content_type: PayloadKind::Events.content_type(),
                body: builder.finish(Compression::Lz4).into(),
                death: None,
            };
            publisher.deliver(&message).await.unwrap();
        }
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

/// Asks the process to end, and waits until it did so with success.
async fn stop(mut child: Child) {
    let pid = nix::unistd::Pid::from_raw(child.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let status = tokio::time::timeout(SOON, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn killed_again_and_again_every_line_is_there_once() {
    let scene = Scene::new().await;
    let dir = scene.dir();
    let mut published = 0;
    for _ in 0..6 {
        let before = lines(&dir).len();
        let mut victims = [scene.start(None), scene.start(None)];
        scene.publish(published..published + 60).await;
        published += 60;
        // In the middle of their work: something is written, and not all.
        eventually(SOON, || async { lines(&dir).len() > before }).await;
        for victim in &mut victims {
            victim.kill().await.unwrap();
        }
    }
    let survivors = [scene.start(None), scene.start(None)];
    scene.all_there_once(published).await;
    for survivor in survivors {
        stop(survivor).await;
    }
    scene.all_there_once(published).await;
}

#[tokio::test]
async fn a_file_system_that_takes_no_more_is_waited_for() {
    let scene = Scene::new().await;
    // A limit that the kernel keeps, for any user: with the signal ignored, a write beyond it fails.
    let shipper = "trap '' XFSZ; ulimit -S -f 100; exec \"$0\" \"$@\"";
    let mut child = scene.start(Some(shipper));
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
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
    let pid = child.id().unwrap().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status();
    assert!(raised.await.unwrap().success());
    tokio::time::timeout(SOON, next_with("files can be written again"))
        .await
        .unwrap();
    scene.all_there_once(60).await;
    stop(child).await;
    scene.all_there_once(60).await;
}
