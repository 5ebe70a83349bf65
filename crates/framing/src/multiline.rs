//! Several lines that are one event, such as a stack trace, joined into one frame.

use std::sync::Arc;

use event::FrameDefects;
use regex::bytes::Regex;

use crate::frame::Frame;

/// What should be a regular expression is none.
#[derive(Debug, thiserror::Error)]
#[error("the pattern for lines of an event is no regular expression")]
pub struct BadPattern(#[from] regex::Error);

/// Which lines belong together.
#[derive(Debug, Clone)]
pub struct MultilineRule {
    pattern: Regex,
    matches_begin: bool,
    bytes_max: usize,
    lines_max: usize,
}

impl MultilineRule {
    /// A line that matches `pattern` begins an event; any other belongs to the one before.
    ///
    /// # Errors
    /// [`BadPattern`].
    pub fn starting(pattern: &str, bytes_max: usize, lines_max: usize) -> Result<Self, BadPattern> {
        Self::new(pattern, true, bytes_max, lines_max)
    }

    /// A line that matches `pattern` belongs to the one before; any other begins an event.
    ///
    /// # Errors
    /// [`BadPattern`].
    pub fn continuing(pattern: &str, bytes_max: usize, lines_max: usize) -> Result<Self, BadPattern> {
        Self::new(pattern, false, bytes_max, lines_max)
    }

    fn new(
        pattern: &str,
        matches_begin: bool,
        bytes_max: usize,
        lines_max: usize,
    ) -> Result<Self, BadPattern> {
        Ok(Self {
            pattern: Regex::new(pattern)?,
            matches_begin,
            bytes_max,
            lines_max,
        })
    }

    fn begins(&self, line: &[u8]) -> bool {
        self.pattern.is_match(line) == self.matches_begin
    }
}

/// Joins the lines of one stream. It has no clock: when an event is complete because nothing more came is the
/// caller's to say.
///
/// ```
/// use std::sync::Arc;
///
/// use framing::{Frame, Joiner, MultilineRule};
///
/// let rule = MultilineRule::continuing(r"^\s", 1000, 100)?;
/// let mut joiner = Joiner::new(Arc::new(rule));
/// assert!(!joiner.push(Frame::whole(b"panic!")));
/// assert!(!joiner.push(Frame::whole(b"  at main")));
/// assert!(joiner.push(Frame::whole(b"next")));
/// assert_eq!(joiner.complete().bytes, b"panic!\n  at main");
/// assert!(joiner.finish());
/// assert_eq!(joiner.complete().bytes, b"next");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Joiner {
    rule: Arc<MultilineRule>,
    open: Open,
    complete: Open,
}

/// An event under way.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    lines: usize,
    defects: FrameDefects,
}

impl Joiner {
    /// A joiner in front of the first line.
    #[must_use]
    pub fn new(rule: Arc<MultilineRule>) -> Self {
        Self {
            rule,
            open: Open::default(),
            complete: Open::default(),
        }
    }

    /// Takes a line. True when the event before it is complete with that: see [`complete`](Self::complete).
    ///
    /// An event that has as many bytes or lines as allowed is complete too, and the line begins another one:
    /// nothing is lost.
    pub fn push(&mut self, line: Frame<'_>) -> bool {
        let is_next = self.is_open() && (self.is_full(line.bytes.len()) || self.rule.begins(line.bytes));
        if is_next {
            self.finish();
        }
        let open = &mut self.open;
        if open.lines > 0 {
            open.bytes.push(b'\n');
        }
        open.bytes.extend_from_slice(line.bytes);
        open.lines += 1;
        open.defects |= line.defects;
        is_next
    }

    /// Nothing more belongs to the event under way. True when there is one, which is then
    /// [`complete`](Self::complete).
    pub fn finish(&mut self) -> bool {
        if !self.is_open() {
            return false;
        }
        std::mem::swap(&mut self.open, &mut self.complete);
        self.open.bytes.clear();
        self.open.lines = 0;
        self.open.defects = FrameDefects::empty();
        true
    }

    /// The event that was completed last.
    #[must_use]
    pub fn complete(&self) -> Frame<'_> {
        Frame {
            bytes: &self.complete.bytes,
            defects: self.complete.defects,
        }
    }

    /// Whether an event is under way.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.lines > 0
    }

    fn is_full(&self, more: usize) -> bool {
        self.open.bytes.len() + 1 + more > self.rule.bytes_max || self.open.lines >= self.rule.lines_max
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn join(rule: MultilineRule, lines: &[&str]) -> Vec<String> {
        let mut joiner = Joiner::new(Arc::new(rule));
        let mut events = Vec::new();
        let text = |joiner: &Joiner| String::from_utf8(joiner.complete().bytes.to_vec()).unwrap();
        for line in lines {
            if joiner.push(Frame::whole(line.as_bytes())) {
                events.push(text(&joiner));
            }
        }
        if joiner.finish() {
            events.push(text(&joiner));
        }
        assert!(!joiner.finish() && !joiner.is_open());
        events
    }

    #[test]
    fn by_first_lines() {
        let rule = MultilineRule::starting("^<[0-9]+>", 1000, 10).unwrap();
        let lines = ["  before", "<13>a", "  1", "", "2", "<13>b", "<13>c", " 3"];
        assert_eq!(
            join(rule, &lines),
            ["  before", "<13>a\n  1\n\n2", "<13>b", "<13>c\n 3"]
        );
    }

    #[test]
    fn by_further_lines() {
        let rule = MultilineRule::continuing(r"^(\s|Caused by:)", 1000, 10).unwrap();
        let lines = ["a", " 1", "Caused by: x", "b", "c", "\t2"];
        assert_eq!(join(rule, &lines), ["a\n 1\nCaused by: x", "b", "c\n\t2"]);
    }

    #[test]
    fn what_is_too_much_for_one_event_goes_into_the_next() {
        let rule = || MultilineRule::continuing("^ ", 8, 3).unwrap();
        assert_eq!(
            join(rule(), &["a", " 1", " 2", " 3", " 4"]),
            ["a\n 1\n 2", " 3\n 4"]
        );
        assert_eq!(join(rule(), &["abc", " 1234", " 5"]), ["abc", " 1234\n 5"]);
        // A single line is never cut: its own bound is another one.
        assert_eq!(join(rule(), &["longer than 8", " 1"]), ["longer than 8", " 1"]);
        assert_eq!(join(rule(), &[]), [""; 0]);
    }

    #[test]
    fn defects_of_lines_are_those_of_the_event() {
        let rule = MultilineRule::continuing("^ ", 100, 10).unwrap();
        let mut joiner = Joiner::new(Arc::new(rule));
        joiner.push(Frame::whole(b"a"));
        let cut = Frame {
            bytes: b" b",
            defects: FrameDefects::TRUNCATED,
        };
        joiner.push(cut);
        assert!(joiner.push(Frame::whole(b"c")));
        assert_eq!(joiner.complete().defects, FrameDefects::TRUNCATED);
        assert!(joiner.finish());
        assert_eq!(joiner.complete(), Frame::whole(b"c"));
    }

    proptest! {
        #[test]
        fn no_line_is_lost(lines in proptest::collection::vec("[ a-c]{0,5}", 0..30), bytes_max in 1_usize..20, lines_max in 1_usize..5) {
            let rule = MultilineRule::starting("^a", bytes_max, lines_max).unwrap();
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let events = join(rule, &lines);
            prop_assert_eq!(events.join("\n"), lines.join("\n"));
            for event in events {
                prop_assert!(!event.contains('\n') || event.len() <= bytes_max);
                prop_assert!(event.split('\n').count() <= lines_max);
            }
        }
    }
}
