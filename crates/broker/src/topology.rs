//! Which queues there are, and what they take.

use crate::name::{BindingKey, Exchange, QueueName};

/// The exchanges and queues of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    queues: Vec<Queue>,
}

/// One queue: durable, bounded, and bound to one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: QueueName,
    /// Where its messages come from.
    pub exchange: Exchange,
    /// Which of them.
    pub binding_keys: Vec<BindingKey>,
}

impl Topology {
    /// The queues `parser` and `dead`, and one queue for each shipper.
    #[must_use]
    pub fn new(shippers: impl IntoIterator<Item = (QueueName, Vec<BindingKey>)>) -> Self {
        let own = [
            (QueueName::parser(), Exchange::Received),
            (QueueName::dead(), Exchange::Dead),
        ];
        let mut queues: Vec<_> = own
            .into_iter()
            .map(|(name, exchange)| Queue {
                name,
                exchange,
                binding_keys: vec![BindingKey::all()],
            })
            .collect();
        queues.extend(shippers.into_iter().map(|(name, binding_keys)| Queue {
            name,
            exchange: Exchange::Parsed,
            binding_keys,
        }));
        Self { queues }
    }

    /// Its queues.
    #[must_use]
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }
}
