//! What each op does to the file and to memory.

use std::sync::Arc;

use super::{ConsumerState, LoadError, Op, Outcome, Subscription, Writer};
use crate::{
    browser::Fill,
    delivery::Settlement,
    embedded::{database::EntryRow, queue::QueueState},
    error::{Conflict, ConsumeError, DeclareError, PublishError},
    message::Envelope,
    name::{Exchange, QueueName},
    topology::{Queue, Topology},
};

/// Routing keys whose queues are remembered.
const ROUTES_MAX: usize = 1024;

impl Writer {
    pub(super) fn apply_all(&mut self, ops: &[Op]) -> Result<(), LoadError> {
        for op in ops {
            let outcome = match op {
                Op::Publish(request) => Outcome::Published(self.store(&Arc::new(request.message.clone()))?),
                Op::Settle {
                    queue,
                    seq,
                    settlement,
                } => {
                    self.settle(*queue, *seq, *settlement)?;
                    Outcome::Done
                }
                Op::DeadLetter {
                    queue, seq, message, ..
                } => {
                    let published = self.store(&Arc::new(Envelope::clone(message)))?;
                    if published.is_ok() {
                        self.settle(*queue, *seq, Settlement::Ack)?;
                    }
                    Outcome::Published(published)
                }
                Op::Declare { topology, .. } => Outcome::Declared(self.declare(topology)?),
                Op::Consume { request, .. } => Outcome::Consumed(self.subscribe(request)),
                Op::Cancel { consumer } => {
                    // Kept while it has deliveries, so that they can be settled; it gets no more.
                    if let Some(state) = self.consumers.iter_mut().find(|state| state.id == *consumer) {
                        state.prefetch = 0;
                    }
                    Outcome::Done
                }
                Op::Fill { queue, .. } => Outcome::Filled(self.fill(queue)),
                Op::Remove { queue, seq, .. } => {
                    self.take_out(queue, *seq)?;
                    Outcome::Done
                }
            };
            self.outcomes.push(outcome);
        }
        Ok(())
    }

    /// Writes a message and an entry for each queue that takes it; all of them or none.
    fn store(&mut self, message: &Arc<Envelope>) -> rusqlite::Result<Result<(), PublishError>> {
        let bytes = message.body.len() as u64;
        let targets = match &message.queue {
            Some(queue) => self
                .queues
                .iter()
                .position(|state| state.name == *queue)
                .into_iter()
                .collect(),
            None => self.route(message.exchange, &message.routing_key),
        };
        if targets.is_empty() {
            let exchange = message.exchange.name();
            return Ok(Err(PublishError::Unroutable {
                exchange,
                routing_key: message.routing_key.clone(),
            }));
        }
        let bytes_max = self.limits.queue_bytes_max;
        if bytes > bytes_max {
            return Ok(Err(PublishError::TooLarge { bytes, bytes_max }));
        }
        if !self.have_room(&targets, bytes) {
            return Ok(Err(PublishError::Nacked));
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.database.insert_message(seq, message)?;
        self.enter(
            &targets,
            EntryRow {
                seq,
                attempts: 0,
                bytes,
            },
            Some(message),
        )?;
        Ok(Ok(()))
    }

    pub(super) fn enter(
        &mut self,
        targets: &[usize],
        entry: EntryRow,
        message: Option<&Arc<Envelope>>,
    ) -> rusqlite::Result<()> {
        for &index in targets {
            let Some(queue) = self.queues.get_mut(index) else {
                continue;
            };
            self.database.insert_entry(queue.id, entry)?;
            queue.published(entry, message);
            self.changes.totals.push(index);
        }
        Ok(())
    }

    pub(super) fn have_room(&self, targets: &[usize], bytes: u64) -> bool {
        let mut queues = targets.iter().filter_map(|&index| self.queues.get(index));
        queues.all(|queue| queue.bytes + bytes <= self.limits.queue_bytes_max)
    }

    pub(super) fn route(&mut self, exchange: Exchange, routing_key: &str) -> Arc<[usize]> {
        let key = (exchange, Box::from(routing_key));
        if let Some(targets) = self.routes.get(&key) {
            return Arc::clone(targets);
        }
        let queues = self.queues.iter().enumerate();
        let targets: Arc<[usize]> = queues
            .filter(|(_, queue)| queue.takes(exchange, routing_key))
            .map(|(index, _)| index)
            .collect();
        if self.routes.len() >= ROUTES_MAX {
            self.routes.clear();
        }
        self.routes.insert(key, Arc::clone(&targets));
        targets
    }

    fn settle(&mut self, queue: i64, seq: i64, settlement: Settlement) -> rusqlite::Result<()> {
        let Some(flight) = self.flights.remove(&(queue, seq)) else {
            return Ok(());
        };
        self.changes.settled.push((queue, flight));
        if let Some(consumer) = self
            .consumers
            .iter_mut()
            .find(|consumer| consumer.id == flight.consumer)
        {
            consumer.in_flight = consumer.in_flight.saturating_sub(1);
        }
        let Some(index) = self.queues.iter().position(|state| state.id == queue) else {
            return Ok(());
        };
        match settlement {
            Settlement::Ack => self.remove(index, flight.entry)?,
            Settlement::Requeue => {
                if let Some(queue) = self.queues.get_mut(index) {
                    queue.give_back(flight.entry);
                }
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, index: usize, entry: EntryRow) -> rusqlite::Result<()> {
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok(());
        };
        self.database
            .delete_entry(queue.id, entry.seq, queue.exchange == Exchange::Dead)?;
        queue.removed(entry.bytes);
        self.changes.totals.push(index);
        Ok(())
    }

    fn fill(&self, queue: &QueueName) -> Option<Fill> {
        let state = self.queues.iter().find(|state| state.name == *queue)?;
        let handed_out = self.flights.keys().filter(|(id, _)| *id == state.id).count() as u64;
        let consumers = self
            .consumers
            .iter()
            .filter(|consumer| consumer.queue == state.id);
        Some(Fill {
            ready: state.messages.saturating_sub(handed_out),
            bytes: Some(state.bytes),
            consumers: u32::try_from(consumers.count()).unwrap_or(u32::MAX),
        })
    }

    fn take_out(&mut self, queue: &QueueName, seq: i64) -> rusqlite::Result<()> {
        let Some(index) = self.queues.iter().position(|state| state.name == *queue) else {
            return Ok(());
        };
        let Some(state) = self.queues.get_mut(index) else {
            return Ok(());
        };
        if self.flights.contains_key(&(state.id, seq)) {
            return Ok(());
        }
        let found = self.database.entries_after(state.id, seq - 1, 1)?;
        let Some(entry) = found.into_iter().find(|entry| entry.seq == seq) else {
            return Ok(());
        };
        self.database
            .delete_entry(state.id, seq, state.exchange == Exchange::Dead)?;
        state.forget(entry);
        self.changes.totals.push(index);
        Ok(())
    }

    fn declare(&mut self, topology: &Topology) -> Result<Result<(), DeclareError>, LoadError> {
        let conflicts = topology
            .queues()
            .iter()
            .filter_map(|wanted| self.conflict(wanted));
        let conflicts: Vec<_> = conflicts.collect();
        if !conflicts.is_empty() {
            return Ok(Err(DeclareError::Conflicts(conflicts)));
        }
        self.routes.clear();
        for wanted in topology.queues() {
            let existing = self.queues.iter_mut().find(|queue| queue.name == wanted.name);
            let id = match existing {
                Some(queue) => {
                    queue.binding_keys.clone_from(&wanted.binding_keys);
                    queue.id
                }
                None => self
                    .database
                    .insert_queue(wanted.name.as_str(), wanted.exchange)?,
            };
            self.database.bind(id, &wanted.binding_keys)?;
        }
        // Nothing else can use this file, so a queue that the settings no longer name would only fill up.
        let wanted = |name: &QueueName| topology.queues().iter().any(|queue| queue.name == *name);
        for queue in self.queues.iter_mut().filter(|queue| !wanted(&queue.name)) {
            queue.binding_keys.clear();
            self.database.bind(queue.id, &[])?;
            if queue.messages > 0 {
                let (queue, messages) = (&queue.name, queue.messages);
                tracing::warn!(%queue, messages, "a queue that the settings no longer name still holds messages");
            }
        }
        for row in self.database.queues()? {
            if !self.queues.iter().any(|queue| queue.id == row.id) {
                self.queues.push(QueueState::new(row)?);
            }
        }
        Ok(Ok(()))
    }

    fn conflict(&self, wanted: &Queue) -> Option<Conflict> {
        let existing = self.queues.iter().find(|queue| queue.name == wanted.name)?;
        (existing.exchange != wanted.exchange).then(|| Conflict {
            kind: "queue",
            name: wanted.name.to_string(),
            argument: "exchange".into(),
            existing: existing.exchange.to_string(),
            wanted: wanted.exchange.to_string(),
        })
    }

    fn subscribe(&mut self, request: &Subscription) -> Result<i64, ConsumeError> {
        let queue = self.queues.iter().find(|queue| queue.name == request.queue);
        let queue = queue
            .ok_or_else(|| ConsumeError::NoSuchQueue {
                queue: request.queue.clone(),
            })?
            .id;
        self.changes.subscribed.push(request.consumer);
        self.consumers.push_back(ConsumerState {
            id: request.consumer,
            queue,
            prefetch: request.prefetch,
            in_flight: 0,
            slots: request.slots.clone(),
        });
        Ok(queue)
    }
}
