//! What RabbitMQ's management API adds to the picture, and what is wrong by it.

use broker::{NodeReport, QueueReport, Report};
use jiff::Timestamp;
use serde::Serialize;
use settings::{BrokerSettings, Settings};

use super::{Level, Node, Picture, Problem, parts, queue_id, spread};
use crate::pipeline::{management::Told, stages::PARSER_QUEUE};

/// RabbitMQ itself.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Rabbit {
    /// When the management API was asked; null while it is not.
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) version: Option<String>,
    /// Connections of all its clients that our user may see.
    pub(crate) connections: Option<u64>,
    pub(crate) nodes: Vec<RabbitNode>,
    /// Why not all is known; empty when it is.
    pub(crate) unknown: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

/// One node of it; null is unknown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RabbitNode {
    pub(crate) name: String,
    pub(crate) running: Option<bool>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) memory_limit_bytes: Option<u64>,
    pub(crate) memory_alarm: Option<bool>,
    pub(crate) disk_free_bytes: Option<u64>,
    pub(crate) disk_free_limit_bytes: Option<u64>,
    pub(crate) disk_alarm: Option<bool>,
}

/// What it knows of a queue; null is unknown. Rates are batches a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct InRabbit {
    pub(crate) publish_s: Option<f64>,
    pub(crate) deliver_s: Option<f64>,
    pub(crate) ack_s: Option<f64>,
    pub(crate) unacked: Option<u64>,
    pub(crate) members: Vec<String>,
    pub(crate) online: Vec<String>,
    pub(crate) leader: Option<String>,
}

impl Picture {
    /// The same with what the management API told.
    pub(crate) fn with_rabbit(mut self, settings: &Settings, told: &Told) -> Self {
        let BrokerSettings::Amqp(amqp) = &settings.broker else {
            return self;
        };
        self.rabbit = match told {
            Told::Embedded => None,
            Told::Nothing(why) => Some(Rabbit {
                unknown: vec![why.clone()],
                ..Rabbit::default()
            }),
            Told::Report(at, report) => {
                let raw = spread::raw_queues(settings);
                let queues = report.queues.iter().flatten();
                let queues = queues.filter(|(name, _)| raw.len() == 1 || !raw.contains(name));
                let mut told: Vec<_> = queues.map(|(name, told)| (name.as_str(), told.clone())).collect();
                if raw.len() > 1
                    && let Ok(queues) = &report.queues
                {
                    told.extend(spread::report(&raw, queues).map(|all| (PARSER_QUEUE, all)));
                }
                for (name, told) in told {
                    let id = queue_id(name);
                    if let Some(node) = self.nodes.iter_mut().find(|node| node.id == id) {
                        let queues = u64::try_from(node.parts.len().max(1)).unwrap_or(u64::MAX);
                        queue(node, &told, amqp.queue_bytes_max.saturating_mul(queues));
                        if let Ok(queues) = &report.queues {
                            spread::each(node, queues, amqp.queue_bytes_max);
                        }
                    }
                }
                Some(Rabbit::new(*at, report))
            }
        };
        self
    }
}

fn queue(node: &mut Node, told: &QueueReport, bytes_max: u64) {
    node.bytes = told.bytes;
    if let Some(bytes) = told.bytes {
        parts::fullness(node, bytes, bytes_max);
    }
    let (members, online) = (told.members.len(), told.online.len());
    if members > 0 && online < members {
        let is_away = |member: &&String| !told.online.contains(member);
        let away: Vec<_> = told.members.iter().filter(is_away).map(String::as_str).collect();
        let away = away.join(", ");
        if online * 2 > members {
            let text = format!("{online} of {members} members online: {away} is away");
            node.problem(Level::Caution, text, None);
        } else {
            let text =
                format!("{online} of {members} members online, too few to take anything: {away} is away");
            node.problem(Level::Bad, text, None);
        }
    }
    node.rabbit = Some(InRabbit {
        publish_s: told.publish_s,
        deliver_s: told.deliver_s,
        ack_s: told.ack_s,
        unacked: told.unacked,
        members: told.members.clone(),
        online: told.online.clone(),
        leader: told.leader.clone(),
    });
}

impl Rabbit {
    fn new(at: Timestamp, report: &Report) -> Self {
        let nodes: Vec<_> = report.nodes.iter().flatten().map(node).collect();
        let mut problems: Vec<_> = nodes.iter().flat_map(troubles).collect();
        let mut unknown: Vec<_> = [
            report.queues.as_ref().err(),
            report.nodes.as_ref().err(),
            report.overview.as_ref().err(),
        ]
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
        unknown.dedup();
        problems.extend(unknown.iter().map(|why| Problem {
            level: Level::Unknown,
            text: why.clone(),
            since: None,
        }));
        let overview = report.overview.as_ref().ok();
        Self {
            as_of: Some(at),
            version: overview.and_then(|overview| overview.version.clone()),
            connections: overview.and_then(|overview| overview.connections),
            nodes,
            unknown,
            problems,
        }
    }

    pub(crate) fn worst(&self) -> Option<&Problem> {
        self.problems.iter().max_by_key(|problem| problem.level)
    }
}

fn node(report: &NodeReport) -> RabbitNode {
    RabbitNode {
        name: report.name.clone(),
        running: report.is_running,
        memory_bytes: report.memory_bytes,
        memory_limit_bytes: report.memory_limit_bytes,
        memory_alarm: report.has_memory_alarm,
        disk_free_bytes: report.disk_free_bytes,
        disk_free_limit_bytes: report.disk_free_limit_bytes,
        disk_alarm: report.has_disk_alarm,
    }
}

fn troubles(node: &RabbitNode) -> Vec<Problem> {
    let told = [
        (node.running == Some(false), Level::Caution, "is down"),
        (
            node.memory_alarm == Some(true),
            Level::Bad,
            "has a memory alarm: publishers must wait",
        ),
        (
            node.disk_alarm == Some(true),
            Level::Bad,
            "has a disk alarm: publishers must wait",
        ),
    ];
    let is_so = told.into_iter().filter(|(is_so, _, _)| *is_so);
    is_so
        .map(|(_, level, text)| Problem {
            level,
            text: format!("{} {text}", node.name),
            since: None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
