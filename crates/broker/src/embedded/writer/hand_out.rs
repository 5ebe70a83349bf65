//! What goes to which consumer next, and what becomes of poison.

use super::{ConsumerState, Flight, Writer};
use crate::{
    delivery::now_micros,
    embedded::{database::EntryRow, queue::Ready},
    message::Death,
    name::Exchange,
};

/// Entries read from the file at a time, when none is ready.
const LOAD_MAX: i64 = 1024;

impl Writer {
    /// Chooses what goes to which consumer, and notes it in the file: after a crash it counts as delivered.
    pub(super) fn hand_out(&mut self) -> rusqlite::Result<()> {
        for index in 0..self.queues.len() {
            self.bury_parked(index)?;
            let Some((id, exchange)) = self.queues.get(index).map(|queue| (queue.id, queue.exchange)) else {
                continue;
            };
            while let Some((ready, at)) = self.next(index)? {
                if exchange != Exchange::Dead && ready.entry.attempts > self.limits.delivery_limit {
                    self.bury(index, ready)?;
                    continue;
                }
                let entry = EntryRow {
                    attempts: ready.entry.attempts.saturating_add(1),
                    ..ready.entry
                };
                self.database.update_attempts(id, entry.seq, entry.attempts)?;
                // Whoever got one goes to the end of the line.
                let Some(mut consumer) = self.consumers.remove(at) else {
                    break;
                };
                consumer.in_flight += 1;
                self.flights.insert(
                    (id, entry.seq),
                    Flight {
                        consumer: consumer.id,
                        entry,
                    },
                );
                self.changes.handed_out.push((consumer.id, id, ready));
                self.consumers.push_back(consumer);
            }
        }
        Ok(())
    }

    /// The next ready message of a queue and the place of the consumer whose turn it is.
    fn next(&mut self, index: usize) -> rusqlite::Result<Option<(Ready, usize)>> {
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok(None);
        };
        let has_turn =
            |consumer: &ConsumerState| consumer.queue == queue.id && consumer.in_flight < consumer.prefetch;
        let Some(at) = self.consumers.iter().position(has_turn) else {
            return Ok(None);
        };
        while let Some(from) = queue.load_from() {
            let rows = self.database.entries_after(queue.id, from, LOAD_MAX)?;
            let (id, flights) = (queue.id, &self.flights);
            queue.load(&rows, |seq| flights.contains_key(&(id, seq)));
        }
        Ok(queue.pop().map(|ready| (ready, at)))
    }

    fn bury_parked(&mut self, index: usize) -> rusqlite::Result<()> {
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok(());
        };
        for ready in std::mem::take(&mut queue.parked) {
            self.bury(index, ready)?;
        }
        Ok(())
    }

    /// Dead-letters what was delivered too often.
    fn bury(&mut self, index: usize, ready: Ready) -> rusqlite::Result<()> {
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok(());
        };
        let (name, entry) = (queue.name.clone(), ready.entry);
        let Some((id, exchange, routing_key)) = self.database.origin_of(entry.seq)? else {
            tracing::error!(queue = %name, seq = entry.seq, "a message is missing from the queue file");
            return self.remove(index, entry);
        };
        let key = format!("{name}.{}", Death::DELIVERY_LIMIT);
        let targets = self.route(Exchange::Dead, &key);
        if targets.is_empty() || !self.have_room(&targets, entry.bytes) {
            if let Some(queue) = self.queues.get_mut(index) {
                queue.parked.push(ready);
            }
            return Ok(());
        }
        let death = Death {
            stage: Death::BROKER_STAGE.into(),
            queue: name.to_string(),
            batch: id,
            position: None,
            reason: Death::DELIVERY_LIMIT.into(),
            text: Death::poison_text(&name, entry.attempts),
            at_micros: now_micros(),
            attempts: entry.attempts,
            exchange,
            routing_key,
        };
        let seq = self.next_seq;
        self.next_seq += 1;
        if self.database.copy_dead(entry.seq, seq, &key, &death)? {
            self.enter(
                &targets,
                EntryRow {
                    seq,
                    attempts: 0,
                    bytes: entry.bytes,
                },
                None,
            )?;
        }
        tracing::warn!(queue = %name, attempts = entry.attempts, "message delivered too often, dead-lettered");
        self.remove(index, entry)
    }
}
