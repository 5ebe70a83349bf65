//! Who is connected to a listener, and what came from each.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use framing::Frame;
use parking_lot::Mutex;

use crate::{
    custody::Ticket,
    sink::{FrameSource, Peer},
};

/// The open connections of one listener. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Roster(Arc<Mutex<Seats>>);

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    /// In the order in which they came.
    open: BTreeMap<u64, Arc<Guest>>,
}

/// One connection: who is at the other end, and what came so far.
#[derive(Debug)]
pub struct Guest {
    /// Who.
    pub peer: Peer,
    /// Since when.
    pub since: SystemTime,
    frames: AtomicU64,
    bytes: AtomicU64,
    /// Milliseconds since 1970; 0 before anything came.
    last_at: AtomicI64,
}

/// A connection in the roster until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    roster: Roster,
    number: u64,
    guest: Arc<Guest>,
}

impl Roster {
    /// At most `max` of the open connections, those that came first, and how many there are.
    #[must_use]
    pub fn list(&self, max: usize) -> (Vec<Arc<Guest>>, usize) {
        let seats = self.0.lock();
        (seats.open.values().take(max).cloned().collect(), seats.open.len())
    }

    pub(crate) fn enter(&self, peer: Peer) -> Seat {
        let guest = Arc::new(Guest::new(peer));
        let mut seats = self.0.lock();
        let number = seats.next;
        seats.next += 1;
        seats.open.insert(number, Arc::clone(&guest));
        Seat {
            roster: self.clone(),
            number,
            guest,
        }
    }
}

impl Guest {
    pub(crate) fn new(peer: Peer) -> Self {
        Self {
            peer,
            since: SystemTime::now(),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last_at: AtomicI64::new(0),
        }
    }

    /// Frames that came.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Bytes of them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When the last of them came, in milliseconds since 1970; `None` before.
    #[must_use]
    pub fn last_at_millis(&self) -> Option<i64> {
        Some(self.last_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// The frames of one read.
    pub(crate) fn took(&self, frames: u64, bytes: u64) {
        if frames == 0 {
            return;
        }
        self.frames.fetch_add(frames, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        self.last_at.store(millis, Ordering::Relaxed);
    }
}

impl Seat {
    pub(crate) fn guest(&self) -> &Guest {
        &self.guest
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.roster.0.lock().open.remove(&self.number);
    }
}

/// Counts the frames of one read for their sender.
pub(crate) struct Tally<'a, S> {
    pub(crate) source: S,
    guest: &'a Guest,
    frames: u64,
    bytes: u64,
}

impl<'a, S> Tally<'a, S> {
    pub(crate) const fn new(guest: &'a Guest, source: S) -> Self {
        Self {
            source,
            guest,
            frames: 0,
            bytes: 0,
        }
    }
}

impl<S: FrameSource> FrameSource for Tally<'_, S> {
    fn next_frame(&mut self) -> Option<(&Peer, Frame<'_>)> {
        let (peer, frame) = self.source.next_frame()?;
        self.frames += 1;
        self.bytes += frame.bytes.len() as u64;
        Some((peer, frame))
    }

    fn placed(&mut self, ticket: &Ticket) {
        self.source.placed(ticket);
    }
}

impl<S> Drop for Tally<'_, S> {
    fn drop(&mut self) {
        self.guest.took(self.frames, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_who_is_there_in_order() {
        let roster = Roster::default();
        let peer = |addr: &str| Peer {
            addr: addr.to_owned(),
            tls_name: None,
        };
        let first = roster.enter(peer("192.0.2.1:1"));
        let second = roster.enter(peer("192.0.2.2:2"));
        second.guest().took(3, 300);
        second.guest().took(0, 0);
        assert_eq!(second.guest().frames(), 3);
        let (listed, total) = roster.list(1);
        assert_eq!((listed.len(), total), (1, 2));
        assert_eq!(listed[0].peer.addr, "192.0.2.1:1");
        assert_eq!(listed[0].last_at_millis(), None);
        drop(first);
        let (listed, total) = roster.list(9);
        assert_eq!((listed[0].bytes(), total), (300, 1));
        assert!(listed[0].last_at_millis().is_some());
    }
}
