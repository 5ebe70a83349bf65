//! The older forms: RFC 3164 and rsyslog's `RSYSLOG_FileFormat`.
//!
//! Both are one line. Control characters, tabs too, are written as rsyslog writes them (`#011`); blanks inside
//! a hostname or tag become `_`, so that a line's words stay where readers look for them. Neither has room for
//! the message id, structured data, tags and fields.

use super::{
    escape::{Controls, put_text, put_word},
    peer_host,
    rfc5424::put_priority,
    time::{put_event_time, two},
};
use crate::{event::Event, time::EventTime};

/// Names of months as RFC 3164 section 4.1.2 has them.
pub(super) const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Long enough for any name that a resolver takes.
const HOSTNAME_BYTES_MAX: usize = 255;
/// RFC 3164 says 32 for the tag; programs write longer ones and rsyslog takes them.
const TAG_BYTES_MAX: usize = 128;

/// `<34>Oct 11 22:14:15 mymachine su[231]: message`, in the sender's wall clock time.
pub(super) fn put_rfc3164(event: &Event<'_>, out: &mut Vec<u8>) {
    put_priority(event, out);
    let civil = time_of(event).civil();
    let month = usize::try_from(civil.month - 1)
        .ok()
        .and_then(|index| MONTHS.get(index));
    out.extend_from_slice(month.unwrap_or(&"Jan").as_bytes());
    out.push(b' ');
    let [tens, ones] = two(civil.day);
    out.extend_from_slice(&[if tens == b'0' { b' ' } else { tens }, ones, b' ']);
    let [h1, h2] = two(civil.hour);
    let [m1, m2] = two(civil.minute);
    let [s1, s2] = two(civil.second);
    out.extend_from_slice(&[h1, h2, b':', m1, m2, b':', s1, s2]);
    put_rest(event, out);
}

/// `2003-10-11T22:14:15.003Z mymachine su[231]: message`.
pub(super) fn put_rsyslog(event: &Event<'_>, out: &mut Vec<u8>) {
    put_event_time(out, time_of(event));
    put_rest(event, out);
}

/// The sender's time, ours where there is none.
pub(super) fn time_of(event: &Event<'_>) -> EventTime {
    event.timestamp.unwrap_or(EventTime::utc(event.received_at))
}

/// Hostname, tag and content, a blank before each that is there.
fn put_rest(event: &Event<'_>, out: &mut Vec<u8>) {
    out.push(b' ');
    if !put_word(
        out,
        event.hostname.as_deref(),
        HOSTNAME_BYTES_MAX,
        is_word_character,
    ) {
        let peer = peer_host(&event.peer_addr);
        if !put_word(out, Some(peer), HOSTNAME_BYTES_MAX, is_word_character) {
            out.push(b'-');
        }
    }
    if event.app_name.is_some() {
        out.push(b' ');
        put_tag(event, out);
    }
    if let Some(message) = &event.message {
        out.push(b' ');
        put_text(out, message.as_bytes(), Controls::EscapeTab);
    }
}

/// `su[231]:`, nothing without a program.
pub(super) fn put_tag(event: &Event<'_>, out: &mut Vec<u8>) -> bool {
    if !put_word(out, event.app_name.as_deref(), TAG_BYTES_MAX, is_word_character) {
        return false;
    }
    if let Some(procid) = &event.procid {
        out.push(b'[');
        put_word(out, Some(procid), TAG_BYTES_MAX, is_word_character);
        out.push(b']');
    }
    out.push(b':');
    true
}

fn is_word_character(char: char) -> bool {
    !char.is_whitespace() && !char.is_control()
}
