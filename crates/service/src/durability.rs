//! The durability in force: who takes custody of what an intake process receives, and what that promises.

use std::{fmt, sync::Arc, time::SystemTime};

use tokio::sync::watch;

/// Who takes custody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Custody {
    /// The embedded broker: its file is synced.
    Embedded,
    /// Quorum queues of RabbitMQ.
    Quorum,
    /// The rescue queue in Redis.
    RescueRedis,
    /// The rescue queue in a file of this host.
    RescueFile,
    /// Nobody: senders must keep their lines.
    Refusing,
}

impl Custody {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Embedded,
        Self::Quorum,
        Self::RescueRedis,
        Self::RescueFile,
        Self::Refusing,
    ];

    /// Its name in metrics, logs and the status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Quorum => "quorum",
            Self::RescueRedis => "rescue-redis",
            Self::RescueFile => "rescue-file",
            Self::Refusing => "refusing",
        }
    }
}

impl fmt::Display for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What holds now, since when, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// Who takes custody.
    pub custody: Custody,
    /// What may be lost all the same, where the settings accept a weaker guarantee.
    pub weaker: Option<Arc<str>>,
    /// Since when.
    pub since: SystemTime,
    /// What led to it.
    pub why: String,
}

/// Where an intake tells its durability, and whoever wants to know reads it. Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub struct DurabilityInForce(Arc<watch::Sender<Option<Durability>>>);

impl Default for DurabilityInForce {
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl DurabilityInForce {
    /// What holds now; `None` in a process without intake, and before it is known.
    #[must_use]
    pub fn get(&self) -> Option<Durability> {
        self.0.borrow().clone()
    }

    /// What holds, now and at each change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Durability>> {
        self.0.subscribe()
    }

    /// Tells what holds from now on. Returns whether that is a change; a new reason for the same is none.
    pub fn set(&self, custody: Custody, weaker: Option<Arc<str>>, why: &str) -> bool {
        self.0.send_if_modified(|now| {
            let is_same = now
                .as_ref()
                .is_some_and(|now| now.custody == custody && now.weaker == weaker);
            if is_same {
                return false;
            }
            *now = Some(Durability {
                custody,
                weaker,
                since: SystemTime::now(),
                why: why.to_owned(),
            });
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_and_why_belong_to_the_change() {
        let in_force = DurabilityInForce::default();
        assert_eq!(in_force.get(), None);
        assert!(in_force.set(Custody::Quorum, None, "the broker is ready"));
        let first = in_force.get();
        assert!(!in_force.set(Custody::Quorum, None, "it is still"));
        assert_eq!(in_force.get(), first);
        assert!(in_force.set(Custody::RescueRedis, None, "the broker is away"));
        assert!(in_force.set(Custody::RescueRedis, Some("everysec".into()), "Redis was changed"));
        let now = in_force.get().expect("it was set");
        assert_eq!(
            (now.custody.name(), now.why.as_str()),
            ("rescue-redis", "Redis was changed")
        );
    }
}
