//! The messages of a run: lines like those of real machines, in which time and number change.
//!
//! They are made before the run and sent in turn, so that a message costs little more than its copy. No line comes
//! again within what LZ4 looks back, and they pack as real logs do.

use std::rc::Rc;

use event::{BatchId, Compression, EventTime, FrameDefects, RawBatchBuilder, Timestamp};

use super::words::Words;

/// Digits of a number.
const NUMBER_DIGITS: usize = 12;
const NUMBER: &str = "000000000000";

/// Lines that differ: more than senders repeat themselves, few enough to stay in the processor's cache.
const LINES_MAX: usize = 4096;
/// And what they take together, where messages are large.
const LINES_BYTES_MAX: usize = 4 << 20;

/// Messages by whose size together a run tells how well they pack, about as many as a batch has.
const SAMPLE: u64 = 640;

/// The header at its longest, and what identifies a message.
const SIZE_MIN: usize = 128;
const SIZE_MAX: usize = 1 << 20;

/// Renders messages. Clones share the lines.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    lines: Rc<[Line]>,
    time: String,
    message: Vec<u8>,
}

/// A message with its parts where they belong.
#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    time_at: usize,
    number_at: usize,
}

/// A size that has room for the header, and that a receiver takes.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|size| (SIZE_MIN..=SIZE_MAX).contains(size))
        .ok_or_else(|| format!("a number from {SIZE_MIN} to {SIZE_MAX} is needed"))
}

impl Template {
    /// Messages of `size` bytes.
    pub(crate) fn new(size: usize, run: &str) -> Self {
        let mut words = Words::new();
        let count = (LINES_BYTES_MAX / size.max(1)).clamp(1, LINES_MAX);
        let time = now();
        Self {
            lines: (0..count)
                .map(|_| Line::new(&mut words, size, &time, run))
                .collect(),
            time,
            message: Vec::with_capacity(size),
        }
    }

    /// The messages that follow are sent now.
    pub(crate) fn stamp(&mut self) {
        self.time = now();
    }

    /// The message of this number.
    pub(crate) fn render(&mut self, number: u64) -> &[u8] {
        let count = u64::try_from(self.lines.len()).unwrap_or(1).max(1);
        let turn = usize::try_from(number % count).unwrap_or(0);
        self.message.clear();
        if let Some(line) = self.lines.get(turn) {
            self.message.extend_from_slice(&line.bytes);
            put(&mut self.message, line.time_at, self.time.as_bytes());
            put(&mut self.message, line.number_at, &digits(number));
        }
        &self.message
    }

    /// How many times smaller LZ4 makes a batch of these messages.
    pub(crate) fn lz4_ratio(&mut self) -> f64 {
        let mut packed = |compression| {
            let mut batch = RawBatchBuilder::new(BatchId::mint(), "bench");
            for number in 0..SAMPLE {
                let message = self.render(number);
                batch.push(
                    Timestamp::from_micros(0),
                    "",
                    None,
                    FrameDefects::empty(),
                    message,
                );
            }
            let bytes = batch.finish(compression).len();
            f64::from(u32::try_from(bytes).unwrap_or(u32::MAX))
        };
        let plain = packed(Compression::None);
        plain / packed(Compression::Lz4)
    }
}

impl Line {
    fn new(words: &mut Words, size: usize, time: &str, run: &str) -> Self {
        let source = words.source();
        let priority = format!("<{}>1 ", source.priority);
        let mut text = format!(
            "{priority}{time} {} {} {} - - run={run} seq=",
            source.hostname, source.app_name, source.procid
        );
        let number_at = text.len();
        text.push_str(NUMBER);
        while text.len() < size {
            text.push(' ');
            words.say(source.app_name, &mut text);
        }
        text.truncate(size);
        Self {
            bytes: text.into_bytes(),
            time_at: priority.len(),
            number_at,
        }
    }
}

/// Always as long.
fn now() -> String {
    EventTime::utc(Timestamp::now()).to_string()
}

fn digits(mut number: u64) -> [u8; NUMBER_DIGITS] {
    let mut digits = [b'0'; NUMBER_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    digits
}

fn put(message: &mut [u8], at: usize, new: &[u8]) {
    if let Some(old) = message.get_mut(at..at + new.len()) {
        old.copy_from_slice(new);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        for message in [&first, &last] {
            let (priority, rest) = message.split_once(">1 ").unwrap();
            assert!(priority.starts_with('<'), "{message}");
            assert!(rest.starts_with("20") && rest.contains("Z "), "{message}");
        }
    }

    #[test]
    fn messages_differ_and_pack_like_real_ones() {
        let mut template = Template::new(200, "0badcafe");
        let mut texts = BTreeSet::new();
        for number in 0..4096 {
            let message = String::from_utf8(template.render(number).to_vec()).unwrap();
            let (_, text) = message.split_once(" seq=").unwrap();
            texts.insert(text.get(NUMBER_DIGITS..).unwrap().to_owned());
        }
        assert!(texts.len() > 3500, "{} different texts", texts.len());
        let ratio = template.lz4_ratio();
        assert!((3.0..5.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn the_smallest_and_the_largest_have_room_for_what_must_be_in_a_message() {
        for (size, messages) in [(SIZE_MIN, 4096), (SIZE_MAX, 8)] {
            let mut template = Template::new(size, "0badcafe");
            for number in 0..messages {
                let message = template.render(number);
                assert_eq!(message.len(), size);
                let digits = format!(" seq={number:012}");
                assert!(String::from_utf8_lossy(message).contains(&digits));
            }
        }
    }

    #[test]
    fn sizes_have_room_for_what_must_be_in_a_message() {
        assert_eq!(size("200"), Ok(200));
        for bad in ["10", "2000000", "x", ""] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
