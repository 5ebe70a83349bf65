//! Finding where a run of bytes ends: the loops that parsing spends its time in.

/// Kinds of bytes that fields are made of, to be combined with `|`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class(u8);

/// What `SD-NAME` is made of (RFC 5424 section 6): printable ASCII without `=`, `]` and `"`.
pub(super) const SD_NAME: Class = Class(1);
/// Names, IPv4 and IPv6 addresses with a scope, and what relays make of them (`10.0.0.1/10.0.0.2`, `src@host`).
pub(super) const HOSTNAME: Class = Class(1 << 1);
/// What programs call themselves in the RFC 3164 family.
pub(super) const TAG: Class = Class(1 << 2);
/// What stands between brackets behind a tag: anything printable, since only the operating system knows what a
/// process id looks like.
pub(super) const PID: Class = Class(1 << 3);
/// Letters and digits, and everything beyond ASCII, which may be one.
pub(super) const ALPHANUMERIC: Class = Class(1 << 4);
/// The same without the digits.
pub(super) const ALPHABETIC: Class = Class(1 << 5);
/// `%SYS-5-CONFIG_I` behind the percent sign.
pub(super) const MNEMONIC: Class = Class(1 << 6);
/// Names of Cisco devices and of their parts.
pub(super) const LABEL: Class = Class(1 << 7);

#[expect(
    clippy::indexing_slicing,
    reason = "while compiling; an index too large would be an error"
)]
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = u8::MAX;
    while byte > 0 {
        classes[byte as usize] = classes_of(byte);
        byte -= 1;
    }
    classes
};

const fn classes_of(byte: u8) -> u8 {
    let is_graphic = byte.is_ascii_graphic();
    let is_alphabetic = byte.is_ascii_alphabetic() || byte >= 0x80;
    let is_alphanumeric = byte.is_ascii_digit() || is_alphabetic;
    let is_dashed = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_hostname =
        is_alphanumeric || matches!(byte, b'.' | b'-' | b'_' | b':' | b'/' | b'%' | b'@' | b'+');
    let is_tag = is_alphanumeric
        || matches!(
            byte,
            b'/' | b'.' | b'-' | b'_' | b'(' | b')' | b'@' | b'*' | b'+' | b'~' | b'#' | b'$' | b'!' | b'\\'
        );
    bit(SD_NAME, is_graphic && !matches!(byte, b'=' | b']' | b'"'))
        | bit(HOSTNAME, is_hostname)
        | bit(TAG, is_tag)
        | bit(PID, is_graphic && !matches!(byte, b'[' | b']'))
        | bit(ALPHANUMERIC, is_alphanumeric)
        | bit(ALPHABETIC, is_alphabetic)
        | bit(MNEMONIC, is_dashed)
        | bit(LABEL, is_dashed || matches!(byte, b'/' | b'.'))
}

const fn bit(class: Class, is_in: bool) -> u8 {
    if is_in { class.0 } else { 0 }
}

impl Class {
    pub(super) fn contains(self, byte: u8) -> bool {
        CLASSES
            .get(usize::from(byte))
            .is_some_and(|classes| classes & self.0 != 0)
    }

    /// How many bytes at the front are of this class.
    pub(super) fn span(self, bytes: &[u8]) -> usize {
        bytes
            .iter()
            .position(|byte| !self.contains(*byte))
            .unwrap_or(bytes.len())
    }

    pub(super) fn contains_any_of(self, text: &str) -> bool {
        text.bytes().any(|byte| self.contains(byte))
    }

    pub(super) fn contains_all_of(self, text: &str) -> bool {
        text.bytes().all(|byte| self.contains(byte))
    }
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// The high bit of each byte of `chunk` that equals `byte`, down from the first such in memory; bits further up may
/// be wrong.
const fn equal(chunk: u64, byte: u8) -> u64 {
    let differences = chunk ^ (ONES * byte as u64);
    differences.wrapping_sub(ONES) & !differences & HIGH
}

/// Where the first byte is for which `marks` sets the high bit in a register of eight, or the end. What is looked
/// for here is never far, so a vector search costs more than it saves.
#[inline(always)]
fn find(bytes: &[u8], marks: impl Fn(u64) -> u64) -> usize {
    let mut rest = bytes;
    let mut at = 0;
    while let Some((chunk, behind)) = rest.split_first_chunk() {
        let marked = marks(u64::from_le_bytes(*chunk));
        if marked != 0 {
            return at + first_marked(marked);
        }
        at += 8;
        rest = behind;
    }
    // Behind the end is what is looked for nowhere in front of it.
    let mut last = [0; 8];
    for (slot, byte) in last.iter_mut().zip(rest) {
        *slot = *byte;
    }
    at + first_marked(marks(u64::from_le_bytes(last))).min(rest.len())
}

/// Eight where none is.
fn first_marked(marked: u64) -> usize {
    usize::try_from(marked.trailing_zeros() / 8).unwrap_or(8)
}

/// Where the first space is, or the end.
pub(super) fn find_space(bytes: &[u8]) -> usize {
    find(bytes, |chunk| equal(chunk, b' '))
}

/// Where the first quotation mark or backslash is, or the end.
pub(super) fn find_quote_or_backslash(bytes: &[u8]) -> usize {
    find(bytes, |chunk| equal(chunk, b'"') | equal(chunk, b'\\'))
}

/// How many digits are at the front of `bytes`, and the number that the first eight make as a fraction, in units of
/// its eighth digit.
pub(super) fn fraction(bytes: &[u8]) -> (usize, u32) {
    let mut chunk = [0; 8];
    match bytes.first_chunk() {
        Some(whole) => chunk = *whole,
        None => {
            for (slot, byte) in chunk.iter_mut().zip(bytes) {
                *slot = *byte;
            }
        }
    }
    let values = u64::from_le_bytes(chunk) ^ (ONES * b'0' as u64);
    let others = (values.wrapping_add(ONES * (0x7f - 9)) | values) & HIGH;
    let mut len = first_marked(others);
    if len == 8 {
        len += bytes
            .iter()
            .skip(8)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
    }
    // What follows the digits counts as zeros behind them. Then pairs, fours and eight, as in D. Lemire, "Quickly
    // parsing eight digits".
    let kept = if others == 0 {
        values
    } else {
        values & ((others & others.wrapping_neg()) >> 7).wrapping_sub(1)
    };
    let pairs = kept * 10 + (kept >> 8);
    const EVERY_FOURTH: u64 = 0x0000_00ff_0000_00ff;
    let upper = (pairs & EVERY_FOURTH).wrapping_mul(100 + (1_000_000 << 32));
    let lower = ((pairs >> 16) & EVERY_FOURTH).wrapping_mul(1 + (10_000 << 32));
    let number = upper.wrapping_add(lower) >> 32;
    (len, u32::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_space_is_found(bytes in proptest::collection::vec(prop_oneof![Just(b' '), Just(b'!'), any::<u8>()], 0..40)) {
            let expected = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
            prop_assert_eq!(find_space(&bytes), expected);
            let swapped: Vec<_> = bytes.iter().map(|byte| if *byte == b' ' { b'\\' } else { *byte }).collect();
            let expected = swapped.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(bytes.len());
            prop_assert_eq!(find_quote_or_backslash(&swapped), expected);
        }
    }

    proptest! {
        #[test]
        fn fractions_are_read(digits in "[0-9]{0,12}", behind in "[^0-9].{0,9}|") {
            let (len, number) = fraction(format!("{digits}{behind}").as_bytes());
            prop_assert_eq!(len, digits.len());
            let first_eight: u32 = format!("{digits:0<8}").split_at(8).0.parse().unwrap();
            prop_assert_eq!(number, first_eight);
        }
    }

    #[test]
    fn classes_hold_what_they_say() {
        let members = |class: Class| {
            (0..=127)
                .filter(|byte| class.contains(*byte))
                .map(char::from)
                .collect::<String>()
        };
        assert_eq!(members(SD_NAME).len(), 94 - 3);
        assert_eq!(
            members(HOSTNAME).replace(|char: char| char.is_ascii_alphanumeric(), ""),
            "%+-./:@_"
        );
        assert_eq!(
            members(TAG).replace(|char: char| char.is_ascii_alphanumeric(), ""),
            "!#$()*+-./@\\_~"
        );
        assert_eq!(members(PID).len(), 94 - 2);
        assert_eq!(
            members(LABEL).replace(|char: char| char.is_ascii_alphanumeric(), ""),
            "-./_"
        );
        assert!(HOSTNAME.contains(0xc3) && TAG.contains(0xc3) && !SD_NAME.contains(0xc3));
        assert_eq!(TAG.span("t\u{e9}st: x".as_bytes()), 5);
    }
}
