//! Everything that is tortured: servers, the lines between the parts, and our processes.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use testkit::guard::Guard;
use testkit::proxy::{Condition, Proxy};
use testkit::{Database, Postgres, RabbitMq, Redis, free_port};

use crate::drive::Inputs;
use crate::fleet::{Fleet, Member};
use crate::message::Fate;

/// Processes of each service, so that some go on while others are down.
const MEMBERS: [(&str, u32); 6] = [
    ("syslog-server", 1),
    // It keeps its progress to itself.
    ("harvest", 1),
    ("collector", 2),
    ("parser", 2),
    ("shipper-pgsql", 2),
    ("shipper-fs", 2),
];

/// The folder that harvest watches, in that of the installation.
const UPLOADS: &str = "up";

/// The whole installation. All of it ends, and is removed, with this.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) lines: Vec<Line>,
    pub(crate) rabbitmq: RabbitMq,
    pub(crate) postgres: Postgres,
    pub(crate) database: Database,
    pub(crate) redis: Redis,
    pub(crate) tools: Tools,
    programs: PathBuf,
    dir: PathBuf,
    /// One fault at a time for each victim.
    victims: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// How our processes find a server.
struct ServerAddress {
    name: &'static str,
    /// The setting, in the environment.
    variable: &'static str,
    url: String,
    port: u16,
}

impl ServerAddress {
    fn new(name: &'static str, variable: &'static str, url: &str, port: u16) -> Self {
        Self {
            name,
            variable,
            url: url.to_owned(),
            port,
        }
    }

    fn is_used_by(&self, program: &str) -> bool {
        match self.name {
            "PostgreSQL" => program == "shipper-pgsql",
            "Redis" => ["syslog-server", "collector"].contains(&program),
            _ => true,
        }
    }

    fn url_by_way_of(&self, proxy: &Proxy) -> String {
        let port = proxy.addr().port();
        self.url.replace(&format!(":{}", self.port), &format!(":{port}"))
    }
}

/// A way between two parts.
#[derive(Debug)]
pub(crate) struct Line {
    /// Such as `parser-1 → RabbitMQ`.
    pub(crate) name: String,
    /// The same for all members of a service, for the report.
    pub(crate) kind: String,
    pub(crate) proxy: Proxy,
}

/// What this machine has for some kinds of faults.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    /// libfaketime, to make a process's clock jump.
    pub(crate) faketime: Option<PathBuf>,
    /// `prlimit`, to bound the files of a process that runs.
    pub(crate) has_prlimit: bool,
    /// The programs were built with crash points.
    pub(crate) has_crash_points: bool,
}

impl World {
    /// Starts servers, lines and processes. `programs` is the folder with our programs.
    pub(crate) async fn start(programs: &Path) -> anyhow::Result<Self> {
        let (rabbitmq, postgres, redis) = tokio::join!(
            RabbitMq::start_private(),
            Postgres::start_private(),
            Redis::start_private()
        );
        let database = postgres.database();
        let guard = Guard::new("torture", Signal::SIGKILL)?;
        let dir = guard.dir().to_owned();
        let (relp, tcp) = (local(free_port()), local(free_port()));
        fs::write(dir.join("logferry.toml"), settings(&dir, relp, tcp))?;
        fs::create_dir(dir.join(UPLOADS)).context("make the folder of uploads")?;

        let mut lines = vec![
            Line::start("senders → RELP", "senders → RELP", relp).await?,
            Line::start("senders → TCP", "senders → TCP", tcp).await?,
        ];
        let servers = [
            ServerAddress::new(
                "RabbitMQ",
                "LOGFERRY_BROKER__URL",
                &rabbitmq.url(),
                rabbitmq.port(),
            ),
            ServerAddress::new(
                "PostgreSQL",
                "LOGFERRY_STORE__URL",
                database.url(),
                postgres.port(),
            ),
            ServerAddress::new("Redis", "LOGFERRY_RESCUE__URL", &redis.url(), redis.port()),
        ];
        logferry(programs, &dir, &rabbitmq.url(), database.url(), &["init"])?;
        let mut members = Vec::new();
        for (program, count) in MEMBERS {
            for number in 1..=count {
                let mut env = Vec::new();
                for server in servers.iter().filter(|server| server.is_used_by(program)) {
                    let name = format!("{program}-{number} → {}", server.name);
                    let kind = format!("{program} → {}", server.name);
                    let line = Line::start(&name, &kind, local(server.port)).await?;
                    env.push((server.variable.to_owned(), server.url_by_way_of(&line.proxy)));
                    lines.push(line);
                }
                members.push(Member::new(program, number, env));
            }
        }
        let fleet = Fleet::start(guard, programs, members);
        let tools = Tools {
            faketime: find_faketime(),
            has_prlimit: runs("prlimit"),
            has_crash_points: fleet.has_crash_points()?,
        };
        Ok(Self {
            fleet,
            lines,
            programs: programs.to_owned(),
            rabbitmq,
            postgres,
            database,
            redis,
            tools,
            dir,
            victims: Mutex::default(),
        })
    }

    /// Where messages go in, by way of lines that can be broken.
    pub(crate) fn inputs(&self) -> Inputs {
        Inputs {
            relp: self.addr("senders → RELP"),
            tcp: self.addr("senders → TCP"),
            folder: self.dir.join(UPLOADS),
        }
    }

    /// What `logferry` prints with these arguments, straight to the servers.
    pub(crate) fn logferry(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let (broker, store) = (self.rabbitmq.url(), self.database.url());
        logferry(&self.programs, &self.dir, &broker, store, arguments)
    }

    fn addr(&self, line: &str) -> SocketAddr {
        let line = self.lines.iter().find(|other| other.name == line);
        line.expect("both lines were started").proxy.addr()
    }

    /// The file with every event, as JSON lines.
    pub(crate) fn events_file(&self) -> PathBuf {
        self.dir.join("files/events.jsonl")
    }

    /// The clock file of a member.
    pub(crate) fn clock_file(&self, member: &Member) -> PathBuf {
        self.dir.join(format!("{}.clock", member.name))
    }

    /// Held while a fault is done to a victim.
    pub(crate) fn victim(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.victims.lock().entry(name.to_owned()).or_default())
    }

    /// Makes every line as if there were no proxy.
    pub(crate) fn clear_lines(&self) {
        for line in &self.lines {
            line.proxy.set(Condition::Clear);
        }
    }

    /// Keeps settings, logs and files for those who look for a cause.
    pub(crate) fn keep_evidence(&self, to: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_text = [".log", ".toml"]
                .iter()
                .any(|end| name.to_string_lossy().ends_with(end));
            if is_text {
                fs::copy(entry.path(), to.join(name))?;
            }
        }
        Ok(())
    }
}

impl Line {
    async fn start(name: &str, kind: &str, target: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            proxy: Proxy::start(target).await.context("start a proxy")?,
        })
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Time-outs are short, so that faults of a second or two are felt and recovered from, and rescue queues small, so that
/// they get full; everything else that decides what is safe is as it ships.
fn settings(dir: &Path, relp: SocketAddr, tcp: SocketAddr) -> String {
    let dir = dir.display();
    let mut http = String::new();
    for (program, _) in MEMBERS {
        let section = program.replace('-', "_");
        http.push_str(&format!("[{section}]\nhttp_addr = \"off\"\n"));
        // Many small batches: more to lose and to mix up.
        match program {
            "syslog-server" => http.push_str("batch_frames_max = 64\n"),
            "shipper-pgsql" => {
                http.push_str("transaction_rows_max = 2048\nbinding_keys = [\"default\"]\n");
            }
            // A shipper that took all routes would take what is meant for the dead letters.
            "shipper-fs" => http.push_str("binding_keys = [\"default\"]\n"),
            "collector" => http.push_str("claim_timeout = \"5s\"\npoll_interval = \"200ms\"\n"),
            _ => {}
        }
    }
    let rules = Fate::RULES;
    format!(
        r#"
data_dir = "{dir}/data"
[service]
shutdown_grace = "3s"
[broker]
connect_timeout = "2s"
heartbeat = "2s"
reconnect_backoff_max = "500ms"
confirm_timeout = "3s"
[store]
connect_timeout = "2s"
[rescue]
patience = "300ms"
timeout = "1s"
redis_bytes_max = "256KiB"
file_bytes_max = "1MiB"
{http}
[[syslog_server.listener]]
name = "relp"
protocol = "relp"
address = "{relp}"
[[syslog_server.listener]]
name = "tcp"
protocol = "tcp"
address = "{tcp}"
[[shipper_fs.destination]]
name = "events"
dir = "{dir}/files"
path = "events.jsonl"
format = "json"
[[parser.program]]
name = "fates"
source = '''{rules}'''
[[harvest.folder]]
name = "uploads"
path = "{dir}/{UPLOADS}"
poll_interval = "500ms"
quiet = "500ms"
done = "delete"
"#
    )
}

fn logferry(
    programs: &Path,
    dir: &Path,
    broker: &str,
    store: &str,
    arguments: &[&str],
) -> anyhow::Result<String> {
    let program = programs.join("logferry");
    let output = Command::new(&program)
        .args(arguments)
        .env("LOGFERRY_CONFIG", dir.join("logferry.toml"))
        .env("LOGFERRY_BROKER__URL", broker)
        .env("LOGFERRY_STORE__URL", store)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {}; build all programs first", program.display()))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("logferry {}: {error}", arguments.join(" "));
    }
    String::from_utf8(output.stdout).context("read what it prints")
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn find_faketime() -> Option<PathBuf> {
    let architectures = ["x86_64-linux-gnu/", "aarch64-linux-gnu/", ""];
    let places = architectures
        .iter()
        .map(|architecture| PathBuf::from(format!("/usr/lib/{architecture}faketime/libfaketimeMT.so.1")));
    places.into_iter().find(|place| place.is_file())
}
