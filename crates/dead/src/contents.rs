//! What is in a dead letter: the lines of a raw batch, the events of an event batch, or bytes that are neither.

use event::{EventBatch, PayloadKind, RawBatch, format::json};

/// The largest batch that is unpacked to be looked at.
pub(crate) const BATCH_BYTES_MAX: usize = 256 << 20;
/// Characters of a preview.
const PREVIEW_MAX: usize = 160;

/// A body in a few words.
#[derive(Debug)]
pub struct Summary {
    /// Lines or events in it; `None` for what is no batch.
    pub events: Option<usize>,
    /// The beginning of the first.
    pub preview: String,
}

/// What is in a body.
#[must_use]
pub fn summary(body: &[u8]) -> Summary {
    let mut preview = None;
    let mut events = 0;
    let is_whole = each(body, |item| {
        events += 1;
        if preview.is_none() {
            preview = Some(cut(&item.line()));
        }
        true
    });
    Summary {
        events: is_whole.then_some(events),
        preview: preview.unwrap_or_else(|| cut(&String::from_utf8_lossy(body))),
    }
}

/// Whether any line or event has `text`, which is in lower case: in its bytes, or in what they were parsed into.
pub(crate) fn has(body: &[u8], text: &str) -> bool {
    let needle = Needle::new(text);
    let mut found = false;
    let is_whole = each(body, |item| {
        found = needle.is_in(item);
        !found
    });
    found || (!is_whole && needle.is_in_bytes(body))
}

/// What is looked for.
struct Needle<'a> {
    text: &'a str,
    /// As JSON has it, where a quote stands behind a backslash.
    in_json: String,
}

impl<'a> Needle<'a> {
    fn new(text: &'a str) -> Self {
        let quoted = serde_json::Value::from(text).to_string();
        let in_json = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        Self {
            text,
            in_json: in_json.to_owned(),
        }
    }

    fn is_in(&self, item: &Item<'_>) -> bool {
        match item {
            Item::Frame(bytes) => self.is_in_bytes(bytes),
            Item::Event(event) => {
                let json = item.whole().to_lowercase();
                json.contains(self.text)
                    || json.contains(&self.in_json)
                    || event.raw.as_deref().is_some_and(|raw| self.is_in_bytes(raw))
            }
        }
    }

    fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        String::from_utf8_lossy(bytes).to_lowercase().contains(self.text)
    }
}

/// Every line or event, one below the other, for people.
#[must_use]
pub fn lines(body: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    if !each(body, |item| {
        lines.push(item.whole());
        true
    }) {
        lines.push(String::from_utf8_lossy(body).into_owned());
    }
    lines
}

/// A line or event of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The bytes as received, where they were kept; of what is no batch, all of it.
    pub raw: Option<Vec<u8>>,
    /// The event as JSON, where it was parsed.
    pub json: Option<String>,
}

/// Every line or event, for who looks inside.
#[must_use]
pub fn pieces(body: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let is_whole = each(body, |item| {
        pieces.push(match item {
            Item::Frame(bytes) => Piece {
                raw: Some(bytes.to_vec()),
                json: None,
            },
            Item::Event(event) => Piece {
                raw: event.raw.as_deref().map(<[u8]>::to_vec),
                json: Some(item.whole()),
            },
        });
        true
    });
    if !is_whole {
        pieces.push(Piece {
            raw: Some(body.to_vec()),
            json: None,
        });
    }
    pieces
}

/// One thing in a batch.
enum Item<'a> {
    Frame(&'a [u8]),
    Event(Box<event::Event<'a>>),
}

impl Item<'_> {
    fn line(&self) -> String {
        match self {
            Item::Frame(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Item::Event(event) => match (&event.raw, &event.message) {
                (Some(raw), _) => String::from_utf8_lossy(raw).into_owned(),
                (None, Some(message)) => message.clone().into_owned(),
                (None, None) => self.whole(),
            },
        }
    }

    fn whole(&self) -> String {
        match self {
            Item::Frame(_) => self.line(),
            Item::Event(event) => {
                let mut out = Vec::new();
                json::write_event(event, &mut out);
                String::from_utf8_lossy(&out).into_owned()
            }
        }
    }
}

/// Calls `see` until it says false. Returns false for what is no batch, or is one that breaks off.
fn each(body: &[u8], mut see: impl FnMut(&Item<'_>) -> bool) -> bool {
    let mut scratch = Vec::new();
    match PayloadKind::of(body) {
        Ok(PayloadKind::Raw) => {
            let Ok(mut batch) = RawBatch::decode(body, &mut scratch, BATCH_BYTES_MAX) else {
                return false;
            };
            loop {
                match batch.next_frame() {
                    Ok(Some(frame)) => {
                        if !see(&Item::Frame(frame.bytes)) {
                            return true;
                        }
                    }
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
        }
        Ok(PayloadKind::Events) => {
            let Ok(mut batch) = EventBatch::decode(body, &mut scratch, BATCH_BYTES_MAX) else {
                return false;
            };
            loop {
                match batch.next_event() {
                    Ok(Some(event)) => {
                        if !see(&Item::Event(Box::new(event))) {
                            return true;
                        }
                    }
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
        }
        Err(_) => false,
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(PREVIEW_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use event::{
        BatchId, Compression, Event, EventBatchBuilder, EventId, FrameDefects, RawBatchBuilder, Timestamp,
        Value,
    };

    use super::*;

    #[test]
    fn batches_are_looked_into_and_anything_else_is_shown_as_it_is() {
        let mut batch = RawBatchBuilder::new(BatchId::mint(), "tcp");
        for frame in [&b"<13>first line"[..], "<13>second Größe".as_bytes()] {
            let at = Timestamp::from_micros(1);
            batch.push(at, "127.0.0.1:1", None, FrameDefects::empty(), frame);
        }
        let body = batch.finish(Compression::Lz4);
        let told = summary(&body);
        assert_eq!((told.events, told.preview.as_str()), (Some(2), "<13>first line"));
        assert!(has(&body, "größe") && !has(&body, "third"));
        assert_eq!(lines(&body), ["<13>first line", "<13>second Größe"]);

        let raw: Vec<_> = pieces(&body).into_iter().filter_map(|piece| piece.raw).collect();
        assert_eq!(raw, [&b"<13>first line"[..], "<13>second Größe".as_bytes()]);
        assert_eq!(pieces(b"x").len(), 1);

        let cut_off = body.get(..body.len() - 3).expect("is longer");
        assert_eq!(summary(cut_off).events, None);
        let told = summary(b"no batch at all");
        assert_eq!((told.events, told.preview.as_str()), (None, "no batch at all"));
        assert!(has(b"NO batch", "no batch") && lines(b"x") == ["x"]);
        assert_eq!(summary(&[b'x'; 1000]).preview.chars().count(), PREVIEW_MAX + 1);
    }

    #[test]
    fn text_is_found_in_raw_bytes_and_in_what_was_parsed() {
        let (id, at) = (BatchId::mint(), Timestamp::from_micros(1));
        let mut batch = EventBatchBuilder::new(id, id, "tcp", "default");
        let mut event = Event::received(EventId::derive(id, 0, at), 0, at, "127.0.0.1:1", "tcp");
        event.raw = Some(Cow::Borrowed(b"<13>only RAW \xff said \"no\""));
        event
            .fields
            .push(("user".into(), Value::String("C:\\Ana \"A\"".into())));
        batch.push(&event);
        let body = batch.finish(Compression::None);
        for text in ["only raw", "said \"no\"", "c:\\ana", "ana \"a\"", "\"user\""] {
            assert!(has(&body, text), "{text}");
        }
        assert!(!has(&body, "nowhere"));
    }
}
