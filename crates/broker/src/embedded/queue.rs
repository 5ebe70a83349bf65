//! A queue as the writer remembers it: the next messages to hand out, in order, and how much is in it. What does
//! not fit into memory stays in the file and is loaded when its turn comes.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    embedded::database::{EntryRow, QueueRow},
    message::Envelope,
    name::{BindingKey, Exchange, NameError, QueueName},
};

/// Messages of one queue that are remembered without being handed out.
pub(crate) const READY_MAX: usize = 1024;
/// Bytes of bodies that are kept with them, so that a consumer that keeps up never waits for the file.
const BODIES_BYTES_MAX: u64 = 8 << 20;

#[derive(Debug)]
pub(crate) struct QueueState {
    pub(crate) id: i64,
    pub(crate) name: QueueName,
    pub(crate) exchange: Exchange,
    pub(crate) binding_keys: Vec<BindingKey>,
    /// Messages in the file, ready or handed out.
    pub(crate) messages: u64,
    /// The sum of their bodies.
    pub(crate) bytes: u64,
    /// Poison that could not be dead-lettered, because the queue of dead letters is full.
    pub(crate) parked: Vec<Ready>,
    /// Sorted by `seq`, oldest first.
    ready: VecDeque<Ready>,
    ready_body_bytes: u64,
    /// Every entry of the file up to here is in `ready`, parked or handed out.
    loaded_to: i64,
    /// The last entry of the file.
    last_seq: i64,
}

/// A message that can be handed out.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) entry: EntryRow,
    /// `None` when it must be read from the file.
    pub(crate) message: Option<Arc<Envelope>>,
}

impl QueueState {
    pub(crate) fn new(row: QueueRow) -> Result<Self, NameError> {
        Ok(Self {
            id: row.id,
            name: QueueName::new(&row.name)?,
            exchange: row.exchange,
            binding_keys: row.binding_keys,
            messages: row.messages,
            bytes: row.bytes,
            parked: Vec::new(),
            ready: VecDeque::new(),
            ready_body_bytes: 0,
            loaded_to: 0,
            last_seq: row.last_seq,
        })
    }

    pub(crate) fn takes(&self, exchange: Exchange, routing_key: &str) -> bool {
        self.exchange == exchange && self.binding_keys.iter().any(|key| key.matches(routing_key))
    }

    /// A new message was written.
    pub(crate) fn published(&mut self, entry: EntryRow, message: Option<&Arc<Envelope>>) {
        self.messages += 1;
        self.bytes += entry.bytes;
        if self.loaded_to == self.last_seq && self.ready.len() < READY_MAX {
            let fits = self.ready_body_bytes + entry.bytes <= BODIES_BYTES_MAX;
            let message = message.filter(|_| fits).map(Arc::clone);
            if message.is_some() {
                self.ready_body_bytes += entry.bytes;
            }
            self.ready.push_back(Ready { entry, message });
            self.loaded_to = entry.seq;
        }
        self.last_seq = entry.seq;
    }

    /// A message was taken out of the file.
    pub(crate) fn removed(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// A message came back; it goes where it was.
    pub(crate) fn give_back(&mut self, entry: EntryRow) {
        let at = self.ready.partition_point(|ready| ready.entry.seq < entry.seq);
        self.ready.insert(at, Ready { entry, message: None });
    }

    /// A message that was not handed out is gone.
    pub(crate) fn forget(&mut self, entry: EntryRow) {
        self.removed(entry.bytes);
        if let Ok(at) = self
            .ready
            .binary_search_by_key(&entry.seq, |ready| ready.entry.seq)
            && let Some(ready) = self.ready.remove(at)
            && ready.message.is_some()
        {
            self.ready_body_bytes = self.ready_body_bytes.saturating_sub(entry.bytes);
        }
    }

    /// Where to read on in the file, when there is more in it and nothing ready.
    pub(crate) fn load_from(&self) -> Option<i64> {
        (self.ready.is_empty() && self.loaded_to < self.last_seq).then_some(self.loaded_to)
    }

    /// Takes up what was read; `is_out` tells what is handed out already.
    pub(crate) fn load(&mut self, rows: &[EntryRow], is_out: impl Fn(i64) -> bool) {
        self.loaded_to = rows.last().map_or(self.last_seq, |row| row.seq);
        let fresh = rows.iter().filter(|row| !is_out(row.seq));
        self.ready
            .extend(fresh.map(|&entry| Ready { entry, message: None }));
    }

    /// The next message to hand out.
    pub(crate) fn pop(&mut self) -> Option<Ready> {
        let ready = self.ready.pop_front()?;
        if ready.message.is_some() {
            self.ready_body_bytes = self.ready_body_bytes.saturating_sub(ready.entry.bytes);
        }
        Some(ready)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn queue() -> QueueState {
        QueueState::new(QueueRow {
            id: 1,
            name: "parser".into(),
            exchange: Exchange::Received,
            binding_keys: vec![BindingKey::all()],
            messages: 0,
            bytes: 0,
            last_seq: 0,
        })
        .unwrap()
    }

    fn entry(seq: i64, bytes: u64) -> EntryRow {
        EntryRow {
            seq,
            attempts: 0,
            bytes,
        }
    }

    fn stored() -> Arc<Envelope> {
        Arc::new(Envelope {
            id: None,
            queue: None,
            exchange: Exchange::Received,
            routing_key: "a".into(),
            content_type: None,
            body: Bytes::new(),
            death: None,
        })
    }

    fn seqs(queue: &mut QueueState) -> Vec<i64> {
        std::iter::from_fn(|| queue.pop())
            .map(|ready| ready.entry.seq)
            .collect()
    }

    #[test]
    fn messages_beyond_memory_are_loaded_in_their_turn_and_once() {
        let mut queue = queue();
        let total = READY_MAX as i64 + 10;
        for seq in 1..=total {
            queue.published(entry(seq, 1), Some(&stored()));
        }
        assert_eq!((queue.messages, queue.bytes), (total as u64, total as u64));
        assert_eq!(queue.load_from(), None, "there are ready ones");
        assert_eq!(seqs(&mut queue).len(), READY_MAX);
        let from = queue.load_from().unwrap();
        assert_eq!(from, READY_MAX as i64);
        let rows: Vec<_> = (from + 1..=total).map(|seq| entry(seq, 1)).collect();
        queue.load(&rows, |seq| seq == from + 1);
        assert_eq!(seqs(&mut queue).len(), 9, "one of them was handed out already");
        assert_eq!(queue.load_from(), None);
        queue.published(entry(total + 1, 1), Some(&stored()));
        assert_eq!(seqs(&mut queue), [total + 1]);
    }

    #[test]
    fn bodies_in_memory_are_bounded() {
        let mut queue = queue();
        queue.published(entry(1, BODIES_BYTES_MAX), Some(&stored()));
        queue.published(entry(2, 1), Some(&stored()));
        assert!(queue.pop().unwrap().message.is_some());
        assert!(queue.pop().unwrap().message.is_none());
        queue.published(entry(3, 1), Some(&stored()));
        assert!(queue.pop().unwrap().message.is_some());
    }

    #[test]
    fn what_comes_back_goes_where_it_was() {
        let mut queue = queue();
        for seq in 1..=4 {
            queue.published(entry(seq, 1), None);
        }
        let (first, second) = (queue.pop().unwrap(), queue.pop().unwrap());
        queue.give_back(second.entry);
        queue.give_back(first.entry);
        assert_eq!(seqs(&mut queue), [1, 2, 3, 4]);
    }
}
