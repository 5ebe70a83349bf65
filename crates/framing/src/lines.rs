//! Lines of a file: ended by `LF` or `CR LF` and by nothing else.

use event::FrameDefects;
use memchr::memchr;

use crate::frame::Frame;

/// Cuts lines out of pieces of a file, with the place of each in it.
///
/// A line is given once its end is there, so that its place is known; of a long one no more is kept than the
/// bound. NUL is a byte like any other.
#[derive(Debug)]
pub struct LineDecoder {
    frame_bytes_max: usize,
    /// The front of the line under way, from earlier pieces.
    kept: Vec<u8>,
    /// All bytes of the line under way that were seen.
    seen: u64,
    is_given: bool,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line without its end; an empty one is given too.
    pub frame: Frame<'a>,
    /// Bytes of the file that it takes, with its end.
    pub size: u64,
}

impl LineDecoder {
    /// A decoder that cuts lines at `frame_bytes_max`.
    #[must_use]
    pub const fn new(frame_bytes_max: usize) -> Self {
        Self {
            frame_bytes_max,
            kept: Vec::new(),
            seen: 0,
            is_given: false,
        }
    }

    /// The next line that ends in `piece`, which is left with what follows it. `None` when `piece` is used up.
    pub fn next_line<'s, 'p: 's>(&'s mut self, piece: &mut &'p [u8]) -> Option<Line<'s>> {
        self.forget_given();
        let Some(end) = memchr(b'\n', piece) else {
            self.keep(piece);
            *piece = &[];
            return None;
        };
        let (line, rest) = piece.split_at(end);
        *piece = rest.get(1..).unwrap_or_default();
        if self.seen == 0 {
            return Some(Line {
                frame: Frame::cut(without_cr(line), self.frame_bytes_max).0,
                size: size(end) + 1,
            });
        }
        self.keep(line);
        self.is_given = true;
        Some(Line {
            frame: self.cut_kept(),
            size: self.seen + 1,
        })
    }

    /// The line that the file ends in, if its last one has no end.
    pub fn finish(&mut self) -> Option<Line<'_>> {
        self.forget_given();
        if self.seen == 0 {
            return None;
        }
        self.is_given = true;
        let mut frame = self.cut_kept();
        frame.defects |= FrameDefects::UNTERMINATED;
        Some(Line {
            frame,
            size: self.seen,
        })
    }

    /// Bytes of the line under way.
    #[must_use]
    pub const fn under_way(&self) -> u64 {
        if self.is_given { 0 } else { self.seen }
    }

    fn forget_given(&mut self) {
        if self.is_given {
            self.is_given = false;
            self.seen = 0;
            self.kept.clear();
            // One long line does not keep memory for the life of a file.
            self.kept.shrink_to(4096);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        // One byte more than a frame, and the CR of its end.
        let room = (self.frame_bytes_max + 2).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.seen += size(bytes.len());
    }

    fn cut_kept(&self) -> Frame<'_> {
        let is_whole = self.seen == size(self.kept.len());
        let bytes = if is_whole {
            without_cr(&self.kept)
        } else {
            &self.kept
        };
        Frame::cut(bytes, self.frame_bytes_max).0
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Found = (Vec<u8>, FrameDefects, u64);

    fn lines(pieces: &[&[u8]], max: usize) -> Vec<Found> {
        let mut decoder = LineDecoder::new(max);
        let mut found = Vec::new();
        let own = |line: Line<'_>| (line.frame.bytes.to_vec(), line.frame.defects, line.size);
        for piece in pieces {
            let mut piece = *piece;
            while let Some(line) = decoder.next_line(&mut piece) {
                found.push(own(line));
            }
            assert!(piece.is_empty());
            assert!(decoder.kept.len() <= max + 2);
        }
        found.extend(decoder.finish().map(own));
        assert_eq!(decoder.under_way(), 0);
        found
    }

    #[test]
    fn lines_and_their_places() {
        let (whole, cut) = (FrameDefects::empty(), FrameDefects::TRUNCATED);
        assert_eq!(
            lines(&[b"one\ntwo\r\n\n12 a\0b\nlong", b"er", b"\r", b"\nlast"], 6),
            [
                (b"one".to_vec(), whole, 4),
                (b"two".to_vec(), whole, 5),
                (b"".to_vec(), whole, 1),
                (b"12 a\0b".to_vec(), whole, 7),
                (b"longer".to_vec(), whole, 8),
                (b"last".to_vec(), FrameDefects::UNTERMINATED, 4),
            ]
        );
        assert_eq!(
            lines(&[b"longest\nlong", b"est\nx\n"], 6),
            [
                (b"longes".to_vec(), cut, 8),
                (b"longes".to_vec(), cut, 8),
                (b"x".to_vec(), whole, 2)
            ]
        );
        assert_eq!(lines(&[], 6), []);
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut decoder = LineDecoder::new(1000);
        let block = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            let mut piece = block.as_slice();
            assert!(decoder.next_line(&mut piece).is_none());
        }
        assert!(decoder.kept.capacity() < 4096);
        let line = decoder.finish().unwrap();
        assert_eq!((line.frame.bytes.len(), line.size), (1000, 100 << 20));
        assert_eq!(
            line.frame.defects,
            FrameDefects::TRUNCATED | FrameDefects::UNTERMINATED
        );
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference_and_sizes_add_up(
            text in "[ab\\r\\n]{0,40}", cuts in proptest::collection::vec(0_usize..40, 0..5), max in 1_usize..6,
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let found = lines(&pieces, max);
            prop_assert_eq!(&found, &lines(&[text.as_bytes()], max));
            let total: u64 = found.iter().map(|line| line.2).sum();
            prop_assert_eq!(total, text.len() as u64);
        }
    }
}
