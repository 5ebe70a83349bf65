//! Where sources come from: connections and addresses, and what the kernel drops on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use serde::Serialize;

use super::judge::Judged;
use crate::hub::Known;

/// A connection of a source, or an address without one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Via {
    pub(super) peer_addr: String,
    /// Null where that is not known.
    pub(super) input: Option<String>,
    pub(super) tls_name: Option<String>,
    /// Datagrams have no connection.
    pub(super) is_connected: bool,
}

/// Who is connected, by address: looked up once for all sources of a page.
#[derive(Debug, Default)]
pub(super) struct Connected<'a>(BTreeMap<&'a str, BTreeSet<(&'a str, Option<&'a str>)>>);

impl<'a> Connected<'a> {
    pub(super) fn of(known: &'a [Known], now: Instant) -> Self {
        let mut all: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let live = known.iter().filter(|known| !known.is_silent(now));
        for client in live.flat_map(|known| &known.beat.clients) {
            let connection = (&*client.listener, client.tls_name.as_deref());
            all.entry(address(&client.peer_addr))
                .or_default()
                .insert(connection);
        }
        Self(all)
    }

    /// Where a source comes from. Who has no connection sends datagrams, or is gone; its newest events tell then by which
    /// input it came, where it is one for all of them.
    pub(super) fn via(&self, source: &Judged) -> Vec<Via> {
        let inputs = source.lately.as_ref().map(|lately| &lately.inputs);
        let only = inputs
            .filter(|inputs| inputs.len() == 1)
            .and_then(BTreeSet::first);
        let mut all = BTreeSet::new();
        for peer in &source.row.peers {
            match self.0.get(&**peer) {
                Some(connections) => all.extend(connections.iter().map(|(input, name)| Via {
                    peer_addr: peer.clone(),
                    input: Some((*input).to_owned()),
                    tls_name: name.map(str::to_owned),
                    is_connected: true,
                })),
                None => {
                    all.insert(Via {
                        peer_addr: peer.clone(),
                        input: only.cloned(),
                        tls_name: None,
                        is_connected: false,
                    });
                }
            }
        }
        all.into_iter().collect()
    }
}

/// Without the port.
fn address(peer_addr: &str) -> &str {
    let address = peer_addr
        .rsplit_once(':')
        .map_or(peer_addr, |(address, _)| address);
    address
        .strip_prefix('[')
        .and_then(|address| address.strip_suffix(']'))
        .unwrap_or(address)
}

/// What the kernel drops at one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Drops {
    pub(super) input: String,
    /// Datagrams since each intake was started.
    pub(super) n: f64,
    /// Of the last minute; null where that is not known yet.
    pub(super) per_min: Option<f64>,
}

/// Datagrams that the kernel dropped, by input.
pub(super) fn kernel_drops(known: &[Known], now: Instant) -> Vec<Drops> {
    let mut all: BTreeMap<&str, f64> = BTreeMap::new();
    for known in known.iter().filter(|known| !known.is_silent(now)) {
        for (input, count) in known.kernel_drops() {
            *all.entry(input).or_default() += count;
        }
    }
    let per_min = drops_per_min(known, now);
    all.into_iter()
        .filter(|(_, n)| *n > 0.0)
        .map(|(input, n)| Drops {
            input: input.to_owned(),
            n,
            per_min: per_min.get(input).copied(),
        })
        .collect()
}

/// The same per minute, of late; inputs of which that is not known are missing.
pub(super) fn drops_per_min(known: &[Known], now: Instant) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for known in known.iter().filter(|known| !known.is_silent(now)) {
        for (input, per_min) in known.kernel_drops_per_min() {
            *all.entry(input).or_insert(0.0) += per_min;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_ports() {
        for (peer, expected) in [
            ("192.0.2.1:1000", "192.0.2.1"),
            ("[2001:db8::1]:1000", "2001:db8::1"),
            ("/run/log", "/run/log"),
        ] {
            assert_eq!(address(peer), expected);
        }
    }
}
