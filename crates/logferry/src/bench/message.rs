//! The messages of a run: one template, in which time and number change.

use event::{EventTime, Timestamp};

/// Digits of a number.
const NUMBER_DIGITS: usize = 12;

const BEFORE_TIME: &str = "<134>1 ";
const NUMBER: &str = "000000000000";

/// What fills a message up to its size: words, as in real logs, and not what packs to nothing.
const FILLER: &str =
    " the quick brown fox jumps over the lazy dog while user 4711 logs in from 192.0.2.17 port 50022";

/// A message with its parts where they belong.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    number_at: usize,
}

/// A size that has room for the header, and that a receiver takes.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let min = Template::new(0, "00000000").bytes.len();
    text.parse()
        .ok()
        .filter(|size| (min..=1 << 20).contains(size))
        .ok_or_else(|| format!("a number from {min} to 1048576 is needed"))
}

impl Template {
    /// Messages of `size` bytes, or as few as hold what must be in them.
    pub(crate) fn new(size: usize, run: &str) -> Self {
        let time = EventTime::utc(Timestamp::now());
        let before = format!("{BEFORE_TIME}{time} bench.example logferry-bench - - - run={run} seq=");
        let mut bytes = before.into_bytes();
        let number_at = bytes.len();
        bytes.extend_from_slice(NUMBER.as_bytes());
        let missing = size.saturating_sub(bytes.len());
        bytes.extend(FILLER.bytes().cycle().take(missing));
        Self { bytes, number_at }
    }

    /// The messages that follow are sent now.
    pub(crate) fn stamp(&mut self) {
        let time = EventTime::utc(Timestamp::now()).to_string();
        self.put(BEFORE_TIME.len(), time.as_bytes());
    }

    /// The message of this number.
    pub(crate) fn render(&mut self, number: u64) -> &[u8] {
        let (mut digits, mut rest) = ([b'0'; NUMBER_DIGITS], number);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        self.put(self.number_at, &digits);
        &self.bytes
    }

    fn put(&mut self, at: usize, new: &[u8]) {
        if let Some(old) = self.bytes.get_mut(at..at + new.len()) {
            old.copy_from_slice(new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_one_size_and_a_number_each() {
        let mut template = Template::new(200, "0badcafe");
        let first = String::from_utf8(template.render(0).to_vec()).unwrap();
        template.stamp();
        let last = String::from_utf8(template.render(123_456_789).to_vec()).unwrap();
        assert_eq!((first.len(), last.len()), (200, 200));
        assert!(first.contains(" run=0badcafe seq=000000000000 "), "{first}");
        assert!(last.contains(" run=0badcafe seq=000123456789 "), "{last}");
        assert!(last.starts_with("<134>1 20"), "{last}");
        assert!(last.contains("Z bench.example logferry-bench - - - "), "{last}");
    }

    #[test]
    fn sizes_have_room_for_what_must_be_in_a_message() {
        assert_eq!(size("200"), Ok(200));
        for bad in ["10", "2000000", "x", ""] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
