//! Event batches to rows in the store.
