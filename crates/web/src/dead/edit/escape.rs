//! Bytes that need not be text, as text that a field of a form can hold: `\xff` for a byte, `\\` for a backslash.

use std::fmt::Write as _;

use crate::html::is_unseen;

/// Whether a field would change the bytes, or not show what they are.
pub(super) fn is_needed(bytes: &[u8]) -> bool {
    match str::from_utf8(bytes) {
        Ok(text) => text.ends_with('\n') || text.chars().any(is_special),
        Err(_) => true,
    }
}

fn is_special(char: char) -> bool {
    is_unseen(char) && !matches!(char, '\n' | '\t')
}

pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let put = |text: &mut String, byte: u8| write!(text, "\\x{byte:02x}").expect("a string takes all text");
    let ends = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == b'\n').count();
    let (body, breaks) = bytes.split_at(ends);
    for chunk in body.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                _ if is_special(char) => {
                    let mut utf8 = [0; 4];
                    char.encode_utf8(&mut utf8)
                        .bytes()
                        .for_each(|byte| put(&mut text, byte));
                }
                _ => text.push(char),
            }
        }
        chunk.invalid().iter().for_each(|byte| put(&mut text, *byte));
    }
    breaks.iter().for_each(|byte| put(&mut text, *byte));
    text
}

/// `None` for a backslash with nothing behind it that it could mean.
pub(super) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        let escape = escape.strip_prefix('\\')?;
        if let Some(after) = escape.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
            continue;
        }
        let (digits, after) = escape.strip_prefix('x')?.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_text() {
        for (bytes, text) in [
            (&b"plain"[..], "plain"),
            (b"a\\b\xff\0", "a\\\\b\\xff\\x00"),
            (b"one\ntwo\r\n", "one\ntwo\\x0d\\x0a"),
            ("\u{202e}é".as_bytes(), "\\xe2\\x80\\xaeé"),
        ] {
            assert_eq!(escaped(bytes), text);
            assert_eq!(unescaped(text).as_deref(), Some(bytes));
        }
        for bad in ["\\", "\\x", "\\xf", "\\xgg", "\\n", "\\x+f", "\\xé"] {
            assert_eq!(unescaped(bad), None, "{bad}");
        }
        assert!(!is_needed("two\nlines\tä".as_bytes()));
        assert!(is_needed(b"\r") && is_needed(b"\n") && is_needed(b"\xff"));
    }

    #[test]
    fn what_is_escaped_comes_back() {
        for first in 0..=255 {
            for second in 0..=255 {
                let bytes = [first, second, b'x'];
                assert_eq!(unescaped(&escaped(&bytes)).as_deref(), Some(&bytes[..]));
            }
        }
    }
}
