//! The rescue queue.
