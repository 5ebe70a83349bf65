//! Names of exchanges, queues, routing keys and binding keys, each checked when it is made.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// AMQP's short strings hold this many bytes.
const NAME_BYTES_MAX: usize = 255;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing in it, or nothing between two full stops.
    #[error("{name:?} has an empty word: words are separated by single full stops")]
    EmptyWord {
        /// What was refused.
        name: String,
    },
    /// More than AMQP can carry.
    #[error("a name of {bytes} bytes is too long: {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A character that has no place in this kind of name.
    #[error("{name:?} holds {character:?}, which is not allowed there")]
    Character {
        /// What was refused.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// `amq.` belongs to the broker.
    #[error("{name:?} begins with \"amq.\", which is reserved")]
    Reserved {
        /// What was refused.
        name: String,
    },
}

/// The exchanges of Logferry: topic and durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exchange {
    /// Raw batches from intake to `parser`.
    Received,
    /// Event batches from `parser` to the shippers.
    Parsed,
    /// What could not be processed, with the reason.
    Dead,
}

impl Exchange {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Received, Self::Parsed, Self::Dead];

    /// Its name in the broker.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "logferry.received",
            Self::Parsed => "logferry.parsed",
            Self::Dead => "logferry.dead",
        }
    }

    /// The exchange of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|exchange| exchange.name() == name)
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the routing key of a raw batch for one queue begins.
const ONLY: &str = "dead.only.";

/// Says where a message goes: words with full stops between them, `syslog.relp`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutingKey(Box<str>);

impl RoutingKey {
    /// Checks `text`: words of any characters but spaces, controls, `*` and `#`, with full stops between them.
    ///
    /// # Errors
    ///
    /// [`NameError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check_words(text, |c| matches!(c, '*' | '#'))?;
        Ok(Self(text.into()))
    }

    /// Of a raw batch whose events go to `queue` alone, whatever their route: others have them. [`QueueName::only_of`]
    /// reads it.
    ///
    /// # Errors
    ///
    /// [`NameError::TooLong`].
    pub fn only_to(queue: &QueueName) -> Result<Self, NameError> {
        Self::new(&format!("{ONLY}{queue}"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(Box<str>);

impl QueueName {
    /// Checks `text`: as a routing key, and it may not begin with `amq.`.
    ///
    /// # Errors
    ///
    /// [`NameError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check_words(text, |c| matches!(c, '*' | '#'))?;
        if text.starts_with("amq.") {
            return Err(NameError::Reserved { name: text.into() });
        }
        Ok(Self(text.into()))
    }

    /// The queue of raw batches, which `parser` consumes.
    #[must_use]
    pub fn parser() -> Self {
        Self("parser".into())
    }

    /// The queues of raw batches, when they are spread over `count`: `parser`, `parser-2`, and so on.
    pub fn of_parser(count: usize) -> impl Iterator<Item = Self> {
        let further = (2..=count).map(|number| Self(format!("parser-{number}").into()));
        std::iter::once(Self::parser()).chain(further)
    }

    /// The queue of dead letters.
    #[must_use]
    pub fn dead() -> Self {
        Self("dead".into())
    }

    /// The one queue that gets the events of a raw batch with this routing key, if it is [`RoutingKey::only_to`] one.
    #[must_use]
    pub fn only_of(routing_key: &str) -> Option<Self> {
        Self::new(routing_key.strip_prefix(ONLY)?).ok()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which routing keys a queue takes: words as in a routing key, where `*` stands for one word and `#` for any
/// number of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingKey(Box<str>);

impl BindingKey {
    /// Checks `text`; `*` and `#` must be words of their own.
    ///
    /// # Errors
    ///
    /// [`NameError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check_words(text, |_| false)?;
        for word in text.split('.').filter(|word| word.len() > 1) {
            if let Some(character) = word.chars().find(|c| matches!(c, '*' | '#')) {
                return Err(NameError::Character {
                    name: text.into(),
                    character,
                });
            }
        }
        Ok(Self(text.into()))
    }

    /// Takes every routing key.
    #[must_use]
    pub fn all() -> Self {
        Self("#".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a topic exchange routes `key` to a queue bound with this.
    ///
    /// Linear in practice and never worse than the product of both lengths: on a mismatch only the last `#`
    /// takes one word more, as earlier ones need not.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let mut pattern = self.0.split('.');
        let mut words = key.split('.');
        // Where to go on when the words after the last `#` do not fit.
        let mut retry = None;
        loop {
            let mut next_pattern = pattern.clone();
            let mut next_words = words.clone();
            match (next_pattern.next(), next_words.next()) {
                (None, None) => return true,
                (Some("#"), _) => {
                    retry = Some((next_pattern.clone(), words.clone()));
                    pattern = next_pattern;
                    continue;
                }
                (Some(expected), Some(word)) if expected == "*" || expected == word => {
                    pattern = next_pattern;
                    words = next_words;
                    continue;
                }
                (Some(_) | None, Some(_)) | (Some(_), None) => {}
            }
            let Some((after_hash, mut rest)) = retry.take() else {
                return false;
            };
            if rest.next().is_none() {
                return false;
            }
            pattern = after_hash.clone();
            words = rest.clone();
            retry = Some((after_hash, rest));
        }
    }
}

fn check_words(text: &str, is_refused: fn(char) -> bool) -> Result<(), NameError> {
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: text.len() });
    }
    if text.split('.').any(str::is_empty) {
        return Err(NameError::EmptyWord { name: text.into() });
    }
    match text
        .chars()
        .find(|&c| c.is_control() || c.is_whitespace() || is_refused(c))
    {
        Some(character) => Err(NameError::Character {
            name: text.into(),
            character,
        }),
        None => Ok(()),
    }
}

macro_rules! text_name {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    )*};
}

text_name!(RoutingKey, QueueName, BindingKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binding_keys_match_as_a_topic_exchange_does() {
        for (pattern, key, expected) in [
            ("#", "a", true),
            ("#", "a.b.c", true),
            ("a", "a", true),
            ("a", "b", false),
            ("a", "a.b", false),
            ("*", "a", true),
            ("*", "a.b", false),
            ("a.*", "a", false),
            ("a.*", "a.b", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("#.c", "c", true),
            ("#.c", "a.b.c", true),
            ("#.c", "a.c.b", false),
            ("a.#.c", "a.c", true),
            ("a.#.c", "a.b.b.c", true),
            ("a.#.c", "b.c", false),
            ("#.b.#", "a.b.c", true),
            ("#.b.#", "a.c", false),
            ("#.*", "a", true),
            ("#.b.*.#.d", "a.b.b.c.d", true),
            ("*.#.*", "a", false),
            ("*.#.*", "a.b", true),
        ] {
            let binding = BindingKey::new(pattern).unwrap();
            assert_eq!(binding.matches(key), expected, "{pattern} against {key}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert!(RoutingKey::new("syslog.relp").is_ok());
        assert!(RoutingKey::new("größe").is_ok());
        for refused in ["", ".", "a.", "a..b", "a b", "a*", "a.#", "a\n", &"x".repeat(256)] {
            assert!(RoutingKey::new(refused).is_err(), "{refused:?}");
            assert!(QueueName::new(refused).is_err(), "{refused:?}");
        }
        assert_eq!(
            QueueName::new("amq.gen"),
            Err(NameError::Reserved {
                name: "amq.gen".into()
            })
        );
        assert!(BindingKey::new("a.*.#").is_ok());
        for refused in ["", "a.b*", "##", "a..b", "a.# "] {
            assert!(BindingKey::new(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_raw_batch_for_one_queue_says_so() {
        let queue = QueueName::new("shipper-pgsql.b").unwrap();
        let key = RoutingKey::only_to(&queue).unwrap();
        assert_eq!(key.as_str(), "dead.only.shipper-pgsql.b");
        assert_eq!(QueueName::only_of(key.as_str()), Some(queue));
        for other in ["dead.only.", "dead.only", "dead.reparsed", "syslog.tcp", ""] {
            assert_eq!(QueueName::only_of(other), None, "{other}");
        }
        let long = QueueName::new(&"x".repeat(250)).unwrap();
        assert!(RoutingKey::only_to(&long).is_err());
    }

    #[test]
    fn exchanges_are_found_by_name() {
        for exchange in Exchange::ALL {
            assert_eq!(Exchange::from_name(exchange.name()), Some(exchange));
        }
        assert_eq!(Exchange::from_name("amq.topic"), None);
    }
}
