//! Deliveries that are written and acknowledged together, and the making of their lines.

use std::{collections::HashSet, sync::Arc};

use broker::Message;
use bytes::Bytes;
use event::{BatchId, DecodeError, EventBatch};
use parking_lot::Mutex;
use service::Holding;
use tokio::time::Instant;

use crate::{
    destination::Destination,
    journal::RecentIds,
    letters::{Buried, Origin, Refused, letters_of},
    part::Part,
};

/// A delivery `D` whose lines are in a group, or are not needed.
#[derive(Debug)]
pub(crate) struct Held<D> {
    /// The payload, to format it again should another process write some of the group's batches.
    pub(crate) body: Bytes,
    pub(crate) delivery: D,
    pub(crate) batch: Formatted,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Formatted {
    pub(crate) id: BatchId,
    /// The raw batch that its events come from.
    pub(crate) source: BatchId,
    pub(crate) events: u64,
    pub(crate) fate: Fate,
}

/// Whether a batch has lines in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has.
    Formatted,
    /// Every destination that takes it has its lines, or will have before this group is written.
    Repeated,
    /// No destination takes its route.
    NotTaken,
}

/// Deliveries and their lines.
#[derive(Debug)]
pub(crate) struct Group<D> {
    pub(crate) held: Vec<Held<D>>,
    /// One for each destination.
    pub(crate) parts: Vec<Part>,
    /// Events that are not written everywhere.
    pub(crate) buried: Buried,
    since: Option<Instant>,
    /// How old the batches are, as long as the group is there.
    ages: Vec<Holding>,
}

impl<D> Group<D> {
    /// An empty group in the memory of `parts`, one for each destination.
    pub(crate) fn new(mut parts: Vec<Part>) -> Self {
        parts.iter_mut().for_each(Part::clear);
        Self {
            held: Vec::new(),
            parts,
            buried: Buried::default(),
            since: None,
            ages: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, held: Held<D>, age: Option<Holding>) {
        self.held.push(held);
        self.ages.extend(age);
        self.since.get_or_insert_with(Instant::now);
    }

    /// When the first delivery came.
    pub(crate) const fn since(&self) -> Option<Instant> {
        self.since
    }

    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
    }

    /// Files of the destination that has the most.
    pub(crate) fn files_most(&self) -> usize {
        let files = self.parts.iter().map(|part| part.files().len());
        files.max().unwrap_or(0)
    }
}

/// Makes lines of batches.
#[derive(Debug)]
pub(crate) struct Formatter {
    destinations: Arc<[Destination]>,
    /// What each destination has.
    recent: Vec<Arc<Mutex<RecentIds>>>,
    batch_bytes_max: usize,
    scratch: Vec<u8>,
}

impl Formatter {
    pub(crate) fn new(
        destinations: Arc<[Destination]>,
        recent: Vec<Arc<Mutex<RecentIds>>>,
        batch_bytes_max: usize,
    ) -> Self {
        Self {
            destinations,
            recent,
            batch_bytes_max,
            scratch: Vec::new(),
        }
    }

    /// Adds the lines of the batch in `body` to the part of every destination that takes it and does not have it,
    /// unless its id is in `in_flight`.
    pub(crate) fn format(
        &mut self,
        body: &[u8],
        parts: &mut [Part],
        in_flight: &HashSet<BatchId>,
    ) -> Result<Formatted, DecodeError> {
        self.format_for(body, parts, in_flight, |_| true)
    }

    /// Makes the part of the destination numbered `index` anew, without the batches that it has by now.
    pub(crate) fn format_again<D>(&mut self, held: &[Held<D>], parts: &mut [Part], index: usize) {
        if let Some(part) = parts.get_mut(index) {
            part.clear();
        }
        let none = HashSet::new();
        for held in held.iter().filter(|held| held.batch.fate == Fate::Formatted) {
            self.format_for(&held.body, parts, &none, |at| at == index)
                .expect("the same bytes were decoded before");
        }
    }

    /// A letter, with the place of its delivery, for each event that the destination numbered `index` would write to
    /// a refused file.
    pub(crate) fn letters<D: Origin>(
        &mut self,
        group: &Group<D>,
        index: usize,
        refused: &Refused,
    ) -> Vec<(usize, BatchId, Message)> {
        let (Some(destination), Some(part)) = (self.destinations.get(index), group.parts.get(index)) else {
            return Vec::new();
        };
        let batches: HashSet<_> = part.batches().iter().copied().collect();
        let mut letters = Vec::new();
        for (place, held) in group.held.iter().enumerate() {
            // The repeat of a batch has its id, and no lines.
            if held.batch.fate == Fate::Formatted && batches.contains(&held.batch.id) {
                let bytes_max = self.batch_bytes_max;
                let of_held = letters_of(held, destination, refused, &mut self.scratch, bytes_max);
                letters.extend(of_held.into_iter().map(|(id, letter)| (place, id, letter)));
            }
        }
        letters
    }

    fn format_for(
        &mut self,
        body: &[u8],
        parts: &mut [Part],
        in_flight: &HashSet<BatchId>,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Formatted, DecodeError> {
        let mut batch = EventBatch::decode(body, &mut self.scratch, self.batch_bytes_max)?;
        let (id, source, route) = (batch.id(), batch.source(), batch.route());
        let takers = self.destinations.iter().zip(&self.recent).zip(parts).enumerate();
        let takers: Vec<_> = takers
            .filter(|(at, ((destination, _), _))| is_wanted(*at) && destination.takes(route))
            .map(|(_, taker)| taker)
            .collect();
        let is_taken = !takers.is_empty();
        let mut missing: Vec<_> = takers
            .into_iter()
            .filter(|((_, recent), _)| !in_flight.contains(&id) && !recent.lock().contains(id))
            .map(|((destination, _), part)| (destination, part))
            .collect();

        missing.iter_mut().for_each(|(_, part)| part.begin_batch());
        let mut events = 0;
        let decoded = loop {
            match batch.next_event() {
                Ok(Some(event)) => {
                    events += 1;
                    for (destination, part) in &mut missing {
                        part.push(destination, &event);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        for (_, part) in &mut missing {
            match decoded {
                Ok(()) => part.end_batch(id),
                Err(_) => part.undo_batch(),
            }
        }
        decoded?;
        let fate = match (is_taken, missing.is_empty()) {
            (true, false) => Fate::Formatted,
            (true, true) => Fate::Repeated,
            (false, _) => Fate::NotTaken,
        };
        Ok(Formatted {
            id,
            source,
            events,
            fate,
        })
    }
}
