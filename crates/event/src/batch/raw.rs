//! Raw batches: frames as received.
//!
//! Body: `[version, id, listener, base, frames]`; a frame is `[delta, peer, defects, bytes]`, where `delta` is
//! microseconds after `base`, and `peer` is the index of a peer seen before or `[addr, tls_peer]`, which gives
//! a new peer the next index.

use super::{
    Compression, DecodeError, PayloadKind, envelope,
    wire::{self, Reader},
};
use crate::{
    defects::FrameDefects,
    id::{BatchId, EventId},
    time::Timestamp,
};
use std::collections::HashMap;

/// The encoding that this code writes; readers refuse others.
const VERSION: u64 = 1;

/// Collects frames into a payload; each frame is encoded as it is pushed.
#[derive(Debug)]
pub struct RawBatchBuilder {
    id: BatchId,
    buffer: Vec<u8>,
    count_at: usize,
    base_at: usize,
    base: Option<Timestamp>,
    frames: u32,
    peers: Peers,
}

/// Indexes of the peers seen so far. Most frames come from the same peer as the one before; of those that do not,
/// only the ones from a new peer take memory.
#[derive(Debug, Default)]
pub(super) struct Peers {
    seen: HashMap<String, u64>,
    /// The peer of the frame before, as a key of `seen`, and its index.
    last: String,
    last_index: u64,
}

/// Between address and name of a peer in a key: no address or path has it.
const SEPARATOR: char = '\0';

impl Peers {
    pub(super) fn put(&mut self, out: &mut Vec<u8>, addr: &str, tls_peer: Option<&str>) {
        if self.is_last(addr, tls_peer) {
            return wire::put_uint(out, self.last_index);
        }
        self.last.clear();
        self.last.push_str(addr);
        if let Some(tls_peer) = tls_peer {
            self.last.push(SEPARATOR);
            self.last.push_str(tls_peer);
        }
        if let Some(known) = self.seen.get(&self.last) {
            self.last_index = *known;
            return wire::put_uint(out, self.last_index);
        }
        self.last_index = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        self.seen.insert(self.last.clone(), self.last_index);
        wire::put_array(out, 2);
        wire::put_str(out, addr);
        wire::put_opt_str(out, tls_peer);
    }

    fn is_last(&self, addr: &str, tls_peer: Option<&str>) -> bool {
        let rest = self.last.strip_prefix(addr);
        let is_same = match tls_peer {
            None => rest == Some(""),
            Some(tls_peer) => rest.and_then(|rest| rest.strip_prefix(SEPARATOR)) == Some(tls_peer),
        };
        is_same && !self.seen.is_empty()
    }
}

/// A peer as a reader holds it.
pub(super) type PeerRef<'a> = (&'a str, Option<&'a str>);

pub(super) fn read_peer<'a>(
    reader: &mut Reader<'a>,
    peers: &mut Vec<PeerRef<'a>>,
) -> Result<PeerRef<'a>, DecodeError> {
    const INVALID: DecodeError = DecodeError::InvalidValue("peer");
    if reader.is_array() {
        if reader.array("peer")? != 2 {
            return Err(INVALID);
        }
        let peer = (reader.str("peer address")?, reader.opt_str("TLS peer")?);
        peers.push(peer);
        return Ok(peer);
    }
    let index = usize::try_from(reader.uint("peer")?).or(Err(INVALID))?;
    peers.get(index).copied().ok_or(INVALID)
}

impl RawBatchBuilder {
    /// An empty batch of what `listener` received.
    #[must_use]
    pub fn new(id: BatchId, listener: &str) -> Self {
        Self::with_buffer(id, listener, Vec::new())
    }

    /// Like [`new`](Self::new), in the memory of `buffer`, whose contents are thrown away.
    #[must_use]
    pub fn with_buffer(id: BatchId, listener: &str, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(envelope::HEADER, 0);
        wire::put_array(&mut buffer, 5);
        wire::put_uint(&mut buffer, VERSION);
        wire::put_bin(&mut buffer, id.as_uuid().as_bytes());
        wire::put_str(&mut buffer, listener);
        // An int 64 that the first frame fills in.
        buffer.push(rmp::Marker::I64.to_u8());
        let base_at = buffer.len();
        buffer.extend_from_slice(&[0; 8]);
        let count_at = wire::put_open_array(&mut buffer);
        Self {
            id,
            buffer,
            count_at,
            base_at,
            base: None,
            frames: 0,
            peers: Peers::default(),
        }
    }

    /// Adds a frame and returns its position.
    ///
    /// At most [`EventId::POSITIONS_MAX`] frames fit; close the batch before.
    pub fn push(
        &mut self,
        received_at: Timestamp,
        peer_addr: &str,
        tls_peer: Option<&str>,
        defects: FrameDefects,
        bytes: &[u8],
    ) -> u32 {
        debug_assert!(
            self.frames < EventId::POSITIONS_MAX,
            "the batch is closed before it has this many frames"
        );
        let base = *self.base.get_or_insert_with(|| {
            if let Some(slot) = self.buffer.get_mut(self.base_at..self.base_at + 8) {
                slot.copy_from_slice(&received_at.as_micros().to_be_bytes());
            }
            received_at
        });
        wire::put_array(&mut self.buffer, 4);
        wire::put_int(
            &mut self.buffer,
            received_at.as_micros().saturating_sub(base.as_micros()),
        );
        self.peers.put(&mut self.buffer, peer_addr, tls_peer);
        wire::put_uint(&mut self.buffer, u64::from(defects.bits()));
        wire::put_bin(&mut self.buffer, bytes);
        self.frames += 1;
        self.frames - 1
    }

    /// The batch's id.
    #[must_use]
    pub const fn id(&self) -> BatchId {
        self.id
    }

    /// Frames so far.
    #[must_use]
    pub const fn frames(&self) -> u32 {
        self.frames
    }

    /// Bytes so far, before compression.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.buffer.len()
    }

    /// The payload.
    #[must_use]
    pub fn finish(self, compression: Compression) -> Vec<u8> {
        self.finish_and_spare(compression).0
    }

    /// The payload, and the memory that it is not in, for [`with_buffer`](Self::with_buffer).
    #[must_use]
    pub fn finish_and_spare(mut self, compression: Compression) -> (Vec<u8>, Option<Vec<u8>>) {
        wire::patch_u32(&mut self.buffer, self.count_at, self.frames);
        let sealed = envelope::seal(self.buffer, PayloadKind::Raw, compression);
        (sealed.payload, sealed.spare)
    }
}

/// One frame of a raw batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its place in the batch, from 0.
    pub position: u32,
    /// When intake read it.
    pub received_at: Timestamp,
    /// The sender's address.
    pub peer_addr: &'a str,
    /// The name in the sender's client certificate.
    pub tls_peer: Option<&'a str>,
    /// What intake noticed.
    pub defects: FrameDefects,
    /// The line, without its framing.
    pub bytes: &'a [u8],
}

/// Reads a raw batch, frame by frame.
#[derive(Debug)]
pub struct RawBatch<'a> {
    id: BatchId,
    listener: &'a str,
    base: i64,
    count: usize,
    position: u32,
    peers: Vec<PeerRef<'a>>,
    reader: Reader<'a>,
}

impl<'a> RawBatch<'a> {
    /// Opens a payload. What is compressed goes through `scratch`, which is best kept for the next batch;
    /// bodies over `size_max` bytes are refused before memory is taken for them.
    ///
    /// # Errors
    /// Any [`DecodeError`]; the payload will never be readable.
    pub fn decode(payload: &'a [u8], scratch: &'a mut Vec<u8>, size_max: usize) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(envelope::open(payload, PayloadKind::Raw, scratch, size_max)?);
        let len = reader.array("batch")?;
        check_version(reader.uint("version")?, VERSION)?;
        if len != 5 {
            return Err(DecodeError::InvalidValue("batch"));
        }
        let id = read_batch_id(&mut reader)?;
        let listener = reader.str("listener")?;
        let base = reader.int("base time")?;
        let count = reader.array("frames")?;
        if count > usize::try_from(EventId::POSITIONS_MAX).unwrap_or(usize::MAX) {
            return Err(DecodeError::InvalidValue("frames"));
        }
        Ok(Self {
            id,
            listener,
            base,
            count,
            position: 0,
            peers: Vec::new(),
            reader,
        })
    }

    /// The batch's id.
    #[must_use]
    pub const fn id(&self) -> BatchId {
        self.id
    }

    /// The listener that took the frames.
    #[must_use]
    pub const fn listener(&self) -> &'a str {
        self.listener
    }

    /// Frames in the batch, read or not.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// True for a batch without frames.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The next frame; `None` after the last.
    ///
    /// # Errors
    /// Any [`DecodeError`]; the rest of the batch is lost to this reader.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'a>>, DecodeError> {
        let position = self.position;
        if usize::try_from(position).is_ok_and(|position| position >= self.count) {
            return match self.reader.remaining() {
                0 => Ok(None),
                trailing => Err(DecodeError::TrailingBytes(trailing)),
            };
        }
        if self.reader.array("frame")? != 4 {
            return Err(DecodeError::InvalidValue("frame"));
        }
        let delta = self.reader.int("arrival time")?;
        let (peer_addr, tls_peer) = read_peer(&mut self.reader, &mut self.peers)?;
        let defects = u8::try_from(self.reader.uint("frame defects")?)
            .map_or(FrameDefects::empty(), FrameDefects::from_bits_truncate);
        let bytes = self.reader.bin("frame bytes")?;
        self.position += 1;
        let received_at = Timestamp::from_micros(self.base.saturating_add(delta));
        Ok(Some(Frame {
            position,
            received_at,
            peer_addr,
            tls_peer,
            defects,
            bytes,
        }))
    }
}

pub(super) fn check_version(found: u64, known: u64) -> Result<(), DecodeError> {
    if found == known {
        Ok(())
    } else {
        Err(DecodeError::UnknownVersion(found))
    }
}

pub(super) fn read_batch_id(reader: &mut Reader<'_>) -> Result<BatchId, DecodeError> {
    let bytes = reader.bin("batch id")?;
    uuid::Uuid::from_slice(bytes)
        .map(BatchId::from_uuid)
        .or(Err(DecodeError::InvalidValue("batch id")))
}
