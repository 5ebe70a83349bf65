//! Names of batches and events. Both are UUIDs, so any tool can hold them.

use std::{
    fmt,
    str::FromStr,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use uuid::{Builder, Uuid};

use crate::time::Timestamp;

/// The name of a batch, minted once, at intake; it goes with the batch through rescue and redelivery, and
/// stores use it to write a batch once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(Uuid);

/// Bits of the random tail that tell processes apart.
static INSTANCE: LazyLock<u32> = LazyLock::new(|| Uuid::new_v4().as_fields().0);
static SEQUENCE: AtomicU32 = AtomicU32::new(0);

impl BatchId {
    /// A new id: a UUIDv7 (RFC 9562 section 5.7) of the clock's microseconds, a counter of this process and
    /// the process's random number, in this order. Ids of one process sort in the order of their minting as
    /// long as the clock does not go back.
    #[must_use]
    pub fn mint() -> Self {
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let tail = (u64::from(sequence) & 0x3fff_ffff) << 32 | u64::from(*INSTANCE);
        Self(uuid_v7(Timestamp::now(), tail))
    }

    /// The id of what a stage makes from this batch: a UUIDv5 (RFC 9562 section 5.5) of this id and `name`,
    /// so that the same work done again gives the same id.
    #[must_use]
    pub fn derive(self, name: &str) -> Self {
        Self(Uuid::new_v5(&self.0, name.as_bytes()))
    }

    /// From a UUID that was a batch id before.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }

    /// When it was minted, to the millisecond; `None` for an id that does not tell, such as a derived one.
    #[must_use]
    pub fn minted_at(self) -> Option<Timestamp> {
        if self.0.get_version_num() != 7 {
            return None;
        }
        let millis = i64::try_from(self.0.as_u64_pair().0 >> 16).ok()?;
        Some(Timestamp::from_micros(millis * 1000))
    }

    /// The last 42 bits for the ids of this batch's events: 14 bits of the counter, so that batches sort, and
    /// 28 bits that tell processes apart.
    fn event_tail(self) -> u64 {
        let low = self.0.as_u64_pair().1;
        ((low >> 32) & 0x3fff) << 28 | (low & 0x0fff_ffff)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BatchId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// The name of an event: a UUIDv7 worked out from the raw batch's id, the frame's position in it and its
/// arrival time. A batch parsed twice gives the same ids, and sorting by id gives the order of arrival within
/// an intake process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// Frames in one raw batch at most: the position has 20 bits in the id.
    pub const POSITIONS_MAX: u32 = 1 << 20;

    /// The id of the frame at `position` (below [`Self::POSITIONS_MAX`]) of the raw batch `source`.
    #[must_use]
    pub fn derive(source: BatchId, position: u32, received_at: Timestamp) -> Self {
        let tail = source.event_tail() << 20 | u64::from(position & (Self::POSITIONS_MAX - 1));
        Self(uuid_v7(received_at, tail))
    }

    /// From a UUID that was an event id before.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// Milliseconds in 48 bits, the microseconds within in 12 (RFC 9562 section 6.2, method 3), `tail` in 62.
fn uuid_v7(at: Timestamp, tail: u64) -> Uuid {
    let micros = u64::try_from(at.as_micros()).unwrap_or(0);
    let (millis, within) = (micros / 1000, micros % 1000);
    // 4096 steps a millisecond; a microsecond is 4.096 of them, so the order of microseconds is kept.
    let steps = within * 4096 / 1000;
    let high = (millis & 0xffff_ffff_ffff) << 16 | steps;
    let low = tail & 0x3fff_ffff_ffff_ffff;
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    Builder::from_bytes(bytes)
        .with_version(uuid::Version::SortRand)
        .with_variant(uuid::Variant::RFC4122)
        .into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_ids_sort_in_the_order_of_minting_and_are_version_7() {
        let ids: Vec<_> = (0..1000).map(|_| BatchId::mint()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.as_uuid().get_version_num() == 7));
        assert_eq!(ids[0].to_string().parse(), Ok(ids[0]));
    }

    #[test]
    fn derived_ids_repeat_and_differ_by_name() {
        let id = BatchId::mint();
        assert_eq!(id.derive("default"), id.derive("default"));
        assert_ne!(id.derive("default"), id.derive("audit"));
    }

    #[test]
    fn event_ids_sort_by_time_then_batch_then_position() {
        let (first, second) = (BatchId::mint(), BatchId::mint());
        let (early, late) = (
            Timestamp::from_micros(1_000_001),
            Timestamp::from_micros(1_000_002),
        );
        let ids = [
            EventId::derive(first, 0, early),
            EventId::derive(first, 1, early),
            EventId::derive(first, EventId::POSITIONS_MAX - 1, early),
            EventId::derive(second, 0, early),
            EventId::derive(first, 0, late),
        ];
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids[0], EventId::derive(first, 0, early));
        assert_eq!(ids[0].as_uuid().get_version_num(), 7);
    }
}
