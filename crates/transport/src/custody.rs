//! Who has the frames: a [`Ticket`] tells a session whether the batch that its frames went into is in custody.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Makes the two ends of one batch's custody.
#[must_use]
pub fn custody() -> (Settler, Ticket) {
    let shared = Arc::new(Mutex::new(Shared {
        state: Custody::Awaited,
        waiting: Vec::new(),
    }));
    (Settler(Arc::clone(&shared)), Ticket(shared))
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Custody {
    /// Not known yet.
    Awaited,
    /// The next owner has it durably: senders may be answered.
    Confirmed,
    /// Nobody has it and nobody will: senders must keep their frames.
    Lost,
}

#[derive(Debug)]
struct Shared {
    state: Custody,
    waiting: Vec<Arc<Notify>>,
}

/// The end that knows. Dropped unsettled, the batch counts as lost.
#[derive(Debug)]
pub struct Settler(Arc<Mutex<Shared>>);

impl Settler {
    /// The next owner has the batch durably.
    pub fn confirm(self) {
        self.settle(Custody::Confirmed);
    }

    fn settle(&self, state: Custody) {
        let waiting = {
            let mut shared = self.0.lock();
            if shared.state != Custody::Awaited {
                return;
            }
            shared.state = state;
            std::mem::take(&mut shared.waiting)
        };
        for waiter in waiting {
            waiter.notify_one();
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.settle(Custody::Lost);
    }
}

/// The end that asks. Clones are the same ticket.
#[derive(Debug, Clone)]
pub struct Ticket(Arc<Mutex<Shared>>);

impl Ticket {
    /// What is known now.
    #[must_use]
    pub fn custody(&self) -> Custody {
        self.0.lock().state
    }

    /// `waiter` is notified once the ticket is settled; at once if it is already.
    pub fn notify(&self, waiter: &Arc<Notify>) {
        let mut shared = self.0.lock();
        if shared.state == Custody::Awaited {
            shared.waiting.push(Arc::clone(waiter));
        } else {
            drop(shared);
            waiter.notify_one();
        }
    }

    /// True for clones of one ticket.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiters_are_told_before_and_after() {
        let (settler, ticket) = custody();
        let early = Arc::new(Notify::new());
        ticket.notify(&early);
        assert_eq!(ticket.custody(), Custody::Awaited);
        settler.confirm();
        early.notified().await;
        assert_eq!(ticket.custody(), Custody::Confirmed);
        let late = Arc::new(Notify::new());
        ticket.clone().notify(&late);
        late.notified().await;
    }

    #[tokio::test]
    async fn a_batch_that_is_given_up_is_lost() {
        let (settler, ticket) = custody();
        let waiter = Arc::new(Notify::new());
        ticket.notify(&waiter);
        drop(settler);
        waiter.notified().await;
        assert_eq!(ticket.custody(), Custody::Lost);
    }
}
