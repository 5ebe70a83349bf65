//! What is known of one stage, one queue, and the rescue queues.

use std::time::{Duration, Instant};

use broker::Fill;

use super::{Instance, Kind, Level, Node, Rescue, queue_id};
use crate::{
    hub::{Known, Pace},
    pipeline::stages::{DEAD_QUEUE, PARSER_QUEUE, PARSER_QUEUE_COLUMN, SHIPPER_QUEUE_COLUMN, Stage},
};

/// A warning or error in a log is a stage's problem for so long.
const TROUBLE_SECONDS: i64 = 300;
/// Clocks that are further apart make ranges of time wrong.
const CLOCK_OFF_SECONDS: u64 = 30;
/// A queue is nearly full from here on.
const NEARLY_FULL: f64 = 0.8;
/// Fewer a minute are not worth a word.
const PER_MINUTE_MIN: f64 = 0.5;

pub(super) fn stage_node(stage: &Stage, known: &[&Known], over: Duration, now: Instant) -> Node {
    let mut node = Node::new(stage.name, Kind::Stage, stage.column);
    let paces: Vec<Pace> = known.iter().filter_map(|known| known.pace(over, now)).collect();
    if !paces.is_empty() {
        let pace = paces.into_iter().fold(Pace::default(), Pace::plus);
        node.in_s = Some(pace.received);
        node.out_s = Some(pace.sent);
        for (rate, what) in [
            (pace.retried, "retries"),
            (pace.dead, "dead letters"),
            (pace.dropped, "drops"),
        ] {
            let per_minute = rate * 60.0;
            if per_minute >= PER_MINUTE_MIN {
                // Rules drop by design.
                let is_meant = what == "drops" && stage.name == "parser";
                let level = if is_meant { Level::Ok } else { Level::Caution };
                node.problem(level, format!("{what} {per_minute:.0}/min"), None);
            }
        }
    }
    for known in known {
        process(&mut node, known, now);
    }
    node.oldest_ms = oldest_ms(known, now);
    let is_up = node.instances.iter().any(|instance| instance.up);
    if known.is_empty() {
        node.is_hollow = true;
        node.problem(Level::Unknown, "nothing was heard of it yet", None);
    } else if !is_up {
        node.is_hollow = true;
        let last = node.instances.iter().map(|instance| instance.last).max();
        node.problems
            .retain(|problem| problem.level != Level::Bad || problem.since.is_none());
        node.problem(Level::Bad, "silent", last);
    }
    node
}

/// What one process of a stage adds.
fn process(node: &mut Node, known: &Known, now: Instant) {
    let beat = &known.beat;
    let is_silent = known.is_silent(now);
    node.instances.push(Instance {
        id: beat.instance.clone(),
        host: beat.host.clone(),
        version: beat.version.clone(),
        up: !is_silent && !beat.is_stopping,
        since: beat.since,
        last: beat.at,
    });
    if beat.is_stopping {
        return node.problem(
            Level::Caution,
            format!("{} was stopped", beat.instance),
            Some(beat.at),
        );
    }
    if is_silent {
        return node.problem(
            Level::Caution,
            format!("{} is silent", beat.instance),
            Some(beat.at),
        );
    }
    if known.clock_ahead_s.unsigned_abs() > CLOCK_OFF_SECONDS {
        let off = crate::time::rough(known.clock_ahead_s.saturating_mul(1_000_000));
        let side = if known.clock_ahead_s > 0 {
            "ahead of"
        } else {
            "behind"
        };
        node.problem(
            Level::Caution,
            format!(
                "the clock of {} is {off} {side} the one of these pages",
                beat.host
            ),
            None,
        );
    }
    for part in &beat.not_ready {
        node.problem(
            Level::Bad,
            format!("{} is not ready: {}", part.part, part.why),
            None,
        );
    }
    if let Some(trouble) = &beat.last_error
        && beat.at.duration_since(trouble.at).as_secs() < TROUBLE_SECONDS
    {
        let level = if trouble.level == "error" {
            Level::Bad
        } else {
            Level::Caution
        };
        node.problem(level, trouble.text.clone(), Some(trouble.at));
    }
}

/// The age of the oldest that any of them holds; `None` when one of them does not tell.
fn oldest_ms(known: &[&Known], now: Instant) -> Option<u64> {
    let mut up = known.iter().filter(|known| !known.is_silent(now)).peekable();
    up.peek()?;
    let ages = up.map(|known| known.beat.oldest_unsettled_s);
    let oldest = ages.reduce(|a, b| Some(a?.max(b?))).flatten()?;
    let age = Duration::try_from_secs_f64(oldest).ok()?;
    u64::try_from(age.as_millis()).ok()
}

pub(super) fn queue_node(name: &str, fill: &Result<Fill, String>, bytes_max: u64) -> Node {
    let column = if name == PARSER_QUEUE {
        PARSER_QUEUE_COLUMN
    } else {
        SHIPPER_QUEUE_COLUMN
    };
    let mut node = Node::new(queue_id(name), Kind::Queue, column);
    name.clone_into(&mut node.name);
    let fill = match fill {
        Ok(fill) => fill,
        Err(why) => {
            node.is_hollow = true;
            node.problem(Level::Unknown, format!("unknown: {why}"), None);
            return node;
        }
    };
    node.depth = Some(fill.ready);
    node.oldest_ms = age_of_none(node.depth);
    node.bytes = fill.bytes;
    node.consumers = Some(fill.consumers);
    if name == DEAD_QUEUE {
        if fill.ready > 0 {
            node.problem(
                Level::Caution,
                format!(
                    "{} dead letter{}",
                    fill.ready,
                    if fill.ready == 1 { "" } else { "s" }
                ),
                None,
            );
        }
        return node;
    }
    if fill.consumers == 0 {
        let level = if fill.ready > 0 {
            Level::Bad
        } else {
            Level::Caution
        };
        node.problem(level, "nobody takes from it", None);
    }
    if let Some(bytes) = fill.bytes {
        fullness(&mut node, bytes, bytes_max);
    }
    node
}

/// No broker of ours tells how old the oldest batch is, but that there is none.
pub(super) fn age_of_none(depth: Option<u64>) -> Option<u64> {
    depth.filter(|depth| *depth == 0)
}

/// The share of `bytes_max` that is taken.
pub(super) fn share(bytes: u64, bytes_max: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
    let share = bytes as f64 / bytes_max.max(1) as f64;
    share
}

/// What it means that a queue has so many bytes.
pub(super) fn fullness(node: &mut Node, bytes: u64, bytes_max: u64) {
    let share = share(bytes, bytes_max);
    node.full = Some(share);
    if let Some(text) = nearly_full(share) {
        node.problem(Level::Caution, text, None);
    }
}

/// What is to be said of a share of so much.
pub(super) fn nearly_full(share: f64) -> Option<String> {
    (share >= NEARLY_FULL).then(|| format!("{:.0} % full", share * 100.0))
}

pub(super) fn rescue(known: &[Known], now: Instant) -> Option<Rescue> {
    let collectors: Vec<_> = known
        .iter()
        .filter(|known| known.beat.service == "collector" && !known.is_silent(now))
        .collect();
    if collectors.is_empty() {
        return None;
    }
    let measures = |name: &'static str| {
        let all = collectors.iter().flat_map(|known| &known.beat.measures);
        all.filter(move |(sample, _)| sample.split('{').next() == Some(name))
            .map(|(_, value)| *value)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "gauges of counts are whole and not negative"
    )]
    let count = |name| measures(name).sum::<f64>().max(0.0) as u64;
    Some(Rescue {
        n: count("logferry_rescue_batches"),
        bytes: count("logferry_rescue_bytes"),
        oldest_s: measures("logferry_rescue_oldest_seconds").fold(0.0, f64::max),
    })
}
