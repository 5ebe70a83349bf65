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

    /// The same value, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Unsigned(value) => Value::Unsigned(value),
            Self::Float(value) => Value::Float(value),
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Object(entries) => Value::Object(
                entries
                    .into_iter()
                    .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()))
                    .collect(),
            ),
        }
    }
}
