//! What headers of both syslog generations share.

use std::borrow::Cow;

use super::cursor::Cursor;
use crate::{
    defects::Defects,
    event::Event,
    priority::{Facility, Severity},
};

/// Longest header field in bytes. RFC 5424 section 6 allows 255 for `HOSTNAME` and less for the others; senders
/// do not keep to the lower bounds, and what they write is worth more than the bound.
const FIELD_BYTES_MAX: usize = 255;

/// `<PRI>`: up to three digits without leading zeros, at most 191 (RFC 5424 section 6.2.1, RFC 3164 section
/// 4.1.1). Anything else is not a priority and stays where it is.
pub(super) fn priority(cursor: &mut Cursor<'_>, event: &mut Event<'_>) {
    let digit = |byte: u8| byte.wrapping_sub(b'0');
    let (value, len) = match *cursor.bytes() {
        [b'<', a @ b'0'..=b'9', b'>', ..] => (digit(a), 3),
        [b'<', a @ b'1'..=b'9', b @ b'0'..=b'9', b'>', ..] => (digit(a) * 10 + digit(b), 4),
        [b'<', b'1', b @ b'0'..=b'9', c @ b'0'..=b'9', b'>', ..] => (100 + digit(b) * 10 + digit(c), 5),
        _ => return,
    };
    let Some(facility) = Facility::new(value / 8) else {
        return;
    };
    event.facility = Some(facility);
    event.severity = Severity::new(value % 8);
    cursor.take(len);
}

/// A header field's text, cut to the longest allowed.
pub(super) fn field<'a>(text: impl Into<Cow<'a, str>>, defects: &mut Defects) -> Cow<'a, str> {
    let text = text.into();
    if text.len() <= FIELD_BYTES_MAX {
        return text;
    }
    *defects |= Defects::FIELD_TOO_LONG;
    let len = text.floor_char_boundary(FIELD_BYTES_MAX);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..len).unwrap_or(text)),
        Cow::Owned(mut text) => {
            text.truncate(len);
            Cow::Owned(text)
        }
    }
}
