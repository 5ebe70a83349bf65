//! Who listens to transient messages in this process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    listening::{Backlog, Ear, Heard, Listening, Place},
    message::Envelope,
    name::Exchange,
};

/// What can be listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// What services tell about themselves.
    Status,
    /// What is published to [`Exchange::Parsed`].
    Parsed,
}

/// All who listen.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    seats: Mutex<Vec<(Subject, Arc<Ear>)>>,
    /// Of them for [`Subject::Parsed`], so that the writer need not lock when there is nobody.
    parsed: AtomicUsize,
    is_over: AtomicBool,
}

/// A place in the audience, given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    audience: Arc<Audience>,
    ear: Arc<Ear>,
    _live: watch::Sender<bool>,
}

impl Audience {
    pub(crate) fn listen(self: &Arc<Self>, subject: Subject, backlog: Backlog) -> Listening {
        let ear = Ear::new(backlog);
        let mut seats = self.seats.lock();
        seats.push((subject, Arc::clone(&ear)));
        self.count(&seats);
        drop(seats);
        // Either this sees that it is over, or the end sees this one.
        if self.is_over.load(Ordering::SeqCst) {
            ear.end();
        }
        let (live, is_live) = watch::channel(true);
        let seat = Seat {
            audience: Arc::clone(self),
            ear: Arc::clone(&ear),
            _live: live,
        };
        Listening::new(ear, is_live, Place::Embedded { _seat: seat })
    }

    /// Tells everybody who listens to `subject`.
    pub(crate) fn tell(&self, subject: Subject, heard: &Heard) {
        for (_, ear) in self.seats.lock().iter().filter(|(other, _)| *other == subject) {
            ear.hear(heard.clone());
        }
    }

    /// Tells of what was published, where anybody wants to know. A message for one queue alone was told of when it was
    /// published the first time.
    pub(crate) fn published(&self, message: &Envelope) {
        if self.parsed.load(Ordering::Relaxed) == 0
            || message.exchange != Exchange::Parsed
            || message.queue.is_some()
        {
            return;
        }
        let heard = Heard {
            id: message.id,
            routing_key: message.routing_key.clone(),
            body: message.body.clone(),
            missed: 0,
        };
        self.tell(Subject::Parsed, &heard);
    }

    /// Nobody will hear any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        for (_, ear) in self.seats.lock().iter() {
            ear.end();
        }
    }

    fn count(&self, seats: &[(Subject, Arc<Ear>)]) {
        let parsed = seats.iter().filter(|(subject, _)| *subject == Subject::Parsed);
        self.parsed.store(parsed.count(), Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.audience.seats.lock();
        seats.retain(|(_, ear)| !Arc::ptr_eq(ear, &self.ear));
        self.audience.count(&seats);
    }
}
