//! The words for the numbers of the picture. The map, the table and the stream of changes say the same.

use std::collections::BTreeMap;

use serde::Serialize;

use super::picture::{InRabbit, Kind, Level, Node, Picture, Rabbit};
use crate::number::grouped;

/// Characters of a problem that a box shows; the table shows all.
const PROBLEM_CHARS: usize = 21;
/// Characters of a problem that the table shows; the open box shows all.
const STATE_CHARS: usize = 400;
/// Characters of a problem in the summary, and problems there.
const SUMMARY_CHARS: usize = 100;
const SUMMARY_MAX: usize = 8;

/// A text of the page that may change, and its class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Text {
    pub(super) t: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) c: &'static str,
}

/// By the name in `data-f`.
pub(super) type Texts = BTreeMap<String, Text>;

/// All texts of the page that may change.
pub(super) fn texts(picture: &Picture) -> Texts {
    let mut texts = Texts::new();
    for node in &picture.nodes {
        let mut put = |field: &str, t: String, c: &'static str| {
            texts.insert(format!("{}/{field}", node.id), Text { t, c });
        };
        put("in", rate(node.in_s), "");
        put("out", out(node), "");
        put("depth", depth(node), "");
        let full = node.full.map(|share| format!("· {}", full(Some(share))));
        put("full", full.unwrap_or_default(), "");
        put("oldest", oldest(node), "");
        put("line", line(node), "");
        put("extra", extra(node), "");
        put("box", box_class(node), "");
        put("curve", super::map::curve(&node.curve), "");
        let level = node.level();
        put("sign", level.sign().to_owned(), level.class());
        put("short", cut(&state(node), PROBLEM_CHARS), level.class());
        put("state", state(node), level.class());
    }
    let rescue = match &picture.rescue {
        None if !picture.has_rescue => "no rescue queue".to_owned(),
        None => "rescue unknown".to_owned(),
        Some(rescue) if rescue.n == 0 => "nothing in rescue".to_owned(),
        Some(rescue) => format!(
            "{} batches in rescue, the oldest {:.0} s",
            rescue.n, rescue.oldest_s
        ),
    };
    let dead = match picture.dead_letters {
        None => "dead letters unknown".to_owned(),
        Some(0) => "no dead letters".to_owned(),
        Some(1) => "1 dead letter".to_owned(),
        Some(n) => format!("{n} dead letters"),
    };
    rabbit(picture, &mut texts);
    let mut put = |field: &str, t: String| texts.insert(field.to_owned(), Text { t, c: "" });
    put("summary", summary(picture));
    put("rescue", rescue);
    put("dead", dead);
    put("as-of", picture.as_of.strftime("%H:%M:%S UTC").to_string());
    texts
}

/// What RabbitMQ's management API tells, of itself and of queues.
fn rabbit(picture: &Picture, texts: &mut Texts) {
    let Some(rabbit) = &picture.rabbit else {
        return;
    };
    let mut put = |field: String, t: String, c: &'static str| texts.insert(field, Text { t, c });
    for node in picture.nodes.iter().filter(|node| node.kind == Kind::Queue) {
        let told = node.rabbit.clone().unwrap_or_default();
        for (field, value) in [
            ("publish", rate(told.publish_s)),
            ("deliver", rate(told.deliver_s)),
            ("ack", rate(told.ack_s)),
            ("unacked", told.unacked.map_or_else(unknown, grouped)),
            ("bytes", size(node.bytes)),
            ("members", members(&told)),
        ] {
            put(format!("{}/{field}", node.id), value, "");
        }
    }
    let (text, class) = match rabbit.worst() {
        Some(problem) => (
            format!("{} {}", problem.level.sign(), problem.text),
            problem.level.class(),
        ),
        None => (String::new(), ""),
    };
    put("RabbitMQ/state".to_owned(), text, class);
    let connections = rabbit.connections.map_or_else(unknown, grouped);
    put("RabbitMQ/connections".to_owned(), connections, "");
    let at = rabbit.as_of.map(|at| at.strftime("%H:%M:%S UTC").to_string());
    put("RabbitMQ/as-of".to_owned(), at.unwrap_or_else(unknown), "");
    for node in &rabbit.nodes {
        let (state, class) = match node.running {
            None => ("? unknown", "muted"),
            Some(true) => ("✓ running", "ok"),
            Some(false) => ("▲ down", "caution"),
        };
        put(format!("RabbitMQ:{}/sign", node.name), state.to_owned(), class);
        for (field, used, limit, alarm) in [
            (
                "memory",
                node.memory_bytes,
                node.memory_limit_bytes,
                node.memory_alarm,
            ),
            (
                "disk",
                node.disk_free_bytes,
                node.disk_free_limit_bytes,
                node.disk_alarm,
            ),
        ] {
            let alarm = match alarm {
                Some(true) => ", ✕ alarm",
                Some(false) => "",
                None => ", alarm unknown",
            };
            let text = format!("{} (limit {}){alarm}", size(used), size(limit));
            put(format!("RabbitMQ:{}/{field}", node.name), text, "");
        }
    }
}

pub(super) fn unknown() -> String {
    "unknown".to_owned()
}

/// "3 of 3 online, rabbit@a leads".
pub(super) fn members(told: &InRabbit) -> String {
    if told.members.is_empty() {
        return unknown();
    }
    let leader = told.leader.as_deref().unwrap_or("nobody");
    format!(
        "{} of {} online, {leader} leads",
        told.online.len(),
        told.members.len()
    )
}

/// At most four digits and a unit.
pub(super) fn size(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else {
        return unknown();
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "it is shown with one digit after the point"
    )]
    let bytes_float = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.0} KiB", bytes_float / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes_float / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes_float / 1_073_741_824.0),
    }
}

/// At most three digits that say something.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "unknown".to_owned(),
        Some(rate) if rate <= 0.0 => "0/s".to_owned(),
        Some(rate) if rate < 10.0 => format!("{rate:.1}/s"),
        Some(rate) if rate < 10_000.0 => format!("{rate:.0}/s"),
        Some(rate) if rate < 1_000_000.0 => format!("{:.1} k/s", rate / 1000.0),
        Some(rate) => format!("{:.2} M/s", rate / 1_000_000.0),
    }
}

/// Nothing leaves a store.
pub(super) fn out(node: &Node) -> String {
    match node.kind {
        Kind::Store => "–".to_owned(),
        Kind::Stage | Kind::Queue => rate(node.out_s),
    }
}

fn depth(node: &Node) -> String {
    match (node.kind, node.depth) {
        (Kind::Stage | Kind::Store, _) => "–".to_owned(),
        (Kind::Queue, None) => "unknown".to_owned(),
        (Kind::Queue, Some(depth)) => match node.bytes.filter(|bytes| *bytes > 0) {
            Some(bytes) => format!("{depth} ready · {}", size(Some(bytes))),
            None => format!("{depth} ready"),
        },
    }
}

/// How a box is drawn.
fn box_class(node: &Node) -> String {
    let kind = match node.kind {
        Kind::Stage => "stage",
        Kind::Queue => "queue",
        Kind::Store => "store",
    };
    let hollow = if node.is_hollow { " hollow" } else { "" };
    format!("node {kind}{hollow} {}", node.level().class())
}

/// The second line of a box.
fn line(node: &Node) -> String {
    match node.kind {
        Kind::Queue => depth(node),
        Kind::Store => rate(node.in_s),
        Kind::Stage if node.in_s.is_none() && node.out_s.is_none() => unknown(),
        Kind::Stage => format!("{} → {}", rate(node.in_s), rate(node.out_s)),
    }
}

/// The third line of a box.
fn extra(node: &Node) -> String {
    let up = node.instances.iter().filter(|instance| instance.up).count();
    let age = node.oldest_ms.filter(|age| *age > 0);
    let parts = [
        (up > 1).then(|| format!("{up} procs")),
        node.consumers.map(|consumers| match consumers {
            1 => "1 consumer".to_owned(),
            many => format!("{many} consumers"),
        }),
        node.full.map(|share| full(Some(share))),
        age.map(|age_ms| format!("oldest {}", age_text(age_ms))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join(" · ")
}

/// "12 % full", or nothing.
pub(super) fn full(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{:.0} % full", share * 100.0))
}

/// How old the oldest is that a box holds.
pub(super) fn oldest(node: &Node) -> String {
    match (node.kind, node.oldest_ms) {
        (Kind::Store, _) => "–".to_owned(),
        (Kind::Stage | Kind::Queue, None) => unknown(),
        (Kind::Stage | Kind::Queue, Some(0)) => "none".to_owned(),
        (Kind::Stage | Kind::Queue, Some(age_ms)) => age_text(age_ms),
    }
}

fn age_text(age_ms: u64) -> String {
    match age_ms {
        0..10_000 => format!("{}.{} s", age_ms / 1000, age_ms % 1000 / 100),
        _ => crate::time::rough(i64::try_from(age_ms.saturating_mul(1000)).unwrap_or(i64::MAX)),
    }
}

pub(super) fn state(node: &Node) -> String {
    match node.worst() {
        Some(problem) => {
            let text = cut(&problem.text, STATE_CHARS);
            match &problem.since {
                Some(since) => format!("{text} since {}", since.strftime("%m-%d %H:%M:%S UTC")),
                None => text,
            }
        }
        None => match node.kind {
            Kind::Store => String::new(),
            Kind::Stage | Kind::Queue => "ok".to_owned(),
        },
    }
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The picture in one sentence.
pub(super) fn summary(picture: &Picture) -> String {
    let of_rabbit = picture.rabbit.as_ref().and_then(Rabbit::worst);
    let of_rabbit = of_rabbit.filter(|problem| problem.level > Level::Unknown);
    let mut worst: Vec<_> = picture
        .nodes
        .iter()
        .filter(|node| node.level() > Level::Unknown)
        .map(|node| {
            let queue = if node.kind == Kind::Queue { "queue " } else { "" };
            format!("{queue}{}: {}", node.name, cut(&state(node), SUMMARY_CHARS))
        })
        .chain(of_rabbit.map(|problem| format!("RabbitMQ: {}", cut(&problem.text, SUMMARY_CHARS))))
        .collect();
    if worst.is_empty() {
        let unknown = picture
            .nodes
            .iter()
            .filter(|node| node.level() == Level::Unknown)
            .count();
        return match unknown {
            0 => "All stages and queues are well.".to_owned(),
            1 => "Nothing is wrong as far as it is known; 1 part is unknown.".to_owned(),
            n => format!("Nothing is wrong as far as it is known; {n} parts are unknown."),
        };
    }
    if worst.len() > SUMMARY_MAX {
        let more = worst.len() - SUMMARY_MAX;
        worst.truncate(SUMMARY_MAX);
        worst.push(format!("and {more} more"));
    }
    format!("{}.", worst.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_few_digits_and_unknown_is_a_word() {
        for (value, expected) in [
            (None, "unknown"),
            (Some(0.0), "0/s"),
            (Some(0.24), "0.2/s"),
            (Some(812.4), "812/s"),
            (Some(12_345.0), "12.3 k/s"),
            (Some(1_234_567.0), "1.23 M/s"),
        ] {
            assert_eq!(rate(value), expected);
        }
    }

    #[test]
    fn ages_are_short() {
        for (age_ms, expected) in [
            (40, "0.0 s"),
            (1234, "1.2 s"),
            (12_999, "12 s"),
            (150_000, "2 min"),
            (u64::MAX, "106751991 d"),
        ] {
            assert_eq!(age_text(age_ms), expected);
        }
    }

    #[test]
    fn sizes_are_short_and_unknown_is_a_word() {
        for (bytes, expected) in [
            (None, "unknown"),
            (Some(0), "0 B"),
            (Some(1023), "1023 B"),
            (Some(300 << 10), "300 KiB"),
            (Some(3 << 19), "1.5 MiB"),
            (Some(16 << 30), "16.0 GiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
