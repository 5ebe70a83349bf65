//! Batches on the wire: MessagePack by position, versioned, inside a small envelope that says what it is and
//! whether it is compressed. `proto/batch.md` is the language-neutral description; keep the two together.

mod envelope;
mod events;
mod raw;
mod wire;

pub use self::envelope::{Compression, PayloadKind};
pub use self::events::{EventBatch, EventBatchBuilder};
pub use self::raw::{Frame, RawBatch, RawBatchBuilder};

/// Why bytes are not a batch. None of these goes away by trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first bytes are not our envelope.
    #[error("not a Logferry batch: the first bytes are not the envelope's")]
    NotABatch,
    /// An event batch where a raw batch is expected, or the other way round.
    #[error("expected a batch of {expected:?}, found one of {found:?}")]
    WrongKind {
        /// What the caller asked for.
        expected: PayloadKind,
        /// What the envelope says.
        found: PayloadKind,
    },
    /// Written by a newer Logferry.
    #[error("batch encoding version {0} is not known")]
    UnknownVersion(u64),
    /// Larger than the reader's bound when decompressed.
    #[error("batch of {size} bytes is larger than the {max} allowed")]
    TooLarge {
        /// Bytes that the envelope promises.
        size: usize,
        /// The reader's bound.
        max: usize,
    },
    /// The LZ4 block is damaged.
    #[error("damaged LZ4 block")]
    BadCompression,
    /// The bytes end inside a value.
    #[error("batch ends too early")]
    Truncated,
    /// A value of another type than the position demands.
    #[error("unexpected MessagePack type 0x{marker:02x} for {what}")]
    UnexpectedType {
        /// The MessagePack marker byte.
        marker: u8,
        /// The name of the value.
        what: &'static str,
    },
    /// A value that its position does not allow.
    #[error("invalid value for {0}")]
    InvalidValue(&'static str),
    /// Bytes after the last value.
    #[error("{0} bytes after the end of the batch")]
    TrailingBytes(usize),
}

#[cfg(test)]
mod tests;
