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

pub(super) fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => put_nil(out),
        Value::Bool(value) => put_bool(out, *value),
        Value::Integer(value) => put_int(out, *value),
        Value::Unsigned(value) => put_uint(out, *value),
        Value::Float(value) => encode::write_f64(out, *value).expect(INFALLIBLE),
        Value::String(value) => put_str(out, value),
        Value::Array(items) => {
            put_array(out, items.len());
            for item in items {
                put_value(out, item);
            }
        }
        Value::Object(entries) => put_fields(out, entries),
    }
}

pub(super) fn put_fields(out: &mut Vec<u8>, entries: &[(Cow<'_, str>, Value<'_>)]) {
    put_map(out, entries.len());
    for (name, value) in entries {
        put_str(out, name);
        put_value(out, value);
    }
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

    /// A big-endian unsigned number of `len` bytes.
    fn be(&mut self, len: usize) -> Result<u64, DecodeError> {
        Ok(self
            .take(len)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn be_len(&mut self, len: usize) -> Result<usize, DecodeError> {
        self.be(len)
            .map(|value| usize::try_from(value).unwrap_or(usize::MAX))
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
            Marker::U8 => self.be(1),
            Marker::U16 => self.be(2),
            Marker::U32 => self.be(4),
            Marker::U64 => self.be(8),
            other => Err(unexpected(other, what)),
        }
    }

    pub(super) fn int(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let marker = self.marker()?;
        self.int_of(marker, what)
    }

    fn int_of(&mut self, marker: Marker, what: &'static str) -> Result<i64, DecodeError> {
        let signed = |value: u64| i64::from_be_bytes(value.to_be_bytes());
        // Shifting up and down again carries the sign of a shorter number into the upper bits.
        let extend = |value: u64, bits: u32| signed(value << (64 - bits)) >> (64 - bits);
        Ok(match marker {
            Marker::FixPos(value) => i64::from(value),
            Marker::FixNeg(value) => i64::from(value),
            Marker::U8 => signed(self.be(1)?),
            Marker::U16 => signed(self.be(2)?),
            Marker::U32 => signed(self.be(4)?),
            Marker::U64 => i64::try_from(self.be(8)?).or(Err(DecodeError::InvalidValue(what)))?,
            Marker::I8 => extend(self.be(1)?, 8),
            Marker::I16 => extend(self.be(2)?, 16),
            Marker::I32 => extend(self.be(4)?, 32),
            Marker::I64 => signed(self.be(8)?),
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
            Marker::Str8 => self.be_len(1)?,
            Marker::Str16 => self.be_len(2)?,
            Marker::Str32 => self.be_len(4)?,
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
            Marker::Bin8 => self.be_len(1)?,
            Marker::Bin16 => self.be_len(2)?,
            Marker::Bin32 => self.be_len(4)?,
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
            Marker::Array16 => self.be_len(2),
            Marker::Array32 => self.be_len(4),
            other => Err(unexpected(other, what)),
        }
    }

    fn map_of(&mut self, marker: Marker, what: &'static str) -> Result<usize, DecodeError> {
        match marker {
            Marker::FixMap(len) => Ok(usize::from(len)),
            Marker::Map16 => self.be_len(2),
            Marker::Map32 => self.be_len(4),
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
                let value = self.be(8)?;
                i64::try_from(value).map_or(Value::Unsigned(value), Value::Integer)
            }
            Marker::F32 => {
                let bits = u32::try_from(self.be(4)?).or(Err(DecodeError::InvalidValue(WHAT)))?;
                finite(f64::from(f32::from_bits(bits)))?
            }
            Marker::F64 => finite(f64::from_bits(self.be(8)?))?,
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
