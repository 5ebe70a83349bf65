//! Which keys differ between settings read at two moments, and which of them a running process can take over.

use std::{collections::BTreeMap, fmt};

use crate::{keys::Key, kind::Value, model::ProgramSettings};

/// The list whose order counts: programs run one after the other.
const ORDERED: &str = "parser.program[]";

/// Every key that was read, with its value at that moment. Secrets and programs that stand in files of their own are in
/// it with their text.
#[derive(Clone, Default, PartialEq)]
pub struct Values(BTreeMap<String, Entry>);

#[derive(Clone, PartialEq)]
struct Entry {
    /// In the notation of the key table, `parser.program[].source`.
    path: String,
    value: Option<Value>,
    is_live: bool,
}

/// The keys that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that take effect in a running process, such as `syslog_server.listener.tcp.connections_max`.
    pub live: Vec<String>,
    /// Keys that need a restart.
    pub fixed: Vec<String>,
}

impl Values {
    /// What is different in `new`, of the keys whose path in the key table (`syslog_server.listener[].address`) begins
    /// with one of `read`. Of an element of a list that only one of the two has, the element is named and not its keys.
    #[must_use]
    pub fn changes(&self, new: &Self, read: &[&str]) -> Changes {
        let keys = self.0.keys();
        let keys = keys.chain(new.0.keys().filter(|key| !self.0.contains_key(*key)));
        let mut changes = Changes::default();
        for key in keys {
            let (before, after) = (self.0.get(key), new.0.get(key));
            let Some(entry) = before.or(after) else { continue };
            let is_read = read.iter().any(|prefix| entry.path.starts_with(prefix));
            let value = |entry: Option<&'_ Entry>| entry.and_then(|entry| entry.value.clone());
            let is_same = value(before) == value(after);
            let is_told = element(&entry.path, key).is_some_and(|element| {
                element != key && self.0.contains_key(element) != new.0.contains_key(element)
            });
            if !is_read || is_same || is_told {
                continue;
            }
            if [before, after].into_iter().flatten().all(|entry| entry.is_live) {
                changes.live.push(key.clone());
            } else {
                changes.fixed.push(key.clone());
            }
        }
        changes
    }

    /// Takes note of the value of a key.
    pub(crate) fn note(&mut self, path: String, shown: String, key: &Key, value: Option<Value>) {
        let is_live = key.is_live;
        self.0.insert(shown, Entry { path, value, is_live });
    }

    /// Takes note of an element of a list, and of the name of the one before it.
    pub(crate) fn note_element(&mut self, path: &str, shown: &str, keys: &[Key], before: &str) {
        // Where order counts, an element is another one behind another one.
        let place = if path == ORDERED { before } else { "" };
        let entry = Entry {
            path: path.to_owned(),
            value: Some(Value::Text(place.to_owned())),
            is_live: keys.iter().all(|key| key.is_live),
        };
        self.0.insert(shown.to_owned(), entry);
    }

    /// The text of a program is a setting, wherever it stands.
    pub(crate) fn note_programs(&mut self, programs: &[ProgramSettings]) {
        for program in programs {
            let entry = self.0.get_mut(&format!("parser.program.{}.file", program.name));
            if let Some(Entry {
                value: Some(file), ..
            }) = entry
            {
                *file = Value::List(vec![program.origin.clone(), program.source.clone()]);
            }
        }
    }
}

/// The innermost element of a list that a key is in, or that it stands for.
fn element<'a>(path: &str, key: &'a str) -> Option<&'a str> {
    let (_, within) = path.rsplit_once("[]")?;
    let steps = within.matches('.').count();
    (0..steps).try_fold(key, |key, _| Some(key.rsplit_once('.')?.0))
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values")
            .field("keys", &self.0.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Settings, Sources};

    fn values(text: &str) -> Values {
        let sources = Sources {
            file: Some(("logferry.toml".into(), text.to_owned())),
            ..Sources::default()
        };
        Settings::with_values(&sources).expect("is good").1
    }

    #[track_caller]
    fn check<T: AsRef<str>>(old: &str, new: &str, live: &[&str], fixed: &[T]) {
        let changes = values(old).changes(&values(new), &[""]);
        assert_eq!(
            (changes.live, changes.fixed),
            (
                live.iter().map(ToString::to_string).collect(),
                fixed.iter().map(|key| key.as_ref().to_owned()).collect()
            ),
            "from {old:?} to {new:?}"
        );
    }

    #[test]
    fn what_means_the_same_is_no_change() {
        check::<&str>("", "[service]\nlog_level = \"info\"\n", &[], &[]);
        check::<&str>(
            "[broker]\nheartbeat = \"60s\"\n",
            "# minutes\n[broker]\nheartbeat = \"1m\"\n",
            &[],
            &[],
        );
    }

    #[test]
    fn what_differs_is_named_and_what_can_change_is_known() {
        check(
            "",
            "[service]\nlog_level = \"debug\"\nlog_format = \"json\"\n",
            &["service.log_level"],
            &["service.log_format"],
        );
        check("", "[parser]\nthreads = 3\n", &[], &["parser.threads"]);
        let listener = |more: &str| {
            format!(
                "[[syslog_server.listener]]\nname = \"a\"\nprotocol = \"tcp\"\naddress = \"127.0.0.1:0\"\n{more}"
            )
        };
        check::<&str>(
            &listener(""),
            &listener("connections_max = 5\nidle_timeout = \"1m\"\n"),
            &[
                "syslog_server.listener.a.connections_max",
                "syslog_server.listener.a.idle_timeout",
            ],
            &[],
        );
        let tls = "[syslog_server.listener.multiline]\nstart = \"^<\"\n";
        check(
            &listener(""),
            &listener(tls),
            &[],
            &["bytes_max", "lines_max", "start", "timeout"]
                .map(|key| format!("syslog_server.listener.a.multiline.{key}")),
        );
        let two = listener("").replace("\"a\"", "\"b\"") + &listener("");
        check(&listener(""), &two, &[], &["syslog_server.listener.b"]);
    }

    #[test]
    fn programs_and_their_order_can_change() {
        let program = |name: &str, source: &str| {
            format!("[[parser.program]]\nname = \"{name}\"\nsource = \"{source}\"\n")
        };
        let (a, b) = (program("a", ".a = 1"), program("b", ".b = 1"));
        check::<&str>(&a, &program("a", ".a = 2"), &["parser.program.a.source"], &[]);
        check::<&str>("", &a, &["parser.program.a"], &[]);
        check::<&str>(&(a.clone() + &b), &a, &["parser.program.b"], &[]);
        let (ab, ba) = (a.clone() + &b, b + &a);
        check::<&str>(&ab, &ba, &["parser.program.a", "parser.program.b"], &[]);
    }

    #[test]
    fn files_of_programs_and_secrets_are_looked_into() {
        let dir = tempfile::tempdir().expect("a folder");
        let (rule, secret) = (dir.path().join("a.vrl"), dir.path().join("secret"));
        let write = |path, text: &str| fs::write(path, text).expect("writes");
        write(&rule, ".a = 1");
        write(&secret, "one");
        let text = format!(
            "[broker]\nurl = \"amqp://user@localhost/\"\npassword_file = {secret:?}\n\
             [[parser.program]]\nname = \"a\"\nfile = {rule:?}\n"
        );
        let before = values(&text);
        write(&rule, ".a = 2");
        write(&secret, "two");
        let changes = before.changes(&values(&text), &[""]);
        assert_eq!(changes.live, ["parser.program.a.file"]);
        assert_eq!(changes.fixed, ["broker.password_file"]);
        let told = format!("{before:?} {changes:?}");
        assert!(!told.contains("one") && !told.contains("two"), "{told}");
    }

    #[test]
    fn only_what_is_read_counts() {
        let (before, after) = (
            values(""),
            values("[web]\ntails_max = 3\n[parser]\nprefetch = 2\n"),
        );
        let changes = before.changes(&after, &["service.", "parser."]);
        assert_eq!(changes.fixed, ["parser.prefetch"]);
        assert_eq!(before.changes(&after, &["collector."]), Changes::default());
    }
}
