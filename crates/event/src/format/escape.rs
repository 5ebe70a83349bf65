//! Copying text while replacing the few bytes that a format cannot hold. Eight bytes are looked at in one step,
//! since almost all text needs no replacement.

/// What happens to control characters in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controls {
    /// They stay: the reader knows by other means where a record ends.
    Keep,
    /// Those below U+0020 and U+007F become `#` and three octal digits, as rsyslog writes them; a tab stays.
    Escape,
    /// Like `Escape`, and a tab becomes `#011`, which is what rsyslog does.
    EscapeTab,
}

/// The byte 1 in all eight places.
const ONES: u64 = u64::MAX / 255;
/// The highest bit in all eight places.
const HIGHS: u64 = ONES << 7;

/// Marks the places that hold a byte below `limit`, which is 128 at most. The lowest mark is exact; above it a
/// mark may be wrong (a subtraction borrows from the next place).
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

/// The first byte that `mark` marks.
fn find(bytes: &[u8], mark: impl Fn(u64) -> u64) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    let place = |marks: u64| (marks.trailing_zeros() / 8) as usize;
    for (at, word) in words.iter().enumerate() {
        let marks = mark(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(at * 8 + place(marks));
        }
    }
    // Spaces are never marked, so they can fill up the last word.
    let mut word = [b' '; 8];
    for (slot, byte) in word.iter_mut().zip(tail) {
        *slot = *byte;
    }
    let marks = mark(u64::from_le_bytes(word));
    (marks != 0).then(|| words.len() * 8 + place(marks))
}

/// Copies `bytes`; those that `mark` marks go through `replace`.
fn copy(
    out: &mut Vec<u8>,
    bytes: &[u8],
    mark: impl Fn(u64) -> u64 + Copy,
    replace: impl Fn(&mut Vec<u8>, u8),
) {
    let mut rest = bytes;
    while let Some((plain, [found, after @ ..])) = find(rest, mark).map(|at| rest.split_at(at)) {
        out.extend_from_slice(plain);
        replace(out, *found);
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// `text` as a JSON string, with its quotation marks (RFC 8259 section 7).
pub(super) fn put_json_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    copy(
        out,
        text.as_bytes(),
        |word| below(word, 0x20) | equal(word, b'"') | equal(word, b'\\'),
        |out, byte| match byte {
            b'"' => out.extend_from_slice(br#"\""#),
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b'\t' => out.extend_from_slice(br"\t"),
            0x08 => out.extend_from_slice(br"\b"),
            0x0c => out.extend_from_slice(br"\f"),
            control => {
                let digit = |value: u8| {
                    if value < 10 {
                        b'0' + value
                    } else {
                        b'a' + value - 10
                    }
                };
                out.extend_from_slice(br"\u00");
                out.extend_from_slice(&[digit(control >> 4), digit(control & 15)]);
            }
        },
    );
    out.push(b'"');
}

/// `bytes` inside a line.
pub(super) fn put_text(out: &mut Vec<u8>, bytes: &[u8], controls: Controls) {
    if controls == Controls::Keep {
        return out.extend_from_slice(bytes);
    }
    copy(
        out,
        bytes,
        |word| below(word, 0x20) | equal(word, 0x7f),
        |out, byte| put_control(out, byte, controls),
    );
}

/// A `PARAM-VALUE` of RFC 5424 section 6.3.3, without its quotation marks.
pub(super) fn put_param_value(out: &mut Vec<u8>, text: &str, controls: Controls) {
    copy(
        out,
        text.as_bytes(),
        |word| {
            below(word, 0x20) | equal(word, 0x7f) | equal(word, b'"') | equal(word, b'\\') | equal(word, b']')
        },
        |out, byte| match byte {
            b'"' | b'\\' | b']' => out.extend_from_slice(&[b'\\', byte]),
            control => put_control(out, control, controls),
        },
    );
}

fn put_control(out: &mut Vec<u8>, byte: u8, controls: Controls) {
    match (controls, byte) {
        (Controls::Keep, byte) => out.push(byte),
        (Controls::Escape, b'\t') => out.push(b'\t'),
        (Controls::Escape | Controls::EscapeTab, byte) => {
            let digit = |shift: u8| b'0' + (byte >> shift & 7);
            out.extend_from_slice(&[b'#', digit(6), digit(3), digit(0)]);
        }
    }
}

/// `text` as one word of a header: bytes that `allowed` refuses become `_`, at most `bytes_max` bytes. Nothing is
/// written, and `false` returned, when there is nothing to write.
pub(super) fn put_word(
    out: &mut Vec<u8>,
    text: Option<&str>,
    bytes_max: usize,
    allowed: impl Fn(char) -> bool,
) -> bool {
    let text = text.unwrap_or("");
    let is_plain = |byte: u8| byte.is_ascii() && allowed(char::from(byte));
    if text.len() <= bytes_max && text.bytes().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
        return !text.is_empty();
    }
    let start = out.len();
    for char in text.chars() {
        let char = if allowed(char) { char } else { '_' };
        if out.len() - start + char.len_utf8() > bytes_max {
            break;
        }
        let mut utf8 = [0; 4];
        out.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
    }
    out.len() > start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_strings_read_back(text: String) {
            let mut out = Vec::new();
            put_json_str(&mut out, &text);
            prop_assert!(!out.iter().any(|byte| *byte < 0x20));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn every_marked_byte_is_found(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = bytes.iter().position(|byte| *byte < 0x20 || *byte == 0x7f);
            let found = find(&bytes, |word| below(word, 0x20) | equal(word, 0x7f));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn escaped_text_has_no_controls(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut out = Vec::new();
            put_text(&mut out, &bytes, Controls::EscapeTab);
            prop_assert!(!out.iter().any(u8::is_ascii_control));
            put_text(&mut out, &bytes, Controls::Escape);
            prop_assert!(!out.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'));
        }
    }

    #[test]
    fn controls_look_like_rsyslogs() {
        let mut out = Vec::new();
        put_text(&mut out, b"a\tb\nc\x7fd\x00", Controls::EscapeTab);
        assert_eq!(out, b"a#011b#012c#177d#000");
    }

    #[test]
    fn words_are_cut_between_characters() {
        let mut out = Vec::new();
        assert!(put_word(&mut out, Some("aß b"), 5, |char| char != ' '));
        assert_eq!(out, "aß_b".as_bytes());
        out.clear();
        assert!(put_word(&mut out, Some("aßb"), 2, |_| true));
        assert_eq!(out, b"a");
        assert!(!put_word(&mut out, None, 2, |_| true));
    }
}
