//! What was wrong with a line: closed sets of named defects.

bitflags::bitflags! {
    /// What intake noticed while it cut a frame out of the stream.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct FrameDefects: u8 {
        /// Longer than the listener's `frame_bytes_max`; the rest was discarded and counted.
        const TRUNCATED = 1;
        /// The stream ended inside the frame.
        const UNTERMINATED = 2;
    }
}

bitflags::bitflags! {
    /// What is wrong with an event, as a set; [`Defects::words`] gives the words that users see.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Defects: u32 {
        /// `truncated`: the frame was longer than allowed and was cut.
        const TRUNCATED = 1;
        /// `unterminated`: the stream ended inside the frame.
        const UNTERMINATED = 1 << 1;
        /// `no_priority`: no valid `<PRI>` at the start.
        const NO_PRIORITY = 1 << 2;
        /// `bad_timestamp`: something stands where the timestamp belongs, and it is none.
        const BAD_TIMESTAMP = 1 << 3;
        /// `bad_header`: an RFC 5424 header that breaks the grammar; the rest is in `message`.
        const BAD_HEADER = 1 << 4;
        /// `bad_structured_data`: structured data that breaks the grammar; its text stays in `message`.
        const BAD_STRUCTURED_DATA = 1 << 5;
        /// `invalid_utf8`: bytes that are not UTF-8 are replaced by U+FFFD; the exact bytes are in `raw`.
        const INVALID_UTF8 = 1 << 6;
        /// `nul`: NUL characters are replaced by U+2400; the exact bytes are in `raw`.
        const NUL = 1 << 7;
        /// `bad_json`: looks like a JSON object and is none.
        const BAD_JSON = 1 << 8;
        /// `not_syslog`: fits no known form; the whole line is `message`.
        const NOT_SYSLOG = 1 << 9;
        /// `too_complex`: more elements or deeper nesting than allowed; the rest stays as text.
        const TOO_COMPLEX = 1 << 10;
        /// `rule_failed`: a rule failed at run time; the event is as it was before that rule.
        const RULE_FAILED = 1 << 11;
        /// `unstorable`: a value that the store cannot hold was replaced by a visible marker.
        const UNSTORABLE = 1 << 12;
        /// `field_too_long`: a header field was longer than allowed and was cut.
        const FIELD_TOO_LONG = 1 << 13;
    }
}

/// The words for users, in bit order.
const NAMES: [(Defects, &str); 14] = [
    (Defects::TRUNCATED, "truncated"),
    (Defects::UNTERMINATED, "unterminated"),
    (Defects::NO_PRIORITY, "no_priority"),
    (Defects::BAD_TIMESTAMP, "bad_timestamp"),
    (Defects::BAD_HEADER, "bad_header"),
    (Defects::BAD_STRUCTURED_DATA, "bad_structured_data"),
    (Defects::INVALID_UTF8, "invalid_utf8"),
    (Defects::NUL, "nul"),
    (Defects::BAD_JSON, "bad_json"),
    (Defects::NOT_SYSLOG, "not_syslog"),
    (Defects::TOO_COMPLEX, "too_complex"),
    (Defects::RULE_FAILED, "rule_failed"),
    (Defects::UNSTORABLE, "unstorable"),
    (Defects::FIELD_TOO_LONG, "field_too_long"),
];

impl Defects {
    /// The names of the defects in the set, in a fixed order, as JSON, SQL and the pages show them.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .iter()
            .filter(move |(defect, _)| self.contains(*defect))
            .map(|(_, name)| *name)
    }

    /// The defect with this name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(defect, _)| *defect)
    }
}

impl From<FrameDefects> for Defects {
    fn from(frame: FrameDefects) -> Self {
        let mut defects = Self::empty();
        defects.set(Self::TRUNCATED, frame.contains(FrameDefects::TRUNCATED));
        defects.set(Self::UNTERMINATED, frame.contains(FrameDefects::UNTERMINATED));
        defects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_one_word() {
        assert_eq!(
            Defects::all().words().count(),
            usize::try_from(Defects::all().bits().count_ones()).unwrap()
        );
        for word in Defects::all().words() {
            assert_eq!(
                Defects::from_word(word).unwrap().words().collect::<Vec<_>>(),
                [word]
            );
        }
    }
}
