//! RFC 5424. An event read from a valid message is written as that message, but for the order of escapes that the
//! RFC lets vary; what came from elsewhere is made valid: characters that a header field may not hold become `_`,
//! fields that are too long are cut, and a line without priority is `user.notice` (as RFC 3164 section 4.3.3 has
//! it).

use super::{
    escape::{Controls, put_param_value, put_text, put_word},
    json::put_integer,
    time::put_event_time,
};
use crate::event::{Event, SdElement};

/// The byte order mark that says "what follows is UTF-8" (section 6.4).
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The message exactly, control characters included, without a line end: for transports that count octets and
/// for datagrams.
pub fn write_frame(event: &Event<'_>, out: &mut Vec<u8>) {
    put(event, out, Controls::Keep);
}

/// One line without its end: control characters except the tab are written as `#012`.
pub(super) fn put_line(event: &Event<'_>, out: &mut Vec<u8>) {
    put(event, out, Controls::Escape);
}

fn put(event: &Event<'_>, out: &mut Vec<u8>, controls: Controls) {
    put_priority(event, out);
    out.extend_from_slice(b"1 ");
    match event.timestamp {
        Some(timestamp) => put_event_time(out, timestamp),
        None => out.push(b'-'),
    }
    put_field(out, event.hostname.as_deref(), 255);
    put_field(out, event.app_name.as_deref(), 48);
    put_field(out, event.procid.as_deref(), 128);
    put_field(out, event.msgid.as_deref(), 32);
    out.push(b' ');
    put_structured_data(out, &event.structured_data, controls);
    if event.message.is_some() || event.has_bom {
        out.push(b' ');
    }
    if event.has_bom {
        out.extend_from_slice(BOM);
    }
    put_text(out, event.message.as_deref().unwrap_or("").as_bytes(), controls);
}

/// `<13>`.
pub(super) fn put_priority(event: &Event<'_>, out: &mut Vec<u8>) {
    out.push(b'<');
    put_integer(out, super::priority(event));
    out.push(b'>');
}

fn put_field(out: &mut Vec<u8>, value: Option<&str>, bytes_max: usize) {
    out.push(b' ');
    if !put_word(out, value, bytes_max, is_print_us_ascii) {
        out.push(b'-');
    }
}

const fn is_print_us_ascii(char: char) -> bool {
    char.is_ascii_graphic()
}

const fn is_sd_name(char: char) -> bool {
    char.is_ascii_graphic() && !matches!(char, '=' | ']' | '"')
}

pub(super) fn put_structured_data(out: &mut Vec<u8>, elements: &[SdElement<'_>], controls: Controls) {
    if elements.is_empty() {
        return out.push(b'-');
    }
    for element in elements {
        out.push(b'[');
        put_sd_name(out, &element.id);
        for param in &element.params {
            out.push(b' ');
            put_sd_name(out, &param.name);
            out.extend_from_slice(b"=\"");
            put_param_value(out, &param.value, controls);
            out.push(b'"');
        }
        out.push(b']');
    }
}

/// Names from valid messages are at most 32 characters; longer ones come from rules and are cut.
fn put_sd_name(out: &mut Vec<u8>, name: &str) {
    if !put_word(out, Some(name), 32, is_sd_name) {
        out.push(b'_');
    }
}
