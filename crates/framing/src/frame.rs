//! What every decoder gives.

use event::FrameDefects;

/// One log line, borrowed from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The line without its framing.
    pub bytes: &'a [u8],
    /// What was wrong with its framing.
    pub defects: FrameDefects,
}

impl<'a> Frame<'a> {
    /// A line with nothing wrong.
    #[must_use]
    pub const fn whole(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            defects: FrameDefects::empty(),
        }
    }

    /// The first `max` bytes at most, and how many that leaves out.
    pub(crate) fn cut(bytes: &'a [u8], max: usize) -> (Self, usize) {
        match bytes.split_at_checked(max) {
            Some((kept, rest)) if !rest.is_empty() => {
                let frame = Self {
                    bytes: kept,
                    defects: FrameDefects::TRUNCATED,
                };
                (frame, rest.len())
            }
            _ => (Self::whole(bytes), 0),
        }
    }
}

/// The frame in a datagram, which may end in one of the terminators of a line, and how many of its bytes were
/// cut off. `None` for an empty one.
#[must_use]
pub fn datagram(bytes: &[u8], frame_bytes_max: usize) -> Option<(Frame<'_>, usize)> {
    let bytes = trim_terminator(bytes);
    (!bytes.is_empty()).then(|| Frame::cut(bytes, frame_bytes_max))
}

/// Without one terminator at the end. Many senders count a line's terminator into its octet count or its
/// datagram, where it is no part of the message.
pub(crate) fn trim_terminator(bytes: &[u8]) -> &[u8] {
    match bytes {
        [line @ .., b'\r', b'\n'] | [line @ .., b'\n', 0] | [line @ .., b'\n' | 0] => line,
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &[u8]) {
        assert_eq!(trim_terminator(bytes), expected);
    }

    #[test]
    fn one_terminator_is_no_part_of_the_message() {
        check(b"<13>a", b"<13>a");
        check(b"<13>a\n", b"<13>a");
        check(b"<13>a\r\n", b"<13>a");
        check(b"<13>a\0", b"<13>a");
        check(b"<13>a\n\0", b"<13>a");
        check(b"<13>a\n\n", b"<13>a\n");
        check(b"\n", b"");
        check(b"", b"");
    }

    #[test]
    fn a_datagram_is_a_frame() {
        assert_eq!(
            datagram(b"<13>hello\n", 100),
            Some((Frame::whole(b"<13>hello"), 0))
        );
        assert_eq!(datagram(b"\n", 100), None);
        let (frame, cut) = datagram(b"<13>hello", 6).unwrap();
        assert_eq!(
            (frame.bytes, frame.defects, cut),
            (&b"<13>he"[..], FrameDefects::TRUNCATED, 3)
        );
    }
}
