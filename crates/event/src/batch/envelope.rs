//! The first bytes of every payload: `LF`, the kind, the compression.

use std::cell::RefCell;

use super::DecodeError;

/// What a payload holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// Frames as received.
    Raw,
    /// Parsed events.
    Events,
}

impl PayloadKind {
    /// The AMQP `content-type` of such a payload.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Raw => "application/vnd.logferry.raw-batch",
            Self::Events => "application/vnd.logferry.event-batch",
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Raw => b'R',
            Self::Events => b'E',
        }
    }

    /// What the payload says it is, from its first bytes.
    ///
    /// # Errors
    /// [`DecodeError::NotABatch`].
    pub fn of(payload: &[u8]) -> Result<Self, DecodeError> {
        match payload {
            [b'L', b'F', b'R', _, ..] => Ok(Self::Raw),
            [b'L', b'F', b'E', _, ..] => Ok(Self::Events),
            _ => Err(DecodeError::NotABatch),
        }
    }
}

/// How the MessagePack body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As it is.
    None,
    /// One LZ4 block, its decompressed size before it as a little-endian `u32`.
    #[default]
    Lz4,
}

/// Room at the front of an uncompressed payload, so that the body can be built behind it without a copy.
pub(super) const HEADER: usize = 4;

/// A sealed payload.
pub(super) struct Sealed {
    pub(super) payload: Vec<u8>,
    /// The memory in which the body was built, where the payload is not in it.
    pub(super) spare: Option<Vec<u8>>,
}

/// Turns `buffer`, which has [`HEADER`] unused bytes and then the body, into a payload.
pub(super) fn seal(mut buffer: Vec<u8>, kind: PayloadKind, compression: Compression) -> Sealed {
    let packed = match compression {
        Compression::None => None,
        Compression::Lz4 => compress(&buffer, kind),
    };
    match packed {
        Some(payload) => Sealed {
            payload,
            spare: Some(buffer),
        },
        None => {
            if let Some(front) = buffer.first_chunk_mut() {
                *front = header(kind, 0);
            }
            Sealed {
                payload: buffer,
                spare: None,
            }
        }
    }
}

/// Memory for packing that a thread keeps; what was taken for larger batches is given back.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

thread_local! {
    /// Where batches are packed. Room for the worst case is taken and cleared once a thread, and a payload holds
    /// no more memory than it fills.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// `None` when compression does not make it smaller.
fn compress(buffer: &[u8], kind: PayloadKind) -> Option<Vec<u8>> {
    let body = buffer.get(HEADER..)?;
    let size = u32::try_from(body.len()).ok()?;
    SCRATCH.with_borrow_mut(|scratch| {
        let worst = lz4_flex::block::get_maximum_output_size(body.len());
        if scratch.len() < worst {
            scratch.resize(worst, 0);
        }
        let written = lz4_flex::block::compress_into(body, scratch).ok()?;
        let packed = [&header(kind, 1)[..], &size.to_le_bytes(), scratch.get(..written)?].concat();
        if scratch.len() > SCRATCH_BYTES_MAX {
            *scratch = Vec::new();
        }
        (packed.len() < buffer.len()).then_some(packed)
    })
}

const fn header(kind: PayloadKind, compression: u8) -> [u8; HEADER] {
    [b'L', b'F', kind.byte(), compression]
}

/// The body of `payload`; decompressed into `scratch` where it is compressed.
pub(super) fn open<'a>(
    payload: &'a [u8],
    expected: PayloadKind,
    scratch: &'a mut Vec<u8>,
    size_max: usize,
) -> Result<&'a [u8], DecodeError> {
    let found = PayloadKind::of(payload)?;
    if found != expected {
        return Err(DecodeError::WrongKind { expected, found });
    }
    let (header, body) = payload
        .split_first_chunk::<HEADER>()
        .ok_or(DecodeError::NotABatch)?;
    let [_, _, _, compression] = header;
    match compression {
        0 if body.len() > size_max => Err(DecodeError::TooLarge {
            size: body.len(),
            max: size_max,
        }),
        0 => Ok(body),
        1 => {
            let (size, block) = body.split_first_chunk::<4>().ok_or(DecodeError::Truncated)?;
            let size = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
            if size > size_max {
                return Err(DecodeError::TooLarge { size, max: size_max });
            }
            // The old contents are overwritten, so growing is the only part that costs.
            scratch.resize(size, 0);
            match lz4_flex::block::decompress_into(block, scratch) {
                Ok(written) if written == size => Ok(scratch),
                Ok(_) | Err(_) => Err(DecodeError::BadCompression),
            }
        }
        _ => Err(DecodeError::NotABatch),
    }
}
