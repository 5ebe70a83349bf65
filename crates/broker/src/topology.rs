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
    /// Bindings that are taken away, should they be there: those of a queue that became [`Topology::direct`].
    pub unbound_keys: Vec<BindingKey>,
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
                unbound_keys: Vec::new(),
            })
            .collect();
        queues.extend(shippers.into_iter().map(|(name, binding_keys)| Queue {
            name,
            exchange: Exchange::Parsed,
            binding_keys,
            unbound_keys: Vec::new(),
        }));
        Self { queues }
    }

    /// The same with a queue that gets only what is published to it directly, and nothing from an exchange.
    #[must_use]
    pub fn direct(mut self, name: &QueueName) -> Self {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.name == *name) {
            queue.unbound_keys = std::mem::take(&mut queue.binding_keys);
        }
        self
    }

    /// Its queues.
    #[must_use]
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }
}
