//! One stage or queue in full: every process with what it counts, and what does not work.

use std::time::Instant;

use super::{
    charts::Charts,
    picture::{Curves, Kind, Node, Picture},
    words,
};
use crate::{html::Html, hub::Known, number::grouped};

/// What stands below the picture when somebody opens a box.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) problems: Vec<Trouble>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) charts: Charts,
    pub(super) processes: Vec<Process>,
}

#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    pub(super) text: Html,
    pub(super) since: Option<String>,
}

/// A process and its numbers since it was started.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) facts: Vec<(String, String)>,
    /// The last warnings and errors of its log, the newest first.
    pub(super) last: Vec<(String, Html)>,
}

impl Panel {
    pub(super) fn new(id: &str, picture: &Picture, curves: Curves<'_>, now: Instant) -> Option<Self> {
        let node = picture.nodes.iter().find(|node| node.id == id)?;
        let known = curves.known;
        let problems = node.problems.iter().map(|problem| Trouble {
            class: problem.level.class(),
            sign: problem.level.sign(),
            text: Html::line(&problem.text),
            since: problem
                .since
                .map(|since| since.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
        });
        let of_stage = known
            .iter()
            .filter(|known| node.kind == Kind::Stage && known.beat.service == node.name);
        Some(Self {
            name: node.name.clone(),
            kind: match node.kind {
                Kind::Stage => "stage",
                Kind::Queue => "queue",
                Kind::Store => "store",
            },
            problems: problems.collect(),
            facts: facts(node),
            charts: Charts::new(node, picture, curves, now, picture.as_of),
            processes: of_stage.map(|known| Process::new(known, now)).collect(),
        })
    }
}

fn facts(node: &Node) -> Vec<(String, String)> {
    let unknown = words::unknown;
    let rate = words::rate;
    let mut facts = vec![("in", rate(node.in_s)), ("out", words::out(node))];
    if node.kind != Kind::Store {
        facts.push(("age of the oldest", words::oldest(node)));
    }
    if node.kind == Kind::Queue {
        facts.push(("batches that wait", node.depth.map_or_else(unknown, grouped)));
        facts.push(("bytes", node.bytes.map_or_else(unknown, grouped)));
        let room = node.full.map_or_else(unknown, |share| words::full(Some(share)));
        facts.push(("room", room));
        let consumers = node.consumers.map(|consumers| grouped(consumers.into()));
        facts.push(("consumers", consumers.unwrap_or_else(unknown)));
        if let Some(told) = &node.rabbit {
            facts.extend([
                ("batches published", rate(told.publish_s)),
                ("batches delivered", rate(told.deliver_s)),
                ("batches acknowledged", rate(told.ack_s)),
                ("unacknowledged", told.unacked.map_or_else(unknown, grouped)),
                ("members", words::members(told)),
            ]);
        }
    }
    let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value));
    let parts = node.parts.iter().map(|part| {
        let depth = part.depth.map_or_else(unknown, grouped);
        let consumers = part.consumers.map(|consumers| grouped(consumers.into()));
        let consumers = consumers.unwrap_or_else(unknown);
        (
            part.name.clone(),
            match part.full {
                None => format!("{depth} batches wait, consumers {consumers}"),
                full @ Some(_) => {
                    let full = words::full(full);
                    format!("{depth} batches wait, consumers {consumers}, {full}")
                }
            },
        )
    });
    facts.chain(parts).collect()
}

impl Process {
    fn new(known: &Known, now: Instant) -> Self {
        let beat = &known.beat;
        let counters = &beat.counters;
        let heard = now.saturating_duration_since(known.heard_at).as_secs();
        let mut facts = vec![
            ("version".to_owned(), beat.version.clone()),
            ("host".to_owned(), beat.host.clone()),
            (
                "started".to_owned(),
                beat.since.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            ),
            ("heard".to_owned(), format!("{heard} s ago")),
            ("received".to_owned(), grouped(counters.received)),
            ("sent".to_owned(), grouped(counters.sent)),
            ("batches in flight".to_owned(), counters.in_flight.to_string()),
        ];
        for (what, counted) in [
            ("dropped", &counters.dropped),
            ("dead", &counters.dead_lettered),
            ("retried", &counters.retried),
        ] {
            let counted = counted.iter().filter(|(_, count)| **count > 0);
            facts.extend(counted.map(|(reason, count)| (format!("{what}: {reason}"), grouped(*count))));
        }
        facts.extend(
            beat.measures
                .iter()
                .map(|(name, value)| (name.clone(), value.to_string())),
        );
        Self {
            name: beat.instance.clone(),
            facts,
            last: known
                .troubles
                .iter()
                .rev()
                .map(|trouble| {
                    let at = trouble.at.strftime("%Y-%m-%d %H:%M:%S UTC");
                    (format!("{} at {at}", trouble.level), Html::line(&trouble.text))
                })
                .collect(),
        }
    }
}
