//! What one transaction is to write: a group and the deliveries it was made of.

use broker::{Delivery, Disposition};
use event::DecodeError;
use store::Group;
use tokio::time::Instant;

/// Deliveries and their rows. The n-th delivery is the n-th batch of the group.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) group: Group,
    pub(crate) deliveries: Vec<Delivery>,
    since: Option<Instant>,
}

impl Load {
    pub(crate) const fn new(group: Group) -> Self {
        Self {
            group,
            deliveries: Vec::new(),
            since: None,
        }
    }

    /// Adds a delivery and returns how many rows it brings, or gives it back if it is not an event batch.
    pub(crate) fn push(&mut self, delivery: Delivery) -> Result<u64, Box<(Delivery, DecodeError)>> {
        let before = self.group.rows();
        match self.group.push(delivery.body.clone()) {
            Ok(()) => {
                self.deliveries.push(delivery);
                self.since.get_or_insert_with(Instant::now);
                Ok(count(self.group.rows() - before))
            }
            Err(error) => Err(Box::new((delivery, error))),
        }
    }

    pub(crate) const fn rows(&self) -> usize {
        self.group.rows()
    }

    pub(crate) fn size(&self) -> usize {
        self.group.size()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// When the first delivery came.
    pub(crate) const fn since(&self) -> Option<Instant> {
        self.since
    }
}

/// Settles all of them alike.
pub(crate) async fn settle(deliveries: Vec<Delivery>, disposition: &Disposition) {
    for delivery in deliveries {
        delivery.settle(disposition.clone()).await;
    }
}

pub(crate) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
