//! What came of writing a group.

use crate::group::Place;

/// What came of writing a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The transaction is committed.
    Written(Written),
    /// The store refuses these rows, and nothing is committed. Put them elsewhere, durably, [`skip`] them and append the
    /// group again: so a row that cannot be stored is never lost between the two, and never holds up the others.
    ///
    /// [`skip`]: crate::Group::skip
    Refused(Vec<RefusedRow>),
}

/// A committed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Rows that it added.
    pub rows: usize,
    /// Batches that were there already, of which nothing was written.
    pub repeated: usize,
}

/// A row that the store refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The event.
    pub place: Place,
    /// The database's own words.
    pub message: String,
}
