//! The picture as data: nodes with what is known of them, and the edges between them.

mod curves;
mod node;
mod parts;
mod rabbit;
mod spread;

use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use settings::{BrokerSettings, Settings};

use self::parts::{queue_node, rescue, stage_node};
pub(crate) use self::{
    curves::{Curve, Curves},
    node::{Instance, Kind, Level, Node, Problem},
    rabbit::{InRabbit, Rabbit, RabbitNode},
    spread::Part,
};
use super::{
    fills::Answers,
    stages::{DEAD_QUEUE, END_COLUMN, PARSER_QUEUE, ends, stages},
    window::Window,
};
use crate::hub::Known;

/// All that is known at one moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Picture {
    pub(crate) as_of: Timestamp,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    /// What waits in rescue queues; absent while nobody tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rescue: Option<Rescue>,
    /// What RabbitMQ tells of itself; absent with the embedded broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rabbit: Option<Rabbit>,
    /// Whether there are rescue queues at all.
    #[serde(skip)]
    pub(crate) has_rescue: bool,
    /// Dead letters in their queue; null while that is unknown.
    pub(crate) dead_letters: Option<u64>,
    /// Dead letters that each stage made since it was started.
    pub(crate) dead: Vec<DeadOf>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) s: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rescue {
    pub(crate) n: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_s: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct DeadOf {
    pub(crate) stage: String,
    pub(crate) n: u64,
}

impl Picture {
    /// With rates over `window`.
    pub(crate) fn new(
        settings: &Settings,
        known: &[Known],
        fills: &Answers,
        window: Window,
        now: Instant,
    ) -> Self {
        let all: Vec<_> = stages(settings);
        let mut nodes = Vec::new();
        let mut edges = Vec::new();
        for stage in &all {
            let of_stage: Vec<_> = known
                .iter()
                .filter(|known| known.beat.service == stage.name)
                .collect();
            if of_stage.is_empty() && !stage.is_expected {
                continue;
            }
            let node = stage_node(stage, &of_stage, window.time(), now);
            if let Some(queue) = &stage.takes {
                edges.push(edge(queue_id(queue), &node.id, node.in_s));
            }
            for to in &stage.gives {
                let to = if fills.contains_key(to) {
                    queue_id(to)
                } else {
                    to.clone()
                };
                edges.push(edge(node.id.clone(), &to, node.out_s));
            }
            nodes.push(node);
        }
        let bytes_max = match &settings.broker {
            BrokerSettings::Amqp(amqp) => amqp.queue_bytes_max,
            BrokerSettings::Embedded { queue_bytes_max, .. } => *queue_bytes_max,
        };
        let raw = spread::raw_queues(settings);
        for (name, fill) in fills.iter() {
            if name != PARSER_QUEUE && raw.contains(name) {
                continue;
            }
            let node = if name == PARSER_QUEUE && raw.len() > 1 {
                spread::node(&raw, fills, bytes_max)
            } else {
                queue_node(name, fill, bytes_max)
            };
            // An edge that leads nowhere would be drawn to nothing.
            let (into, out) = (
                sum_of(&edges, |edge| edge.to == node.id),
                sum_of(&edges, |edge| edge.from == node.id),
            );
            nodes.push(Node {
                in_s: into,
                out_s: out,
                ..node
            });
        }
        for end in ends(settings) {
            let mut node = Node::new(end.id, Kind::Store, END_COLUMN);
            node.name = end.name.to_owned();
            node.in_s = sum_of(&edges, |edge| edge.to == end.id);
            nodes.push(node);
        }
        let dead = known
            .iter()
            .filter(|known| !known.beat.counters.dead_lettered.is_empty());
        Self {
            as_of: Timestamp::now(),
            edges,
            rescue: rescue(known, now),
            rabbit: None,
            has_rescue: matches!(settings.broker, BrokerSettings::Amqp(_))
                && !settings.rescue.order.is_empty(),
            dead_letters: nodes
                .iter()
                .find(|node| node.id == queue_id(DEAD_QUEUE))
                .and_then(|node| node.depth),
            dead: dead
                .map(|known| DeadOf {
                    stage: known.beat.service.clone(),
                    n: known.beat.counters.dead_lettered.values().sum(),
                })
                .collect(),
            nodes,
        }
    }
}

/// Stages and queues may have the same name.
fn queue_id(name: &str) -> String {
    format!("queue:{name}")
}

fn edge(from: String, to: &str, s: Option<f64>) -> Edge {
    Edge {
        from,
        to: to.to_owned(),
        s,
    }
}

/// `None` when one of them is unknown, or there are none.
fn sum_of(edges: &[Edge], is_meant: impl Fn(&Edge) -> bool) -> Option<f64> {
    let mut rates = edges
        .iter()
        .filter(|edge| is_meant(edge))
        .map(|edge| edge.s)
        .peekable();
    rates.peek()?;
    rates.sum()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    use broker::Fill;

    use super::*;
    use crate::hub::{Hub, tests::beat};

    fn fill(ready: u64, consumers: u32) -> Result<Fill, String> {
        Ok(Fill {
            ready,
            bytes: None,
            consumers,
        })
    }

    fn pictured(known: &[Known], fills: &Answers, now: Instant) -> Picture {
        Picture::new(&Settings::default(), known, fills, Window::Now, now)
    }

    fn node<'a>(picture: &'a Picture, id: &str) -> &'a Node {
        picture.nodes.iter().find(|node| node.id == id).unwrap()
    }

    #[test]
    fn unknown_is_not_zero() {
        let fills: Answers = Arc::new(BTreeMap::from([
            ("parser".to_owned(), Err("away".to_owned())),
            ("shipper-pgsql".to_owned(), fill(3, 0)),
            ("dead".to_owned(), fill(0, 0)),
        ]));
        let picture = pictured(&[], &fills, Instant::now());
        let parser = node(&picture, "parser");
        assert_eq!(
            (parser.in_s, parser.level(), parser.is_hollow),
            (None, Level::Unknown, true)
        );
        let queue = node(&picture, "queue:parser");
        assert_eq!((queue.depth, queue.level()), (None, Level::Unknown));
        let queue = node(&picture, "queue:shipper-pgsql");
        assert_eq!((queue.depth, queue.level()), (Some(3), Level::Bad));
        assert_eq!(node(&picture, "queue:dead").level(), Level::Ok);
        let json = serde_json::to_value(&picture).unwrap();
        assert!(json["nodes"][0]["in_s"].is_null(), "{json:#}");
    }

    #[test]
    fn rates_go_along_the_edges_and_silence_is_told() {
        let hub = Hub::default();
        let start = Instant::now();
        for (service, received) in [("syslog-server", 100), ("parser", 90)] {
            hub.hear(beat(service, "a", 1, 0), start);
            hub.hear(beat(service, "a", 1, received), start + Duration::from_secs(10));
        }
        let fills: Answers = Arc::new(BTreeMap::from([("parser".to_owned(), fill(1, 1))]));
        let now = start + Duration::from_secs(11);
        let picture = pictured(&hub.all(), &fills, now);
        let queue = node(&picture, "queue:parser");
        assert_eq!((queue.in_s, queue.out_s), (Some(10.0), Some(9.0)));
        assert_eq!(node(&picture, "parser").level(), Level::Ok);

        let later = start + Duration::from_secs(60);
        let picture = pictured(&hub.all(), &fills, later);
        let parser = node(&picture, "parser");
        assert_eq!((parser.in_s, parser.level()), (None, Level::Bad));
        assert_eq!(parser.worst().unwrap().text, "silent");
        assert!(!parser.instances[0].up);
    }

    #[test]
    fn a_clock_that_is_off_is_told() {
        let now = Instant::now();
        for (seconds, told) in [
            (0, None),
            (
                7200,
                Some("the clock of web01 is 1 h ahead of the one of these pages"),
            ),
            (
                -120,
                Some("the clock of web01 is 2 min behind the one of these pages"),
            ),
        ] {
            let hub = Hub::default();
            let mut off = beat("parser", "a", 1, 0);
            off.at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
            hub.hear(off, now);
            let picture = pictured(&hub.all(), &Answers::default(), now);
            let worst = node(&picture, "parser").worst().map(|problem| &*problem.text);
            assert_eq!(worst, told, "{seconds}");
        }
    }

    #[test]
    fn what_a_process_says_of_itself_is_shown() {
        let hub = Hub::default();
        let now = Instant::now();
        let mut told = beat("shipper-pgsql", "a", 1, 0);
        told.not_ready = vec![service::heartbeat::NotReady {
            part: "shipper-pgsql".to_owned(),
            why: "the store is away".to_owned(),
        }];
        hub.hear(told, now);
        let picture = pictured(&hub.all(), &Answers::default(), now);
        let worst = node(&picture, "shipper-pgsql").worst().unwrap().text.clone();
        assert!(worst.contains("the store is away"), "{worst}");
    }
}
