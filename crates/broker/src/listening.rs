//! Transient messages: what is told to whoever listens at this moment, and to nobody else.
//!
//! Nothing here has to do with custody. Whoever listens slowly misses the oldest of what waits, which is counted;
//! whoever speaks never waits.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::DropGuard;
use uuid::Uuid;

use crate::embedded::Seat;

/// The exchange of what services tell about themselves: topic and durable, like the others; its messages are not.
pub(crate) const STATUS: &str = "logferry.status";

/// A transient message.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its batch id, if it has one.
    pub id: Option<Uuid>,
    /// The key it was published with.
    pub routing_key: String,
    /// The payload.
    pub body: Bytes,
    /// Messages that were missed before this one, because they were not taken fast enough.
    pub missed: u64,
}

/// How much may wait for who listens; of more, the oldest is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Messages.
    pub messages: usize,
    /// Their bodies together.
    pub bytes: usize,
}

/// Hears transient messages until it is dropped. It comes back by itself after a lost connection.
#[derive(Debug)]
pub struct Listening {
    ear: Arc<Ear>,
    live: watch::Receiver<bool>,
    _place: Place,
}

/// What ends with the [`Listening`].
#[derive(Debug)]
pub(crate) enum Place {
    Amqp { _task: DropGuard },
    Embedded { _seat: Seat },
}

impl Listening {
    pub(crate) fn new(ear: Arc<Ear>, live: watch::Receiver<bool>, place: Place) -> Self {
        Self {
            ear,
            live,
            _place: place,
        }
    }

    /// The next message; `None` after the broker was closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            // Made before the look, so that what comes in between is not missed.
            let arrived = self.ear.arrived.notified();
            match self.ear.take() {
                Took::Message(heard) => return Some(heard),
                Took::Over => return None,
                Took::Nothing => arrived.await,
            }
        }
    }

    /// Whether messages can be heard at this moment, and each change: false while the broker is away.
    #[must_use]
    pub fn live(&self) -> watch::Receiver<bool> {
        self.live.clone()
    }
}

/// Where messages wait for who listens.
#[derive(Debug)]
pub(crate) struct Ear {
    backlog: Backlog,
    ring: Mutex<Ring>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Ring {
    waiting: VecDeque<Heard>,
    bytes: usize,
    /// Since the last one that was taken.
    missed: u64,
    is_over: bool,
}

enum Took {
    Message(Heard),
    Nothing,
    Over,
}

impl Ear {
    pub(crate) fn new(backlog: Backlog) -> Arc<Self> {
        Arc::new(Self {
            backlog,
            ring: Mutex::default(),
            arrived: Notify::new(),
        })
    }

    /// Never waits; what is too much pushes the oldest out.
    pub(crate) fn hear(&self, heard: Heard) {
        let mut ring = self.ring.lock();
        ring.bytes += heard.body.len();
        ring.waiting.push_back(heard);
        while ring.waiting.len() > self.backlog.messages || ring.bytes > self.backlog.bytes {
            let Some(oldest) = ring.waiting.pop_front() else {
                break;
            };
            ring.bytes -= oldest.body.len();
            ring.missed += 1;
        }
        drop(ring);
        self.arrived.notify_one();
    }

    /// There will be nothing more.
    pub(crate) fn end(&self) {
        self.ring.lock().is_over = true;
        self.arrived.notify_one();
    }

    fn take(&self) -> Took {
        let mut ring = self.ring.lock();
        match ring.waiting.pop_front() {
            Some(mut heard) => {
                ring.bytes -= heard.body.len();
                heard.missed = std::mem::take(&mut ring.missed);
                Took::Message(heard)
            }
            None if ring.is_over => Took::Over,
            None => Took::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(body: &'static [u8]) -> Heard {
        Heard {
            id: None,
            routing_key: "a".into(),
            body: Bytes::from_static(body),
            missed: 0,
        }
    }

    fn bodies(ear: &Ear) -> Vec<(Bytes, u64)> {
        std::iter::from_fn(|| match ear.take() {
            Took::Message(heard) => Some((heard.body, heard.missed)),
            Took::Nothing | Took::Over => None,
        })
        .collect()
    }

    #[test]
    fn the_oldest_gives_way_and_is_counted() {
        let ear = Ear::new(Backlog {
            messages: 2,
            bytes: 10,
        });
        for body in [&b"1"[..], b"2", b"3", b"4"] {
            ear.hear(heard(body));
        }
        assert_eq!(bodies(&ear), [(Bytes::from("3"), 2), (Bytes::from("4"), 0)]);
        ear.hear(heard(b"56789"));
        ear.hear(heard(b"abcdef"));
        assert_eq!(bodies(&ear), [(Bytes::from("abcdef"), 1)]);
        // What can never wait is missed as well, and told with the next.
        ear.hear(heard(b"more than ten bytes"));
        assert_eq!(bodies(&ear), []);
        ear.hear(heard(b"x"));
        assert_eq!(bodies(&ear), [(Bytes::from("x"), 1)]);
    }

    #[test]
    fn what_waits_is_heard_before_the_end() {
        let ear = Ear::new(Backlog {
            messages: 2,
            bytes: 10,
        });
        ear.hear(heard(b"last"));
        ear.end();
        assert!(matches!(ear.take(), Took::Message(_)));
        assert!(matches!(ear.take(), Took::Over));
    }
}
