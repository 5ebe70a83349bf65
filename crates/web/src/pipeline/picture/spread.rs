//! Raw batches that are spread over several queues, as one box: there may be 64 of them, and they are one step.

use std::collections::BTreeMap;

use broker::{QueueName, QueueReport};
use serde::Serialize;
use settings::Settings;

use super::{
    Kind, Level, Node,
    parts::{age_of_none, nearly_full, queue_node, share},
    queue_id,
};
use crate::pipeline::{
    fills::Answers,
    stages::{PARSER_QUEUE, PARSER_QUEUE_COLUMN},
};

/// One of the queues of a box.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// Batches that wait; null while unknown.
    pub(crate) depth: Option<u64>,
    pub(crate) consumers: Option<u32>,
    pub(crate) bytes: Option<u64>,
    /// The share of its room that is taken.
    pub(crate) full: Option<f64>,
}

/// The queues of raw batches.
pub(super) fn raw_queues(settings: &Settings) -> Vec<String> {
    QueueName::of_parser(settings.parser.queues)
        .map(|name| name.to_string())
        .collect()
}

/// The box of all queues of raw batches. What one of them does not tell, nobody knows of all.
pub(super) fn node(names: &[String], fills: &Answers, bytes_max: u64) -> Node {
    let mut node = Node::new(queue_id(PARSER_QUEUE), Kind::Queue, PARSER_QUEUE_COLUMN);
    node.name = format!("{PARSER_QUEUE} ×{}", names.len());
    let missing = Err("it was not asked for".to_owned());
    let each: Vec<_> = names
        .iter()
        .map(|name| queue_node(name, fills.get(name).unwrap_or(&missing), bytes_max))
        .collect();
    node.depth = each.iter().map(|one| one.depth).sum();
    node.oldest_ms = age_of_none(node.depth);
    node.bytes = each.iter().map(|one| one.bytes).sum();
    let room = bytes_max.saturating_mul(u64::try_from(names.len()).unwrap_or(u64::MAX));
    node.full = node.bytes.map(|bytes| share(bytes, room));
    node.consumers = each.iter().map(|one| one.consumers).sum();
    node.is_hollow = each.iter().all(|one| one.is_hollow);
    for one in &each {
        for problem in &one.problems {
            // What all have in common is said once.
            let is_common = each.iter().all(|other| other.problems.contains(problem));
            let text = if is_common {
                problem.text.clone()
            } else {
                format!("{}: {}", one.name, problem.text)
            };
            if !node.problems.iter().any(|told| told.text == text) {
                node.problem(problem.level, text, problem.since);
            }
        }
    }
    node.parts = each
        .into_iter()
        .map(|one| Part {
            name: one.name,
            depth: one.depth,
            consumers: one.consumers,
            bytes: one.bytes,
            full: one.full,
        })
        .collect();
    node
}

/// What RabbitMQ tells of each of them.
pub(super) fn each(node: &mut Node, told: &BTreeMap<String, QueueReport>, bytes_max: u64) {
    let mut problems = Vec::new();
    for part in &mut node.parts {
        part.bytes = told.get(&part.name).and_then(|queue| queue.bytes);
        part.full = part.bytes.map(|bytes| share(bytes, bytes_max));
        let text = part.full.and_then(nearly_full);
        problems.extend(text.map(|text| format!("{}: {text}", part.name)));
    }
    for text in problems {
        node.problem(Level::Caution, text, None);
    }
}

/// What RabbitMQ tells of all of them together: sums, and the members of the one that has lost the most.
pub(super) fn report(names: &[String], told: &BTreeMap<String, QueueReport>) -> Option<QueueReport> {
    let each: Vec<_> = names.iter().map(|name| told.get(name)).collect::<Option<_>>()?;
    let lost = |one: &&&QueueReport| one.members.len().saturating_sub(one.online.len());
    let worst = each.iter().max_by_key(lost)?;
    Some(QueueReport {
        publish_s: each.iter().map(|one| one.publish_s).sum(),
        deliver_s: each.iter().map(|one| one.deliver_s).sum(),
        ack_s: each.iter().map(|one| one.ack_s).sum(),
        unacked: each.iter().map(|one| one.unacked).sum(),
        bytes: each.iter().map(|one| one.bytes).sum(),
        members: worst.members.clone(),
        online: worst.online.clone(),
        leader: worst.leader.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use broker::Fill;

    use super::*;
    use crate::pipeline::{picture::Picture, window::Window};

    /// Batches that wait and consumers of a queue, or why nobody knows.
    type Told<'a> = (&'a str, Result<(u64, u32), &'a str>);

    fn picture(fills: &[Told<'_>]) -> Picture {
        let mut settings = Settings::default();
        settings.parser.queues = 3;
        let fill = |(ready, consumers)| Fill {
            ready,
            bytes: None,
            consumers,
        };
        let fills = fills
            .iter()
            .map(|(name, told)| ((*name).to_owned(), told.map(fill).map_err(str::to_owned)));
        let fills: Answers = Arc::new(fills.collect());
        Picture::new(&settings, &[], &fills, Window::Now, Instant::now())
    }

    #[test]
    fn queues_of_one_step_are_one_box() {
        let picture = picture(&[
            ("parser", Ok((3, 1))),
            ("parser-2", Ok((4, 0))),
            ("parser-3", Ok((0, 1))),
            ("shipper-pgsql", Ok((0, 1))),
        ]);
        let queues: Vec<_> = picture
            .nodes
            .iter()
            .filter(|node| node.kind == Kind::Queue)
            .collect();
        assert_eq!(queues.len(), 2);
        let raw = queues.iter().find(|node| node.id == "queue:parser").unwrap();
        assert_eq!(&*raw.name, "parser ×3");
        assert_eq!(
            (raw.full, raw.oldest_ms),
            (None, None),
            "AMQP tells no bytes, nor ages"
        );
        assert_eq!((raw.depth, raw.consumers, raw.parts.len()), (Some(7), Some(2), 3));
        assert_eq!(raw.worst().unwrap().text, "parser-2: nobody takes from it");
    }

    #[test]
    fn what_one_does_not_tell_is_unknown_of_all() {
        let some = picture(&[
            ("parser", Ok((3, 1))),
            ("parser-2", Err("away")),
            ("parser-3", Ok((0, 1))),
        ]);
        let raw = some.nodes.iter().find(|node| node.id == "queue:parser").unwrap();
        assert_eq!(
            (raw.depth, raw.level(), raw.is_hollow),
            (None, Level::Unknown, false)
        );
        assert_eq!(raw.worst().unwrap().text, "parser-2: unknown: away");
        let away = [
            ("parser", Err("away")),
            ("parser-2", Err("away")),
            ("parser-3", Err("away")),
        ];
        let none = picture(&away);
        let raw = none.nodes.iter().find(|node| node.id == "queue:parser").unwrap();
        assert!(raw.is_hollow && raw.problems.len() == 1);
        assert_eq!(raw.worst().unwrap().text, "unknown: away");
    }

    #[test]
    fn how_full_they_are_together_is_told_and_which_one_is_full() {
        let names = ["parser".to_owned(), "parser-2".to_owned()];
        let fill = |bytes| Fill {
            ready: 1,
            bytes: Some(bytes),
            consumers: 1,
        };
        let fills = [
            ("parser".to_owned(), Ok(fill(90))),
            ("parser-2".to_owned(), Ok(fill(10))),
        ];
        let fills: Answers = Arc::new(fills.into());
        let mut raw = node(&names, &fills, 100);
        assert_eq!(raw.full, Some(0.5));
        assert_eq!(raw.worst().unwrap().text, "parser: 90 % full");
        // The same, when RabbitMQ tells it.
        let told = |bytes| QueueReport {
            bytes: Some(bytes),
            ..QueueReport::default()
        };
        let told = BTreeMap::from([("parser".to_owned(), told(20)), ("parser-2".to_owned(), told(85))]);
        raw.problems.clear();
        each(&mut raw, &told, 100);
        assert_eq!(raw.parts[1].full, Some(0.85));
        assert_eq!(raw.worst().unwrap().text, "parser-2: 85 % full");
    }

    #[test]
    fn the_member_that_is_away_is_told_of_the_queue_that_lost_it() {
        let members = |online: &[&str]| QueueReport {
            unacked: Some(2),
            members: vec!["a".to_owned(), "b".to_owned()],
            online: online.iter().map(ToString::to_string).collect(),
            ..QueueReport::default()
        };
        let told = BTreeMap::from([
            ("parser".to_owned(), members(&["a", "b"])),
            ("parser-2".to_owned(), members(&["a"])),
        ]);
        let names = ["parser".to_owned(), "parser-2".to_owned()];
        let all = report(&names, &told).unwrap();
        assert_eq!((all.unacked, all.online.len(), all.publish_s), (Some(4), 1, None));
        assert_eq!(report(&["parser-3".to_owned()], &told), None);
    }
}
