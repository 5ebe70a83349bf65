//! A RabbitMQ of several nodes on this machine, whose nodes a test kills and brings back.

use std::process::Command;

use nix::sys::signal::Signal;

use super::{RabbitMq, node::EPMD};
use crate::free_port;
use crate::server::{self, Server, blocking, or_fail};

/// Nodes that are one RabbitMQ. Quorum queues that are declared on it have a member on each of up to three.
#[derive(Debug)]
pub struct RabbitCluster {
    nodes: Vec<RabbitMq>,
    /// Where nodes find each other. It outlives each of them.
    _names: Server,
}

/// What a node of a cluster has in common with the others.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The node that it joins at its first start: itself, for the first one.
    pub(super) seed: String,
}

impl RabbitCluster {
    /// Starts a cluster of so many nodes that nobody else uses.
    ///
    /// # Panics
    /// If RabbitMQ is not installed, or a node does not start.
    pub async fn start(nodes: usize) -> Self {
        or_fail(blocking(move || Self::launch(nodes)).await)
    }

    fn launch(count: usize) -> anyhow::Result<Self> {
        let epmd = free_port();
        let mut names = Server::new(None, "rabbitmq-names", Signal::SIGKILL)?;
        let mut command = Command::new(EPMD.find()?);
        command.args(["-address", "127.0.0.1", "-port", &epmd.to_string()]);
        names.start_helper(&mut command)?;
        while !server::accepts(epmd) {
            server::pause();
        }
        let mut nodes: Vec<RabbitMq> = Vec::new();
        for _ in 0..count {
            let seed = nodes.first().map(RabbitMq::node_name);
            nodes.push(RabbitMq::launch_member(epmd, seed)?);
        }
        Ok(Self { nodes, _names: names })
    }

    /// The address of the default vhost, with all nodes in it.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        format!("amqp://guest:guest@{}/%2f", hosts.join(","))
    }

    /// The nodes, in the order of the address.
    #[must_use]
    pub fn nodes(&self) -> &[RabbitMq] {
        &self.nodes
    }

    /// The place of the node that leads a queue of the default vhost, as `through` knows it.
    ///
    /// # Panics
    /// If that node does not answer.
    pub async fn leader(&self, through: usize, queue: &str) -> Option<usize> {
        let asked = self.nodes.get(through)?;
        let listed = asked.ctl(&["list_queues", "name", "leader"]).await;
        let leader = listed
            .lines()
            .find_map(|line| line.split_once('\t').filter(|(name, _)| *name == queue))?;
        self.nodes
            .iter()
            .position(|node| node.node_name() == leader.1.trim())
    }
}
