//! Reads the tree key by key: every mistake is noted, and reading goes on with the default.

use std::{
    cell::RefCell,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    changes::Values,
    keys::{self, Child, Key, Unset},
    kind::{Base, Value},
    problem::{Place, Problem},
    secret::Secret,
    sources::{CREDENTIALS_VARIABLE, Sources, name_of},
    suggest,
    tree::{Data, Node},
};

/// The whole tree, and the mistakes found so far.
pub(crate) struct Reader<'a> {
    root: &'a Node,
    /// Paths in the settings file start from its folder.
    base: PathBuf,
    credentials: Option<PathBuf>,
    problems: RefCell<Vec<Problem>>,
    /// What was read so far.
    values: RefCell<Values>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(root: &'a Node, sources: &Sources, problems: Vec<Problem>) -> Self {
        let file = sources.file.as_ref();
        let base = file.and_then(|(path, _)| path.parent());
        Self {
            root,
            base: base.unwrap_or(Path::new("")).to_owned(),
            credentials: sources.env.get(CREDENTIALS_VARIABLE).map(PathBuf::from),
            problems: RefCell::new(problems),
            values: RefCell::default(),
        }
    }

    /// The section at `path`, there or not.
    pub(crate) fn section(&self, path: &'static str) -> Section<'_> {
        let mut node = Some(self.root);
        for step in path.split('.').filter(|step| !step.is_empty()) {
            node = node.and_then(|node| child(node, step));
        }
        Section {
            reader: self,
            node,
            schema: path.to_owned(),
            shown: path.to_owned(),
        }
    }

    /// Notes every name that no key has, and every section that is none.
    pub(crate) fn check_names(&self) {
        self.check_names_below(self.root, "", "");
    }

    fn check_names_below(&self, node: &Node, schema: &str, shown: &str) {
        let Data::Section(nodes) = &node.data else {
            return self.note(
                node.place.clone(),
                shown.to_owned(),
                None,
                "must be a section".to_owned(),
            );
        };
        for (name, node) in nodes {
            let path = keys::join(shown, name);
            match keys::child(schema, name) {
                // Values are checked when they are read.
                Some(Child::Key(_)) => {}
                Some(Child::Section(section)) => self.check_names_below(node, section.path, &path),
                Some(Child::List(section)) => {
                    let Data::List(nodes) = &node.data else {
                        let problem = format!("may be repeated, so it is written [[{path}]]");
                        self.note(node.place.clone(), path, None, problem);
                        continue;
                    };
                    for (index, node) in nodes.iter().enumerate() {
                        self.check_names_below(node, section.path, &element(&path, index, node));
                    }
                }
                // Its value may be a misplaced password.
                None => self.note(node.place.clone(), path, None, suggest::unknown(schema, name)),
            }
        }
    }

    pub(crate) fn note(&self, place: Place, key: String, value: Option<String>, problem: String) {
        self.problems.borrow_mut().push(Problem {
            place,
            key,
            value,
            problem,
        });
    }

    /// Whether nothing was noted about any of the keys, so that they can be compared.
    pub(crate) fn are_good(&self, keys: &[&str]) -> bool {
        !self
            .problems
            .borrow()
            .iter()
            .any(|problem| keys.contains(&problem.key.as_str()))
    }

    pub(crate) fn into_parts(self) -> (Vec<Problem>, Values) {
        (self.problems.into_inner(), self.values.into_inner())
    }
}

/// A section, there or not.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    reader: &'a Reader<'a>,
    node: Option<&'a Node>,
    /// Its path in the key table.
    schema: String,
    /// Its path for people.
    shown: String,
}

impl<'a> Section<'a> {
    /// The sections of a repeated one.
    pub(crate) fn list(&self, name: &str) -> Vec<Section<'a>> {
        let list = self.node.and_then(|node| child(node, name));
        let Some(Node {
            data: Data::List(nodes),
            ..
        }) = list
        else {
            return Vec::new();
        };
        let path = keys::join(&self.shown, name);
        let schema = format!("{}[]", keys::join(&self.schema, name));
        let keys = keys::section(&schema).map_or(&[][..], |section| section.keys);
        let mut before = "";
        let sections = nodes.iter().enumerate().map(|(index, node)| {
            let shown = element(&path, index, node);
            let mut values = self.reader.values.borrow_mut();
            values.note_element(&schema, &shown, keys, before);
            before = name_of(node).unwrap_or_default();
            Section {
                reader: self.reader,
                node: Some(node),
                schema: schema.clone(),
                shown,
            }
        });
        sections.collect()
    }

    /// A section inside this one, when it is there.
    pub(crate) fn inner(&self, name: &str) -> Option<Section<'a>> {
        let node = self.node.and_then(|node| child(node, name))?;
        Some(Section {
            reader: self.reader,
            node: Some(node),
            schema: keys::join(&self.schema, name),
            shown: keys::join(&self.shown, name),
        })
    }

    /// The name of an element of a list, or nothing.
    pub(crate) fn own_name(&self) -> &'a str {
        self.node.and_then(name_of).unwrap_or_default()
    }

    /// Whether a key is written anywhere.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.node
            .and_then(|node| child(node, name))
            .is_some_and(|node| node.place != Place::Default)
    }

    /// Whether nothing was noted about a key.
    pub(crate) fn is_good(&self, name: &str) -> bool {
        self.reader.are_good(&[&self.key(name)])
    }

    /// The full key, for people.
    pub(crate) fn key(&self, name: &str) -> String {
        keys::join(&self.shown, name)
    }

    /// Where a key stands, or else its section.
    pub(crate) fn place(&self, name: &str) -> Place {
        let key = self.node.and_then(|node| child(node, name));
        key.or(self.node)
            .map_or(Place::Default, |node| node.place.clone())
    }

    /// Notes what is wrong with a key.
    pub(crate) fn problem(&self, name: &str, problem: impl Into<String>) {
        let node = self.node.and_then(|node| child(node, name));
        let value = match node {
            Some(node) => (!self.entry(name).kind.is_secret()).then(|| node.show()),
            None => None,
        };
        self.reader
            .note(self.place(name), self.key(name), value, problem.into());
    }

    fn entry(&self, name: &str) -> &'static Key {
        match keys::child(&self.schema, name) {
            Some(Child::Key(key)) => key,
            Some(Child::Section(_) | Child::List(_)) | None => {
                unreachable!("{}.{name} is not in the key table", self.schema)
            }
        }
    }

    /// The value of a key: what is written, or the default when nothing is or when it is wrong.
    fn value(&self, name: &str) -> Option<Value> {
        let key = self.entry(name);
        let value = self.read(key);
        let mut values = self.reader.values.borrow_mut();
        values.note(keys::join(&self.schema, name), self.key(name), key, value.clone());
        value
    }

    fn read(&self, key: &Key) -> Option<Value> {
        let name = key.name;
        if let Some(node) = self.node.and_then(|node| child(node, name)) {
            match key.kind.read(node, &self.base(&node.place)) {
                Ok(value) => return Some(value),
                Err(problem) => self.problem(name, problem),
            }
        } else if let Unset::Mistake { example } = key.unset {
            let quoted = if key.kind.is_quoted(example) {
                format!("{example:?}")
            } else {
                example.to_owned()
            };
            self.problem(name, format!("is missing, such as {name} = {quoted}"));
        }
        let Unset::Default(default) = key.unset else {
            return None;
        };
        let node = Node {
            place: Place::Default,
            data: Data::Loose(default.to_owned()),
        };
        let value = key.kind.read(&node, &self.base(&node.place));
        Some(value.expect("the defaults of the key table are tested"))
    }

    /// What paths start from that stand at `place`.
    fn base(&self, place: &Place) -> Base<'_> {
        let is_in_file = matches!(place, Place::File { .. });
        Base {
            folder: if is_in_file {
                &self.reader.base
            } else {
                Path::new("")
            },
            credentials: self.reader.credentials.as_deref(),
        }
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        self.opt_duration(name).unwrap_or_default()
    }

    /// `None` for the kind's word.
    pub(crate) fn opt_duration(&self, name: &str) -> Option<Duration> {
        match self.value(name) {
            Some(Value::Duration(duration)) => Some(duration),
            _ => None,
        }
    }

    pub(crate) fn size(&self, name: &str) -> u64 {
        self.opt_size(name).unwrap_or_default()
    }

    /// `None` when nothing is written and there is no default.
    pub(crate) fn opt_size(&self, name: &str) -> Option<u64> {
        match self.value(name) {
            Some(Value::Size(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// A size that must fit into memory.
    pub(crate) fn memory(&self, name: &str) -> usize {
        usize::try_from(self.size(name)).unwrap_or(usize::MAX)
    }

    /// A number of the type that the settings have; the key table keeps it in range.
    pub(crate) fn number<T: TryFrom<i64> + Default>(&self, name: &str) -> T {
        self.opt_number(name).unwrap_or_default()
    }

    /// `None` for the kind's word.
    pub(crate) fn opt_number<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        match self.value(name) {
            Some(Value::Number(number)) => T::try_from(number).ok(),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag(true)))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.opt_text(name).unwrap_or_default()
    }

    pub(crate) fn opt_text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// `None` for the kind's word, and when a needed address is missing.
    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        match self.value(name) {
            Some(Value::Address(address)) => Some(address),
            _ => None,
        }
    }

    /// `None` for the kind's word, and when there is none.
    pub(crate) fn url(&self, name: &str) -> Option<Secret> {
        match self.value(name) {
            Some(Value::Url(url)) => Some(url),
            _ => None,
        }
    }

    /// What the file that `file_key` names holds, checked as a value of `name`; `None` for the kind's word.
    pub(crate) fn url_in_file(&self, name: &str, file_key: &str) -> Option<Secret> {
        let node = Node {
            place: self.place(file_key),
            data: Data::Text(self.secret(file_key)?.expose().to_owned()),
        };
        match self.entry(name).kind.read(&node, &self.base(&node.place)) {
            Ok(Value::Url(url)) => Some(url),
            Ok(_) => None,
            Err(problem) => {
                self.problem(file_key, format!("what is in it {problem}"));
                None
            }
        }
    }

    /// The text of a secret, or of the file that a key names.
    pub(crate) fn secret(&self, name: &str) -> Option<Secret> {
        match self.value(name) {
            Some(Value::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        match self.value(name) {
            Some(Value::Path(path)) => Some(path),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(texts)) => texts,
            _ => Vec::new(),
        }
    }
}

fn child<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.data {
        Data::Section(nodes) => nodes.get(name),
        _ => None,
    }
}

/// How an element of a list is shown: by its name, as it is named on the command line, or by its number.
fn element(path: &str, index: usize, node: &Node) -> String {
    match name_of(node) {
        Some(name) if !name.is_empty() => format!("{path}.{name}"),
        _ => format!("{path}[{}]", index + 1),
    }
}
