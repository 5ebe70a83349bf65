//! The first bytes of every payload: `LF`, the kind, the compression.

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

/// Turns `buffer`, which has [`HEADER`] unused bytes and then the body, into a payload.
pub(super) fn seal(mut buffer: Vec<u8>, kind: PayloadKind, compression: Compression) -> Vec<u8> {
    let packed = match compression {
        Compression::None => None,
        Compression::Lz4 => compress(&buffer, kind),
    };
    packed.unwrap_or_else(|| {
        write_header(&mut buffer, kind, 0);
        buffer
    })
}

/// `None` when compression does not make it smaller.
fn compress(buffer: &[u8], kind: PayloadKind) -> Option<Vec<u8>> {
    let body = buffer.get(HEADER..)?;
    let size = u32::try_from(body.len()).ok()?;
    let mut packed = vec![0; HEADER + 4 + lz4_flex::block::get_maximum_output_size(body.len())];
    write_header(&mut packed, kind, 1);
    packed
        .get_mut(HEADER..HEADER + 4)?
        .copy_from_slice(&size.to_le_bytes());
    let written = lz4_flex::block::compress_into(body, packed.get_mut(HEADER + 4..)?).ok()?;
    packed.truncate(HEADER + 4 + written);
    (packed.len() < buffer.len()).then_some(packed)
}

fn write_header(buffer: &mut [u8], kind: PayloadKind, compression: u8) {
    if let Some(header) = buffer.first_chunk_mut::<HEADER>() {
        *header = [b'L', b'F', kind.byte(), compression];
    }
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
