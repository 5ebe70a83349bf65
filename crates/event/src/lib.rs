//! Events, batches, the syslog grammars and the output formats; does no IO.
//!
//! A *frame* is the bytes of one log line as received, an [`Event`] is a parsed frame, and a *batch* is many
//! of either in one broker message: [`RawBatchBuilder`] and [`RawBatch`] for frames, [`EventBatchBuilder`] and
//! [`EventBatch`] for events. Everything read from a batch borrows from the batch's buffer.
//!
//! ```
//! use event::{BatchId, Compression, FrameDefects, RawBatch, RawBatchBuilder, Timestamp};
//!
//! let mut builder = RawBatchBuilder::new(BatchId::mint(), "tcp");
//! builder.push(Timestamp::from_micros(1), "127.0.0.1:40000", None, FrameDefects::empty(), b"<13>hello");
//! let payload = builder.finish(Compression::Lz4);
//!
//! let mut scratch = Vec::new();
//! let mut batch = RawBatch::decode(&payload, &mut scratch, 1 << 20)?;
//! let frame = batch.next_frame()?.expect("one frame was pushed");
//! assert_eq!(frame.bytes, b"<13>hello");
//! # Ok::<(), event::DecodeError>(())
//! ```

#[cfg(test)]
mod arbitrary;
mod batch;
mod defects;
mod event;
pub mod format;
mod grammar;
mod id;
mod priority;
mod time;
mod value;

pub use crate::batch::{
    Compression, DecodeError, EventBatch, EventBatchBuilder, Frame, PayloadKind, RawBatch, RawBatchBuilder,
};
pub use crate::defects::{Defects, FrameDefects};
pub use crate::event::{Event, SdElement, SdParam};
pub use crate::grammar::{Grammar, GrammarOptions};
pub use crate::id::{BatchId, EventId};
pub use crate::priority::{Facility, Severity, UnknownName};
pub use crate::time::{EventTime, Timestamp};
pub use crate::value::Value;
