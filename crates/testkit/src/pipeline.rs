//! The product as users run it: its programs as processes of their own, on a generated `logferry.toml`.

mod builder;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use parking_lot::Mutex;

use crate::binaries;
use crate::guard::Guard;
use crate::server::{blocking, or_fail};
use crate::{eventually, free_port, http};

pub use self::builder::Builder;

/// A cold start on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// Above the services' own bound on their drain.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How much of a service's log a failed test shows.
const LOG_TAIL_LINES: usize = 40;

/// A program of the product that runs as a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Intake.
    SyslogServer,
    /// Rescue queues back to the broker.
    Collector,
    /// Grammar and rules.
    Parser,
    /// Rows.
    ShipperPgsql,
    /// Files.
    ShipperFs,
    /// Intake of files, where a folder is in the settings.
    Harvest,
    /// The pages, where they are a process of their own.
    Web,
    /// `logferry run`: all of them in one process.
    Run,
}

impl Service {
    /// The services of a pipeline over RabbitMQ.
    pub const ALL: [Self; 5] = [
        Self::SyslogServer,
        Self::Collector,
        Self::Parser,
        Self::ShipperPgsql,
        Self::ShipperFs,
    ];

    /// The program's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SyslogServer => "syslog-server",
            Self::Collector => "collector",
            Self::Parser => "parser",
            Self::ShipperPgsql => "shipper-pgsql",
            Self::ShipperFs => "shipper-fs",
            Self::Harvest => "harvest",
            Self::Web => "web",
            Self::Run => "logferry",
        }
    }
}

/// One more process of a service, beside the first of its kind. It runs until the pipeline ends.
#[derive(Debug)]
pub struct Another {
    service: Service,
    pid: u32,
    port: u16,
}

impl Another {
    /// What it is.
    #[must_use]
    pub const fn service(&self) -> Service {
        self.service
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }
}

/// A pipeline that runs. Its processes and its folder end with it, whatever happens.
#[derive(Debug)]
pub struct Pipeline {
    guard: Mutex<Guard>,
    running: Mutex<BTreeMap<Service, u32>>,
    dir: PathBuf,
    services: Vec<Service>,
    arguments: Vec<String>,
    binaries: PathBuf,
    inputs: Inputs,
    health: BTreeMap<Service, u16>,
}

#[derive(Debug, Clone, Copy)]
struct Inputs {
    relp: u16,
    tcp: u16,
    udp: u16,
    web: u16,
}

impl Pipeline {
    /// A pipeline over RabbitMQ and PostgreSQL.
    #[must_use]
    pub fn over(broker: &str, store: &str) -> Builder {
        Builder::new(broker, store)
    }

    /// `logferry run`, which needs nothing else.
    #[must_use]
    pub fn embedded() -> Builder {
        Self::over("embedded", "embedded").services(&[Service::Run])
    }

    fn prepare(builder: Builder) -> anyhow::Result<Self> {
        let binaries = builder.programs.clone();
        let binaries = binaries.unwrap_or_else(|| binaries::folder(binaries::Profile::Dev).to_owned());
        let guard = match &builder.base {
            Some(base) => Guard::new_in(base, "pipeline", Signal::SIGKILL)?,
            None => Guard::new("pipeline", Signal::SIGKILL)?,
        };
        let dir = guard.dir().to_owned();
        let inputs = Inputs {
            relp: free_port(),
            tcp: free_port(),
            udp: free_port(),
            web: free_port(),
        };
        let services = [Service::Harvest, Service::Web, Service::Run];
        let services = Service::ALL.into_iter().chain(services);
        let health = services.map(|service| (service, free_port())).collect();
        let settings = builder.to_toml(&dir, inputs, &health);
        fs::write(dir.join("logferry.toml"), settings)?;
        let pipeline = Self {
            guard: Mutex::new(guard),
            running: Mutex::default(),
            dir,
            services: builder.services,
            arguments: builder.arguments,
            binaries,
            inputs,
            health,
        };
        if builder.broker != "embedded" {
            let output = pipeline.logferry(&["init"]);
            if !output.status.success() {
                bail!("logferry init: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok(pipeline)
    }

    /// The folder with settings, data, files and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file that `shipper-fs` writes every event to, as JSON.
    #[must_use]
    pub fn events_file(&self) -> PathBuf {
        self.dir.join("files/events.jsonl")
    }

    /// Takes the programs of this build from now on: an upgrade. What runs goes on until it is started again.
    ///
    /// # Panics
    /// If they do not build.
    pub fn upgrade(&mut self) {
        binaries::folder(binaries::Profile::Dev).clone_into(&mut self.binaries);
    }

    /// Where RELP is listened for.
    #[must_use]
    pub fn relp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.inputs.relp).into()
    }

    /// Where syslog over TCP is listened for.
    #[must_use]
    pub fn tcp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.inputs.tcp).into()
    }

    /// Where syslog over UDP is listened for.
    #[must_use]
    pub fn udp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.inputs.udp).into()
    }

    /// Where `logferry run`, or `web`, serves the pages.
    #[must_use]
    pub fn web(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.inputs.web).into()
    }

    /// Runs `logferry` with these arguments and this pipeline's settings.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn logferry(&self, arguments: &[&str]) -> Output {
        let mut command = self.command("logferry");
        or_fail(
            command
                .args(arguments)
                .stdin(Stdio::null())
                .output()
                .context("run logferry"),
        )
    }

    /// Ends a service as a crash would (SIGKILL).
    ///
    /// # Panics
    /// If it does not run.
    pub async fn kill(&self, service: Service) {
        self.end(service, Signal::SIGKILL).await;
    }

    /// Asks a service to end (SIGTERM) and waits until it did.
    ///
    /// # Panics
    /// If it does not run, or does not end.
    pub async fn terminate(&self, service: Service) -> ExitStatus {
        self.end(service, Signal::SIGTERM).await
    }

    /// Sends a service SIGTERM and does not wait.
    ///
    /// # Panics
    /// If it does not run.
    pub fn signal(&self, service: Service) {
        let pid = or_fail(
            self.pid(service)
                .with_context(|| format!("find {} running", service.name())),
        );
        self.guard.lock().signal(Signal::SIGTERM, |found, _| found == pid);
    }

    /// Starts a service that was ended, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    pub async fn start(&self, service: Service) {
        or_fail(self.spawn(service));
        self.ready(service).await;
    }

    /// Starts one more process of a service beside the first, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    pub async fn start_another(&self, service: Service) -> Another {
        let port = free_port();
        let section = service.name().replace('-', "_").to_uppercase();
        let mut command = self.command(service.name());
        command.args(&self.arguments).env(
            format!("LOGFERRY_{section}__HTTP_ADDR"),
            format!("127.0.0.1:{port}"),
        );
        let pid = or_fail(self.launch(service, &mut command));
        self.answers(service, pid, port).await;
        Another { service, pid, port }
    }

    /// The process id of a service that runs.
    #[must_use]
    pub fn pid(&self, service: Service) -> Option<u32> {
        self.running.lock().get(&service).copied()
    }

    /// What a service said so far on stderr.
    #[must_use]
    pub fn log(&self, service: Service) -> String {
        fs::read_to_string(self.log_path(service)).unwrap_or_default()
    }

    /// Lines of level WARN or ERROR of all services, for tests that expect none.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let logs = self.services.iter().map(|service| self.log(*service));
        logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| {
                line.split_whitespace()
                    .take(2)
                    .any(|word| word == "WARN" || word == "ERROR")
            })
            .collect()
    }

    /// A service's metrics, in the text format of Prometheus.
    ///
    /// # Panics
    /// If the service does not answer.
    pub async fn metrics(&self, service: Service) -> String {
        or_fail(self.try_metrics(service).await)
    }

    /// The sum of a metric's samples whose name and labels contain all of `parts`.
    ///
    /// # Panics
    /// If the service does not answer.
    pub async fn metric(&self, service: Service, parts: &[&str]) -> f64 {
        or_fail(self.try_metric(service, parts).await)
    }

    /// [`Self::metric`] for tools that go on with an error.
    ///
    /// # Errors
    /// If the service does not answer.
    pub async fn try_metric(&self, service: Service, parts: &[&str]) -> anyhow::Result<f64> {
        Ok(sum(&self.try_metrics(service).await?, parts))
    }

    /// [`Self::try_metric`] of one of several processes.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn try_metric_of(&self, another: &Another, parts: &[&str]) -> anyhow::Result<f64> {
        Ok(sum(&metrics_at(another.service, another.port).await?, parts))
    }

    async fn try_metrics(&self, service: Service) -> anyhow::Result<String> {
        let port = self.health.get(&service).copied().unwrap_or_default();
        metrics_at(service, port).await
    }

    async fn ready(&self, service: Service) {
        let port = self.health.get(&service).copied().unwrap_or_default();
        self.answers(service, self.pid(service).unwrap_or_default(), port)
            .await;
    }

    async fn answers(&self, service: Service, pid: u32, port: u16) {
        eventually(START_MAX, || async {
            if let Some(status) = self.guard.lock().ended(pid) {
                or_fail(Err(anyhow::anyhow!("{} ended with {status}", service.name())))
            }
            blocking(move || http::request(port, "GET", "/readyz", ""))
                .await
                .is_ok()
        })
        .await;
    }

    fn spawn(&self, service: Service) -> anyhow::Result<()> {
        let mut command = self.command(service.name());
        if service == Service::Run {
            command.arg("run");
        }
        command.args(&self.arguments);
        let pid = self.launch(service, &mut command)?;
        self.running.lock().insert(service, pid);
        Ok(())
    }

    fn launch(&self, service: Service, command: &mut Command) -> anyhow::Result<u32> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path(service))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let pid = self.guard.lock().spawn(command);
        pid.with_context(|| format!("start {}", service.name()))
    }

    async fn end(&self, service: Service, signal: Signal) -> ExitStatus {
        let pid = self.running.lock().remove(&service);
        let pid = or_fail(pid.with_context(|| format!("find {} running", service.name())));
        self.guard.lock().signal(signal, |found, _| found == pid);
        eventually(STOP_MAX, || async { self.guard.lock().ended(pid) }).await
    }

    /// One of the product's programs, to be run on this pipeline's settings.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("LOGFERRY_") {
                command.env_remove(key);
            }
        }
        command
            .current_dir(&self.dir)
            .env("LOGFERRY_CONFIG", self.dir.join("logferry.toml"))
            .env("NO_COLOR", "1");
        command
    }

    fn log_path(&self, service: Service) -> PathBuf {
        self.dir.join(format!("{}.log", service.name()))
    }
}

async fn metrics_at(service: Service, port: u16) -> anyhow::Result<String> {
    let metrics = blocking(move || http::request(port, "GET", "/metrics", "")).await;
    metrics.with_context(|| format!("ask {} for its metrics", service.name()))
}

/// Of the samples whose name and labels contain all of `parts`.
fn sum(metrics: &str, parts: &[&str]) -> f64 {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter(|line| parts.iter().all(|part| line.contains(part)))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for service in &self.services {
                let log = self.log(*service);
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines
                    .get(lines.len().saturating_sub(LOG_TAIL_LINES)..)
                    .unwrap_or_default();
                eprintln!("---- {} ----\n{}", service.name(), tail.join("\n"));
            }
        }
    }
}
