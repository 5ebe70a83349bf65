//! What Redis promises about what it has answered.

use std::collections::HashMap;

use fred::types::Value;
use settings::RescueDurability;

use super::session::{Session, Target};
use crate::{error::RescueError, queue::Guarantee};

/// What a Redis promises, and how that is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) guarantee: Guarantee,
    /// Each batch is waited for with `WAITAOF`.
    pub(super) is_waited_for: bool,
}

impl Promise {
    pub(super) fn unknown() -> Self {
        Self {
            guarantee: Guarantee::Weaker("it was not asked yet how it keeps its data".into()),
            is_waited_for: false,
        }
    }
}

/// Asks Redis how it keeps its data.
///
/// # Errors
///
/// Only when it does not answer. What it refuses to tell counts as unknown, and unknown is weaker.
pub(super) async fn examine(session: &Session, target: &Target) -> Result<Promise, RescueError> {
    let mut found = HashMap::new();
    for pattern in ["append*", "no-appendfsync-on-rewrite", "maxmemory*"] {
        let arguments = vec!["GET".into(), pattern.into()];
        match session.call(target, 0, "CONFIG", arguments).await {
            Ok(answer) => found.extend(pairs(answer)),
            // Managed servers and access lists forbid the command.
            Err(RescueError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let found = |name: &str| found.get(name).map(String::as_str);
    let (weakness, can_wait) = match judge(found) {
        Verdict::Synced => (None, false),
        Verdict::Weaker { problem, can_wait } => (Some(problem), can_wait),
    };
    let Some(problem) = weakness else {
        return Ok(Promise {
            guarantee: Guarantee::Synced,
            is_waited_for: false,
        });
    };
    // Whoever accepts less does not want to wait either.
    if can_wait && target.durability == RescueDurability::Synced && wait_works(session, target).await? {
        return Ok(Promise {
            guarantee: Guarantee::Synced,
            is_waited_for: true,
        });
    }
    Ok(Promise {
        guarantee: Guarantee::Weaker(problem.into()),
        is_waited_for: false,
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Synced,
    Weaker {
        problem: String,
        /// `WAITAOF` would make up for it.
        can_wait: bool,
    },
}

fn judge<'a>(found: impl Fn(&str) -> Option<&'a str>) -> Verdict {
    let weaker = |problem: &str, can_wait| Verdict::Weaker {
        problem: problem.to_owned(),
        can_wait,
    };
    if let Some(policy) = found("maxmemory-policy").filter(|policy| policy.starts_with("allkeys"))
        && found("maxmemory") != Some("0")
    {
        let problem = format!("it may discard batches when its memory is full (maxmemory-policy {policy})");
        return weaker(&problem, false);
    }
    match (found("appendonly"), found("appendfsync")) {
        (Some("no"), _) => weaker("it keeps no append-only file (appendonly no)", false),
        (Some(_), Some("always")) => match found("no-appendfsync-on-rewrite") {
            Some("no") => Verdict::Synced,
            Some(_) => weaker(
                "it does not sync while it rewrites its file (no-appendfsync-on-rewrite yes)",
                true,
            ),
            None => weaker("it does not tell no-appendfsync-on-rewrite", true),
        },
        (Some(_), Some("everysec")) => weaker("it syncs its file once a second (appendfsync everysec)", true),
        (Some(_), Some("no")) => weaker("it leaves syncing to the system (appendfsync no)", false),
        _ => weaker(
            "it does not tell how it keeps its data (CONFIG GET is not allowed)",
            true,
        ),
    }
}

/// Waits until what was written on `lane` is in the synced part of the append-only file.
pub(super) async fn wait_synced(session: &Session, target: &Target, lane: usize) -> Result<(), RescueError> {
    let answer = session
        .call(target, lane, "WAITAOF", wait_arguments(target))
        .await?;
    match answer.into_array().first().and_then(Value::as_i64) {
        Some(local) if local >= 1 => Ok(()),
        _ => Err(RescueError::TimedOut {
            place: format!("the append-only file of Redis at {}", target.address),
            after: target.timeout / 2,
        }),
    }
}

/// Whether Redis knows the command, has an append-only file, and lets us.
async fn wait_works(session: &Session, target: &Target) -> Result<bool, RescueError> {
    match session.call(target, 0, "WAITAOF", wait_arguments(target)).await {
        Ok(answer) => Ok(answer.into_array().first().and_then(Value::as_i64) >= Some(1)),
        Err(RescueError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// One file, no replicas; and an answer before we give up on the connection.
fn wait_arguments(target: &Target) -> Vec<Value> {
    let ms = i64::try_from(target.timeout.as_millis() / 2).unwrap_or(i64::MAX);
    vec![Value::Integer(1), Value::Integer(0), Value::Integer(ms)]
}

fn pairs(answer: Value) -> Vec<(String, String)> {
    let texts: Vec<_> = match answer {
        Value::Map(map) => map
            .inner()
            .into_iter()
            .flat_map(|(name, value)| [name.into_string(), value.into_string()])
            .collect(),
        answer => answer.into_array().into_iter().map(Value::into_string).collect(),
    };
    let pairs = texts.chunks_exact(2).filter_map(|pair| match pair {
        [Some(name), Some(value)] => Some((name.clone(), value.clone())),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: &[(&'static str, &'static str)], expected: Option<(&str, bool)>) {
        let found = |name: &str| {
            let pair = config.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| *value)
        };
        match (judge(found), expected) {
            (Verdict::Synced, None) => {}
            (Verdict::Weaker { problem, can_wait }, Some((part, expected))) => {
                assert!(
                    problem.contains(part) && can_wait == expected,
                    "{problem} {can_wait}"
                );
            }
            (verdict, expected) => panic!("{verdict:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn only_a_sync_at_each_write_is_as_good_as_the_broker() {
        const MEMORY: [(&str, &str); 2] = [("maxmemory", "0"), ("maxmemory-policy", "noeviction")];
        let with = |config: &[(&'static str, &'static str)]| [&MEMORY, config].concat();
        let rewrite = ("no-appendfsync-on-rewrite", "no");
        let always = [("appendonly", "yes"), ("appendfsync", "always"), rewrite];
        check(&with(&always), None);
        check(&always, None);
        check(
            &with(&[("appendonly", "yes"), ("appendfsync", "everysec"), rewrite]),
            Some(("everysec", true)),
        );
        check(
            &with(&[("appendonly", "yes"), ("appendfsync", "no"), rewrite]),
            Some(("appendfsync no", false)),
        );
        check(
            &with(&[("appendonly", "no"), ("appendfsync", "always"), rewrite]),
            Some(("appendonly no", false)),
        );
        check(
            &with(&[
                ("appendonly", "yes"),
                ("appendfsync", "always"),
                ("no-appendfsync-on-rewrite", "yes"),
            ]),
            Some(("while it rewrites", true)),
        );
        check(&with(&[]), Some(("CONFIG", true)));
        check(&[], Some(("CONFIG", true)));
    }

    #[test]
    fn a_redis_that_discards_keys_is_never_synced() {
        let always = [
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("no-appendfsync-on-rewrite", "no"),
        ];
        let memory =
            |bytes, policy| [&always[..], &[("maxmemory", bytes), ("maxmemory-policy", policy)]].concat();
        check(&memory("1000000", "allkeys-lru"), Some(("allkeys-lru", false)));
        check(&memory("0", "allkeys-lru"), None);
        check(&memory("1000000", "volatile-lru"), None);
        check(&memory("1000000", "noeviction"), None);
    }
}
