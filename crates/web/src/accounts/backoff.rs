//! Failed sign-ins: each makes the next one wait longer, by name and by address.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Mistakes that cost nothing.
const FREE: u32 = 3;
/// A name can be made to wait by anybody who knows it, so not for long; an address has itself to blame.
const NAME_MAX: Duration = Duration::from_secs(30);
const ADDRESS_MAX: Duration = Duration::from_secs(15 * 60);
/// Mistakes are forgotten after this.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);
/// Names and addresses remembered; beyond it the harmless go.
const KNOWN_MAX: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Name(String),
    /// Of IPv6 the network, since one host has 2^64 of them.
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Who {
    fn of(name: &str, address: IpAddr) -> [Self; 2] {
        let address = match address.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (u128::MAX << 64)).into()),
            IpAddr::V4(ip) => IpAddr::V4(ip),
        };
        [
            Self::Name(name.chars().take(64).collect()),
            Self::Address(address),
        ]
    }

    fn wait(&self, failures: Failures) -> Duration {
        let max = match self {
            Self::Name(_) => NAME_MAX,
            Self::Address(_) => ADDRESS_MAX,
        };
        match failures.count.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(more) => Duration::from_secs(1_u64.checked_shl(more).unwrap_or(u64::MAX)).min(max),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<HashMap<Who, Failures>>);

impl Backoff {
    /// How long this name and address still have to wait.
    pub(super) fn wait(&self, name: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        let known = self.0.lock();
        let waits = Who::of(name, address).into_iter().filter_map(|who| {
            let failures = *known.get(&who)?;
            who.wait(failures).checked_sub(now.duration_since(failures.last))
        });
        waits.max().filter(|wait| !wait.is_zero())
    }

    pub(super) fn failed(&self, name: &str, address: IpAddr, now: Instant) {
        let mut known = self.0.lock();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, failures| now.duration_since(failures.last) < FORGOTTEN_AFTER);
        }
        // Those that do not have to wait lose nothing; a flood of names is made of them.
        if known.len() >= KNOWN_MAX {
            known.retain(|_, failures| failures.count >= FREE);
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        for who in Who::of(name, address) {
            let failures = known.entry(who).or_insert(Failures { count: 0, last: now });
            if now.duration_since(failures.last) > FORGOTTEN_AFTER {
                failures.count = 0;
            }
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
        }
    }

    /// The right password: the name starts anew. The address does not, or one good account would pay for guessing others.
    pub(super) fn succeeded(&self, name: &str, address: IpAddr) {
        let [name, _] = Who::of(name, address);
        self.0.lock().remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn each_failure_after_the_free_ones_doubles_the_wait() {
        let backoff = Backoff::default();
        let now = Instant::now();
        let elsewhere = "192.0.2.1".parse().unwrap();
        for _ in 0..FREE - 1 {
            backoff.failed("ana", HERE, now);
            assert_eq!(backoff.wait("ana", HERE, now), None);
        }
        backoff.failed("ana", HERE, now);
        assert_eq!(backoff.wait("ana", HERE, now), Some(Duration::from_secs(1)));
        backoff.failed("ana", HERE, now);
        assert_eq!(backoff.wait("ana", elsewhere, now), Some(Duration::from_secs(2)));
        assert_eq!(backoff.wait("ben", HERE, now), Some(Duration::from_secs(2)));
        assert_eq!(backoff.wait("ben", elsewhere, now), None);
        assert_eq!(backoff.wait("ana", HERE, now + Duration::from_secs(2)), None);
        for _ in 0..70 {
            backoff.failed("ana", HERE, now);
        }
        assert_eq!(backoff.wait("ana", elsewhere, now), Some(NAME_MAX));
        assert_eq!(backoff.wait("ben", HERE, now), Some(ADDRESS_MAX));
        backoff.succeeded("ana", HERE);
        assert_eq!(backoff.wait("ana", elsewhere, now), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_networks_are_one() {
        let backoff = Backoff::default();
        let now = Instant::now();
        for number in 0..KNOWN_MAX * 2 {
            backoff.failed(&format!("{number}"), HERE, now);
        }
        assert!(backoff.0.lock().len() <= KNOWN_MAX + 1);
        let (one, two) = ("2001:db8::1".parse().unwrap(), "2001:db8::2:3".parse().unwrap());
        for _ in 0..FREE {
            backoff.failed("x", one, now);
        }
        assert!(backoff.wait("y", two, now).is_some());
    }
}
