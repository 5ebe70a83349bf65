//! A private RabbitMQ and vhosts on it.
//!
//! The management plugin is on, because creating a vhost through it takes milliseconds where
//! `rabbitmqctl` takes seconds; its statistics are off. Everything that concerns durability is as
//! RabbitMQ ships it.

mod cluster;
mod vhost;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use parking_lot::Mutex;

use crate::certificates::Issued;
use crate::programs::Program;
use crate::server::{self, Server, blocking, or_fail};
use crate::{free_port, http};

use self::cluster::Member;
pub use self::cluster::RabbitCluster;
pub use self::vhost::RabbitVhost;
pub(crate) use self::vhost::shared_vhost;

const FOLDERS: &[&str] = &[
    // The wrappers in /usr/sbin insist on being root or the user `rabbitmq`; these do not.
    "/usr/lib/rabbitmq/bin",
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    "/usr/lib64/rabbitmq/lib/rabbitmq_server-*/sbin",
    "/opt/rabbitmq_server-*/sbin",
    "/opt/rabbitmq/sbin",
];
const SERVER: Program = Program {
    names: &["rabbitmq-server"],
    folders: FOLDERS,
    package: "rabbitmq-server",
};
const CTL: Program = Program {
    names: &["rabbitmqctl"],
    folders: FOLDERS,
    package: "rabbitmq-server",
};
const EPMD: Program = Program {
    names: &["epmd"],
    folders: &[
        "/usr/lib/erlang/bin",
        "/usr/lib64/erlang/bin",
        "/usr/lib/erlang/erts-*/bin",
    ],
    package: "erlang-base",
};

/// A RabbitMQ of the test's own, to stop, kill and alarm at will. Cheap to clone; ends with the last
/// clone.
#[derive(Debug, Clone)]
pub struct RabbitMq {
    inner: Arc<Mutex<Inner>>,
    ports: Ports,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    api: u16,
    distribution: u16,
    epmd: u16,
    /// Of AMQP over TLS, where that is wanted.
    amqps: Option<u16>,
}

#[derive(Debug)]
struct Inner {
    server: Server,
    ports: Ports,
    is_sparing: bool,
    certificate: Option<Issued>,
    /// Of a node of a cluster.
    member: Option<Member>,
}

impl RabbitMq {
    /// Starts a RabbitMQ that nobody else uses.
    ///
    /// # Panics
    /// If RabbitMQ is not installed or does not start.
    pub async fn start_private() -> Self {
        or_fail(blocking(Self::launch).await)
    }

    /// The same, with a second port that speaks AMQP over TLS and shows `certificate`.
    ///
    /// # Panics
    /// If RabbitMQ is not installed or does not start.
    pub async fn start_private_tls(certificate: Issued) -> Self {
        or_fail(blocking(move || Self::launch_on(None, Some(certificate), None)).await)
    }

    /// [`RabbitMq::start_private`] for code that is not async.
    ///
    /// # Errors
    /// If RabbitMQ is not installed or does not start.
    pub fn launch() -> anyhow::Result<Self> {
        Self::launch_on(None, None, None)
    }

    /// A RabbitMQ to measure with: its data below `base`, which should be on a disk, and with the sizes
    /// and the scheduling that it ships with, where tests are more sparing.
    ///
    /// # Errors
    /// If RabbitMQ is not installed or does not start.
    pub fn launch_in(base: &Path) -> anyhow::Result<Self> {
        Self::launch_on(Some(base), None, None)
    }

    /// A node of a cluster, which joins `seed`, or is the first.
    fn launch_member(epmd: u16, seed: Option<String>) -> anyhow::Result<Self> {
        Self::launch_on(None, None, Some((epmd, seed)))
    }

    fn launch_on(
        base: Option<&Path>,
        certificate: Option<Issued>,
        member: Option<(u16, Option<String>)>,
    ) -> anyhow::Result<Self> {
        server::with_retries(|| {
            let mut ports = Ports {
                amqp: free_port(),
                api: free_port(),
                distribution: free_port(),
                epmd: free_port(),
                amqps: certificate.is_some().then(free_port),
            };
            let member = member.clone().map(|(epmd, seed)| {
                ports.epmd = epmd;
                let seed = seed.unwrap_or_else(|| ports.node_name());
                Member { seed }
            });
            // Nothing it writes is needed again, so it is not asked to end in order.
            let server = Server::new(base, "rabbitmq", Signal::SIGKILL)?;
            let mut inner = Inner {
                server,
                ports,
                is_sparing: base.is_none(),
                certificate: certificate.clone(),
                member,
            };
            inner.configure()?;
            inner.start()?;
            Ok(Self {
                inner: Arc::new(Mutex::new(inner)),
                ports,
            })
        })
    }

    /// The address of the default vhost.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/%2f", self.base_url())
    }

    /// The address without a vhost.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.ports.amqp)
    }

    /// The TLS address of the default vhost on `host`, if the server has a certificate.
    #[must_use]
    pub fn tls_url(&self, host: &str) -> Option<String> {
        let port = self.ports.amqps?;
        Some(format!("amqps://guest:guest@{host}:{port}/%2f"))
    }

    /// The address of the management API.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.api)
    }

    /// The TCP port that speaks AMQP.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// The name of the node.
    #[must_use]
    pub fn node_name(&self) -> String {
        self.ports.node_name()
    }

    /// A fresh vhost on this server.
    ///
    /// # Panics
    /// If the server does not create it.
    #[must_use]
    pub fn vhost(&self) -> RabbitVhost {
        or_fail(RabbitVhost::create(&self.base_url(), self.ports.api))
    }

    /// The process that does the work.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.inner.lock().server.pids("beam.smp").first().copied()
    }

    /// Stops the server in order (SIGTERM); [`RabbitMq::start`] brings it back with its data.
    pub async fn stop(&self) {
        self.step(|inner| {
            inner.server.stop(Signal::SIGTERM, Some("beam.smp"));
            Ok(())
        })
        .await;
    }

    /// Ends the server as a crash would (SIGKILL); [`RabbitMq::start`] brings it back with its data.
    pub async fn kill(&self) {
        self.step(|inner| {
            inner.server.kill();
            Ok(())
        })
        .await;
    }

    /// Starts the stopped server again, on the same address with the same data.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(&self) {
        self.step(|inner| {
            inner.start()?;
            match inner.member {
                None => inner.elect_leaders(),
                // The others have elected, and it follows.
                Some(_) => Ok(()),
            }
        })
        .await;
    }

    /// Raises or clears the memory alarm, which makes the server block all publishers.
    ///
    /// # Panics
    /// If `rabbitmqctl` fails.
    pub async fn set_alarm(&self, is_raised: bool) {
        let watermark = if is_raised { "0.00000001" } else { "0.4" };
        self.ctl(&["set_vm_memory_high_watermark", watermark]).await;
    }

    /// Raises or clears the disk alarm, which does the same.
    ///
    /// # Panics
    /// If `rabbitmqctl` fails.
    pub async fn set_disk_alarm(&self, is_raised: bool) {
        let limit = if is_raised { "1000000GB" } else { "50MB" };
        self.ctl(&["set_disk_free_limit", limit]).await;
    }

    /// Bounds every queue of the default vhost to so many messages, or no longer. A queue's own bounds stay.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn set_queue_length_max(&self, messages: Option<u32>) {
        let api = self.ports.api;
        let path = "/api/policies/%2f/queue-length-max";
        let request = move || match messages {
            Some(messages) => {
                let policy = format!(
                    r#"{{"pattern":".*","apply-to":"queues","definition":{{"max-length":{messages}}}}}"#
                );
                http::request(api, "PUT", path, &policy)
            }
            None => http::request(api, "DELETE", path, ""),
        };
        or_fail(blocking(request).await);
    }

    /// Closes every client's connection, as an operator would.
    ///
    /// # Panics
    /// If `rabbitmqctl` fails.
    pub async fn close_connections(&self) {
        self.ctl(&["close_all_connections", "closed by a test"]).await;
    }

    /// Runs `rabbitmqctl` on this server and returns what it prints. Takes one or two seconds.
    ///
    /// # Panics
    /// If it fails.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        self.step(move |inner| inner.ctl(&arguments)).await
    }

    /// Stops the server for a while (SIGSTOP); it keeps its connections and says nothing.
    pub fn pause(&self) {
        self.inner.lock().server.signal(Signal::SIGSTOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.inner.lock().server.signal(Signal::SIGCONT);
    }

    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Inner) -> anyhow::Result<T> + Send + 'static,
    ) -> T {
        let inner = Arc::clone(&self.inner);
        or_fail(blocking(move || step(&mut inner.lock())).await)
    }
}

impl Ports {
    fn node_name(&self) -> String {
        format!("testkit{}@localhost", self.amqp)
    }
}

impl Inner {
    fn configure(&self) -> anyhow::Result<()> {
        let dir = self.server.dir();
        let api = self.ports.api;
        let sparing = "vm_memory_high_watermark.absolute = 1GB\nraft.wal_max_size_bytes = 67108864\n";
        let sizes = if self.is_sparing { sparing } else { "" };
        let tls = match (&self.certificate, self.ports.amqps) {
            (Some(Issued { cert_file, key_file }), Some(port)) => format!(
                "listeners.ssl.1 = 127.0.0.1:{port}\n\
                 ssl_options.certfile = {}\n\
                 ssl_options.keyfile = {}\n",
                cert_file.display(),
                key_file.display()
            ),
            _ => String::new(),
        };
        let cluster = match &self.member {
            None => String::new(),
            Some(Member { seed }) => format!(
                "cluster_formation.peer_discovery_backend = classic_config\n\
                 cluster_formation.classic_config.nodes.1 = {seed}\n"
            ),
        };
        if self.member.is_some() {
            // Nodes know each other by it.
            let cookie = dir.join(".erlang.cookie");
            fs::write(&cookie, "testkit")?;
            fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        }
        fs::write(dir.join("plugins"), "[rabbitmq_management].\n")?;
        fs::write(
            dir.join("rabbitmq.conf"),
            format!(
                "log.console = true\n\
                 log.console.level = info\n\
                 log.file = false\n\
                 management.tcp.ip = 127.0.0.1\n\
                 management.tcp.port = {api}\n\
                 management_agent.disable_metrics_collector = true\n\
                 disk_free_limit.absolute = 50MB\n\
                 {sizes}{tls}{cluster}"
            ),
        )?;
        Ok(())
    }

    /// What every program of this broker needs to find it, and nothing of an installed one.
    fn environment(&self, program: &PathBuf) -> Command {
        let dir = self.server.dir();
        let mut command = Command::new(program);
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("RABBITMQ_") {
                command.env_remove(key);
            }
        }
        command
            .env("HOME", dir)
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", self.ports.node_name())
            .env("RABBITMQ_BASE", dir)
            .env("RABBITMQ_MNESIA_BASE", dir.join("data"))
            .env("RABBITMQ_LOG_BASE", dir)
            .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq.conf"))
            .env("RABBITMQ_CONFIG_FILES", dir.join("conf.d"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", dir.join("advanced.config"))
            .env("RABBITMQ_CONF_ENV_FILE", dir.join("rabbitmq-env.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.ports.amqp.to_string())
            .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
            .current_dir(dir);
        command
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let Ports { amqp, api, epmd, .. } = self.ports;
        if self.member.is_none() {
            // Started by Erlang itself it would detach from the group and outlive the tests.
            let mut names = Command::new(EPMD.find()?);
            names.args(["-address", "127.0.0.1", "-port", &epmd.to_string()]);
            self.server.start_helper(&mut names)?;
        }
        while !server::accepts(epmd) {
            server::pause();
        }
        let mut command = self.environment(&SERVER.find()?);
        // Idle schedulers that spin would take the cores from the tests.
        let scheduling = if self.is_sparing {
            "+sbwt none +sbwtdcpu none +sbwtdio none"
        } else {
            ""
        };
        command.env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            format!("-kernel inet_dist_use_interface {{127,0,0,1}} {scheduling}"),
        );
        self.server.start(&mut command, || {
            speaks_amqp(amqp) && http::request(api, "GET", "/api/whoami", "").is_ok()
        })
    }

    /// Quorum queues of a single node sometimes find no leader after a crash, for ever (issue 10070 of
    /// rabbitmq-server, seen with 3.8 and 3.10). Operators trigger the election; so does this.
    fn elect_leaders(&self) -> anyhow::Result<()> {
        const ELECT: &str = "lists:foreach(fun(Queue) ->
            case amqqueue:get_pid(Queue) of
                {Name, _} = Server ->
                    case ra_leaderboard:lookup_leader(Name) of
                        undefined -> ra:trigger_election(Server);
                        _ -> ok
                    end;
                _ -> ok
            end
        end, rabbit_amqqueue:list()).";
        self.ctl(&["eval".to_owned(), ELECT.to_owned()]).map(drop)
    }

    fn ctl(&self, arguments: &[String]) -> anyhow::Result<String> {
        let output = self
            .environment(&CTL.find()?)
            .arg("--quiet")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .context("run rabbitmqctl")?;
        if !output.status.success() {
            bail!(
                "rabbitmqctl {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// True once the listener answers a protocol header, which it does only when the boot is over.
fn speaks_amqp(port: u16) -> bool {
    let answer = || -> std::io::Result<[u8; 1]> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first)
    };
    // 1 is a method frame: connection.start.
    answer().is_ok_and(|first| first == [1])
}
