//! RFC 3164 and its relatives: `TIMESTAMP SP HOSTNAME SP TAG[PID]: CONTENT`, of which every part may be missing.
//!
//! RFC 3164 describes what senders do and obliges them to nothing, so this reads what is recognisable and
//! leaves the rest as text.

use std::borrow::Cow;

use super::{cisco, cursor::Cursor, header, object, stamp, zone::Zone};
use crate::{defects::Defects, event::Event, value::Value};

/// Longest tag in bytes; what is longer is text with a colon in it. RFC 3164 section 4.1.3 allows 32 characters,
/// container names and paths need more.
const TAG_BYTES_MAX: usize = 128;

/// Reads what follows `<PRI>`, or a whole frame without one. Returns false, with `event` as it was, where there is
/// neither a priority nor anything else to recognise a log line by.
pub(super) fn read<'a>(mut cursor: Cursor<'a>, event: &mut Event<'a>, zone: &Zone) -> bool {
    let has_priority = event.facility.is_some();
    if let Some(stamp) = stamp::read(&mut cursor, zone, event.received_at) {
        set_timestamp(stamp, event);
        let has_colon = cursor.eat(":") || cursor.eat(" :");
        cursor.take_while(|byte| byte == b' ');
        // Log files of applications have no host name behind `2026-11-21 10:00:00`.
        if !has_colon && (has_priority || !stamp.is_spaced_iso) {
            event.hostname = hostname(&mut cursor).map(|text| header::field(text, &mut event.defects));
        }
        content(cursor, event, zone);
    } else if !cisco::read(cursor, event, zone) && !kernel(cursor, event) {
        if !has_priority {
            return false;
        }
        content(cursor, event, zone);
    }
    if !has_priority {
        event.defects |= Defects::NO_PRIORITY;
    }
    true
}

pub(super) fn set_timestamp(stamp: stamp::Stamp, event: &mut Event<'_>) {
    event.timestamp = stamp.time;
    if stamp.time.is_none() {
        event.defects |= Defects::BAD_TIMESTAMP;
    }
}

/// A host name or address and the space behind it. A word that ends with a colon is a tag, and `last message
/// repeated 3 times` comes from syslog daemons without a host name.
fn hostname<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let mut ahead = *cursor;
    let text = ahead.take_while(is_hostname_byte);
    let ends = ahead.is_at_end() || ahead.eat(" ");
    let is_repetition = || text == "last" && ahead.rest().starts_with("message repeated ");
    if !ends
        || text.ends_with(':')
        || !text
            .bytes()
            .any(|byte| byte.is_ascii_alphanumeric() || byte >= 0x80)
        || is_repetition()
    {
        return None;
    }
    *cursor = ahead;
    Some(text)
}

/// Names, IPv4 and IPv6 addresses with a scope, and what relays make of them (`10.0.0.1/10.0.0.2`, `src@host`).
const fn is_hostname_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'.' | b'-' | b'_' | b':' | b'/' | b'%' | b'@' | b'+' | 0x80..
        )
}

/// What follows the host name: a tag or not, and the text.
fn content<'a>(mut cursor: Cursor<'a>, event: &mut Event<'a>, zone: &Zone) {
    if cisco::read(cursor, event, zone) || kernel(cursor, event) {
        return;
    }
    if let Some((tag, pid)) = tag(&mut cursor) {
        event.app_name = Some(header::field(tag, &mut event.defects));
        event.procid = pid.map(Cow::Borrowed);
    }
    object::read_message(cursor, event, zone);
}

/// `sshd[123]: `, `postfix/smtpd[123]: `, `sshd(pam_unix)[123]: `, `cron: `, also without the colon where there is
/// a numerical process id (`launchd[1] (com.apple.x): `), with the space behind it. Without a colon and a space or
/// a process id a word is no tag, and neither is one without a letter.
fn tag<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a str, Option<&'a str>)> {
    let mut ahead = *cursor;
    let bytes = ahead.bytes();
    let mut len = 0;
    while let Some(byte) = bytes.get(len) {
        match byte {
            b':' if bytes.get(len + 1) == Some(&b':') => len += 1,
            byte if is_tag_byte(*byte) => {}
            _ => break,
        }
        len += 1;
    }
    if len == 0 || len > TAG_BYTES_MAX {
        return None;
    }
    let tag = ahead.take(len);
    if !tag.bytes().any(|byte| byte.is_ascii_alphabetic() || byte >= 0x80) {
        return None;
    }
    let pid = if ahead.eat("[") {
        Some(pid(&mut ahead)?)
    } else {
        None
    };
    let is_numerical = pid.is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()));
    let has_colon = ahead.eat(":");
    let has_end = ahead.is_at_end() || ahead.eat(" ");
    // A process id and a colon are enough; without the colon a number and a space are.
    let is_tag = match (pid, has_colon) {
        (Some(_), true) => true,
        (Some(_), false) => is_numerical && has_end,
        (None, true) => has_end,
        (None, false) => false,
    };
    if !is_tag {
        return None;
    }
    *cursor = ahead;
    Some((tag, pid))
}

const fn is_tag_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'/' | b'.'
                | b'-'
                | b'_'
                | b'('
                | b')'
                | b'@'
                | b'*'
                | b'+'
                | b'~'
                | b'#'
                | b'$'
                | b'!'
                | b'\\'
                | 0x80..
        )
}

/// `123]`; anything printable, since only the operating system knows what a process id looks like.
fn pid<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let pid = cursor.take_while(|byte| byte.is_ascii_graphic() && !matches!(byte, b'[' | b']'));
    (!pid.is_empty() && pid.len() <= TAG_BYTES_MAX && cursor.eat("]")).then_some(pid)
}

/// A line of the kernel: `kernel: [12345.678901] text`, or without the tag. The seconds since the system started
/// go to the field `uptime_s`. Returns false, with `event` as it was, for another line.
fn kernel<'a>(mut cursor: Cursor<'a>, event: &mut Event<'a>) -> bool {
    cursor.eat("kernel: ");
    if !cursor.eat("[") {
        return false;
    }
    cursor.take_while(|byte| byte == b' ');
    let uptime = cursor.take_while(|byte| byte.is_ascii_digit() || byte == b'.');
    let (true, Ok(seconds)) = (uptime.contains('.'), uptime.parse()) else {
        return false;
    };
    if !cursor.eat("]") || uptime.len() > 32 {
        return false;
    }
    cursor.eat(" ");
    event.app_name = Some(Cow::Borrowed("kernel"));
    event
        .fields
        .push((Cow::Borrowed("uptime_s"), Value::Float(seconds)));
    event.message = cursor.rest_as_text();
    true
}
