//! A group: the batches that one transaction writes, decoded and encoded as they come.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use event::{BatchId, DecodeError, EventBatch, Timestamp};

use crate::{
    row::{put_row, storable_time},
    summary::{Admission, Summary},
};

/// Event batches on their way into the store, with their rows encoded. Made by [`Store::group`](crate::Store::group).
pub struct Group {
    size_max: usize,
    admission: Arc<Admission>,
    scratch: Vec<u8>,
    batches: Vec<Batch>,
    /// The batches' ids and when intake minted their sources.
    known: BTreeMap<BatchId, Timestamp>,
    /// Batches that stand in the group more than once.
    repeated: usize,
    rows: BytesMut,
    /// Where each row comes from.
    places: Vec<Place>,
    /// Hours since 1970 in which rows arrived.
    hours: Vec<i64>,
    summary: Summary,
}

/// One batch of a group.
#[derive(Debug, Clone)]
struct Batch {
    id: BatchId,
    payload: Bytes,
    /// Events that the caller has seen to otherwise, by their place in the batch.
    skipped: HashSet<usize>,
    /// The batch's place in the group that the caller holds.
    origin: usize,
}

/// Where an event of a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The batch's place in the group, in the order of [`Group::push`].
    pub batch: usize,
    /// The event's place in the batch, from 0.
    pub event: usize,
}

/// What of a group is taken over into another one.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Batches that stay out.
    pub(crate) without: HashSet<BatchId>,
    /// Only rows that arrived in these hours since 1970.
    pub(crate) hours: Option<std::ops::Range<i64>>,
}

pub(crate) const HOUR_MICROS: i64 = 3_600_000_000;

impl Group {
    pub(crate) fn new(size_max: usize, admission: Arc<Admission>) -> Self {
        Self {
            size_max,
            scratch: Vec::new(),
            batches: Vec::new(),
            known: BTreeMap::new(),
            repeated: 0,
            rows: BytesMut::new(),
            places: Vec::new(),
            hours: Vec::new(),
            summary: Summary::new(Arc::clone(&admission)),
            admission,
        }
    }

    /// Adds a payload that [`EventBatchBuilder`](event::EventBatchBuilder) made. A batch that the group already holds
    /// adds no rows.
    ///
    /// # Errors
    /// Any [`DecodeError`]; the group is as it was before.
    pub fn push(&mut self, payload: Bytes) -> Result<(), DecodeError> {
        let (skipped, origin) = (HashSet::new(), self.batches.len());
        self.add(payload, skipped, origin, &Selection::default())
            .inspect_err(|_| {
                // Events before the damage are counted already; this is rare, so start over.
                let batches = std::mem::take(&mut self.batches);
                self.refill(batches, &Selection::default());
            })
    }

    /// Leaves out these events from now on: the store refuses them, and the caller has put them elsewhere.
    pub fn skip(&mut self, places: impl IntoIterator<Item = Place>) {
        let mut batches = std::mem::take(&mut self.batches);
        for place in places {
            if let Some(batch) = batches.get_mut(place.batch) {
                batch.skipped.insert(place.event);
            }
        }
        self.refill(batches, &Selection::default());
    }

    /// Rows so far.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.places.len()
    }

    /// Bytes of the rows so far.
    #[must_use]
    pub fn size(&self) -> usize {
        self.rows.len()
    }

    /// Batches so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.batches.len()
    }

    /// True before the first [`push`](Self::push).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Ready for the next transaction; memory is kept.
    pub fn clear(&mut self) {
        self.batches.clear();
        self.known.clear();
        self.repeated = 0;
        self.rows.clear();
        self.places.clear();
        self.hours.clear();
        self.summary = Summary::new(Arc::clone(&self.admission));
    }

    /// The batches' ids, each once and in order, with the time when intake minted the ids of their sources: 1970 where
    /// such an id does not tell.
    pub(crate) fn batch_ids(&self) -> impl Iterator<Item = (BatchId, Timestamp)> {
        self.known.iter().map(|(id, minted)| (*id, *minted))
    }

    /// When intake minted the id of the oldest source; `None` when no id tells.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        let unknown = Timestamp::from_micros(0);
        self.known
            .values()
            .copied()
            .filter(|minted| *minted > unknown)
            .min()
    }

    /// Batches that stand in the group more than once.
    pub(crate) const fn repeated(&self) -> usize {
        self.repeated
    }

    /// Hours since 1970 in which rows arrived, each once, ascending.
    pub(crate) fn hours(&self) -> Vec<i64> {
        let mut hours = self.hours.clone();
        hours.sort_unstable();
        hours.dedup();
        hours
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(crate) const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Takes the encoded rows out, to be sent without a copy; [`thaw`](Self::thaw) puts them back.
    pub(crate) fn freeze(&mut self) -> Bytes {
        std::mem::take(&mut self.rows).freeze()
    }

    /// Puts back what [`freeze`](Self::freeze) took.
    pub(crate) fn thaw(&mut self, rows: Bytes) {
        self.rows = rows
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&*shared));
    }

    /// The encoded rows.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.rows
    }

    /// The part of the group that `selection` leaves.
    pub(crate) fn select(&self, selection: &Selection) -> Self {
        let mut part = Self::new(self.size_max, Arc::clone(&self.admission));
        let mut batches = self.batches.clone();
        batches.retain(|batch| !selection.without.contains(&batch.id));
        part.refill(batches, selection);
        part
    }

    /// Where the row with this number comes from.
    pub(crate) fn place_of(&self, row: usize) -> Option<Place> {
        self.places.get(row).copied()
    }

    fn refill(&mut self, batches: Vec<Batch>, selection: &Selection) {
        self.clear();
        for batch in batches {
            self.add(batch.payload, batch.skipped, batch.origin, selection)
                .expect("the batch was decoded before");
        }
    }

    fn add(
        &mut self,
        payload: Bytes,
        skipped: HashSet<usize>,
        origin: usize,
        selection: &Selection,
    ) -> Result<(), DecodeError> {
        let mut batch = EventBatch::decode(&payload, &mut self.scratch, self.size_max)?;
        let (id, route) = (batch.id(), batch.route());
        let minted = batch.source().minted_at().unwrap_or(Timestamp::from_micros(0));
        let is_repeated = self.known.contains_key(&id);
        self.repeated += usize::from(is_repeated);
        let mut event_place = 0;
        while !is_repeated && let Some(event) = batch.next_event()? {
            let hour = storable_time(event.received_at)
                .as_micros()
                .div_euclid(HOUR_MICROS);
            let is_chosen = selection.hours.as_ref().is_none_or(|hours| hours.contains(&hour));
            if is_chosen && !skipped.contains(&event_place) {
                let row = put_row(&mut self.rows, &event, route);
                self.summary.add(&row);
                if self.hours.last() != Some(&hour) {
                    self.hours.push(hour);
                }
                self.places.push(Place {
                    batch: origin,
                    event: event_place,
                });
            }
            event_place += 1;
        }
        self.known.insert(id, minted);
        self.batches.push(Batch {
            id,
            payload,
            skipped,
            origin,
        });
        Ok(())
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("batches", &self.batches.len())
            .field("rows", &self.places.len())
            .finish_non_exhaustive()
    }
}
