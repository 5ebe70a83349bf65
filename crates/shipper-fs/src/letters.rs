//! Dead letters of events whose files cannot be opened, while all others of the batch are written.
//!
//! What is in the way of a file whose name events chose (a planted link, a folder of that name, a name that the file
//! system does not take) concerns those events alone, and may stay for ever: waiting for it would hold up everybody.
//! Where no event has a say in the name, the whole destination is concerned, and that is waited for.
//!
//! Other destinations do have the event. They get to know the id of its letter, so that the event, put back, adds no
//! second line there; see [`Buried`].

use std::collections::{HashMap, HashSet};

use broker::{DeadLetter, Delivery, EventLetter, Message};
use bytes::Bytes;
use event::{BatchId, Compression, Event, EventBatch, EventBatchBuilder, PayloadKind};

use crate::{destination::Destination, group::Held};

/// The reason of these dead letters.
pub(crate) const PATH_REFUSED: &str = "path_refused";

/// Files that are not opened, and what is in the way.
pub(crate) type Refused = HashMap<Box<[u8]>, String>;

/// Where events come from, as their dead letters tell it.
pub(crate) trait Origin {
    /// The dead letter of one event.
    fn event_letter(&self, event: EventLetter, letter: &DeadLetter) -> Message;
}

impl Origin for Delivery {
    fn event_letter(&self, event: EventLetter, letter: &DeadLetter) -> Message {
        Self::event_letter(self, event, letter)
    }
}

/// Letters of a group's events, with the destinations that refused the event.
#[derive(Debug, Default)]
pub(crate) struct Buried(HashMap<BatchId, HashSet<usize>>);

impl Buried {
    /// Notes that the destination numbered `index` refused the event of this letter; true for the first one.
    pub(crate) fn add(&mut self, letter: BatchId, index: usize) -> bool {
        let refused_by = self.0.entry(letter).or_default();
        refused_by.insert(index);
        refused_by.len() == 1
    }

    /// Letters whose event the destination numbered `index` has, or does not take.
    pub(crate) fn elsewhere(&self, index: usize) -> impl Iterator<Item = BatchId> {
        let others = self
            .0
            .iter()
            .filter(move |(_, refused_by)| !refused_by.contains(&index));
        others.map(|(letter, _)| *letter)
    }
}

/// One letter for each event of the delivery that goes to a refused file of `destination`.
pub(crate) fn letters_of<D: Origin>(
    held: &Held<D>,
    destination: &Destination,
    refused: &Refused,
    scratch: &mut Vec<u8>,
    batch_bytes_max: usize,
) -> Vec<(BatchId, Message)> {
    const KNOWN: &str = "the same bytes were decoded before";
    let mut batch = EventBatch::decode(&held.body, scratch, batch_bytes_max).expect(KNOWN);
    let (mut letters, mut path) = (Vec::new(), Vec::new());
    while let Some(event) = batch.next_event().expect(KNOWN) {
        destination.path.write(&event, &mut path);
        if let Some(text) = refused.get(path.as_slice()) {
            let letter = DeadLetter {
                reason: PATH_REFUSED,
                text: format!("shipper_fs.destination {:?}: {text}", destination.name),
            };
            let event = alone(&batch, &event);
            let id = BatchId::from_uuid(event.id);
            letters.push((id, held.delivery.event_letter(event, &letter)));
        }
    }
    letters
}

fn alone(batch: &EventBatch<'_>, event: &Event<'_>) -> EventLetter {
    let id = batch.id().derive(&format!("dead:{}", event.position));
    let mut letter = EventBatchBuilder::new(id, batch.source(), batch.listener(), batch.route());
    letter.push(event);
    EventLetter {
        id: id.as_uuid(),
        batch: batch.id().as_uuid(),
        position: event.position,
        content_type: PayloadKind::Events.content_type(),
        body: Bytes::from(letter.finish(Compression::None)),
    }
}
