//! Lines of Cisco devices (IOS, IOS XR, NX-OS, ASA), recognised by `%FACILITY-SEVERITY-MNEMONIC:`.

use std::borrow::Cow;

use super::{
    cursor::Cursor,
    header, rfc3164,
    scan::{LABEL, MNEMONIC},
    stamp,
    zone::Zone,
};
use crate::{event::Event, priority::Severity, value::Value};

/// Parts in front of the mnemonic at most: message count, host name, sequence number, node, timestamp, process.
const PARTS_MAX: usize = 6;

/// Longest mnemonic with facility and severity, in bytes.
const MNEMONIC_BYTES_MAX: usize = 128;

/// False where no such line, from its message count, timestamp or mnemonic on, begins with the next byte.
pub(super) fn may_begin(cursor: Cursor<'_>) -> bool {
    matches!(cursor.peek(), Some(b'%' | b'*' | b'.' | b':' | b'0'..=b'9'))
}

/// Reads a line such as `123: router1: *Nov 21 10:00:00.123 UTC: %SYS-5-CONFIG_I: text`, in which everything
/// before the `%` may be missing. The last number in front goes to the field `sequence`, `SYS-5-CONFIG_I` to
/// `msgid`, `SYS` to `app_name` (where IOS XR names a process, that), the severity to `severity` where there was
/// no priority. Returns false, with `event` as it was, for another line.
pub(super) fn read<'a>(mut cursor: Cursor<'a>, event: &mut Event<'a>, zone: &Zone) -> bool {
    let mut parts = Parts::default();
    for _ in 0..=PARTS_MAX {
        cursor.eat(":");
        cursor.skip_spaces();
        if cursor.peek() == Some(b'%') {
            return mnemonic(&mut cursor).is_some_and(|mnemonic| {
                parts.fill(event, &mnemonic);
                event.message = cursor.rest_as_text();
                true
            });
        }
        if parts.read_one(&mut cursor, event, zone).is_none() {
            return false;
        }
    }
    false
}

/// What stood in front of the mnemonic.
#[derive(Debug, Default)]
struct Parts<'a> {
    stamp: Option<stamp::Stamp>,
    sequence: Option<i64>,
    hostname: Option<&'a str>,
    process: Option<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    /// One part and no colon behind it; `None` where there is none.
    fn read_one(&mut self, cursor: &mut Cursor<'a>, event: &Event<'_>, zone: &Zone) -> Option<()> {
        if self.stamp.is_none()
            && let Some(stamp) = stamp::read(cursor, zone, event.received_at)
        {
            self.stamp = Some(stamp);
            cursor.eat(" ");
            return (cursor.peek() == Some(b':') || cursor.peek() == Some(b'%')).then_some(());
        }
        let label = cursor.take_class(LABEL);
        if label.is_empty() {
            return None;
        }
        if cursor.eat("[") {
            let pid = cursor.take_digits();
            self.process = Some((label, pid));
            return (!pid.is_empty() && cursor.eat("]") && cursor.peek() == Some(b':')).then_some(());
        }
        match label.parse() {
            Ok(number) => self.sequence = Some(number),
            Err(_) => self.hostname = Some(label),
        }
        (cursor.peek() == Some(b':')).then_some(())
    }

    fn fill(self, event: &mut Event<'a>, mnemonic: &Mnemonic<'a>) {
        if let (None, Some(stamp)) = (event.timestamp, self.stamp) {
            rfc3164::set_timestamp(stamp, event);
        }
        if let (None, Some(hostname)) = (&event.hostname, self.hostname) {
            event.hostname = Some(header::field(hostname, &mut event.defects));
        }
        let app_name = self.process.map_or(mnemonic.facility, |(name, _)| name);
        event.app_name = Some(header::field(app_name, &mut event.defects));
        event.procid = self
            .process
            .map(|(_, pid)| header::field(pid, &mut event.defects));
        event.msgid = Some(Cow::Borrowed(mnemonic.whole));
        event.severity = event.severity.or(Some(mnemonic.severity));
        if let Some(sequence) = self.sequence {
            event
                .fields
                .push((Cow::Borrowed("sequence"), Value::Integer(sequence)));
        }
    }
}

#[derive(Debug)]
struct Mnemonic<'a> {
    whole: &'a str,
    facility: &'a str,
    severity: Severity,
}

/// `%SYS-5-CONFIG_I: `, with the space behind it. The facility may have several parts (`MGBL-CONFIG`), and IOS XR
/// puts a space in front of the colon.
fn mnemonic<'a>(cursor: &mut Cursor<'a>) -> Option<Mnemonic<'a>> {
    cursor.eat("%");
    let whole = cursor.take_class(MNEMONIC);
    if whole.len() > MNEMONIC_BYTES_MAX || !(cursor.eat(":") || cursor.eat(" :")) {
        return None;
    }
    cursor.eat(" ");
    let at = whole
        .as_bytes()
        .windows(3)
        .position(|window| matches!(window, [b'-', b'0'..=b'7', b'-']))?;
    let code = whole.as_bytes().get(at + 1)?.wrapping_sub(b'0');
    let facility = whole.get(..at).filter(|facility| !facility.is_empty())?;
    Some(Mnemonic {
        whole,
        facility,
        severity: Severity::new(code)?,
    })
}
