//! One raw batch, from its first frame to its payload.

use event::{BatchId, Compression, RawBatchBuilder};
use service::Holding;
use tokio::{task::spawn_blocking, time::Instant};
use transport::{Settler, Ticket, custody};

/// Bodies up to this size are packed where they are: LZ4 takes some 0.3 ms for them, less than handing them to
/// another thread is worth. Larger ones would hold up other tasks.
const PACK_INLINE_BYTES_MAX: usize = 256 * 1024;

/// Frames of one listener that share their fate.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) builder: RawBatchBuilder,
    pub(crate) settler: Settler,
    pub(crate) ticket: Ticket,
    /// When its first frame came.
    pub(crate) opened_at: Instant,
    /// Tells how old it is, until it is settled.
    _age: Holding,
}

impl Batch {
    /// An empty one, in the memory of `buffer`, which grows as needed.
    pub(crate) fn open(listener: &str, buffer: Vec<u8>, age: Holding) -> Self {
        let (settler, ticket) = custody();
        Self {
            builder: RawBatchBuilder::with_buffer(BatchId::mint(), listener, buffer),
            settler,
            ticket,
            opened_at: Instant::now(),
            _age: age,
        }
    }
}

/// The payload of a batch, and the memory that it is not in.
pub(crate) async fn pack(builder: RawBatchBuilder, compression: Compression) -> (Vec<u8>, Option<Vec<u8>>) {
    if compression == Compression::None || builder.size() <= PACK_INLINE_BYTES_MAX {
        return builder.finish_and_spare(compression);
    }
    match spawn_blocking(move || builder.finish_and_spare(compression)).await {
        Ok(packed) => packed,
        // Nobody cancels it, so it ends early only by a panic, which goes on here.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
