//! Event batches to files.
