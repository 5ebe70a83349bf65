//! Who writes comes first: where the database stands on this machine, the searches of a process take turns, so that however
//! many there are they leave the writer a core. A database elsewhere has cores that nobody here knows of.

use std::{net::IpAddr, thread, time::Duration};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::{Config, config::Host};

/// How long a search waits for its turn, about as long as one takes: one that takes long holds the others up, and does
/// not keep them from searching.
const PATIENCE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Turns(Semaphore);

impl Turns {
    /// Of the searches in the database that `config` names.
    pub(super) fn of(config: &Config) -> Self {
        if is_here(config) {
            Self::new(thread::available_parallelism().map_or(1, usize::from))
        } else {
            Self(Semaphore::new(Semaphore::MAX_PERMITS))
        }
    }

    /// All cores but one.
    fn new(cores: usize) -> Self {
        Self(Semaphore::new(cores.saturating_sub(1).max(1)))
    }

    /// A turn, until it is dropped; `None` when it is time to go on without one.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(PATIENCE, self.0.acquire()).await;
        turn.ok().and_then(Result::ok)
    }
}

/// Whether the database is reached by a socket or an address of this machine alone.
fn is_here(config: &Config) -> bool {
    let names = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|addr: IpAddr| addr.is_loopback()),
        Host::Unix(_) => true,
    });
    // An address counts for more than the name beside it, which only certificates know then.
    let addrs = config.get_hostaddrs();
    if addrs.is_empty() {
        names
    } else {
        addrs.iter().all(IpAddr::is_loopback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_many_search_as_leave_a_core() {
        for (cores, most) in [(1, 1), (2, 1), (4, 3)] {
            let turns = Turns::new(cores);
            let mut held = Vec::new();
            for _ in 0..most {
                held.extend(turns.turn().await);
            }
            assert_eq!(held.len(), most);
            // One more waits for a moment, and goes on.
            assert!(turns.turn().await.is_none());
            held.pop();
            assert!(turns.turn().await.is_some());
        }
    }

    #[test]
    fn only_a_database_of_this_machine_has_turns() {
        for (url, here) in [
            ("postgres://u@localhost/d", true),
            ("postgres://u@127.0.0.1:5433/d", true),
            ("postgres://u@[::1]/d", true),
            ("postgresql:///d?host=/run/postgresql", true),
            ("postgres://u@db.example/d", false),
            ("postgres://u@192.0.2.7/d", false),
            ("postgres://u@localhost,db.example/d", false),
            ("postgres://u@db.example/d?hostaddr=127.0.0.1", true),
            ("postgres://u@localhost/d?hostaddr=192.0.2.7", false),
        ] {
            assert_eq!(is_here(&url.parse().unwrap()), here, "{url}");
        }
    }
}
