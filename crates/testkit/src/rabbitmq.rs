//! A private RabbitMQ and vhosts on it.
//!
//! The management plugin is on, because creating a vhost through it takes milliseconds where
//! `rabbitmqctl` takes seconds; its statistics are off. Everything that concerns durability is as
//! RabbitMQ ships it.

mod cluster;
mod node;
mod vhost;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::Signal;
use parking_lot::Mutex;

use crate::certificates::Issued;
use crate::server::{self, Server, blocking, or_fail};
use crate::{free_port, http};

use self::cluster::Member;
pub use self::cluster::RabbitCluster;
use self::node::{Node, Ports};
pub use self::vhost::RabbitVhost;
pub(crate) use self::vhost::shared_vhost;

/// A RabbitMQ of the test's own, to stop, kill and alarm at will. Cheap to clone; ends with the last
/// clone.
#[derive(Debug, Clone)]
pub struct RabbitMq {
    node: Arc<Mutex<Node>>,
    ports: Ports,
}

/// What is wanted of a server beyond the usual.
#[derive(Debug, Clone, Default)]
struct Wish {
    /// Where its data are kept, on a disk, and arguments of Erlang.
    measured: Option<(PathBuf, String)>,
    certificate: Option<Issued>,
    has_statistics: bool,
    /// The port of the cluster's names, and the node to join.
    member: Option<(u16, Option<String>)>,
}

impl RabbitMq {
    /// Arguments of Erlang with which its schedulers sleep as soon as they have nothing to do. Otherwise they spin for a
    /// while, and take the cores from the programs that they share them with.
    pub const IDLE_SLEEPS: &str = "+sbwt none +sbwtdcpu none +sbwtdio none";

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
        let wish = Wish {
            certificate: Some(certificate),
            ..Wish::default()
        };
        or_fail(blocking(move || Self::launch_on(&wish)).await)
    }

    /// The same, with the statistics of its management API, which is there over TLS too.
    ///
    /// # Panics
    /// If RabbitMQ is not installed or does not start.
    pub async fn start_private_with_statistics(certificate: Issued) -> Self {
        let wish = Wish {
            certificate: Some(certificate),
            has_statistics: true,
            ..Wish::default()
        };
        or_fail(blocking(move || Self::launch_on(&wish)).await)
    }

    /// [`RabbitMq::start_private`] for code that is not async.
    ///
    /// # Errors
    /// If RabbitMQ is not installed or does not start.
    pub fn launch() -> anyhow::Result<Self> {
        Self::launch_on(&Wish::default())
    }

    /// A RabbitMQ to measure with: its data below `base`, which should be on a disk, with the sizes that it ships
    /// with, where tests are more sparing, and with these arguments of Erlang, such as [`RabbitMq::IDLE_SLEEPS`].
    ///
    /// # Errors
    /// If RabbitMQ is not installed or does not start.
    pub fn launch_in(base: &Path, erlang: &str) -> anyhow::Result<Self> {
        Self::launch_on(&Wish {
            measured: Some((base.to_owned(), erlang.to_owned())),
            ..Wish::default()
        })
    }

    /// A node of a cluster, which joins `seed`, or is the first.
    fn launch_member(epmd: u16, seed: Option<String>) -> anyhow::Result<Self> {
        Self::launch_on(&Wish {
            member: Some((epmd, seed)),
            ..Wish::default()
        })
    }

    fn launch_on(wish: &Wish) -> anyhow::Result<Self> {
        server::with_retries(|| {
            let mut ports = Ports {
                amqp: free_port(),
                api: free_port(),
                distribution: free_port(),
                epmd: free_port(),
                amqps: wish.certificate.is_some().then(free_port),
                apis: wish.certificate.is_some().then(free_port),
            };
            let member = wish.member.clone().map(|(epmd, seed)| {
                ports.epmd = epmd;
                let seed = seed.unwrap_or_else(|| ports.node_name());
                Member { seed }
            });
            // Nothing it writes is needed again, so it is not asked to end in order.
            let measured = wish.measured.as_ref();
            let base = measured.map(|(base, _)| base.as_path());
            let server = Server::new(base, "rabbitmq", Signal::SIGKILL)?;
            let mut node = Node {
                server,
                ports,
                is_sparing: measured.is_none(),
                erlang: measured
                    .map_or(Self::IDLE_SLEEPS, |(_, erlang)| erlang)
                    .to_owned(),
                certificate: wish.certificate.clone(),
                has_statistics: wish.has_statistics,
                member,
            };
            node.configure()?;
            node.start()?;
            Ok(Self {
                node: Arc::new(Mutex::new(node)),
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

    /// The TLS address of the management API on `host`, if the server has a certificate.
    #[must_use]
    pub fn api_tls_url(&self, host: &str) -> Option<String> {
        Some(format!("https://{host}:{}", self.ports.apis?))
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
        self.node.lock().server.pids("beam.smp").first().copied()
    }

    /// Stops the server in order (SIGTERM); [`RabbitMq::start`] brings it back with its data.
    pub async fn stop(&self) {
        self.step(|node| {
            node.server.stop(Signal::SIGTERM, Some("beam.smp"));
            Ok(())
        })
        .await;
    }

    /// Ends the server as a crash would (SIGKILL); [`RabbitMq::start`] brings it back with its data.
    pub async fn kill(&self) {
        self.step(|node| {
            node.server.kill();
            Ok(())
        })
        .await;
    }

    /// Starts the stopped server again, on the same address with the same data.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(&self) {
        self.step(|node| {
            node.start()?;
            match node.member {
                None => node.elect_leaders(),
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
        self.step(move |node| node.ctl(&arguments)).await
    }

    /// Stops the server for a while (SIGSTOP); it keeps its connections and says nothing.
    pub fn pause(&self) {
        self.node.lock().server.signal(Signal::SIGSTOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.node.lock().server.signal(Signal::SIGCONT);
    }

    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Node) -> anyhow::Result<T> + Send + 'static,
    ) -> T {
        let node = Arc::clone(&self.node);
        or_fail(blocking(move || step(&mut node.lock())).await)
    }
}
