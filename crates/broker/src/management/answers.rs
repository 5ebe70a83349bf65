//! From RabbitMQ's JSON to what we tell. It says the same thing in several ways, by version and by its settings: a
//! number may be a word, and what it does not know is left out. All but the number is unknown.

use serde_json::Value;

use super::{NodeReport, Overview, QueueReport};

/// What is asked for of a queue, so that no more is sent.
pub(super) const QUEUE_COLUMNS: &[&str] = &[
    "name",
    "message_bytes",
    "messages_unacknowledged",
    "members",
    "online",
    "leader",
    "message_stats.publish_details.rate",
    "message_stats.deliver_get_details.rate",
    "message_stats.ack_details.rate",
];
/// And of a node.
pub(super) const NODE_COLUMNS: &[&str] = &[
    "name",
    "running",
    "mem_used",
    "mem_limit",
    "mem_alarm",
    "disk_free",
    "disk_free_limit",
    "disk_free_alarm",
];

/// Members of a queue; RabbitMQ recommends up to seven.
const MEMBERS_MAX: usize = 32;
/// Names of nodes are up to 255 bytes of host and some more.
const NAME_CHARS_MAX: usize = 300;

/// A queue and its name, which it must have.
pub(super) fn queue(item: &Value) -> Option<(String, QueueReport)> {
    let report = QueueReport {
        publish_s: rate(item, "publish_details"),
        deliver_s: rate(item, "deliver_get_details"),
        ack_s: rate(item, "ack_details"),
        unacked: number(item, "messages_unacknowledged"),
        bytes: number(item, "message_bytes"),
        members: names(item, "members"),
        online: names(item, "online"),
        leader: text(item, "leader").filter(|leader| !leader.is_empty()),
    };
    Some((text(item, "name")?, report))
}

/// A node, which must have a name.
pub(super) fn node(item: &Value) -> Option<NodeReport> {
    Some(NodeReport {
        name: text(item, "name")?,
        is_running: flag(item, "running"),
        memory_bytes: number(item, "mem_used"),
        memory_limit_bytes: number(item, "mem_limit"),
        has_memory_alarm: flag(item, "mem_alarm"),
        disk_free_bytes: number(item, "disk_free"),
        disk_free_limit_bytes: number(item, "disk_free_limit"),
        has_disk_alarm: flag(item, "disk_free_alarm"),
    })
}

pub(super) fn overview(answer: &Value) -> Option<Overview> {
    let answer = answer.is_object().then_some(answer)?;
    let totals = answer.get("object_totals");
    Some(Overview {
        version: text(answer, "rabbitmq_version"),
        connections: totals.and_then(|totals| number(totals, "connections")),
    })
}

fn text(item: &Value, name: &str) -> Option<String> {
    item.get(name).and_then(Value::as_str).map(shortened)
}

fn shortened(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}

fn number(item: &Value, name: &str) -> Option<u64> {
    item.get(name).and_then(Value::as_u64)
}

fn flag(item: &Value, name: &str) -> Option<bool> {
    item.get(name).and_then(Value::as_bool)
}

fn names(item: &Value, name: &str) -> Vec<String> {
    let names = item.get(name).and_then(Value::as_array).into_iter().flatten();
    names
        .filter_map(Value::as_str)
        .map(shortened)
        .take(MEMBERS_MAX)
        .collect()
}

fn rate(item: &Value, name: &str) -> Option<f64> {
    let rate = item.get("message_stats")?.get(name)?.get("rate")?.as_f64()?;
    (rate.is_finite() && rate >= 0.0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_number_is_unknown() {
        for strange in [
            json!("NaN"),
            json!(null),
            json!(-1),
            json!([]),
            json!({}),
            json!(1e300),
        ] {
            let item = json!({
                "name": "parser", "message_bytes": strange, "messages_unacknowledged": strange, "members": strange,
                "online": strange, "leader": "", "message_stats": strange,
            });
            let expected = ("parser".to_owned(), QueueReport::default());
            assert_eq!(queue(&item), Some(expected), "{strange}");
            let item = json!({ "message_stats": { "publish_details": { "rate": strange } } });
            assert_eq!(
                rate(&item, "publish_details"),
                strange.as_f64().filter(|rate| *rate > 0.0)
            );
            let item = json!({
                "name": "a@b", "mem_used": strange, "disk_free": strange, "mem_alarm": strange, "running": strange,
            });
            let expected = NodeReport {
                name: "a@b".to_owned(),
                ..NodeReport::default()
            };
            assert_eq!(node(&item), Some(expected), "{strange}");
        }
        assert_eq!((queue(&json!({})), node(&json!(7))), (None, None));
        assert_eq!(overview(&json!([1])), None);
        assert_eq!(
            overview(&json!({ "object_totals": [] })),
            Some(Overview::default())
        );
    }

    #[test]
    fn names_without_end_are_cut() {
        let item = json!({ "name": "n".repeat(10_000), "members": vec!["m".repeat(1000); 1000] });
        let (name, queue) = queue(&item).unwrap();
        assert_eq!((name.len(), queue.members.len()), (NAME_CHARS_MAX, MEMBERS_MAX));
        assert!(queue.members.iter().all(|member| member.len() == NAME_CHARS_MAX));
    }
}
