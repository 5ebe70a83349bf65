//! The settings as written, whatever they are written in: a tree of sections, lists and values that knows where
//! each part stands. What the parts mean is not known here.

use std::{collections::BTreeMap, ops::Range, path::Path};

use toml_edit::{Document, Item, Table, TableLike, Value};

use crate::problem::{Place, Problem};

/// A part of the settings and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) data: Data,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Section(BTreeMap<String, Node>),
    List(Vec<Node>),
    Text(String),
    Integer(i64),
    /// A float, a boolean or a date: no setting is one, and the message shows it as written.
    Other(String),
    /// From the environment or the command line, where everything is text: what it is depends on the key.
    Loose(String),
}

impl Node {
    pub(crate) const fn section(place: Place) -> Self {
        Self {
            place,
            data: Data::Section(BTreeMap::new()),
        }
    }

    /// The value as its author wrote it, for messages.
    pub(crate) fn show(&self) -> String {
        const SHOWN_MAX: usize = 80;
        let shown = match &self.data {
            Data::Section(_) => "a section".to_owned(),
            Data::List(nodes) => {
                let parts: Vec<_> = nodes.iter().take(SHOWN_MAX).map(Self::show).collect();
                format!("[{}]", parts.join(", "))
            }
            Data::Text(text) | Data::Loose(text) => format!("{text:?}"),
            Data::Integer(number) => number.to_string(),
            Data::Other(text) => text.escape_debug().to_string(),
        };
        match shown.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("{}…", shown.split_at(end).0),
            None => shown,
        }
    }
}

/// Reads TOML text. The settings file is small and read once, so the whole tree is built.
pub(crate) fn from_toml(path: &Path, text: &str) -> Result<Node, Box<Problem>> {
    let file = File { path, text };
    match Document::parse(text) {
        Ok(document) => Ok(file.section(document.as_table(), None)),
        Err(error) => Err(Box::new(Problem {
            place: file.place(error.span()),
            key: String::new(),
            value: None,
            // Only the message: the error's own text quotes the line, which may hold a password.
            problem: format!("is not TOML: {}", error.message().replace('\n', ", ")),
        })),
    }
}

/// Reads one TOML value, as the environment or the command line give it for a list.
pub(crate) fn value_from_toml(text: &str, place: &Place) -> Option<Node> {
    let document = Document::parse(format!("value = {text}\n")).ok()?;
    let item = document.as_table().get("value")?;
    (document.as_table().len() == 1).then(|| {
        let mut node = File {
            path: Path::new(""),
            text: "",
        }
        .item(item, None);
        node.put_at(place);
        node
    })
}

impl Node {
    fn put_at(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.data {
            Data::Section(nodes) => nodes.values_mut().for_each(|node| node.put_at(place)),
            Data::List(nodes) => nodes.iter_mut().for_each(|node| node.put_at(place)),
            Data::Text(_) | Data::Integer(_) | Data::Other(_) | Data::Loose(_) => {}
        }
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn section(&self, table: &dyn TableLike, span: Option<Range<usize>>) -> Node {
        let nodes = table.iter().map(|(name, item)| {
            let span = table.get_key_value(name).and_then(|(key, _)| key.span());
            (name.to_owned(), self.item(item, span))
        });
        Node {
            data: Data::Section(nodes.collect()),
            place: self.place(span),
        }
    }

    fn item(&self, item: &Item, key: Option<Range<usize>>) -> Node {
        match item {
            Item::None => Node::section(self.place(key)),
            Item::Value(value) => self.value(value, key),
            Item::Table(table) => self.section(table, table.span().or(key)),
            Item::ArrayOfTables(tables) => Node {
                place: self.place(key),
                data: Data::List(
                    tables
                        .iter()
                        .map(|table: &Table| self.section(table, table.span()))
                        .collect(),
                ),
            },
        }
    }

    fn value(&self, value: &Value, key: Option<Range<usize>>) -> Node {
        let place = self.place(key.or_else(|| value.span()));
        let data = match value {
            Value::String(text) => Data::Text(text.value().clone()),
            Value::Integer(number) => Data::Integer(*number.value()),
            Value::Float(number) => Data::Other(number.value().to_string()),
            Value::Boolean(truth) => Data::Other(truth.value().to_string()),
            Value::Datetime(time) => Data::Other(time.value().to_string()),
            Value::Array(values) => Data::List(values.iter().map(|value| self.value(value, None)).collect()),
            Value::InlineTable(table) => return self.section(table, table.span()),
        };
        Node { place, data }
    }

    fn place(&self, span: Option<Range<usize>>) -> Place {
        let start = span.map_or(0, |span| span.start).min(self.text.len());
        let before = self.text.as_bytes().get(..start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Place::File {
            path: self.path.to_owned(),
            line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(node: &Node) -> usize {
        match node.place {
            Place::File { line, .. } => line,
            Place::Environment(_) | Place::CommandLine | Place::Default => 0,
        }
    }

    fn child<'a>(node: &'a Node, name: &str) -> &'a Node {
        match &node.data {
            Data::Section(nodes) => &nodes[name],
            Data::List(nodes) => &nodes[name.parse::<usize>().expect("an index")],
            other => panic!("{other:?} has no children"),
        }
    }

    #[test]
    fn every_part_knows_its_line() {
        let text = "data_dir = \"x\"\n\n[broker]\nurl = \"a\"\ntls.ca = 5\n\n[[listener]]\nname = \"a\"\n[[listener]]\nname = \"b\"\nlist = [\n  1,\n  2,\n]\n";
        let root = from_toml(Path::new("f"), text).expect("is TOML");
        assert_eq!(line(child(&root, "data_dir")), 1);
        assert_eq!(line(child(&root, "broker")), 3);
        assert_eq!(line(child(child(&root, "broker"), "url")), 4);
        assert_eq!(line(child(child(child(&root, "broker"), "tls"), "ca")), 5);
        let second = child(child(&root, "listener"), "1");
        assert_eq!(line(second), 9);
        assert_eq!(line(child(second, "name")), 10);
        assert_eq!(line(child(child(second, "list"), "1")), 13);
    }

    #[test]
    fn a_syntax_error_has_its_line_and_not_the_text() {
        let text = "[broker]\nurl = \"amqp://user:hunter2@host\n";
        let problem = from_toml(Path::new("f.toml"), text).expect_err("is not TOML");
        let told = problem.to_string();
        assert!(told.starts_with("f.toml:2: is not TOML: "), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn only_one_value_is_a_value() {
        let place = Place::CommandLine;
        assert!(value_from_toml("[\"a\", \"b\"]", &place).is_some());
        assert!(value_from_toml("1\nother = 2", &place).is_none());
        assert!(value_from_toml("[", &place).is_none());
    }

    #[test]
    fn long_values_are_shown_short() {
        let node = Node {
            place: Place::Default,
            data: Data::Text("ä".repeat(500)),
        };
        assert_eq!(node.show().chars().count(), 81);
    }
}
