//! One node: its programs, its settings, and how it comes and goes.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::cluster::Member;
use crate::certificates::Issued;
use crate::http;
use crate::programs::Program;
use crate::server::{self, Server};

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
pub(super) const EPMD: Program = Program {
    names: &["epmd"],
    folders: &[
        "/usr/lib/erlang/bin",
        "/usr/lib64/erlang/bin",
        "/usr/lib/erlang/erts-*/bin",
    ],
    package: "erlang-base",
};

#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) amqp: u16,
    pub(super) api: u16,
    pub(super) distribution: u16,
    pub(super) epmd: u16,
    /// Of AMQP over TLS, where that is wanted.
    pub(super) amqps: Option<u16>,
    /// Of the management API over TLS.
    pub(super) apis: Option<u16>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) server: Server,
    pub(super) ports: Ports,
    pub(super) is_sparing: bool,
    /// Arguments of Erlang.
    pub(super) erlang: String,
    pub(super) certificate: Option<Issued>,
    pub(super) has_statistics: bool,
    /// Of a node of a cluster.
    pub(super) member: Option<Member>,
}

impl Ports {
    pub(super) fn node_name(&self) -> String {
        format!("testkit{}@localhost", self.amqp)
    }
}

impl Node {
    pub(super) fn configure(&self) -> anyhow::Result<()> {
        let dir = self.server.dir();
        let api = self.ports.api;
        let sparing = "vm_memory_high_watermark.absolute = 1GB\nraft.wal_max_size_bytes = 67108864\n";
        let sizes = if self.is_sparing { sparing } else { "" };
        let tls = match (&self.certificate, self.ports.amqps, self.ports.apis) {
            (Some(Issued { cert_file, key_file }), Some(amqps), Some(apis)) => {
                let (cert_file, key_file) = (cert_file.display(), key_file.display());
                format!(
                    "listeners.ssl.1 = 127.0.0.1:{amqps}\n\
                     ssl_options.certfile = {cert_file}\n\
                     ssl_options.keyfile = {key_file}\n\
                     management.ssl.ip = 127.0.0.1\n\
                     management.ssl.port = {apis}\n\
                     management.ssl.certfile = {cert_file}\n\
                     management.ssl.keyfile = {key_file}\n"
                )
            }
            _ => String::new(),
        };
        let statistics = if self.has_statistics {
            "collect_statistics_interval = 1000\n"
        } else {
            "management_agent.disable_metrics_collector = true\n"
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
                 disk_free_limit.absolute = 50MB\n\
                 {statistics}{sizes}{tls}{cluster}"
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

    pub(super) fn start(&mut self) -> anyhow::Result<()> {
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
        command.env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            format!("-kernel inet_dist_use_interface {{127,0,0,1}} {}", self.erlang),
        );
        self.server.start(&mut command, || {
            speaks_amqp(amqp) && http::request(api, "GET", "/api/whoami", "").is_ok()
        })
    }

    /// Quorum queues of a single node sometimes find no leader after a crash, for ever (issue 10070 of
    /// rabbitmq-server, seen with 3.8 and 3.10). Operators trigger the election; so does this.
    pub(super) fn elect_leaders(&self) -> anyhow::Result<()> {
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

    pub(super) fn ctl(&self, arguments: &[String]) -> anyhow::Result<String> {
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
