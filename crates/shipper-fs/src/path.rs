//! Paths of files from events: whatever an event says, the path stays below the destination's folder.
//!
//! The template's own text and its formed times (`{received_at:%Y/%m}`) make the folders. A value of the event is always
//! a piece of one name: separators and control characters become `_`, so does a dot at its start (and a dash at
//! the start of a name, which commands would take for an option), it is cut at [`VALUE_BYTES_MAX`], and where it is
//! absent or empty it is [`ABSENT`]. Whoever opens the path must still not follow links: see [`crate::root`].

use std::str;

use event::{
    BatchId, Event, EventId, Timestamp,
    format::{Part, Placeholder, Template, TemplateError},
};

/// Stands for a value that the event does not have.
pub(crate) const ABSENT: &str = "unknown";
/// The folder of our own records in each destination; no file of events goes there.
pub(crate) const OUR_DIR: &str = ".logferry";
/// Bytes that one value gives to a path: longer than any hostname that resolves, and two fit into one name.
const VALUE_BYTES_MAX: usize = 120;
/// What Linux file systems take for one name.
const NAME_BYTES_MAX: usize = 255;

/// Why a text is not a template of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No template at all.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Begins with a slash.
    #[error("the path is below `dir`, so it does not begin with a slash")]
    Absolute,
    /// An empty name, `.` or `..`.
    #[error("{0:?} is no name for a file or folder")]
    NoName(String),
    /// Control characters in the template's own text.
    #[error("a path holds no control characters")]
    Control,
    /// Into our own folder.
    #[error("{OUR_DIR} is Logferry's own folder")]
    Ours,
}

/// A checked template of a path.
#[derive(Debug, Clone)]
pub(crate) struct PathTemplate {
    template: Template,
    names_fixed: usize,
}

impl PathTemplate {
    pub(crate) fn new(text: &str) -> Result<Self, PathError> {
        if text.contains(char::is_control) {
            return Err(PathError::Control);
        }
        let mut path = Self {
            template: Template::new(text)?,
            names_fixed: 0,
        };
        // Values never change where the separators are, so one event shows all names that the template makes.
        let nothing = EventId::derive(
            BatchId::from_uuid(uuid::Uuid::nil()),
            0,
            Timestamp::from_micros(0),
        );
        let event = Event::received(nothing, 0, Timestamp::from_micros(0), "", "");
        let mut sample = Vec::new();
        path.put_pieces(&event, &mut sample);
        let sample = String::from_utf8_lossy(&sample).into_owned();
        path.names_fixed = path.count_fixed(&event);
        if sample.starts_with('/') {
            return Err(PathError::Absolute);
        }
        match sample.split('/').find(|name| matches!(*name, "" | "." | "..")) {
            Some(name) => Err(PathError::NoName(name.to_owned())),
            None if is_ours(sample.as_bytes()) => Err(PathError::Ours),
            None => Ok(path),
        }
    }

    /// Replaces `path` by the path of this event's file.
    pub(crate) fn write(&self, event: &Event<'_>, path: &mut Vec<u8>) {
        path.clear();
        self.put_pieces(event, path);
        if path.len() > NAME_BYTES_MAX {
            cut_names(path);
        }
        if let (true, Some(first)) = (is_ours(path), path.first_mut()) {
            *first = b'_';
        }
    }

    /// Whether events have a say in the name numbered `name`, or in one before it.
    pub(crate) const fn is_chosen(&self, name: usize) -> bool {
        name >= self.names_fixed
    }

    /// Names before the first that a sender has a say in.
    fn count_fixed(&self, event: &Event<'_>) -> usize {
        let mut fixed = Vec::new();
        for part in self.template.parts() {
            match part {
                Part::Placeholder(value) if !value.is_arrival() => {
                    return fixed.iter().filter(|byte| **byte == b'/').count();
                }
                ours => put_piece(ours, event, &mut fixed),
            }
        }
        usize::MAX
    }

    fn put_pieces(&self, event: &Event<'_>, path: &mut Vec<u8>) {
        for part in self.template.parts() {
            put_piece(part, event, path);
        }
    }
}

fn put_piece(part: &Part, event: &Event<'_>, path: &mut Vec<u8>) {
    match part {
        Part::Literal(text) => path.extend_from_slice(text.as_bytes()),
        Part::Placeholder(time) if time.is_formed_time() => {
            time.write(event, path);
        }
        Part::Placeholder(value) => put_value(value, event, path),
    }
}

fn is_ours(path: &[u8]) -> bool {
    let ours = path.strip_prefix(OUR_DIR.as_bytes());
    matches!(ours, Some([] | [b'/', ..]))
}

fn put_value(value: &Placeholder, event: &Event<'_>, path: &mut Vec<u8>) {
    let start = path.len();
    value.write(event, path);
    let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-');
    let written = path.get(start..).unwrap_or_default();
    let is_safe = written.len() <= VALUE_BYTES_MAX
        && written.iter().all(is_plain)
        && !matches!(written, [] | [b'.' | b'-', ..]);
    if !is_safe {
        let made_safe = make_safe(written, path.get(..start).unwrap_or_default());
        path.truncate(start);
        path.extend_from_slice(made_safe.as_bytes());
    }
}

/// `value` as a piece of a name that stands after `before`.
fn make_safe(value: &[u8], before: &[u8]) -> String {
    let mut safe = String::new();
    for char in String::from_utf8_lossy(value).chars() {
        let is_first = safe.is_empty();
        let begins_a_name = is_first && matches!(before.last(), None | Some(b'/'));
        let char = match char {
            '/' | '\\' => '_',
            '.' if is_first => '_',
            '-' if begins_a_name => '_',
            char if char.is_control() => '_',
            char => char,
        };
        if safe.len() + char.len_utf8() > VALUE_BYTES_MAX {
            break;
        }
        safe.push(char);
    }
    if safe.is_empty() { ABSENT.to_owned() } else { safe }
}

/// `name`, which settings chose, as one name of a file.
pub(crate) fn safe_name(name: &str) -> String {
    make_safe(name.as_bytes(), b"")
}

/// Cuts every name to [`NAME_BYTES_MAX`], between characters.
fn cut_names(path: &mut Vec<u8>) {
    let mut cut = Vec::with_capacity(path.len());
    for (at, name) in path.split(|byte| *byte == b'/').enumerate() {
        if at > 0 {
            cut.push(b'/');
        }
        let short = name.get(..NAME_BYTES_MAX).unwrap_or(name);
        let whole = match str::from_utf8(short) {
            Ok(_) => short,
            Err(error) => short.get(..error.valid_up_to()).unwrap_or_default(),
        };
        cut.extend_from_slice(whole);
    }
    *path = cut;
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Component};

    use proptest::prelude::*;

    use super::*;

    fn event<'a>(hostname: Option<&'a str>, app_name: Option<&'a str>) -> Event<'a> {
        let at = Timestamp::from_micros(951_782_400_000_000);
        let id = EventId::derive(BatchId::from_uuid(uuid::Uuid::nil()), 0, at);
        let mut event = Event::received(id, 0, at, "[2001:db8::1]:514", "tcp");
        event.hostname = hostname.map(Into::into);
        event.app_name = app_name.map(Into::into);
        event
    }

    fn written(template: &str, event: &Event<'_>) -> Vec<u8> {
        let mut path = b"the last path".to_vec();
        PathTemplate::new(template).unwrap().write(event, &mut path);
        path
    }

    #[track_caller]
    fn check(template: &str, hostname: Option<&str>, expected: &str) {
        let path = written(template, &event(hostname, Some("cron")));
        assert_eq!(String::from_utf8(path).unwrap(), expected);
    }

    #[test]
    fn ordinary_values_are_kept() {
        check(
            "{hostname}/{received_at:%Y/%m-%d}.log",
            Some("web1.example.com"),
            "web1.example.com/2000/02-29.log",
        );
        check("{hostname}-{app_name}.json", Some("größe"), "größe-cron.json");
        check("{peer_host}/all", None, "2001:db8::1/all");
        check("a b/{{}}", None, "a b/{}");
    }

    #[test]
    fn hostile_values_are_made_safe() {
        check("{hostname}.log", None, "unknown.log");
        check("{hostname}.log", Some(""), "unknown.log");
        check(
            "{hostname}/x",
            Some("../../etc/cron.d/evil"),
            "_._.._etc_cron.d_evil/x",
        );
        check("{hostname}/x", Some(".."), "_./x");
        check("{hostname}/x", Some("/"), "_/x");
        check("{hostname}/x", Some("a\0b\nc\u{85}d\\"), "a_b_c_d_/x");
        check("{hostname}/x", Some("-rf"), "_rf/x");
        check("x{hostname}", Some("-1"), "x-1");
        check(".{hostname}", Some("."), "._");
        check(".{hostname}/x", Some("logferry"), "_logferry/x");
        check("{hostname}/x", Some(".logferry"), "_logferry/x");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = "ä".repeat(300);
        check("{hostname}/x", Some(&long), &format!("{}/x", "ä".repeat(60)));
        let path = written(
            "{hostname}{hostname}{hostname}/y",
            &event(Some(&"€".repeat(200)), None),
        );
        assert_eq!(
            String::from_utf8(path).unwrap(),
            format!("{}/y", "€".repeat(255 / 3))
        );
    }

    #[test]
    fn names_that_senders_have_a_say_in_are_known() {
        let chosen = |template: &str| {
            let path = PathTemplate::new(template).unwrap();
            (0..9).find(|name| path.is_chosen(*name))
        };
        assert_eq!(chosen("all.log"), None);
        assert_eq!(chosen("{received_at:%Y/%m}/all.log"), None);
        assert_eq!(chosen("{hostname}/all.log"), Some(0));
        assert_eq!(chosen("logs/{received_at:%Y/%m}/x-{app_name}/all.log"), Some(3));
        assert_eq!(chosen("{timestamp:%Y/%m}.log"), Some(0));
    }

    #[track_caller]
    fn refused(template: &str, expected: PathError) {
        assert_eq!(PathTemplate::new(template).unwrap_err(), expected);
    }

    #[test]
    fn templates_that_leave_the_folder_are_refused() {
        refused("", PathError::NoName(String::new()));
        refused("/var/log/{hostname}", PathError::Absolute);
        refused("a//b", PathError::NoName(String::new()));
        refused("a/{hostname}/", PathError::NoName(String::new()));
        refused("../{hostname}", PathError::NoName("..".to_owned()));
        refused("{received_at:../%Y/..}/x", PathError::NoName("..".to_owned()));
        refused("./{hostname}", PathError::NoName(".".to_owned()));
        refused(".logferry/{hostname}", PathError::Ours);
        refused("a\n", PathError::Control);
        assert!(matches!(
            PathTemplate::new("{hostnam}"),
            Err(PathError::Template(_))
        ));
    }

    proptest! {
        #[test]
        fn no_event_leaves_the_folder(hostname: Option<String>, app_name in proptest::option::of("[./\\\\\0a-]{0,9}")) {
            let event = event(hostname.as_deref(), app_name.as_deref());
            for template in ["{hostname}/{app_name}.log", ".{app_name}/{hostname}", "{app_name}{hostname}/a{app_name}"] {
                let path = written(template, &event);
                let names: Vec<_> = std::path::Path::new(OsStr::from_bytes(&path)).components().collect();
                prop_assert_eq!(names.len(), 2);
                for name in names {
                    let Component::Normal(name) = name else {
                        return Err(TestCaseError::fail(format!("{name:?}")));
                    };
                    let name = name.as_bytes();
                    prop_assert!(name.len() <= 255 && !name.iter().any(u8::is_ascii_control));
                    prop_assert!(name != OUR_DIR.as_bytes());
                }
            }
        }
    }
}
