//! From the bytes of a frame to an event: RFC 5424, the RFC 3164 family and JSON, recognised per frame.
//!
//! Any bytes give an event, perhaps with defects, in time linear in their length. Everything that the event
//! holds is a slice of the frame; memory is taken only for structured data, for escapes that had to be undone
//! and for text that was not valid UTF-8.

mod cisco;
mod cursor;
mod header;
mod json;
mod object;
mod rfc3164;
mod rfc5424;
mod scan;
mod stamp;
mod wall_time;
mod zone;

use std::borrow::Cow;

use jiff::tz::TimeZone;

use self::{cursor::Cursor, zone::Zone};
use crate::{
    batch::Frame,
    defects::Defects,
    event::Event,
    id::{BatchId, EventId},
};

/// What a [`Grammar`] cannot read from the lines themselves.
#[derive(Debug, Clone)]
pub struct GrammarOptions {
    /// For timestamps that name no zone.
    pub time_zone: TimeZone,
}

impl Default for GrammarOptions {
    /// UTC.
    fn default() -> Self {
        Self {
            time_zone: TimeZone::UTC,
        }
    }
}

/// Parses frames of one listener. Build it once; it is used from any number of threads.
///
/// ```
/// use event::{BatchId, Frame, FrameDefects, Grammar, GrammarOptions, Timestamp};
///
/// let grammar = Grammar::new(GrammarOptions::default());
/// let frame = Frame {
///     position: 0,
///     received_at: Timestamp::now(),
///     peer_addr: "192.0.2.1:40000",
///     tls_peer: None,
///     defects: FrameDefects::empty(),
///     bytes: b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - 'su root' failed",
/// };
/// let event = grammar.parse(&frame, BatchId::mint(), "tcp");
/// assert_eq!(event.app_name.as_deref(), Some("su"));
/// assert!(event.defects.is_empty());
/// ```
#[derive(Debug)]
pub struct Grammar {
    zone: Zone,
    /// Whole lines are messages.
    is_none: bool,
}

impl Grammar {
    /// Works out what parsing needs again and again.
    #[must_use]
    pub fn new(options: GrammarOptions) -> Self {
        Self {
            zone: Zone::new(&options.time_zone),
            is_none: false,
        }
    }

    /// No grammar: the whole line is the message, and that is no defect.
    #[must_use]
    pub fn none() -> Self {
        Self {
            is_none: true,
            ..Self::default()
        }
    }

    /// The event of `frame`, which stands in the raw batch `source` of `listener`. Never fails: what fits
    /// nothing is an event whose `message` is the text, with the defect named. `raw` is always set.
    #[must_use]
    pub fn parse<'a>(&self, frame: &Frame<'a>, source: BatchId, listener: &'a str) -> Event<'a> {
        match simdutf8::basic::from_utf8(frame.bytes).map(without_terminators) {
            Ok(text) if memchr::memchr(0, text.as_bytes()).is_none() => {
                self.parse_text(text, frame, source, listener)
            }
            _ => self.parse_unreadable(frame, source, listener),
        }
    }

    /// Parses the frame whose bytes are `text`. By itself, so that the event is built where the caller wants it.
    #[inline]
    fn parse_text<'a>(
        &self,
        text: &'a str,
        frame: &Frame<'a>,
        source: BatchId,
        listener: &'a str,
    ) -> Event<'a> {
        let mut event = arrival(frame, source, listener);
        self.read(text, &mut event);
        event
    }

    /// Parses a frame that is not quite text.
    #[cold]
    fn parse_unreadable<'a>(&self, frame: &Frame<'a>, source: BatchId, listener: &'a str) -> Event<'a> {
        let (text, defects) = readable(frame.bytes);
        let mut event = arrival(frame, source, listener);
        event.defects |= defects;
        self.read(&text, &mut event);
        Event {
            raw: Some(Cow::Borrowed(frame.bytes)),
            ..event.into_owned()
        }
    }

    /// Reads `text`, the whole frame without its end, into `event`.
    fn read<'a>(&self, text: &'a str, event: &mut Event<'a>) {
        let zone = &self.zone;
        let mut cursor = Cursor::new(text);
        // Files begin with one now and then.
        cursor.eat("\u{feff}");
        if self.is_none {
            event.message = cursor.rest_as_text();
            return;
        }
        header::priority(&mut cursor, event);
        let mut first = cursor;
        first.skip_spaces();
        if first.peek() == Some(b'{') || first.eat(object::COOKIE) {
            return object::read(first, cursor, event, zone);
        }
        if rfc5424::read(cursor, event, zone) || rfc3164::read(cursor, event, zone) {
            return;
        }
        event.defects |= Defects::NO_PRIORITY | Defects::NOT_SYSLOG;
        event.message = cursor.rest_as_text();
    }
}

impl Default for Grammar {
    fn default() -> Self {
        Self::new(GrammarOptions::default())
    }
}

/// The event of which only the arrival is known yet.
fn arrival<'a>(frame: &Frame<'a>, source: BatchId, listener: &'a str) -> Event<'a> {
    let id = EventId::derive(source, frame.position, frame.received_at);
    let mut event = Event::received(id, frame.position, frame.received_at, frame.peer_addr, listener);
    event.tls_peer = frame.tls_peer.map(Cow::Borrowed);
    event.raw = Some(Cow::Borrowed(frame.bytes));
    event.defects = frame.defects.into();
    event
}

/// `text` without what senders put behind a line, beside or inside the framing: line ends and NUL.
fn without_terminators(mut text: &str) -> &str {
    while let [front @ .., b'\n' | b'\r' | 0] = text.as_bytes() {
        text = text.get(..front.len()).unwrap_or_default();
    }
    text
}

/// `bytes` as text, with visible marks for what text cannot hold.
fn readable(bytes: &[u8]) -> (String, Defects) {
    let text = String::from_utf8_lossy(bytes);
    let mut defects = Defects::empty();
    defects.set(Defects::INVALID_UTF8, matches!(text, Cow::Owned(_)));
    let text = without_terminators(&text);
    defects.set(Defects::NUL, text.contains('\0'));
    (text.replace('\0', "\u{2400}"), defects)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
