//! How many connections a listener has, and from whom.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use crate::limits::ListenerLimits;

/// Counts the open connections of one listener.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// Which cap was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Total,
    Peer,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    peer: IpAddr,
}

impl Connections {
    /// Counts a connection from `peer`, unless there are too many for these limits.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr, limits: &ListenerLimits) -> Result<Place, Refused> {
        let mut open = self.open.lock();
        if open.total >= limits.connections_max {
            return Err(Refused::Total);
        }
        let of_peer = open.by_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= limits.connections_per_peer_max {
            return Err(Refused::Peer);
        }
        open.by_peer.insert(peer, of_peer + 1);
        open.total += 1;
        Ok(Place {
            connections: Arc::clone(self),
            peer,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.total -= 1;
        if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_caps_hold_and_places_come_free() {
        let connections = Arc::new(Connections::default());
        let mut limits = ListenerLimits {
            frame_bytes_max: 1000,
            idle_timeout: None,
            connections_max: 3,
            connections_per_peer_max: 2,
        };
        let (first, second) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let place = connections.enter(first, &limits).unwrap();
        let _second_of_first = connections.enter(first, &limits).unwrap();
        assert_eq!(connections.enter(first, &limits).unwrap_err(), Refused::Peer);
        let place_of_second = connections.enter(second, &limits).unwrap();
        assert_eq!(connections.enter(second, &limits).unwrap_err(), Refused::Total);
        drop(place);
        let _third = connections.enter(first, &limits).unwrap();
        drop(place_of_second);
        assert!(!connections.open.lock().by_peer.contains_key(&second));
        // Fewer: those that are open stay.
        limits.connections_max = 1;
        assert_eq!(connections.enter(second, &limits).unwrap_err(), Refused::Total);
        limits.connections_max = 3;
        assert!(connections.enter(second, &limits).is_ok());
    }
}
