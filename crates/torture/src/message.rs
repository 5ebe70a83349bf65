//! The messages that are sent: each can be told from all others, and made again to compare.

use std::fmt;

use serde_json::json;

use crate::random::Random;

/// The longest payload; with its header it stays below a listener's `frame_bytes_max`.
const LONG_BYTES: usize = 50_000;
/// What every key begins with.
const MARK: &str = "torture-";

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Driver {
    /// A RELP session with many transactions in flight.
    Relp(u8),
    /// Plain TCP, frames ended by LF.
    TcpLines,
    /// Plain TCP, octet-counted frames.
    TcpOctets,
    /// Files, renamed into the folder that harvest watches.
    Files,
    /// The message that shows that the pipeline works again after a round.
    Fresh,
}

impl Driver {
    fn code(self) -> u64 {
        match self {
            Self::Relp(number) => u64::from(number),
            Self::TcpLines => 100,
            Self::TcpOctets => 101,
            Self::Files => 102,
            Self::Fresh => 200,
        }
    }

    fn of_code(code: u64) -> Option<Self> {
        Some(match code {
            100 => Self::TcpLines,
            101 => Self::TcpOctets,
            102 => Self::Files,
            200 => Self::Fresh,
            number => Self::Relp(u8::try_from(number).ok().filter(|number| *number < 100)?),
        })
    }

    /// Whether a lost connection may lose what was sent: nobody answers plain TCP.
    pub(crate) fn is_answered(self) -> bool {
        !matches!(self, Self::TcpLines | Self::TcpOctets)
    }

    /// Whether a line feed ends each message.
    fn is_by_lines(self) -> bool {
        matches!(self, Self::TcpLines | Self::Files)
    }
}

/// What the rules of the pipeline make of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fate {
    /// It goes to both outputs.
    #[default]
    Kept,
    /// A rule drops it.
    Dropped,
    /// A rule sends it where nobody takes it: to the dead letters.
    Dead,
}

impl Fate {
    /// The rules, by what [`payload`] puts at the end of such messages.
    pub(crate) const RULES: &str = r#"
text = string(.message) ?? ""
if contains(text, " fate:drop.") { drop("torture") }
if contains(text, " fate:dead.") { route("nowhere") }
"#;

    /// Of the message with this key.
    pub(crate) fn of(seed: u64, key: Key) -> Self {
        match kind(&mut Message::random(seed, key), key.driver) {
            78 => Self::Dropped,
            79 => Self::Dead,
            _ => Self::Kept,
        }
    }
}

/// What tells a message from all others of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) round: u32,
    pub(crate) driver: Driver,
    pub(crate) number: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            round,
            driver,
            number,
        } = self;
        write!(f, "{MARK}{round}-{}-{number}", driver.code())
    }
}

impl Key {
    /// What the keys of a round begin with.
    pub(crate) fn start(round: u32) -> String {
        format!("{MARK}{round}-")
    }

    /// The first whole key in `text`, which a space ends.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let (_, text) = text.split_once(MARK)?;
        let (text, _) = text.split_once(' ')?;
        let mut numbers = text.split('-').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            round: u32::try_from(next()?).ok()?,
            driver: Driver::of_code(next()?)?,
            number: u32::try_from(next()?).ok()?,
        })
    }
}

/// What is sent, and what must come of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    /// The event's message; `None` where it is whatever the grammar makes of a line that is none.
    pub(crate) text: Option<String>,
    /// Whether the exact bytes are kept, because text cannot hold them or because they break the grammar.
    pub(crate) is_kept_raw: bool,
}

impl Message {
    /// The message with this key. Always the same one.
    pub(crate) fn new(seed: u64, key: Key) -> Self {
        let mut random = Self::random(seed, key);
        let kind = kind(&mut random, key.driver);
        let payload = payload(&mut random, kind, !key.driver.is_by_lines());
        let mut content = format!("{key} {:08x} ", crc32fast::hash(&payload)).into_bytes();
        content.extend_from_slice(&payload);
        match kind {
            96 | 97 => Self::json(key, &content),
            98 => Self {
                bytes: content,
                text: None,
                is_kept_raw: true,
            },
            _ => Self::rfc5424(key, &content),
        }
    }

    fn random(seed: u64, key: Key) -> Random {
        let purposes = [u64::from(key.round), key.driver.code(), u64::from(key.number)];
        Random::new(seed, &purposes)
    }

    fn rfc5424(key: Key, content: &[u8]) -> Self {
        let round = key.round;
        let mut bytes = format!("<134>1 2026-03-01T10:00:00.123456Z r{round} torture - - - ").into_bytes();
        bytes.extend_from_slice(content);
        let text = String::from_utf8_lossy(content).replace('\0', "\u{2400}");
        Self {
            bytes,
            is_kept_raw: text.as_bytes() != content,
            text: Some(text),
        }
    }

    fn json(key: Key, content: &[u8]) -> Self {
        let text = String::from_utf8_lossy(content).into_owned();
        let hostname = format!("r{}", key.round);
        let event = json!({"hostname": hostname, "app_name": "torture", "message": text});
        Self {
            bytes: format!("<134>{event}").into_bytes(),
            text: Some(text),
            is_kept_raw: false,
        }
    }
}

/// What kind of message it is, of a hundred.
fn kind(random: &mut Random, driver: Driver) -> usize {
    match (random.below(100), driver) {
        // It has to arrive.
        (78 | 79, Driver::Fresh) => 0,
        // In a file that is as good as any other line, so it is not kept raw.
        (98, Driver::Files) => 0,
        (kind, _) => kind,
    }
}

/// Mostly words; some of everything that a line should not be, and ends with a full stop, because line ends are the
/// framing's.
fn payload(random: &mut Random, kind: usize, may_have_lines: bool) -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel",
    ];
    let mut payload = Vec::new();
    let words = 3 + random.below(40);
    for _ in 0..words {
        payload.extend_from_slice(random.choose(&WORDS).as_bytes());
        payload.push(b' ');
    }
    let odd: &[u8] = match kind {
        78 => b"fate:drop",
        79 => b"fate:dead",
        80..=83 => "Zoë 東京 🦀 ﷽ e\u{301} \u{202e}".as_bytes(),
        84..=86 => br#"{"user":"a\"b","path":"C:\\x",'q':"`"} %s $1 \N \. "#,
        // Line ends of plain TCP, both of them.
        87 | 88 if may_have_lines => b"nul \0\0 nul",
        89 | 90 => b"\xff\xfe \xc3( \xed\xa0\x80 \xf0\x9f",
        91 | 92 if may_have_lines => b"one\nline\r\nand\nanother",
        93 => b"\x1b[31m \t\x07\x08\x7f",
        94 => br#"[sd@1 a="b"] <13>1 2026-01-01T00:00:00Z - - - - - another"#,
        _ => b"",
    };
    payload.extend_from_slice(odd);
    if kind == 95 {
        let bytes = random.below(LONG_BYTES);
        payload.extend(std::iter::repeat_n(b'x', bytes));
    }
    payload.push(b'.');
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key {
            round: 3,
            driver: Driver::Relp(1),
            number,
        }
    }

    #[test]
    fn a_key_is_found_in_what_was_sent() {
        for number in 0..500 {
            let message = Message::new(1, key(number));
            let text = String::from_utf8_lossy(&message.bytes);
            assert_eq!(Key::find(&text), Some(key(number)), "{text}");
            assert_eq!(message, Message::new(1, key(number)));
        }
        for driver in [
            Driver::TcpLines,
            Driver::TcpOctets,
            Driver::Files,
            Driver::Fresh,
            Driver::Relp(7),
        ] {
            let key = Key { driver, ..key(5) };
            assert_eq!(Key::find(&format!("x {key} y")), Some(key));
        }
        for none in [
            "",
            "torture-",
            "torture-1-2 ",
            "torture-1-0-3",
            "torture-1-150-3 ",
        ] {
            assert_eq!(Key::find(none), None, "{none}");
        }
    }

    #[test]
    fn fates_stand_in_the_text() {
        let mut fates = [0; 3];
        for number in 0..1000 {
            let text = Message::new(1, key(number)).text.unwrap_or_default();
            let fate = Fate::of(1, key(number));
            fates[fate as usize] += 1;
            assert_eq!(fate == Fate::Dropped, text.contains(" fate:drop."), "{text}");
            assert_eq!(fate == Fate::Dead, text.contains(" fate:dead."), "{text}");
            let driver = Driver::Fresh;
            let fresh = Key {
                driver,
                ..key(number)
            };
            assert_eq!(Fate::of(1, fresh), Fate::Kept);
        }
        assert!(fates.iter().all(|count| *count > 3), "{fates:?}");
    }

    #[test]
    fn frames_of_lines_have_no_line_inside() {
        for number in 0..2000 {
            let driver = Driver::TcpLines;
            let message = Message::new(
                1,
                Key {
                    driver,
                    ..key(number)
                },
            );
            assert!(!message.bytes.iter().any(|byte| matches!(byte, b'\n' | 0)));
        }
    }
}
