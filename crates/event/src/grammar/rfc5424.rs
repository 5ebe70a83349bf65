//! RFC 5424: `VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA [SP MSG]`.

use std::borrow::Cow;

use super::{
    cursor::Cursor,
    header, object,
    scan::{SD_NAME, find_quote_or_backslash},
    wall_time,
    zone::Zone,
};
use crate::{
    defects::Defects,
    event::{Event, SdElement, SdParam},
};

/// Elements and parameters of structured data together at most, so that a frame of brackets does not take many
/// times its size in memory.
const SD_ITEMS_MAX: usize = 1024;

/// Reads what follows `<PRI>` where it is RFC 5424: version 1, then a timestamp, something that wants to be one,
/// or `-`. Returns false, with `event` as it was, where it is something else that happens to begin with a `1`.
pub(super) fn read<'a>(mut cursor: Cursor<'a>, event: &mut Event<'a>, zone: &Zone) -> bool {
    let begins = cursor.eat("1 ")
        && match cursor.bytes() {
            [b'-'] | [b'-', b' ', ..] => event.facility.is_some(),
            [a, b, c, d, b'-', ..] => [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()),
            _ => false,
        };
    if !begins {
        return false;
    }
    if event.facility.is_none() {
        event.defects |= Defects::NO_PRIORITY;
    }
    if fields(&mut cursor, event, zone).is_none() {
        event.defects |= Defects::BAD_HEADER;
        event.message = cursor.rest_as_text();
        return true;
    }
    if cursor.rest() == "-" || cursor.rest().starts_with("- ") {
        cursor.take(1);
    } else {
        structured_data(&mut cursor, event);
    }
    message(cursor, event, zone);
    true
}

/// The fields up to and with `MSGID` and the space behind it. `None` where the header ends early.
fn fields<'a>(cursor: &mut Cursor<'a>, event: &mut Event<'a>, zone: &Zone) -> Option<()> {
    match wall_time::iso(cursor.bytes()) {
        Some((wall, offset, len)) if matches!(cursor.bytes().get(len), Some(b' ') | None) => {
            event.timestamp = Some(zone.resolve(wall, offset, event.received_at));
            cursor.take(len + 1);
        }
        _ if token(cursor)?.is_some() => event.defects |= Defects::BAD_TIMESTAMP,
        _ => {}
    }
    event.hostname = field(cursor, event)?;
    event.app_name = field(cursor, event)?;
    event.procid = field(cursor, event)?;
    event.msgid = field(cursor, event)?;
    (!cursor.is_at_end()).then_some(())
}

fn field<'a>(cursor: &mut Cursor<'a>, event: &mut Event<'a>) -> Option<Option<Cow<'a, str>>> {
    Some(token(cursor)?.map(|text| header::field(text, &mut event.defects)))
}

/// One header field and the space behind it, `Some(None)` for the nil value; `None` where there is no field.
fn token<'a>(cursor: &mut Cursor<'a>) -> Option<Option<&'a str>> {
    let text = cursor.take_word();
    if text.is_empty() {
        return None;
    }
    cursor.eat(" ");
    Some((text != "-").then_some(text))
}

/// Elements until the first that breaks the grammar, which stays where it is.
fn structured_data<'a>(cursor: &mut Cursor<'a>, event: &mut Event<'a>) {
    let mut items_left = SD_ITEMS_MAX;
    loop {
        let mut ahead = *cursor;
        match element(&mut ahead, &mut items_left) {
            Ok(element) => event.structured_data.push(element),
            Err(defect) => {
                event.defects |= defect;
                return;
            }
        }
        *cursor = ahead;
        if cursor.peek() != Some(b'[') {
            return;
        }
    }
}

/// `[SD-ID *(SP PARAM-NAME="PARAM-VALUE")]`; more spaces than needed are overlooked.
fn element<'a>(cursor: &mut Cursor<'a>, items_left: &mut usize) -> Result<SdElement<'a>, Defects> {
    const BAD: Defects = Defects::BAD_STRUCTURED_DATA;
    let mut count_item = || {
        *items_left = items_left.checked_sub(1).ok_or(Defects::TOO_COMPLEX)?;
        Ok::<(), Defects>(())
    };
    count_item()?;
    if !cursor.eat("[") {
        return Err(BAD);
    }
    let id = name(cursor).ok_or(BAD)?;
    let mut params = Vec::new();
    loop {
        let has_space = cursor.skip_spaces();
        if cursor.eat("]") {
            return Ok(SdElement { id, params });
        }
        if !has_space {
            return Err(BAD);
        }
        count_item()?;
        let name = name(cursor).ok_or(BAD)?;
        if !cursor.eat("=\"") {
            return Err(BAD);
        }
        let value = param_value(cursor).ok_or(BAD)?;
        params.push(SdParam { name, value });
    }
}

/// `SD-NAME`: printable ASCII without `=`, `]` and `"`; of any length.
fn name<'a>(cursor: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let name = cursor.take_class(SD_NAME);
    (!name.is_empty()).then_some(Cow::Borrowed(name))
}

/// Up to the quotation mark that ends the value, which is taken too. `]` should have been escaped inside, and
/// means itself where it is not.
fn param_value<'a>(cursor: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let bytes = cursor.bytes();
    let mut at = 0;
    let mut has_escapes = false;
    loop {
        let behind = bytes.get(at..)?;
        let len = find_quote_or_backslash(behind);
        at += len;
        match behind.get(len)? {
            b'"' => break,
            // The character behind the backslash may be the quotation mark; whatever it is, it ends nothing.
            _ => at += 2,
        }
        has_escapes = true;
    }
    let value = cursor.take(at);
    cursor.take(1);
    Some(if has_escapes {
        Cow::Owned(unescape(value))
    } else {
        Cow::Borrowed(value)
    })
}

/// Undoes `\"`, `\\` and `\]`; another backslash means itself (RFC 5424 section 6.3.3).
fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once('\\') {
        text.push_str(before);
        match behind.as_bytes().first() {
            Some(escaped @ (b'"' | b'\\' | b']')) => {
                text.push(char::from(*escaped));
                rest = behind.get(1..).unwrap_or("");
            }
            _ => {
                text.push('\\');
                rest = behind;
            }
        }
    }
    text + rest
}

/// `[SP MSG]`, the byte order mark taken off.
fn message<'a>(mut cursor: Cursor<'a>, event: &mut Event<'a>, zone: &Zone) {
    if cursor.is_at_end() {
        return;
    }
    // Structured data that was broken off stands here itself, and the space comes later.
    if !cursor.eat(" ") && !event.defects.contains(Defects::TOO_COMPLEX) {
        event.defects |= Defects::BAD_STRUCTURED_DATA;
    }
    event.has_bom = cursor.eat("\u{feff}");
    object::read_message(cursor, event, zone);
}
