//! JSON (RFC 8259) into [`Value`]s that borrow from the text. Ours, since no general reader keeps whole numbers of
//! any size, lets the last of several equal names win and bounds depth and number of values.

use std::{borrow::Cow, collections::HashSet};

use super::scan::find_quote_or_backslash;
use crate::{defects::Defects, value::Value};

/// Values in one text at most, so that a frame of commas does not take many times its size in memory.
const VALUES_MAX: usize = 16_384;

/// Objects with more members than this find equal names by hashing.
const MEMBERS_COMPARED_MAX: usize = 16;

pub(super) type Members<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// An object read off the front of a text.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) members: Members<'a>,
    /// Strings that held what text cannot ([`Defects::NUL`], [`Defects::INVALID_UTF8`]).
    pub(super) defects: Defects,
}

/// Reads `text`, which must be one object and white space.
///
/// # Errors
/// [`Defects::BAD_JSON`] for anything else, [`Defects::TOO_COMPLEX`] past the bounds.
pub(super) fn object(text: &str) -> Result<Object<'_>, Defects> {
    let mut reader = Reader {
        text,
        at: 0,
        values_left: VALUES_MAX,
        defects: Defects::empty(),
    };
    reader.expect(b'{')?;
    // The outermost object is the event's `fields`; the depth counts from the values in it.
    let members = reader.members(Value::DEPTH_MAX)?;
    if reader.peek().is_some() {
        return Err(Defects::BAD_JSON);
    }
    Ok(Object {
        members,
        defects: reader.defects,
    })
}

/// Of members with the same name only the last is kept.
pub(super) fn keep_last(members: &mut Members<'_>) {
    let mut keep = vec![true; 0];
    if members.len() > MEMBERS_COMPARED_MAX {
        let mut seen = HashSet::with_capacity(members.len());
        keep = members
            .iter()
            .rev()
            .map(|(name, _)| seen.insert(&**name))
            .collect();
        keep.reverse();
    } else {
        let is_last = |(at, (name, _)): (usize, &(Cow<'_, str>, _))| {
            !members.iter().skip(at + 1).any(|(later, _)| later == name)
        };
        if !members.iter().enumerate().all(is_last) {
            keep = members.iter().enumerate().map(is_last).collect();
        }
    }
    if keep.contains(&false) {
        let mut keep = keep.into_iter();
        members.retain(|_| keep.next().unwrap_or(true));
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values_left: usize,
    defects: Defects,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn expect(&mut self, expected: u8) -> Result<(), Defects> {
        if self.peek() == Some(expected) {
            self.at += 1;
            Ok(())
        } else {
            Err(Defects::BAD_JSON)
        }
    }

    /// After a member or an item: true for a comma, false for `end`.
    fn has_next(&mut self, end: u8) -> Result<bool, Defects> {
        let byte = self.peek();
        self.at += 1;
        match byte {
            Some(b',') => Ok(true),
            Some(byte) if byte == end => Ok(false),
            _ => Err(Defects::BAD_JSON),
        }
    }

    /// The members of an object whose brace was taken; `depth` is how deep their values may go.
    fn members(&mut self, depth: usize) -> Result<Members<'a>, Defects> {
        let mut members = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(members);
        }
        loop {
            self.expect(b'"')?;
            let name = self.string()?;
            self.expect(b':')?;
            members.push((name, self.value(depth)?));
            if !self.has_next(b'}')? {
                break;
            }
        }
        keep_last(&mut members);
        Ok(members)
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Defects> {
        self.values_left = self.values_left.checked_sub(1).ok_or(Defects::TOO_COMPLEX)?;
        let deeper = depth.checked_sub(1).ok_or(Defects::TOO_COMPLEX);
        match self.peek().ok_or(Defects::BAD_JSON)? {
            b'"' => {
                self.at += 1;
                self.string().map(Value::String)
            }
            b'{' => {
                self.at += 1;
                self.members(deeper?).map(Value::Object)
            }
            b'[' => {
                self.at += 1;
                self.items(deeper?).map(Value::Array)
            }
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Value<'a>>, Defects> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.value(depth)?);
            if !self.has_next(b']')? {
                return Ok(items);
            }
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Defects> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Defects::BAD_JSON);
        }
        self.at += word.len();
        Ok(value)
    }

    /// A number that no type of ours can hold is kept as its text.
    fn number(&mut self) -> Result<Value<'a>, Defects> {
        let (len, is_whole) = number_len(self.rest()).ok_or(Defects::BAD_JSON)?;
        let text = self.text.get(self.at..self.at + len).ok_or(Defects::BAD_JSON)?;
        self.at += len;
        if is_whole {
            if let Ok(value) = text.parse() {
                return Ok(Value::Integer(value));
            }
            return Ok(text
                .parse()
                .map_or(Value::String(Cow::Borrowed(text)), Value::Unsigned));
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::Float(value)),
            _ => Ok(Value::String(Cow::Borrowed(text))),
        }
    }

    /// A string whose opening quotation mark was taken. Control characters, which RFC 8259 wants escaped, mean
    /// themselves.
    fn string(&mut self) -> Result<Cow<'a, str>, Defects> {
        let mut text = Cow::Borrowed(self.unescaped());
        loop {
            let next = self.rest().first();
            self.at += 1;
            match next {
                Some(b'"') => return Ok(text),
                Some(b'\\') => {
                    let text = text.to_mut();
                    text.push(self.escaped()?);
                    text.push_str(self.unescaped());
                }
                _ => return Err(Defects::BAD_JSON),
            }
        }
    }

    /// What is in front of the next quotation mark or backslash, or of the end.
    fn unescaped(&mut self) -> &'a str {
        let len = find_quote_or_backslash(self.rest());
        let text = self.text.get(self.at..self.at + len).unwrap_or_default();
        self.at += len;
        text
    }

    /// The character that the escape behind a backslash means.
    fn escaped(&mut self) -> Result<char, Defects> {
        let byte = *self.rest().first().ok_or(Defects::BAD_JSON)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => match self.code_unit()? {
                0 => {
                    self.defects |= Defects::NUL;
                    '\u{2400}'
                }
                unit => self.character(unit)?,
            },
            _ => return Err(Defects::BAD_JSON),
        })
    }

    /// The character of a UTF-16 code unit, with the second half of a pair where it is the first. A half alone is
    /// no character.
    fn character(&mut self, unit: u32) -> Result<char, Defects> {
        if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let low = self.code_unit()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(code).ok_or(Defects::BAD_JSON);
            }
            self.at = before;
        }
        Ok(char::from_u32(unit).unwrap_or_else(|| {
            self.defects |= Defects::INVALID_UTF8;
            char::REPLACEMENT_CHARACTER
        }))
    }

    fn code_unit(&mut self) -> Result<u32, Defects> {
        let digits = self.rest().first_chunk::<4>().ok_or(Defects::BAD_JSON)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Defects::BAD_JSON)?;
            Ok(unit << 4 | digit)
        })
    }
}

/// Length of the number at the front of `bytes`, and whether it has neither fraction nor exponent.
fn number_len(bytes: &[u8]) -> Option<(usize, bool)> {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes.get(at) == Some(&b'0')) {
        return None;
    }
    at += whole;
    let mut is_whole = true;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
        is_whole = false;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return None;
        }
        at += 1 + sign + exponent;
        is_whole = false;
    }
    Some((at, is_whole))
}
