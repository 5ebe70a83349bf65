//! What both stores tell of sealing and retention.

use std::time::Duration;

/// What one round of [`Store::tidy`](crate::Store::tidy) did, and what there is after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tidied {
    /// Partitions that got all their indexes.
    pub sealed: usize,
    /// How long building them took.
    pub sealing: Duration,
    /// Partitions that were dropped.
    pub dropped: usize,
    /// Rows that were deleted since their route is kept for less.
    pub deleted: u64,
    /// What there is now.
    pub kept: Kept,
    /// Another process is at it, so nothing was done here.
    pub is_elsewhere: bool,
}

/// What a store keeps. Partitions of SQLite are the files of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Partitions that hold events, or will.
    pub partitions: usize,
    /// Those that have their indexes for searching.
    pub sealed: usize,
    /// Bytes on disk, with indexes.
    pub bytes: u64,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// Bytes of a MiB; people do not want to know more closely.
        const MIB: u64 = 1 << 20;
        let Self {
            partitions,
            sealed,
            bytes,
        } = self;
        write!(f, "{partitions} partitions, {sealed} sealed, {} MiB", bytes / MIB)
    }
}

const DAY_MICROS: i64 = 86_400_000_000;

/// The instant `days` before `now`: what arrived before it is kept no longer.
pub(crate) const fn days_before(now: event::Timestamp, days: u32) -> i64 {
    now.as_micros().saturating_sub(days as i64 * DAY_MICROS)
}

/// The instant `duration` before `now`: partitions that ended before it are sealed.
pub(crate) fn before(now: event::Timestamp, duration: Duration) -> i64 {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    now.as_micros().saturating_sub(micros)
}

/// How many of the oldest partitions must go so that what is left takes no more than `most` bytes. `sizes` are theirs,
/// oldest first; the last ones may be needed to stay, so only the first `droppable` go.
pub(crate) fn too_many(sizes: &[u64], droppable: usize, most: u64) -> usize {
    let mut total: u64 = sizes.iter().sum();
    let mut count = 0;
    for size in sizes.iter().take(droppable) {
        if total <= most {
            break;
        }
        total -= size;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_as_possible_go() {
        for (most, droppable, expected) in [
            (60, 3, 0),
            (59, 3, 1),
            (50, 3, 1),
            (49, 3, 2),
            (0, 2, 2),
            (0, 3, 3),
        ] {
            assert_eq!(
                too_many(&[10, 20, 30], droppable, most),
                expected,
                "{most} {droppable}"
            );
        }
        assert_eq!(too_many(&[], 0, 0), 0);
    }
}
