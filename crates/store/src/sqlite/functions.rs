//! SQL functions for searching: what SQLite has compares only ASCII without case, and stops at a NUL.

use std::borrow::Cow;

use event::Value;
use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    types::ValueRef,
};

use crate::{json::read_fields, summary::host_of};

/// Adds the functions to a connection.
pub(super) fn add(conn: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    // contains(text, needle in lower case)
    conn.create_scalar_function("contains", 2, flags, |ctx| Ok(compare(ctx, contains)))?;
    // equals(text, value in lower case)
    conn.create_scalar_function("equals", 2, flags, |ctx| Ok(compare(ctx, equals)))?;
    // peer_equals(address with port, value in lower case)
    conn.create_scalar_function("peer_equals", 2, flags, |ctx| {
        Ok(compare(ctx, |peer, value| {
            equals(peer, value) || equals(host_of(peer), value)
        }))
    })?;
    // at_equals(JSON object, value in lower case, JSON array of names)
    conn.create_scalar_function("at_equals", 3, flags, |ctx| {
        let path = ctx.get_or_create_aux(2, |path| {
            serde_json::from_str::<Vec<String>>(path.as_str()?).map_err(BoxedError::from)
        })?;
        Ok(compare(ctx, |object, value| at_equals(object, &path, value)))
    })
}

/// `test` of the first two arguments; what is absent equals nothing and contains nothing.
fn compare(ctx: &Context<'_>, test: impl FnOnce(&str, &str) -> bool) -> bool {
    matches!((text(ctx, 0), text(ctx, 1)), (Some(text), Some(value)) if test(text, value))
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

fn text<'a>(ctx: &'a Context<'_>, index: usize) -> Option<&'a str> {
    match ctx.get_raw(index) {
        ValueRef::Text(text) => std::str::from_utf8(text).ok(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
    }
}

/// Whether `needle`, in lower case, stands in `text` in any case.
fn contains(text: &str, needle: &str) -> bool {
    if !needle.is_ascii() {
        return text.to_lowercase().contains(needle);
    }
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    let Some((first, _)) = needle.split_first() else {
        return true;
    };
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text).any(|at| {
        text.get(at..at + needle.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(needle))
    })
}

/// Whether the texts are equal but for case; `value` is in lower case.
fn equals(text: &str, value: &str) -> bool {
    if value.is_ascii() {
        text.eq_ignore_ascii_case(value)
    } else {
        text.to_lowercase() == value
    }
}

fn at_equals(object: &str, path: &[String], value: &str) -> bool {
    let mut at = Value::Object(read_fields(object));
    for name in path {
        let Value::Object(entries) = at else {
            return false;
        };
        let Some((_, inner)) = entries.into_iter().find(|(entry, _)| *entry == *name) else {
            return false;
        };
        at = inner;
    }
    match &at {
        Value::Array(items) => items.iter().any(|item| scalar_equals(item, value)),
        other => scalar_equals(other, value),
    }
}

/// As text; lists and objects equal nothing.
fn scalar_equals(found: &Value<'_>, value: &str) -> bool {
    let text = match found {
        Value::String(text) => Cow::Borrowed(&**text),
        Value::Bool(found) => Cow::Owned(found.to_string()),
        Value::Integer(found) => Cow::Owned(found.to_string()),
        Value::Unsigned(found) => Cow::Owned(found.to_string()),
        Value::Float(found) => Cow::Owned(found.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => return false,
    };
    equals(&text, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_and_compared_without_case() {
        for (text, needle) in [
            ("Connection REFUSED", "refused"),
            ("aab", "ab"),
            ("x", ""),
            ("Straße ÄRGER", "ärger"),
            ("nul \u{2400}", "\u{2400}"),
        ] {
            assert!(contains(text, needle), "{needle:?} in {text:?}");
        }
        for (text, needle) in [("", "a"), ("ab", "abc"), ("ba", "ab"), ("arger", "ärger")] {
            assert!(!contains(text, needle), "{needle:?} in {text:?}");
        }
        assert!(equals("WEB01", "web01") && equals("ÄB", "äb") && !equals("web01.", "web01"));
    }
}
