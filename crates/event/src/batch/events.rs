//! Event batches: parsed events of one raw batch that go one route.
//!
//! Body: `[version, id, source_id, listener, route, events]`; an event is an array of [`SLOTS`] values by
//! position, nil where absent. Ids of events are not on the wire: they follow from `source_id`, position and
//! arrival time.

use std::borrow::Cow;

use super::{
    Compression, DecodeError, PayloadKind, envelope,
    raw::{PeerRef, Peers, check_version, read_batch_id, read_peer},
    wire::{self, Reader},
};
use crate::{
    defects::Defects,
    event::{Event, SdElement, SdParam},
    id::{BatchId, EventId},
    priority::{Facility, Severity},
    time::{EventTime, Timestamp},
};

/// The encoding that this code writes; readers refuse others.
const VERSION: u64 = 1;

/// Values of an event, in this order: position, `received_at`, peer, facility, severity, timestamp, its form,
/// hostname, `app_name`, procid, msgid, structured data, message, BOM, raw, tags, fields, defects.
const SLOTS: usize = 18;

/// Collects events into a payload; each event is encoded as it is pushed.
#[derive(Debug)]
pub struct EventBatchBuilder {
    id: BatchId,
    buffer: Vec<u8>,
    count_at: usize,
    events: u32,
    peers: Peers,
}

impl EventBatchBuilder {
    /// An empty batch of events that come from the raw batch `source` and go to `route`.
    #[must_use]
    pub fn new(id: BatchId, source: BatchId, listener: &str, route: &str) -> Self {
        Self::with_buffer(id, source, listener, route, Vec::new())
    }

    /// Like [`new`](Self::new), in the memory of `buffer`, whose contents are thrown away.
    #[must_use]
    pub fn with_buffer(
        id: BatchId,
        source: BatchId,
        listener: &str,
        route: &str,
        mut buffer: Vec<u8>,
    ) -> Self {
        buffer.clear();
        buffer.resize(envelope::HEADER, 0);
        wire::put_array(&mut buffer, 6);
        wire::put_uint(&mut buffer, VERSION);
        wire::put_bin(&mut buffer, id.as_uuid().as_bytes());
        wire::put_bin(&mut buffer, source.as_uuid().as_bytes());
        wire::put_str(&mut buffer, listener);
        wire::put_str(&mut buffer, route);
        let count_at = wire::put_open_array(&mut buffer);
        Self {
            id,
            buffer,
            count_at,
            events: 0,
            peers: Peers::default(),
        }
    }

    /// Adds an event. Its `id` and `listener` are the batch's matter and are not written. Values in `fields` that
    /// the encoding cannot hold ([`Value::DEPTH_MAX`](crate::Value::DEPTH_MAX), numbers that are none) become null
    /// and the event `too_complex`.
    pub fn push(&mut self, event: &Event<'_>) {
        let out = &mut self.buffer;
        wire::put_array(out, SLOTS);
        wire::put_uint(out, u64::from(event.position));
        wire::put_int(out, event.received_at.as_micros());
        self.peers.put(out, &event.peer_addr, event.tls_peer.as_deref());
        put_opt_code(out, event.facility.map(Facility::code));
        put_opt_code(out, event.severity.map(Severity::code));
        put_time(out, event.timestamp);
        wire::put_opt_str(out, event.hostname.as_deref());
        wire::put_opt_str(out, event.app_name.as_deref());
        wire::put_opt_str(out, event.procid.as_deref());
        wire::put_opt_str(out, event.msgid.as_deref());
        put_structured_data(out, &event.structured_data);
        wire::put_opt_str(out, event.message.as_deref());
        wire::put_bool(out, event.has_bom);
        match event.raw.as_deref() {
            Some(raw) => wire::put_bin(out, raw),
            None => wire::put_nil(out),
        }
        if event.tags.is_empty() {
            wire::put_nil(out);
        } else {
            wire::put_array(out, event.tags.len());
            for tag in &event.tags {
                wire::put_str(out, tag);
            }
        }
        let mut defects = event.defects;
        if event.fields.is_empty() {
            wire::put_nil(out);
        } else if !wire::put_fields(out, &event.fields) {
            defects |= Defects::TOO_COMPLEX;
        }
        wire::put_uint(out, u64::from(defects.bits()));
        self.events += 1;
    }

    /// The batch's id.
    #[must_use]
    pub const fn id(&self) -> BatchId {
        self.id
    }

    /// Events so far.
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.events
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
        wire::patch_u32(&mut self.buffer, self.count_at, self.events);
        let sealed = envelope::seal(self.buffer, PayloadKind::Events, compression);
        (sealed.payload, sealed.spare)
    }
}

fn put_opt_code(out: &mut Vec<u8>, code: Option<u8>) {
    match code {
        Some(code) => wire::put_uint(out, u64::from(code)),
        None => wire::put_nil(out),
    }
}

/// The instant, then one number for the form: digits + 8 × (0 for `Z`, else the offset in minutes + 2048).
fn put_time(out: &mut Vec<u8>, time: Option<EventTime>) {
    let Some(time) = time else {
        wire::put_nil(out);
        return wire::put_nil(out);
    };
    wire::put_int(out, time.at.as_micros());
    // RFC 5424 can write less than a day, and a reader refuses what it cannot write.
    let offset = time.offset_minutes.map_or(0, |minutes| {
        u64::try_from(i32::from(minutes.clamp(-1439, 1439)) + 2048).unwrap_or(0)
    });
    wire::put_uint(out, u64::from(time.fraction_digits.min(6)) + 8 * offset);
}

fn put_structured_data(out: &mut Vec<u8>, elements: &[SdElement<'_>]) {
    if elements.is_empty() {
        return wire::put_nil(out);
    }
    wire::put_array(out, elements.len());
    for element in elements {
        wire::put_array(out, 1 + 2 * element.params.len());
        wire::put_str(out, &element.id);
        for param in &element.params {
            wire::put_str(out, &param.name);
            wire::put_str(out, &param.value);
        }
    }
}

/// Reads an event batch, event by event.
#[derive(Debug)]
pub struct EventBatch<'a> {
    id: BatchId,
    source: BatchId,
    listener: &'a str,
    route: &'a str,
    count: usize,
    read: usize,
    peers: Vec<PeerRef<'a>>,
    reader: Reader<'a>,
}

impl<'a> EventBatch<'a> {
    /// Opens a payload. What is compressed goes through `scratch`, which is best kept for the next batch;
    /// bodies over `size_max` bytes are refused before memory is taken for them.
    ///
    /// # Errors
    /// Any [`DecodeError`]; the payload will never be readable.
    pub fn decode(payload: &'a [u8], scratch: &'a mut Vec<u8>, size_max: usize) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(envelope::open(payload, PayloadKind::Events, scratch, size_max)?);
        let len = reader.array("batch")?;
        check_version(reader.uint("version")?, VERSION)?;
        if len != 6 {
            return Err(DecodeError::InvalidValue("batch"));
        }
        let id = read_batch_id(&mut reader)?;
        let source = read_batch_id(&mut reader)?;
        let listener = reader.str("listener")?;
        let route = reader.str("route")?;
        let count = reader.array("events")?;
        Ok(Self {
            id,
            source,
            listener,
            route,
            count,
            read: 0,
            peers: Vec::new(),
            reader,
        })
    }

    /// The batch's id.
    #[must_use]
    pub const fn id(&self) -> BatchId {
        self.id
    }

    /// The raw batch that the events come from.
    #[must_use]
    pub const fn source(&self) -> BatchId {
        self.source
    }

    /// The listener that took the frames.
    #[must_use]
    pub const fn listener(&self) -> &'a str {
        self.listener
    }

    /// The route that the rules chose.
    #[must_use]
    pub const fn route(&self) -> &'a str {
        self.route
    }

    /// Events in the batch, read or not.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// True for a batch without events.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// Any [`DecodeError`]; the rest of the batch is lost to this reader.
    pub fn next_event(&mut self) -> Result<Option<Event<'a>>, DecodeError> {
        if self.read == self.count {
            return match self.reader.remaining() {
                0 => Ok(None),
                trailing => Err(DecodeError::TrailingBytes(trailing)),
            };
        }
        let reader = &mut self.reader;
        if reader.array("event")? != SLOTS {
            return Err(DecodeError::InvalidValue("event"));
        }
        let position = read_number(reader, "position")?;
        let received_at = Timestamp::from_micros(reader.int("received_at")?);
        let (peer_addr, tls_peer) = read_peer(reader, &mut self.peers)?;
        let id = EventId::derive(self.source, position, received_at);
        let mut event = Event::received(id, position, received_at, peer_addr, self.listener);
        event.tls_peer = tls_peer.map(Cow::Borrowed);
        event.facility = read_code(reader, "facility", Facility::new)?;
        event.severity = read_code(reader, "severity", Severity::new)?;
        event.timestamp = read_time(reader)?;
        event.hostname = reader.opt_str("hostname")?.map(Cow::Borrowed);
        event.app_name = reader.opt_str("app_name")?.map(Cow::Borrowed);
        event.procid = reader.opt_str("procid")?.map(Cow::Borrowed);
        event.msgid = reader.opt_str("msgid")?.map(Cow::Borrowed);
        read_structured_data(reader, &mut event.structured_data)?;
        event.message = reader.opt_str("message")?.map(Cow::Borrowed);
        event.has_bom = reader.bool("byte order mark")?;
        if !reader.take_nil() {
            event.raw = Some(Cow::Borrowed(reader.bin("raw")?));
        }
        if !reader.take_nil() {
            for _ in 0..reader.array("tags")? {
                event.tags.push(Cow::Borrowed(reader.str("tag")?));
            }
        }
        if !reader.take_nil() {
            reader.fields(&mut event.fields)?;
        }
        event.defects = Defects::from_bits_truncate(read_number(reader, "defects")?);
        self.read += 1;
        Ok(Some(event))
    }
}

fn read_number<T: TryFrom<u64>>(reader: &mut Reader<'_>, what: &'static str) -> Result<T, DecodeError> {
    T::try_from(reader.uint(what)?).or(Err(DecodeError::InvalidValue(what)))
}

fn read_code<T>(
    reader: &mut Reader<'_>,
    what: &'static str,
    new: fn(u8) -> Option<T>,
) -> Result<Option<T>, DecodeError> {
    if reader.take_nil() {
        return Ok(None);
    }
    new(read_number(reader, what)?)
        .map(Some)
        .ok_or(DecodeError::InvalidValue(what))
}

fn read_time(reader: &mut Reader<'_>) -> Result<Option<EventTime>, DecodeError> {
    const INVALID: DecodeError = DecodeError::InvalidValue("timestamp form");
    if reader.take_nil() {
        return if reader.take_nil() { Ok(None) } else { Err(INVALID) };
    }
    let at = Timestamp::from_micros(reader.int("timestamp")?);
    let form: i16 = reader.uint("timestamp form")?.try_into().or(Err(INVALID))?;
    let offset_minutes = match form / 8 {
        0 => None,
        shifted @ 609..=3487 => Some(shifted - 2048),
        _ => return Err(INVALID),
    };
    let fraction_digits = u8::try_from(form % 8)
        .ok()
        .filter(|digits| *digits <= 6)
        .ok_or(INVALID)?;
    Ok(Some(EventTime {
        at,
        offset_minutes,
        fraction_digits,
    }))
}

fn read_structured_data<'a>(
    reader: &mut Reader<'a>,
    elements: &mut Vec<SdElement<'a>>,
) -> Result<(), DecodeError> {
    if reader.take_nil() {
        return Ok(());
    }
    for _ in 0..reader.array("structured data")? {
        let len = reader.array("structured data element")?;
        if len % 2 == 0 {
            return Err(DecodeError::InvalidValue("structured data element"));
        }
        let id = Cow::Borrowed(reader.str("SD-ID")?);
        let mut params = Vec::new();
        for _ in 0..len / 2 {
            let name = Cow::Borrowed(reader.str("PARAM-NAME")?);
            let value = Cow::Borrowed(reader.str("PARAM-VALUE")?);
            params.push(SdParam { name, value });
        }
        elements.push(SdElement { id, params });
    }
    Ok(())
}
