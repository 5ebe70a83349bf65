//! RFC 3164 and its relatives: `TIMESTAMP SP HOSTNAME SP TAG[PID]: CONTENT`, of which every part may be missing.
//!
//! RFC 3164 describes what senders do and obliges them to nothing, so this reads what is recognisable and
//! leaves the rest as text.

use std::borrow::Cow;

use super::{
    cisco,
    cursor::Cursor,
    header, object,
    scan::{ALPHABETIC, ALPHANUMERIC, HOSTNAME, PID, TAG},
    stamp,
    zone::Zone,
};
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
        cursor.skip_spaces();
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
    let text = ahead.take_class(HOSTNAME);
    let ends = ahead.is_at_end() || ahead.eat(" ");
    let is_repetition = || text == "last" && ahead.rest().starts_with("message repeated ");
    if !ends || text.ends_with(':') || !ALPHANUMERIC.contains_any_of(text) || is_repetition() {
        return None;
    }
    *cursor = ahead;
    Some(text)
}

/// What follows the host name: a tag or not, and the text.
fn content<'a>(cursor: Cursor<'a>, event: &mut Event<'a>, zone: &Zone) {
    let mut text = cursor;
    let tag = tag(&mut text);
    // Where Cisco devices have something in front of the mnemonic, it may look like a tag.
    if (cisco::may_begin(cursor) || cisco::may_begin(text)) && cisco::read(cursor, event, zone) {
        return;
    }
    if tag.is_none_or(|(tag, _)| tag == "kernel") && kernel(cursor, event) {
        return;
    }
    if let Some((tag, pid)) = tag {
        event.app_name = Some(header::field(tag, &mut event.defects));
        event.procid = pid.map(Cow::Borrowed);
    }
    object::read_message(text, event, zone);
}

/// `sshd[123]: `, `postfix/smtpd[123]: `, `sshd(pam_unix)[123]: `, `cron: `, also without the colon where there is
/// a numerical process id (`launchd[1] (com.apple.x): `), with the space behind it. Without a colon and a space or
/// a process id a word is no tag, and neither is one without a letter.
fn tag<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a str, Option<&'a str>)> {
    let mut ahead = *cursor;
    let bytes = ahead.bytes();
    let mut len = TAG.span(bytes);
    while let Some([b':', b':', behind @ ..]) = bytes.get(len..) {
        len += 2 + TAG.span(behind);
    }
    if len == 0 || len > TAG_BYTES_MAX {
        return None;
    }
    let tag = ahead.take(len);
    if !ALPHABETIC.contains_any_of(tag) {
        return None;
    }
    let pid = if ahead.eat("[") {
        Some(pid(&mut ahead)?)
    } else {
        None
    };
    let has_colon = ahead.eat(":");
    let has_end = ahead.is_at_end() || ahead.eat(" ");
    // A process id and a colon are enough; without the colon a number and a space are.
    let is_tag = match (pid, has_colon) {
        (Some(_), true) => true,
        (Some(pid), false) => has_end && pid.bytes().all(|byte| byte.is_ascii_digit()),
        (None, true) => has_end,
        (None, false) => false,
    };
    if !is_tag {
        return None;
    }
    *cursor = ahead;
    Some((tag, pid))
}

/// `123]`.
fn pid<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let pid = cursor.take_class(PID);
    (!pid.is_empty() && pid.len() <= TAG_BYTES_MAX && cursor.eat("]")).then_some(pid)
}

/// A line of the kernel: `kernel: [12345.678901] text`, or without the tag. The seconds since the system started
/// go to the field `uptime_s`. Returns false, with `event` as it was, for another line.
fn kernel<'a>(mut cursor: Cursor<'a>, event: &mut Event<'a>) -> bool {
    cursor.eat("kernel: ");
    if !cursor.eat("[") {
        return false;
    }
    cursor.skip_spaces();
    let mut behind = cursor;
    behind.take_digits();
    let is_number = behind.eat(".") && !behind.take_digits().is_empty();
    let uptime = cursor.take(cursor.rest().len() - behind.rest().len());
    let (true, true, Ok(seconds)) = (is_number, cursor.eat("]"), uptime.parse()) else {
        return false;
    };
    cursor.eat(" ");
    event.app_name = Some(Cow::Borrowed("kernel"));
    event
        .fields
        .push((Cow::Borrowed("uptime_s"), Value::Float(seconds)));
    event.message = cursor.rest_as_text();
    true
}
