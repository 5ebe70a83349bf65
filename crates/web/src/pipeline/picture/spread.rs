//! Raw batches that are spread over several queues, as one box: there may be 64 of them, and they are one step.

use std::collections::BTreeMap;

use broker::{QueueName, QueueReport};
use serde::Serialize;
use settings::Settings;

use super::{Kind, Node, parts::queue_node, queue_id};
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
    node.bytes = each.iter().map(|one| one.bytes).sum();
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
        })
        .collect();
    node
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
    use crate::pipeline::picture::{Level, Picture};

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
        Picture::new(&settings, &[], &fills, Instant::now())
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
