//! The kinds of value that a key can have: how each is read, what is allowed, and how that is told.

mod check;

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use self::check::NAME_BYTES_MAX;
use crate::{
    secret::{self, Secret},
    sources::CREDENTIALS_VARIABLE,
    tree::{self, Data, Node},
    units,
};

/// Longest text that any key takes, so that a mistake such as a pasted file is told and not kept.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Duration {
        min: Duration,
        max: Duration,
        word: Option<&'static str>,
    },
    Size {
        min: u64,
        max: u64,
    },
    Number {
        min: i64,
        max: i64,
        word: Option<&'static str>,
    },
    Choice(&'static [&'static str]),
    Address {
        word: Option<&'static str>,
    },
    /// With a password in it, so its value is never shown.
    Url {
        schemes: &'static [&'static str],
        word: Option<&'static str>,
    },
    /// Text whose value is never shown.
    Secret,
    /// A file whose text is a secret.
    SecretFile,
    /// An existing file that can be read.
    File,
    /// A folder, which need not exist yet.
    Folder,
    Name,
    Text,
    LogFilter,
    TimeZone,
    /// A route, as rules choose it.
    Route,
    BindingKeys,
    Names,
    /// `true` or `false`.
    Flag,
    /// A regular expression.
    Pattern,
    /// A pattern for paths.
    Glob,
    /// The label of a text encoding.
    Encoding,
    /// `name=value` texts.
    Pairs,
}

/// A value that its kind allows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A word instead of a value, such as `off`.
    Word,
    Duration(Duration),
    Size(u64),
    Number(i64),
    Text(String),
    Address(SocketAddr),
    Url(Secret),
    Secret(Secret),
    Path(PathBuf),
    List(Vec<String>),
    Flag(bool),
}

/// What paths start from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base<'a> {
    /// The folder of relative ones.
    pub(crate) folder: &'a Path,
    /// Where systemd put the credentials of the unit, if it did.
    pub(crate) credentials: Option<&'a Path>,
}

impl Base<'_> {
    fn path(&self, text: &str) -> Result<PathBuf, String> {
        const CREDENTIALS: &str = "${CREDENTIALS_DIRECTORY}/";
        match (text.strip_prefix(CREDENTIALS), self.credentials) {
            (None, _) => Ok(self.folder.join(text)),
            (Some(name), Some(credentials)) => Ok(credentials.join(name)),
            (Some(name), None) => Err(format!(
                "{CREDENTIALS_VARIABLE} is not set: systemd sets it for units with LoadCredential={name}:…"
            )),
        }
    }
}

impl Kind {
    /// Reads the value of a key. Paths start from `base`.
    pub(crate) fn read(&self, node: &Node, base: &Base<'_>) -> Result<Value, String> {
        match self {
            Self::Number { min, max, word } => number(node, *min, *max, *word),
            Self::BindingKeys => list(node, check::binding_key).map(Value::List),
            Self::Names => list(node, check::name).map(Value::List),
            Self::Pairs => list(node, check::pair).map(Value::List),
            Self::Flag => flag(node).map(Value::Flag),
            _ => self.read_text(text(node)?, base),
        }
    }

    fn read_text(&self, text: &str, base: &Base<'_>) -> Result<Value, String> {
        if self.word() == Some(text) {
            return Ok(Value::Word);
        }
        match self {
            Self::Duration { min, max, .. } => {
                let duration = units::duration(text).map_err(|error| self.or_word(error))?;
                within(duration, *min, *max, self).map(Value::Duration)
            }
            Self::Size { min, max } => within(units::size(text)?, *min, *max, self).map(Value::Size),
            Self::Choice(choices) if choices.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::Choice(_) => Err(format!("must be {}", self.allowed())),
            Self::Address { .. } => text.parse().map(Value::Address).map_err(|_not_an_address| {
                self.or_word(
                    "must be an IP address and a port, such as \"127.0.0.1:5514\" or \"[::1]:5514\""
                        .to_owned(),
                )
            }),
            Self::Url { schemes, .. } => check::url(text, schemes, self).map(Value::Url),
            Self::Secret => secret::checked(text).map(Value::Secret),
            Self::SecretFile => secret::in_file(&base.path(text)?).map(Value::Secret),
            Self::File => file(&base.path(text)?).map(Value::Path),
            Self::Folder if text.contains('\0') => Err("must be a path, without NUL".to_owned()),
            Self::Folder => base.path(text).map(Value::Path),
            Self::Name => check::name(text).map(|()| Value::Text(text.to_owned())),
            Self::Route => check::route(text).map(|()| Value::Text(text.to_owned())),
            Self::Text => Ok(Value::Text(text.to_owned())),
            Self::LogFilter => check::log_filter(text).map(|()| Value::Text(text.to_owned())),
            Self::TimeZone => check::time_zone(text).map(|()| Value::Text(text.to_owned())),
            Self::Pattern => check::pattern(text).map(|()| Value::Text(text.to_owned())),
            Self::Glob => check::glob_pattern(text).map(|()| Value::Text(text.to_owned())),
            Self::Encoding => check::encoding(text).map(|()| Value::Text(text.to_owned())),
            Self::Number { .. } | Self::BindingKeys | Self::Names | Self::Pairs | Self::Flag => {
                Err("is not a text key".to_owned())
            }
        }
    }

    const fn word(&self) -> Option<&'static str> {
        match self {
            Self::Duration { word, .. }
            | Self::Number { word, .. }
            | Self::Address { word }
            | Self::Url { word, .. } => *word,
            _ => None,
        }
    }

    /// Whether values must not be shown.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::Secret)
    }

    /// Whether values stand in quotes in the settings file.
    pub(crate) fn is_quoted(&self, value: &str) -> bool {
        match self {
            Self::Number { word, .. } => *word == Some(value),
            Self::BindingKeys | Self::Names | Self::Pairs | Self::Flag => false,
            _ => true,
        }
    }

    /// What is allowed, for messages and for the reference.
    pub(crate) fn allowed(&self) -> String {
        let values = match self {
            Self::Duration { min, max, .. } => {
                format!(
                    "from {} to {}",
                    units::show_duration(*min),
                    units::show_duration(*max)
                )
            }
            Self::Size { min, max } => {
                format!("from {} to {}", units::show_size(*min), units::show_size(*max))
            }
            Self::Number { min, max, .. } => format!("from {min} to {max}"),
            Self::Choice(choices) => {
                let quoted: Vec<_> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
                quoted.join(" or ")
            }
            Self::Address { .. } => "IP address and port".to_owned(),
            Self::Url { schemes, .. } => {
                let shown: Vec<_> = schemes.iter().map(|scheme| format!("\"{scheme}://…\"")).collect();
                shown.join(" or ")
            }
            Self::Secret => "text without control characters".to_owned(),
            Self::SecretFile => "file that can be read, with one line".to_owned(),
            Self::File => "file that can be read".to_owned(),
            Self::Folder => "folder".to_owned(),
            Self::Name => format!("up to {NAME_BYTES_MAX} letters, digits, `-` and `_`"),
            Self::Route => {
                format!("up to {NAME_BYTES_MAX} of `a` to `z`, digits, `-`, `_` and, between two others, `.`")
            }
            Self::Text => "text".to_owned(),
            Self::LogFilter => {
                "level (off, error, warn, info, debug, trace), and `part=level` after commas".to_owned()
            }
            Self::TimeZone => "IANA time zone name".to_owned(),
            Self::BindingKeys => "list of topic patterns".to_owned(),
            Self::Names => "list of names".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Pattern => "regular expression".to_owned(),
            Self::Glob => "pattern with `*`, `?`, `[…]` and `**`".to_owned(),
            Self::Encoding => "encoding label of the web".to_owned(),
            Self::Pairs => "list of `name=value` texts".to_owned(),
        };
        match self.word() {
            Some(word) => format!("{values}, or \"{word}\""),
            None => values,
        }
    }

    fn or_word(&self, problem: String) -> String {
        match self.word() {
            Some(word) => format!("{problem}, or \"{word}\""),
            None => problem,
        }
    }
}

fn within<T: PartialOrd>(value: T, min: T, max: T, kind: &Kind) -> Result<T, String> {
    if value < min || value > max {
        Err(format!("must be {}", kind.allowed()))
    } else {
        Ok(value)
    }
}

fn text(node: &Node) -> Result<&str, String> {
    match &node.data {
        Data::Loose(text) if text.is_empty() => Err("is empty: leave it out, or give it a value".to_owned()),
        Data::Text(text) | Data::Loose(text) if text.len() > TEXT_BYTES_MAX => Err(format!(
            "is longer than {}",
            units::show_size(TEXT_BYTES_MAX as u64)
        )),
        Data::Text(text) | Data::Loose(text) => Ok(text),
        Data::Integer(number) => Err(format!(
            "must be text in quotes, with a unit if it is a quantity: {number} is a number"
        )),
        Data::Other(_) => Err("must be text in quotes".to_owned()),
        Data::List(_) => Err("must be one text, not a list".to_owned()),
        Data::Section(_) => Err("must be a value, not a section".to_owned()),
    }
}

fn number(node: &Node, min: i64, max: i64, word: Option<&'static str>) -> Result<Value, String> {
    let kind = Kind::Number { min, max, word };
    let number = match &node.data {
        Data::Integer(number) => *number,
        Data::Text(text) | Data::Loose(text) if word == Some(text) => return Ok(Value::Word),
        Data::Loose(text) => text
            .trim()
            .parse()
            .map_err(|_not_a_number| format!("must be a whole number {}", kind.allowed()))?,
        Data::Text(text) if text.parse::<i64>().is_ok() => {
            return Err(format!("must be a number without quotes: {text}"));
        }
        Data::Text(_) | Data::Other(_) | Data::List(_) | Data::Section(_) => {
            return Err(format!("must be a whole number {}", kind.allowed()));
        }
    };
    within(number, min, max, &kind).map(Value::Number)
}

fn list(node: &Node, check: fn(&str) -> Result<(), String>) -> Result<Vec<String>, String> {
    const FORM: &str = "must be a list of texts, such as [\"a\", \"b\"]";
    let texts = match &node.data {
        Data::List(nodes) => nodes
            .iter()
            .map(|node| match &node.data {
                Data::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(FORM)?,
        Data::Loose(text) if text.trim_start().starts_with('[') => {
            let node = tree::value_from_toml(text, &node.place).ok_or(FORM)?;
            return list(&node, check);
        }
        Data::Loose(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        Data::Text(_) | Data::Integer(_) | Data::Other(_) | Data::Section(_) => return Err(FORM.to_owned()),
    };
    for text in &texts {
        check(text).map_err(|problem| format!("{text:?} {problem}"))?;
    }
    Ok(texts)
}

fn flag(node: &Node) -> Result<bool, String> {
    match &node.data {
        Data::Other(text) | Data::Loose(text) if text == "true" => Ok(true),
        Data::Other(text) | Data::Loose(text) if text == "false" => Ok(false),
        Data::Text(text) if text == "true" || text == "false" => {
            Err(format!("must be {text} without quotes"))
        }
        _ => Err("must be true or false".to_owned()),
    }
}

fn file(path: &Path) -> Result<PathBuf, String> {
    let opened = File::open(path).and_then(|file| file.metadata());
    match opened {
        Ok(metadata) if metadata.is_dir() => Err(format!("{} is a folder, not a file", path.display())),
        Ok(_) => Ok(path.to_owned()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}
