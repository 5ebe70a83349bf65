//! RabbitMQ's management API: what AMQP does not tell of queues and nodes. Nothing depends on it: what it does not tell,
//! or not in time, or not to our user, is an error that says why, and never a number.

mod answers;
mod client;

use std::{collections::BTreeMap, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use settings::BrokerSettings;
use thiserror::Error;

use self::client::Client;
use crate::{error::ConnectError, name::QueueName};

/// However long connecting may take, this is too long for what people look at.
const PATIENCE_MAX: Duration = Duration::from_secs(10);
/// Nodes that are told of at most.
const NODES_MAX: usize = 64;

/// What stands for itself in a path and in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Asks the management API of the settings. Clones are the same.
#[derive(Debug, Clone)]
pub struct Management {
    client: Client,
    /// As it stands in paths.
    vhost: String,
}

/// All that it tells at one moment; what our user may not see, or does not come, is missing by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Those of ours that it knows.
    pub queues: Result<BTreeMap<String, QueueReport>, ManagementError>,
    /// By name, at most 64.
    pub nodes: Result<Vec<NodeReport>, ManagementError>,
    /// RabbitMQ as a whole.
    pub overview: Result<Overview, ManagementError>,
}

/// A queue. `None` is what it does not tell: rates while it has counted nothing or its statistics are off.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueReport {
    /// Messages that were published to it, a second.
    pub publish_s: Option<f64>,
    /// Messages that it gave to consumers, a second, again and again those that came back.
    pub deliver_s: Option<f64>,
    /// Messages that consumers settled, a second.
    pub ack_s: Option<f64>,
    /// Messages that consumers have and did not settle.
    pub unacked: Option<u64>,
    /// The bytes of all its messages.
    pub bytes: Option<u64>,
    /// The nodes that keep it; empty for what is no quorum queue.
    pub members: Vec<String>,
    /// Those of them that are there.
    pub online: Vec<String>,
    /// The node that leads it.
    pub leader: Option<String>,
}

/// A node of RabbitMQ.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeReport {
    /// Such as `rabbit@host`.
    pub name: String,
    /// Whether it is up.
    pub is_running: Option<bool>,
    /// Memory in use.
    pub memory_bytes: Option<u64>,
    /// Where its alarm begins.
    pub memory_limit_bytes: Option<u64>,
    /// While it is raised, publishers must wait.
    pub has_memory_alarm: Option<bool>,
    /// What is free on the disk of its queues.
    pub disk_free_bytes: Option<u64>,
    /// Where its alarm begins.
    pub disk_free_limit_bytes: Option<u64>,
    /// While it is raised, publishers must wait.
    pub has_disk_alarm: Option<bool>,
}

/// RabbitMQ as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// Such as `3.13.7`.
    pub version: Option<String>,
    /// Connections that our user may see.
    pub connections: Option<u64>,
}

/// Why the management API tells nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManagementError {
    /// No host of `broker.management_url` can be talked to.
    #[error("{address} cannot be reached: {problem}")]
    Away {
        /// Hosts and ports.
        address: String,
        /// What is in the way.
        problem: String,
    },
    /// It took too long.
    #[error("{address} did not answer within {after:?}")]
    TimedOut {
        /// Hosts and ports.
        address: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// It answered that it will not.
    #[error("{address} answered {status}{reason}{}", hint(*.status))]
    Refused {
        /// Hosts and ports.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What it said, after a colon; or nothing.
        reason: String,
    },
    /// The answer is none of RabbitMQ's.
    #[error("{address} answered what is not RabbitMQ's: {problem}")]
    Garbage {
        /// Hosts and ports.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => " (its user needs the tag monitoring, or management for the queues alone)",
        404 => " (is broker.management_url the management API, and may its user see the vhost?)",
        _ => "",
    }
}

impl Management {
    /// What the settings name; `None` when `broker.management_url` is off, or the broker is the embedded one.
    ///
    /// # Errors
    ///
    /// An address that is none, or a CA file that cannot be used.
    pub fn new(settings: &BrokerSettings) -> Result<Option<Self>, ConnectError> {
        let BrokerSettings::Amqp(amqp) = settings else {
            return Ok(None);
        };
        let Some(url) = &amqp.management_url else {
            return Ok(None);
        };
        let user = crate::amqp::user(amqp)?;
        Ok(Some(Self {
            client: Client::new(url.expose(), &user, amqp)?,
            vhost: utf8_percent_encode(&user.vhost, PLAIN).to_string(),
        }))
    }

    /// Where it is, without the password.
    #[must_use]
    pub fn address(&self) -> &str {
        self.client.address()
    }

    /// All that it tells of `queues`, of its nodes and of itself, within `broker.connect_timeout`, and 10 seconds at most.
    /// What it refused to tell `before` is not asked for again: RabbitMQ logs each time.
    pub async fn ask(&self, queues: &[QueueName], before: Option<&Report>) -> Report {
        let (queues, nodes, overview) = tokio::join!(
            part(before.map(|before| &before.queues), self.queues(queues)),
            part(before.map(|before| &before.nodes), self.nodes()),
            part(before.map(|before| &before.overview), self.overview()),
        );
        Report {
            queues,
            nodes,
            overview,
        }
    }

    /// All in one list, which RabbitMQ has at hand, where each by itself is counted together anew.
    async fn queues(&self, queues: &[QueueName]) -> Result<BTreeMap<String, QueueReport>, ManagementError> {
        let names: Vec<_> = queues
            .iter()
            .map(|queue| queue.as_str().replace('.', "\\."))
            .collect();
        let pattern = format!("^({})$", names.join("|"));
        let path = format!(
            "/api/queues/{}?page=1&page_size={}&use_regex=true&name={}&columns={}",
            self.vhost,
            queues.len().max(1),
            utf8_percent_encode(&pattern, PLAIN),
            answers::QUEUE_COLUMNS.join(",")
        );
        let answer = self.client.get(&path).await?;
        let items = answer.get("items").and_then(Value::as_array);
        let items = items.ok_or_else(|| self.client.garbage("no list of queues"))?;
        Ok(items
            .iter()
            .filter_map(answers::queue)
            .filter(|(name, _)| queues.iter().any(|queue| queue.as_str() == name))
            .collect())
    }

    async fn nodes(&self) -> Result<Vec<NodeReport>, ManagementError> {
        let path = format!("/api/nodes?columns={}", answers::NODE_COLUMNS.join(","));
        let answer = self.client.get(&path).await?;
        let items = answer.as_array();
        let items = items.ok_or_else(|| self.client.garbage("no list of nodes"))?;
        let mut nodes: Vec<_> = items.iter().filter_map(answers::node).take(NODES_MAX).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    async fn overview(&self) -> Result<Overview, ManagementError> {
        let path = "/api/overview?columns=rabbitmq_version,object_totals.connections";
        let answer = self.client.get(path).await?;
        answers::overview(&answer).ok_or_else(|| self.client.garbage("no overview"))
    }
}

async fn part<T>(
    before: Option<&Result<T, ManagementError>>,
    asked: impl Future<Output = Result<T, ManagementError>>,
) -> Result<T, ManagementError> {
    match before {
        Some(Err(refused @ ManagementError::Refused { .. })) => Err(refused.clone()),
        Some(Ok(_) | Err(_)) | None => asked.await,
    }
}
