//! What a pipeline is to be, and the `logferry.toml` that says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Inputs, Pipeline, Service};
use crate::server::{blocking, or_fail};

/// What is to be started.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) broker: String,
    store: String,
    pub(super) services: Vec<Service>,
    /// The only shipper that gets events; all of them where it is not said.
    output: Option<Service>,
    pub(super) arguments: Vec<String>,
    settings: String,
    file_settings: String,
    pub(super) programs: Option<PathBuf>,
    pub(super) base: Option<PathBuf>,
}

impl Builder {
    pub(super) fn new(broker: &str, store: &str) -> Self {
        Self {
            broker: broker.to_owned(),
            store: store.to_owned(),
            services: Service::ALL.to_vec(),
            output: None,
            arguments: Vec::new(),
            settings: String::new(),
            file_settings: "format = \"json\"".to_owned(),
            programs: None,
            base: None,
        }
    }

    /// Settings in TOML after the generated ones, such as `[[parser.program]]`.
    #[must_use]
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self.settings.push('\n');
        self
    }

    /// More arguments for every service, such as `--set parser.threads=1`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// How the file with every event looks, instead of as JSON lines.
    #[must_use]
    pub fn file_settings(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.file_settings);
        self
    }

    /// Only these services.
    #[must_use]
    pub fn services(mut self, services: &[Service]) -> Self {
        self.services = services.to_vec();
        self
    }

    /// Events go to this shipper alone, so that a measurement holds no other's work.
    #[must_use]
    pub const fn output(mut self, shipper: Service) -> Self {
        self.output = Some(shipper);
        self
    }

    /// The programs in `programs`, as they are there.
    #[must_use]
    pub fn programs(mut self, programs: &Path) -> Self {
        self.programs = Some(programs.to_owned());
        self
    }

    /// [`Self::programs`] with data below `base`: to measure them.
    #[must_use]
    pub fn measured(mut self, programs: &Path, base: &Path) -> Self {
        self.base = Some(base.to_owned());
        self.programs(programs)
    }

    /// Declares queues, migrates the store, starts every service and waits until all are ready.
    ///
    /// # Panics
    /// If one does not become ready.
    pub async fn start(self) -> Pipeline {
        or_fail(self.try_start().await)
    }

    /// [`Self::start`] for tools that go on with an error.
    ///
    /// # Errors
    /// If the settings are refused or a program cannot be started.
    ///
    /// # Panics
    /// If a service that was started does not become ready.
    pub async fn try_start(self) -> anyhow::Result<Pipeline> {
        let pipeline = blocking(move || Pipeline::prepare(self)).await?;
        for service in pipeline.services.clone() {
            pipeline.spawn(service)?;
        }
        for service in &pipeline.services {
            pipeline.ready(*service).await;
        }
        Ok(pipeline)
    }

    /// The whole `logferry.toml`.
    pub(super) fn to_toml(&self, dir: &Path, inputs: Inputs, health: &BTreeMap<Service, u16>) -> String {
        let dir = dir.display();
        let Inputs { relp, tcp, udp, web } = inputs;
        let http = |service: Service| {
            let port = health.get(&service).copied().unwrap_or_default();
            format!("http_addr = \"127.0.0.1:{port}\"")
        };
        let is_output = |shipper| self.output.is_none_or(|only| only == shipper);
        // Its queue is always there; a route that no rule chooses keeps it empty.
        let rows = if is_output(Service::ShipperPgsql) {
            ""
        } else {
            "binding_keys = [\"unused\"]"
        };
        // Without a destination there is no queue.
        let destination = if is_output(Service::ShipperFs) {
            format!(
                "[[shipper_fs.destination]]\nname = \"events\"\ndir = \"{dir}/files\"\npath = \"events.jsonl\"\n{}",
                self.file_settings
            )
        } else {
            String::new()
        };
        format!(
            r#"
data_dir = "{dir}/data"
[service]
{run}
[broker]
url = "{broker}"
[store]
url = "{store}"
[syslog_server]
{intake}
[[syslog_server.listener]]
name = "relp"
protocol = "relp"
address = "127.0.0.1:{relp}"
[[syslog_server.listener]]
name = "tcp"
protocol = "tcp"
address = "127.0.0.1:{tcp}"
[[syslog_server.listener]]
name = "udp"
protocol = "udp"
address = "127.0.0.1:{udp}"
[harvest]
{harvest}
[collector]
{collector}
[parser]
{parser}
[shipper_pgsql]
{pgsql}
{rows}
[web]
{web_http}
address = "127.0.0.1:{web}"
[shipper_fs]
{files}
{destination}
{settings}
"#,
            run = http(Service::Run),
            intake = http(Service::SyslogServer),
            web_http = http(Service::Web),
            harvest = http(Service::Harvest),
            collector = http(Service::Collector),
            parser = http(Service::Parser),
            pgsql = http(Service::ShipperPgsql),
            files = http(Service::ShipperFs),
            broker = self.broker,
            store = self.store,
            settings = self.settings,
        )
    }
}
