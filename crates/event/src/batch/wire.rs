//! MessagePack values by hand, on rmp: writing into a `Vec`, reading borrowed from a slice.
//! See <https://github.com/msgpack/msgpack/blob/master/spec.md>.

use std::borrow::Cow;

use rmp::{Marker, encode};

use super::DecodeError;
use crate::value::Value;

/// Writing to memory cannot fail.
const INFALLIBLE: &str = "a Vec takes any number of bytes";

pub(super) fn put_uint(out: &mut Vec<u8>, value: u64) {
    encode::write_uint(out, value).expect(INFALLIBLE);
}

pub(super) fn put_int(out: &mut Vec<u8>, value: i64) {
    encode::write_sint(out, value).expect(INFALLIBLE);
}

pub(super) fn put_str(out: &mut Vec<u8>, value: &str) {
    encode::write_str(out, value).expect(INFALLIBLE);
}

pub(super) fn put_opt_str(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => put_str(out, value),
        None => put_nil(out),
    }
}

pub(super) fn put_bin(out: &mut Vec<u8>, value: &[u8]) {
    encode::write_bin(out, value).expect(INFALLIBLE);
}

pub(super) fn put_nil(out: &mut Vec<u8>) {
    out.push(Marker::Null.to_u8());
}

pub(super) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value {
        Marker::True.to_u8()
    } else {
        Marker::False.to_u8()
    });
}

/// Lengths over `u32::MAX` cannot come up: sizes of frames and batches are capped far below.
fn len32(len: usize) -> u32 {
    u32::try_from(len).expect("batches are capped far below 4 GiB")
}

pub(super) fn put_array(out: &mut Vec<u8>, len: usize) {
    encode::write_array_len(out, len32(len)).expect(INFALLIBLE);
}

pub(super) fn put_map(out: &mut Vec<u8>, len: usize) {
    encode::write_map_len(out, len32(len)).expect(INFALLIBLE);
}

/// An `array 32` whose length [`patch_u32`] sets later; returns where.
pub(super) fn put_open_array(out: &mut Vec<u8>) -> usize {
    out.push(Marker::Array32.to_u8());
    out.extend_from_slice(&[0; 4]);
    out.len() - 4
}

pub(super) fn patch_u32(out: &mut [u8], at: usize, value: u32) {
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&value.to_be_bytes());
    }
}

/// Writes the entries as a map. False where something in them could not be written and is nil now: what is nested
/// deeper than [`Value::DEPTH_MAX`], or a number that is none; readers would refuse the whole batch for it.
#[must_use]
pub(super) fn put_fields(out: &mut Vec<u8>, entries: &[(Cow<'_, str>, Value<'_>)]) -> bool {
    put_entries(out, entries, Value::DEPTH_MAX)
}

fn put_entries(out: &mut Vec<u8>, entries: &[(Cow<'_, str>, Value<'_>)], depth: usize) -> bool {
    put_map(out, entries.len());
    let mut is_whole = true;
    for (name, value) in entries {
        put_str(out, name);
        is_whole &= put_value(out, value, depth);
    }
    is_whole
}

/// `depth` is how much deeper arrays and objects may go.
fn put_value(out: &mut Vec<u8>, value: &Value<'_>, depth: usize) -> bool {
    match (value, depth.checked_sub(1)) {
        (Value::Null, _) => put_nil(out),
        (Value::Bool(value), _) => put_bool(out, *value),
        (Value::Integer(value), _) => put_int(out, *value),
        (Value::Unsigned(value), _) => put_uint(out, *value),
        (Value::Float(value), _) if value.is_finite() => encode::write_f64(out, *value).expect(INFALLIBLE),
        (Value::String(value), _) => put_str(out, value),
        (Value::Array(items), Some(deeper)) => {
            put_array(out, items.len());
            let mut is_whole = true;
            for item in items {
                is_whole &= put_value(out, item, deeper);
            }
            return is_whole;
        }
        (Value::Object(entries), Some(deeper)) => return put_entries(out, entries, deeper),
        (Value::Float(_) | Value::Array(_) | Value::Object(_), _) => {
            put_nil(out);
            return false;
        }
    }
    true
}

/// Reads values off the front of a slice.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (head, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn marker(&mut self) -> Result<Marker, DecodeError> {
        self.byte().map(Marker::from_u8)
    }

    /// The next `N` bytes, which are a big-endian number.
    fn be<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.be().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.be().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.be().map(u64::from_be_bytes)
    }

    fn len8(&mut self) -> Result<usize, DecodeError> {
        self.byte().map(usize::from)
    }

    fn len16(&mut self) -> Result<usize, DecodeError> {
        self.u16().map(usize::from)
    }

    fn len32(&mut self) -> Result<usize, DecodeError> {
        self.u32().map(|len| usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// True when the next value is nil, which is then taken.
    pub(super) fn take_nil(&mut self) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == Marker::Null.to_u8() => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// True when the next value is an array.
    pub(super) fn is_array(&self) -> bool {
        let marker = self.rest.first().map(|byte| Marker::from_u8(*byte));
        matches!(
            marker,
            Some(Marker::FixArray(_) | Marker::Array16 | Marker::Array32)
        )
    }

    pub(super) fn uint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        match self.marker()? {
            Marker::FixPos(value) => Ok(u64::from(value)),
            Marker::U8 => self.byte().map(u64::from),
            Marker::U16 => self.u16().map(u64::from),
            Marker::U32 => self.u32().map(u64::from),
            Marker::U64 => self.u64(),
            other => Err(unexpected(other, what)),
        }
    }

    pub(super) fn int(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let marker = self.marker()?;
        self.int_of(marker, what)
    }

    fn int_of(&mut self, marker: Marker, what: &'static str) -> Result<i64, DecodeError> {
        Ok(match marker {
            Marker::FixPos(value) => i64::from(value),
            Marker::FixNeg(value) => i64::from(value),
            Marker::U8 => i64::from(self.byte()?),
            Marker::U16 => i64::from(self.u16()?),
            Marker::U32 => i64::from(self.u32()?),
            Marker::U64 => i64::try_from(self.u64()?).or(Err(DecodeError::InvalidValue(what)))?,
            Marker::I8 => i64::from(i8::from_be_bytes(self.be()?)),
            Marker::I16 => i64::from(i16::from_be_bytes(self.be()?)),
            Marker::I32 => i64::from(i32::from_be_bytes(self.be()?)),
            Marker::I64 => i64::from_be_bytes(self.be()?),
            other => return Err(unexpected(other, what)),
        })
    }

    pub(super) fn bool(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.marker()? {
            Marker::True => Ok(true),
            Marker::False => Ok(false),
            other => Err(unexpected(other, what)),
        }
    }

    pub(super) fn str(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let marker = self.marker()?;
        self.str_of(marker, what)
    }

    fn str_of(&mut self, marker: Marker, what: &'static str) -> Result<&'a str, DecodeError> {
        let len = match marker {
            Marker::FixStr(len) => usize::from(len),
            Marker::Str8 => self.len8()?,
            Marker::Str16 => self.len16()?,
            Marker::Str32 => self.len32()?,
            other => return Err(unexpected(other, what)),
        };
        simdutf8::basic::from_utf8(self.take(len)?).or(Err(DecodeError::InvalidValue(what)))
    }

    pub(super) fn opt_str(&mut self, what: &'static str) -> Result<Option<&'a str>, DecodeError> {
        if self.take_nil() {
            Ok(None)
        } else {
            self.str(what).map(Some)
        }
    }

    pub(super) fn bin(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = match self.marker()? {
            Marker::Bin8 => self.len8()?,
            Marker::Bin16 => self.len16()?,
            Marker::Bin32 => self.len32()?,
            other => return Err(unexpected(other, what)),
        };
        self.take(len)
    }

    /// The length is a promise of the bytes, not yet kept: reserve no memory by it.
    pub(super) fn array(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let marker = self.marker()?;
        self.array_of(marker, what)
    }

    fn array_of(&mut self, marker: Marker, what: &'static str) -> Result<usize, DecodeError> {
        match marker {
            Marker::FixArray(len) => Ok(usize::from(len)),
            Marker::Array16 => self.len16(),
            Marker::Array32 => self.len32(),
            other => Err(unexpected(other, what)),
        }
    }

    fn map_of(&mut self, marker: Marker, what: &'static str) -> Result<usize, DecodeError> {
        match marker {
            Marker::FixMap(len) => Ok(usize::from(len)),
            Marker::Map16 => self.len16(),
            Marker::Map32 => self.len32(),
            other => Err(unexpected(other, what)),
        }
    }

    /// Entries of a map are appended to `entries`.
    pub(super) fn fields(&mut self, entries: &mut Vec<(Cow<'a, str>, Value<'a>)>) -> Result<(), DecodeError> {
        let marker = self.marker()?;
        self.entries_of(marker, Value::DEPTH_MAX, entries)
    }

    fn entries_of(
        &mut self,
        marker: Marker,
        depth: usize,
        entries: &mut Vec<(Cow<'a, str>, Value<'a>)>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.map_of(marker, "fields")? {
            let name = self.str("field name")?;
            entries.push((Cow::Borrowed(name), self.value(depth)?));
        }
        Ok(())
    }

    /// `depth` is how much deeper arrays and objects may go.
    fn value(&mut self, depth: usize) -> Result<Value<'a>, DecodeError> {
        const WHAT: &str = "field value";
        let deeper = depth.checked_sub(1).ok_or(DecodeError::InvalidValue(WHAT));
        Ok(match self.marker()? {
            Marker::Null => Value::Null,
            Marker::True => Value::Bool(true),
            Marker::False => Value::Bool(false),
            Marker::U64 => {
                let value = self.u64()?;
                i64::try_from(value).map_or(Value::Unsigned(value), Value::Integer)
            }
            Marker::F32 => finite(f64::from(f32::from_be_bytes(self.be()?)))?,
            Marker::F64 => finite(f64::from_be_bytes(self.be()?))?,
            marker @ (Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) => {
                Value::String(Cow::Borrowed(self.str_of(marker, WHAT)?))
            }
            marker @ (Marker::FixArray(_) | Marker::Array16 | Marker::Array32) => {
                let (deeper, mut items) = (deeper?, Vec::new());
                for _ in 0..self.array_of(marker, WHAT)? {
                    items.push(self.value(deeper)?);
                }
                Value::Array(items)
            }
            marker @ (Marker::FixMap(_) | Marker::Map16 | Marker::Map32) => {
                let mut entries = Vec::new();
                self.entries_of(marker, deeper?, &mut entries)?;
                Value::Object(entries)
            }
            marker => Value::Integer(self.int_of(marker, WHAT)?),
        })
    }
}

fn finite(value: f64) -> Result<Value<'static>, DecodeError> {
    if value.is_finite() {
        Ok(Value::Float(value))
    } else {
        Err(DecodeError::InvalidValue("field value"))
    }
}

fn unexpected(marker: Marker, what: &'static str) -> DecodeError {
    DecodeError::UnexpectedType {
        marker: marker.to_u8(),
        what,
    }
}
