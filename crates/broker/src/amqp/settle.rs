//! Dispositions on their way to RabbitMQ, many in one frame where they form a run.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    amqp::DeadLetters,
    delivery::{DeadLetter, Delivery, Origin, Settlement},
};

/// Takes the dispositions of one channel's deliveries. When the channel is over they are counted and forgotten:
/// the broker delivers those messages again.
#[derive(Debug)]
pub(crate) struct Settler {
    pub(crate) settlements: Arc<Settlements>,
    pub(crate) dead_letters: Arc<DeadLetters>,
}

/// Between those who settle and the task that owns the channel. Bounded by the prefetch.
#[derive(Debug, Default)]
pub(crate) struct Settlements {
    /// `None` when the channel is over.
    waiting: Mutex<Waiting>,
    pub(crate) arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    settlements: Vec<(u64, Settlement)>,
    is_over: bool,
}

impl Settlements {
    /// Returns whether the channel still takes it.
    pub(crate) fn push(&self, tag: u64, settlement: Settlement) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.is_over {
            return false;
        }
        waiting.settlements.push((tag, settlement));
        drop(waiting);
        self.arrived.notify_one();
        true
    }

    pub(crate) fn take(&self) -> Vec<(u64, Settlement)> {
        std::mem::take(&mut self.waiting.lock().settlements)
    }

    /// Takes no more, and returns how many were not passed on.
    pub(crate) fn close(&self) -> usize {
        let mut waiting = self.waiting.lock();
        waiting.is_over = true;
        std::mem::take(&mut waiting.settlements).len()
    }
}

impl Settler {
    pub(crate) fn settle(&self, origin: &Origin, tag: u64, settlement: Settlement) {
        if !self.settlements.push(tag, settlement) {
            origin.counters.stale_settlements.add(1);
        }
    }

    /// Publishes the dead letter, and acknowledges the delivery when it is confirmed.
    pub(crate) async fn dead_letter(&self, mut delivery: Delivery, letter: DeadLetter) {
        let origin = Arc::clone(&delivery.receipt.origin);
        let message = delivery.dead_letter(&letter);
        match self.dead_letters.publisher().deliver_envelope(&message).await {
            Ok(()) => {
                origin.counters.dead_lettered.add(1);
                delivery.receipt.finish(Settlement::Ack);
            }
            Err(crate::PublishError::Closed) => {
                origin.counters.stale_settlements.add(1);
                delivery.receipt.take_over();
            }
            Err(error) => {
                tracing::error!(%error, queue = %origin.queue, "a dead letter cannot be published, giving it back");
                delivery.receipt.finish(Settlement::Requeue);
            }
        }
    }
}

/// What to send for a number of dispositions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Requeue { tag: u64 },
    Ack { tag: u64, is_multiple: bool, count: u64 },
}

/// The delivery tags of a channel that have no disposition yet.
#[derive(Debug, Default)]
pub(crate) struct Unsettled(BTreeSet<u64>);

impl Unsettled {
    pub(crate) fn add(&mut self, tag: u64) {
        self.0.insert(tag);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Turns dispositions into commands: first what goes back, so that no `multiple` ack covers it; then one ack
    /// for the run of settled deliveries before the first unsettled one; then the others one by one.
    pub(crate) fn plan(&mut self, settlements: &[(u64, Settlement)]) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut acks = Vec::new();
        for &(tag, settlement) in settlements {
            if !self.0.remove(&tag) {
                continue;
            }
            match settlement {
                Settlement::Requeue => commands.push(Command::Requeue { tag }),
                Settlement::Ack => acks.push(tag),
            }
        }
        acks.sort_unstable();
        let run = self
            .0
            .first()
            .map_or(acks.len(), |first| acks.partition_point(|tag| tag < first));
        let (run, singles) = acks.split_at(run);
        if let Some(&tag) = run.last() {
            commands.push(Command::Ack {
                tag,
                is_multiple: run.len() > 1,
                count: run.len() as u64,
            });
        }
        commands.extend(singles.iter().map(|&tag| Command::Ack {
            tag,
            is_multiple: false,
            count: 1,
        }));
        commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(unsettled: &mut Unsettled, settlements: &[(u64, Settlement)]) -> Vec<Command> {
        unsettled.plan(settlements)
    }

    fn unsettled(tags: impl IntoIterator<Item = u64>) -> Unsettled {
        Unsettled(tags.into_iter().collect())
    }

    #[test]
    fn a_settled_run_is_one_ack_and_the_rest_goes_one_by_one() {
        use Settlement::{Ack, Requeue};
        let mut tags = unsettled(1..=6);
        let commands = plan(&mut tags, &[(3, Ack), (1, Ack), (2, Requeue), (5, Ack)]);
        assert_eq!(
            commands,
            [
                Command::Requeue { tag: 2 },
                Command::Ack {
                    tag: 3,
                    is_multiple: true,
                    count: 2
                },
                Command::Ack {
                    tag: 5,
                    is_multiple: false,
                    count: 1
                },
            ]
        );
        assert_eq!(
            plan(&mut tags, &[(4, Ack)]),
            [Command::Ack {
                tag: 4,
                is_multiple: false,
                count: 1
            }]
        );
        assert_eq!(
            plan(&mut tags, &[(6, Ack)]),
            [Command::Ack {
                tag: 6,
                is_multiple: false,
                count: 1
            }]
        );
        assert!(tags.is_empty());
    }

    #[test]
    fn a_tag_is_settled_once() {
        let mut tags = unsettled([1]);
        assert_eq!(
            plan(&mut tags, &[(1, Settlement::Requeue)]),
            [Command::Requeue { tag: 1 }]
        );
        assert_eq!(plan(&mut tags, &[(1, Settlement::Ack)]), []);
    }

    #[test]
    fn a_channel_that_is_over_takes_nothing() {
        let settlements = Settlements::default();
        assert!(settlements.push(1, Settlement::Ack));
        assert_eq!(settlements.close(), 1);
        assert!(!settlements.push(2, Settlement::Ack));
        assert_eq!(settlements.take(), []);
    }
}
