//! Names that programs give: routes, drop reasons and tags.

use vrl::{
    compiler::{Expression, TypeState, function::Error},
    value::Value,
};

/// Longest route and drop reason.
const NAME_BYTES_MAX: usize = 64;

/// Longest tag.
const TAG_BYTES_MAX: usize = 128;

/// What a name must be, for messages.
pub(super) const NAME_RULE: &str =
    "1 to 64 of a-z, 0-9, \"_\", \"-\" and \".\", with \".\" only between two others";
pub(super) const TAG_RULE: &str = "1 to 128 bytes of text without control characters";

/// A name that is a routing key of the broker and a metrics label.
pub(super) fn is_name(name: &[u8]) -> bool {
    let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.');
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.iter().all(allowed)
        && name.split(|byte| *byte == b'.').all(|word| !word.is_empty())
}

pub(super) fn is_tag(tag: &[u8]) -> bool {
    (1..=TAG_BYTES_MAX).contains(&tag.len())
        && std::str::from_utf8(tag).is_ok_and(|tag| !tag.contains(char::is_control))
}

/// The value of `expression` where it is a constant; it must pass `check` then.
pub(super) fn constant(
    keyword: &'static str,
    expression: &dyn Expression,
    state: &TypeState,
    check: fn(&[u8]) -> bool,
    rule: &'static str,
) -> Result<Option<Value>, Error> {
    let Some(value) = expression.resolve_constant(state) else {
        return Ok(None);
    };
    let is_valid = match &value {
        Value::Array(items) => items
            .iter()
            .all(|item| item.as_bytes().is_some_and(|item| check(item))),
        single => single.as_bytes().is_some_and(|name| check(name)),
    };
    if is_valid {
        Ok(Some(value))
    } else {
        Err(Error::InvalidArgument {
            keyword,
            value,
            error: rule,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["a", "default", "audit.eu-1", "x_9", &"a".repeat(64)] {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "A",
            "a b",
            "a*",
            "a#",
            ".a",
            "a.",
            "a..b",
            "ä",
            "a/b",
            &"a".repeat(65),
        ] {
            assert!(!is_name(name.as_bytes()), "{name}");
        }
        assert!(is_tag("Zürich 1".as_bytes()));
        for tag in [&b""[..], b"a\nb", b"\xff", &[b'a'; 129]] {
            assert!(!is_tag(tag), "{tag:?}");
        }
    }
}
