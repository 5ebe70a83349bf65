//! Rows as both stores take them: encoded once, in PostgreSQL's binary COPY layout, straight from the batch.
//!
//! PostgreSQL gets these bytes as they are; the SQLite writer reads the columns out of them.
//! See <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use event::{Defects, Event, EventTime, Facility, Severity, Timestamp};

use crate::json::{JsonWriter, without_nul};

/// The columns, in the order in which a row holds them.
pub(crate) const COLUMNS: [&str; 21] = [
    "id",
    "received_at",
    "timestamp",
    "timestamp_form",
    "facility",
    "severity",
    "hostname",
    "app_name",
    "procid",
    "msgid",
    "structured_data",
    "message",
    "has_bom",
    "tags",
    "fields",
    "peer_addr",
    "tls_peer",
    "listener",
    "route",
    "raw",
    "defects",
];

/// Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01.
pub(crate) const PG_EPOCH: i64 = 946_684_800_000_000;

/// Microseconds of the first and the last instant that four digits of a year can write.
pub(crate) const STORABLE: std::ops::RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

/// The type of elements of `text[]`, in pg_type.
const TEXT_OID: i32 = 25;

/// The nearest instant that stores can hold and tools can show.
pub(crate) fn storable_time(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().clamp(*STORABLE.start(), *STORABLE.end()))
}

/// What of a row the group keeps count of.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) received_at: Timestamp,
    /// The sender's clock, or ours where the sender named no time.
    pub(crate) sent_at: Timestamp,
    pub(crate) severity: Option<Severity>,
    pub(crate) hostname: Option<Cow<'a, str>>,
    pub(crate) app_name: Option<Cow<'a, str>>,
    pub(crate) peer_addr: Cow<'a, str>,
}

/// Appends the event as a row; what cannot be stored is replaced, and `defects` says so.
pub(crate) fn put_row<'a>(out: &mut BytesMut, event: &'a Event<'_>, route: &str) -> Row<'a> {
    let mut writer = RowWriter { out, is_exact: true };
    writer
        .out
        .put_i16(i16::try_from(COLUMNS.len()).unwrap_or(i16::MAX));
    writer.sized(event.id.as_uuid().as_bytes());
    let received_at = storable_time(event.received_at);
    writer.is_exact &= received_at == event.received_at;
    writer.time(Some(received_at));
    let timestamp = event.timestamp.filter(|time| storable_time(time.at) == time.at);
    writer.is_exact &= timestamp == event.timestamp;
    writer.time(timestamp.map(|time| time.at));
    writer.small(timestamp.map(timestamp_form));
    writer.small(event.facility.map(Facility::code).map(i16::from));
    writer.small(event.severity.map(Severity::code).map(i16::from));
    let hostname = writer.opt_text(event.hostname.as_deref());
    let app_name = writer.opt_text(event.app_name.as_deref());
    writer.opt_text(event.procid.as_deref());
    writer.opt_text(event.msgid.as_deref());
    writer.json(!event.structured_data.is_empty(), |json| {
        json.structured_data(&event.structured_data);
    });
    writer.opt_text(event.message.as_deref());
    writer.flag(event.has_bom);
    let tags: Vec<_> = event.tags.iter().map(|tag| &**tag).collect();
    writer.texts(&tags);
    writer.json(!event.fields.is_empty(), |json| json.object(&event.fields));
    let peer_addr = writer.text(&event.peer_addr);
    writer.opt_text(event.tls_peer.as_deref());
    writer.text(&event.listener);
    writer.text(route);
    match event.raw.as_deref() {
        Some(raw) => writer.sized(raw),
        // What had to be replaced stands there as it was, as JSON, which can say what the store cannot hold.
        None if !writer.is_exact => {
            let mut json = Vec::new();
            event::format::json::write_event(event, &mut json);
            writer.sized(&json);
        }
        None => writer.null(),
    }
    let mut defects = event.defects;
    defects.set(
        Defects::UNSTORABLE,
        defects.contains(Defects::UNSTORABLE) || !writer.is_exact,
    );
    if defects.is_empty() {
        writer.null();
    } else {
        writer.texts(&defects.words().collect::<Vec<_>>());
    }
    Row {
        received_at,
        sent_at: timestamp.map_or(received_at, |time| time.at),
        severity: event.severity,
        hostname,
        app_name,
        peer_addr,
    }
}

/// How the sender wrote the time, in one number: digits + 8 × (0 for `Z`, else the offset in minutes + 2048).
fn timestamp_form(time: EventTime) -> i16 {
    let offset = time
        .offset_minutes
        .map_or(0, |minutes| minutes.clamp(-2047, 2047) + 2048);
    offset * 8 + i16::from(time.fraction_digits.min(6))
}

/// The reverse of [`timestamp_form`], with the instant.
pub(crate) fn event_time(at: Timestamp, form: i16) -> EventTime {
    EventTime {
        at,
        offset_minutes: match form / 8 {
            0 => None,
            shifted => Some(shifted - 2048),
        },
        fraction_digits: u8::try_from(form % 8).unwrap_or(6).min(6),
    }
}

struct RowWriter<'b> {
    out: &'b mut BytesMut,
    /// False once something had to be replaced.
    is_exact: bool,
}

impl RowWriter<'_> {
    fn null(&mut self) {
        self.out.put_i32(-1);
    }

    /// Bytes with their length before them. Batches are capped far below 2 GiB, and so are their values.
    fn sized(&mut self, bytes: &[u8]) {
        self.out.put_i32(len32(bytes.len()));
        self.out.put_slice(bytes);
    }

    fn time(&mut self, at: Option<Timestamp>) {
        match at {
            Some(at) => {
                self.out.put_i32(8);
                self.out.put_i64(at.as_micros() - PG_EPOCH);
            }
            None => self.null(),
        }
    }

    fn small(&mut self, value: Option<i16>) {
        match value {
            Some(value) => {
                self.out.put_i32(2);
                self.out.put_i16(value);
            }
            None => self.null(),
        }
    }

    fn flag(&mut self, value: bool) {
        self.out.put_i32(1);
        self.out.put_u8(u8::from(value));
    }

    fn text<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        let storable = without_nul(text);
        self.is_exact &= matches!(storable, Cow::Borrowed(_));
        self.sized(storable.as_bytes());
        storable
    }

    fn opt_text<'a>(&mut self, text: Option<&'a str>) -> Option<Cow<'a, str>> {
        match text {
            Some(text) => Some(self.text(text)),
            None => {
                self.null();
                None
            }
        }
    }

    /// `text[]` of one dimension; absent when empty.
    fn texts(&mut self, items: &[&str]) {
        if items.is_empty() {
            return self.null();
        }
        let len_at = self.hole();
        self.out.put_i32(1); // dimensions
        self.out.put_i32(0); // no nulls
        self.out.put_i32(TEXT_OID);
        self.out.put_i32(len32(items.len()));
        self.out.put_i32(1); // the first index
        for item in items {
            self.text(item);
        }
        self.fill(len_at);
    }

    /// `jsonb`: a version byte, then text.
    fn json(&mut self, is_present: bool, write: impl FnOnce(&mut JsonWriter<'_>)) {
        if !is_present {
            return self.null();
        }
        let len_at = self.hole();
        self.out.put_u8(1);
        let mut json = JsonWriter::new(self.out);
        write(&mut json);
        self.is_exact &= json.is_exact();
        self.fill(len_at);
    }

    /// Room for a length that [`fill`](Self::fill) writes.
    fn hole(&mut self) -> usize {
        self.out.put_i32(0);
        self.out.len()
    }

    fn fill(&mut self, start: usize) {
        let len = len32(self.out.len() - start);
        if let Some(hole) = self.out.get_mut(start - 4..start) {
            hole.copy_from_slice(&len.to_be_bytes());
        }
    }
}

fn len32(len: usize) -> i32 {
    i32::try_from(len).expect("batches are capped far below 2 GiB")
}

/// Reads rows back, value by value.
#[derive(Debug, Clone)]
pub(crate) struct RowReader<'a> {
    rest: &'a [u8],
}

/// Why a reader of our own rows found something else: a bug.
const OURS: &str = "rows are encoded by put_row";

impl<'a> RowReader<'a> {
    pub(crate) const fn new(rows: &'a [u8]) -> Self {
        Self { rest: rows }
    }

    /// The values of the next row; `None` after the last.
    pub(crate) fn next_row(&mut self) -> Option<[Option<&'a [u8]>; COLUMNS.len()]> {
        let (_, rest) = self.rest.split_first_chunk::<2>()?;
        self.rest = rest;
        Some(std::array::from_fn(|_| self.value()))
    }

    /// Bytes not yet read.
    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn value(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.rest.split_first_chunk::<4>().expect(OURS);
        self.rest = rest;
        let len = usize::try_from(i32::from_be_bytes(*len)).ok()?;
        let (value, rest) = self.rest.split_at_checked(len).expect(OURS);
        self.rest = rest;
        Some(value)
    }
}

/// An 8-byte time value as Unix microseconds.
pub(crate) fn read_time(value: &[u8]) -> i64 {
    i64::from_be_bytes(value.try_into().expect(OURS)) + PG_EPOCH
}

/// A 2-byte number.
pub(crate) fn read_small(value: &[u8]) -> i16 {
    i16::from_be_bytes(value.try_into().expect(OURS))
}

/// A text value.
pub(crate) fn read_text(value: &[u8]) -> &str {
    std::str::from_utf8(value).expect(OURS)
}

/// A `text[]` value as a JSON array.
pub(crate) fn read_texts(value: &[u8]) -> String {
    let mut json = BytesMut::new();
    let mut items = RowReader {
        rest: value.get(20..).expect(OURS),
    };
    let texts = std::iter::from_fn(|| (!items.rest.is_empty()).then(|| items.value().map_or("", read_text)));
    JsonWriter::new(&mut json).strings(texts);
    read_text(&json).to_owned()
}
