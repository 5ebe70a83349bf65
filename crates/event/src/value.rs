//! Free, typed, nested values of an event's `fields`.

use std::borrow::Cow;

/// One value: what JSON can say, with whole numbers kept whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// JSON `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number above `i64::MAX`.
    Unsigned(u64),
    /// Any other number; never NaN or infinite, which JSON cannot say.
    Float(f64),
    /// Text.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Value<'a>>),
    /// Names and values, in the order in which they came; a name stands once.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl Value<'_> {
    /// Objects and arrays inside each other at most, in batches as in input.
    pub const DEPTH_MAX: usize = 32;
}
