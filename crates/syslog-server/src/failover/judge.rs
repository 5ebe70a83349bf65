//! From how the broker and the rescue queues stand to who takes custody: a pure function.

use std::sync::Arc;

use rescue::{Guarantee, QueueState};
use service::Custody;
use settings::RescueKind;

/// How the broker stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broker {
    /// It takes batches.
    Takes,
    /// It was there a moment ago, and may be back before our patience ends.
    Hiccup,
    /// It is away, blocks or refuses, and why.
    Away(String),
}

/// Who takes custody, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) custody: Custody,
    pub(super) weaker: Option<Arc<str>>,
    pub(super) why: String,
}

/// `None` when what held until now holds on.
pub(super) fn judge(
    broker: &Broker,
    queues: &[(RescueKind, QueueState)],
    is_embedded: bool,
) -> Option<Verdict> {
    let mut why = match broker {
        Broker::Hiccup => return None,
        Broker::Takes => {
            let custody = if is_embedded {
                Custody::Embedded
            } else {
                Custody::Quorum
            };
            return Some(Verdict {
                custody,
                weaker: None,
                why: "the broker takes batches".to_owned(),
            });
        }
        Broker::Away(why) => why.clone(),
    };
    for (kind, state) in queues {
        if let QueueState::Ready(guarantee) = state {
            let weaker = match guarantee {
                Guarantee::Synced => None,
                Guarantee::Weaker(weaker) => Some(Arc::clone(weaker)),
            };
            let custody = custody_of(*kind);
            return Some(Verdict { custody, weaker, why });
        }
        why = format!("{why}; {}: {state}", custody_of(*kind));
    }
    Some(Verdict {
        custody: Custody::Refusing,
        weaker: None,
        why,
    })
}

const fn custody_of(kind: RescueKind) -> Custody {
    match kind {
        RescueKind::Redis => Custody::RescueRedis,
        RescueKind::File => Custody::RescueFile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNCED: QueueState = QueueState::Ready(Guarantee::Synced);

    #[track_caller]
    fn check(broker: &Broker, redis: QueueState, file: QueueState, expected: Custody, why: &[&str]) {
        let queues = [(RescueKind::Redis, redis), (RescueKind::File, file)];
        let verdict = judge(broker, &queues, false).unwrap();
        assert_eq!(verdict.custody, expected);
        for part in why {
            assert!(verdict.why.contains(part), "{part} in {}", verdict.why);
        }
    }

    #[test]
    fn the_first_that_takes_batches_has_custody() {
        let away = Broker::Away("connection refused".to_owned());
        let down = QueueState::Unusable("no route".to_owned());
        check(&Broker::Takes, SYNCED, SYNCED, Custody::Quorum, &[]);
        check(
            &away,
            SYNCED,
            SYNCED,
            Custody::RescueRedis,
            &["connection refused"],
        );
        check(
            &away,
            down.clone(),
            SYNCED,
            Custody::RescueFile,
            &["connection refused", "rescue-redis: no route"],
        );
        check(
            &away,
            down,
            QueueState::Full,
            Custody::Refusing,
            &["connection refused", "no route", "rescue-file: full"],
        );
        assert_eq!(
            judge(&away, &[], true).unwrap().custody,
            Custody::Refusing,
            "there is nobody else"
        );
        assert_eq!(
            judge(&Broker::Takes, &[], true).unwrap().custody,
            Custody::Embedded
        );
    }

    #[test]
    fn a_hiccup_changes_nothing() {
        assert_eq!(judge(&Broker::Hiccup, &[(RescueKind::File, SYNCED)], false), None);
    }

    #[test]
    fn a_weaker_guarantee_is_named() {
        let weaker = QueueState::Ready(Guarantee::Weaker("everysec".into()));
        let away = Broker::Away("away".to_owned());
        let verdict = judge(&away, &[(RescueKind::Redis, weaker)], false).unwrap();
        assert_eq!(
            (verdict.custody, verdict.weaker),
            (Custody::RescueRedis, Some("everysec".into()))
        );
    }
}
