//! Frames out of a syslog TCP connection (RFC 6587), told apart frame by frame.
//!
//! A frame is octet-counted when it begins with a number without leading zero, a space and a message: a `<`,
//! which opens every syslog message, or, for senders that count the octets of other things, as many octets as
//! the number says without a terminator among them. All else is a line, ended by `LF`, `CR LF` or `NUL`, also
//! when it begins with digits. Both readings of `404 not found` need bytes that are not there yet before either
//! frame is complete, so waiting for them delays neither.

use event::FrameDefects;
use memchr::memchr2;

use crate::frame::{Frame, trim_terminator};

/// Octet counts above this are not believed (unless frames may be that long): what follows is a line. A
/// believed count that lies costs its connection that many bytes.
const COUNT_MAX: usize = 16 << 20;

/// Digits of [`COUNT_MAX`] and more: no count is longer.
const COUNT_DIGITS_MAX: usize = 10;

/// `CR LF` is the longest terminator.
const TERMINATOR_MAX: usize = 2;

/// Cuts frames out of one connection.
#[derive(Debug)]
pub struct StreamDecoder {
    frame_bytes_max: usize,
    count_max: usize,
    state: State,
    /// Bytes at the front of what is not consumed that were searched for a terminator before. They make the
    /// time linear however few bytes a read brings.
    scanned: usize,
    discarded: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between frames, or in one that is still whole in the read buffer.
    Frame,
    /// In the rest of a line that was cut.
    DiscardLine,
    /// In the rest of an octet-counted frame that was cut: how many bytes of it are to come.
    DiscardCounted(usize),
}

/// What the front of the buffer holds.
enum Head {
    /// Too little to tell.
    Unknown,
    Line,
    /// `header` bytes of count and space, then a message of `len` bytes.
    Counted {
        header: usize,
        len: usize,
    },
}

impl StreamDecoder {
    /// A decoder that cuts frames at `frame_bytes_max`, discards the rest of them and stays in step.
    #[must_use]
    pub fn new(frame_bytes_max: usize) -> Self {
        Self {
            frame_bytes_max,
            count_max: COUNT_MAX.max(frame_bytes_max),
            state: State::Frame,
            scanned: 0,
            discarded: 0,
        }
    }

    /// Cuts frames at `frame_bytes_max` from now on, also the one that has begun.
    pub fn cut_at(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
        self.count_max = COUNT_MAX.max(frame_bytes_max);
    }

    /// A read buffer of this size is never full without a frame in it.
    #[must_use]
    pub const fn buffer_bytes_min(&self) -> usize {
        self.frame_bytes_max + TERMINATOR_MAX + COUNT_DIGITS_MAX + 1
    }

    /// The frames of `input`: what the last call did not consume, and the bytes read since.
    pub const fn decode<'d, 'a>(&'d mut self, input: &'a [u8]) -> Frames<'d, 'a> {
        Frames {
            decoder: self,
            input,
            rest: input,
        }
    }

    /// The stream has ended and `input` is what was not consumed: the frame that it ended in.
    pub fn finish<'a>(&mut self, input: &'a [u8]) -> Option<Frame<'a>> {
        let state = std::mem::replace(&mut self.state, State::Frame);
        self.scanned = 0;
        if state != State::Frame || input.is_empty() {
            return None;
        }
        let bytes = match self.head(input) {
            Head::Counted { header, .. } => input.get(header..).unwrap_or_default(),
            Head::Line | Head::Unknown => input,
        };
        let mut frame = self.cut(bytes);
        frame.defects |= FrameDefects::UNTERMINATED;
        (!frame.bytes.is_empty()).then_some(frame)
    }

    /// Bytes beyond `frame_bytes_max` that were thrown away since the last call.
    pub const fn take_discarded(&mut self) -> u64 {
        std::mem::replace(&mut self.discarded, 0)
    }

    fn cut<'a>(&mut self, bytes: &'a [u8]) -> Frame<'a> {
        let (frame, cut) = Frame::cut(bytes, self.frame_bytes_max);
        self.discard(cut);
        frame
    }

    fn discard(&mut self, bytes: usize) {
        self.discarded = self
            .discarded
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// How the frame at the front of `rest`, which is not empty, is framed.
    fn head(&mut self, rest: &[u8]) -> Head {
        let Some(b'1'..=b'9') = rest.first() else {
            return Head::Line;
        };
        let mut count = 0;
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'0'..=b'9' if at < COUNT_DIGITS_MAX => count = count * 10 + usize::from(byte - b'0'),
                b' ' if count <= self.count_max => return self.head_after_count(rest, at + 1, count),
                _ => return Head::Line,
            }
        }
        Head::Unknown
    }

    fn head_after_count(&mut self, rest: &[u8], header: usize, len: usize) -> Head {
        let Some(message) = rest.get(header..).filter(|message| !message.is_empty()) else {
            return Head::Unknown;
        };
        if message.first() == Some(&b'<') {
            return Head::Counted { header, len };
        }
        // No syslog message. A terminator before the last octet shows that the number counts nothing.
        if len > self.frame_bytes_max {
            return Head::Line;
        }
        let inside = &message.get(..len - 1).unwrap_or(message);
        let from = self.scanned.saturating_sub(header).min(inside.len());
        let unseen = inside.get(from..).unwrap_or_default();
        if memchr2(b'\n', 0, unseen).is_some() {
            // The line starts over with the search; that happens once a frame.
            return Head::Line;
        }
        if message.len() < len {
            self.scanned = rest.len();
            return Head::Unknown;
        }
        Head::Counted { header, len }
    }
}

/// The frames of one read; see [`StreamDecoder::decode`].
#[derive(Debug)]
pub struct Frames<'d, 'a> {
    decoder: &'d mut StreamDecoder,
    input: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Frames<'_, 'a> {
    /// The next frame; `None` when the rest is not a whole one. Empty lines are no frames.
    pub fn next_frame(&mut self) -> Option<Frame<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            match self.decoder.state {
                State::Frame => {}
                State::DiscardLine => {
                    self.discard_line();
                    continue;
                }
                State::DiscardCounted(left) => {
                    self.discard_counted(left);
                    continue;
                }
            }
            let frame = match self.decoder.head(self.rest) {
                Head::Unknown => return None,
                Head::Line => self.line()?,
                Head::Counted { header, len } => self.counted(header, len)?,
            };
            if !frame.bytes.is_empty() {
                return Some(frame);
            }
        }
    }

    /// Bytes at the front of the input that are dealt with; the others belong in front of the next read.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.input.len() - self.rest.len()
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
        self.decoder.scanned = 0;
    }

    fn line(&mut self) -> Option<Frame<'a>> {
        let max = self.decoder.frame_bytes_max;
        let from = self.decoder.scanned.min(self.rest.len());
        let (seen, unseen) = self.rest.split_at(from);
        if let Some(found) = memchr2(b'\n', 0, unseen) {
            let end = seen.len() + found;
            let (line, terminated) = self.rest.split_at(end);
            let line = match line {
                [line @ .., b'\r'] if terminated.first() == Some(&b'\n') => line,
                line => line,
            };
            self.advance(end + 1);
            if line.len() <= max {
                return Some(Frame::whole(line));
            }
            self.decoder.discard(end - max);
            return Some(Frame::cut(line, max).0);
        }
        // The last byte may be the CR of a terminator.
        if self.rest.len() <= max + 1 {
            self.decoder.scanned = self.rest.len();
            return None;
        }
        let frame = self.decoder.cut(self.rest);
        self.advance(self.rest.len());
        self.decoder.state = State::DiscardLine;
        Some(frame)
    }

    fn counted(&mut self, header: usize, len: usize) -> Option<Frame<'a>> {
        let max = self.decoder.frame_bytes_max;
        let message = self.rest.get(header..)?;
        if len <= max + TERMINATOR_MAX {
            let frame = self.decoder.cut(trim_terminator(message.get(..len)?));
            self.advance(header + len);
            return Some(frame);
        }
        let frame = Frame {
            bytes: message.get(..max)?,
            defects: FrameDefects::TRUNCATED,
        };
        self.advance(header + max);
        self.decoder.state = State::DiscardCounted(len - max);
        Some(frame)
    }

    fn discard_line(&mut self) {
        let end = memchr2(b'\n', 0, self.rest);
        self.decoder.discard(end.unwrap_or(self.rest.len()));
        if end.is_some() {
            self.decoder.state = State::Frame;
        }
        self.advance(end.map_or(self.rest.len(), |end| end + 1));
    }

    fn discard_counted(&mut self, left: usize) {
        let here = left.min(self.rest.len());
        self.decoder.discard(here);
        self.advance(here);
        self.decoder.state = match left - here {
            0 => State::Frame,
            left => State::DiscardCounted(left),
        };
    }
}

#[cfg(test)]
mod tests;
