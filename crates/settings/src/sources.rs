//! Where settings come from, and in which order they win: command line, environment, file, default.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    keys::{self, Child},
    problem::{Place, Problem, Problems},
    suggest,
    tree::{self, Data, Node},
};

/// Names the settings file, as `--config` does.
pub const CONFIG_VARIABLE: &str = "LOGFERRY_CONFIG";

/// Where systemd puts the credentials of a unit; paths may begin with `${CREDENTIALS_DIRECTORY}/`.
pub(crate) const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Where the settings file is looked for when nobody names it.
pub const PLACES: [&str; 2] = ["logferry.toml", "/etc/logferry/logferry.toml"];

const PREFIX: &str = "LOGFERRY_";

/// Variables with this start belong to the tests.
const TEST_PREFIX: &str = "LOGFERRY_TEST_";

/// Everything that settings are read from. Nothing else is looked at but the files that the settings name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The settings file: its path, which relative paths in it start from, and its text.
    pub file: Option<(PathBuf, String)>,
    /// The environment. Only variables that [`Sources::reads`] count.
    pub env: BTreeMap<String, String>,
    /// Keys and values from the command line; of two with one key the later counts.
    pub overrides: Vec<(String, String)>,
}

impl Sources {
    /// Whether the variable `name` can mean something here.
    #[must_use]
    pub fn reads(name: &str) -> bool {
        name.starts_with(PREFIX) || name == CREDENTIALS_VARIABLE
    }

    /// Reads the settings file: the one that `config` or else `LOGFERRY_CONFIG` names, or else the first of
    /// `places` that is there, or none.
    ///
    /// # Errors
    ///
    /// The file that was named is not there, or one that is there cannot be read.
    pub fn load(
        config: Option<&Path>,
        places: &[&str],
        env: BTreeMap<String, String>,
        overrides: Vec<(String, String)>,
    ) -> Result<Self, Problems> {
        let named = config
            .map(|path| (path.to_owned(), Place::CommandLine))
            .or_else(|| {
                let path = env.get(CONFIG_VARIABLE)?;
                Some((
                    PathBuf::from(path),
                    Place::Environment(CONFIG_VARIABLE.to_owned()),
                ))
            });
        let file = match named {
            Some((path, place)) => Some(read(&path).map_err(|error| unreadable(place, &path, &error))?),
            None => first_there(places)?,
        };
        Ok(Self { file, env, overrides })
    }
}

fn first_there(places: &[&str]) -> Result<Option<(PathBuf, String)>, Problems> {
    for path in places.iter().map(Path::new) {
        match read(path) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(Place::Default, path, &error)),
        }
    }
    Ok(None)
}

fn read(path: &Path) -> io::Result<(PathBuf, String)> {
    /// A settings file is some KiB; a log file named by mistake may be gigabytes.
    const FILE_BYTES_MAX: u64 = 8 << 20;
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other(
            "it is larger than 8 MiB, so it is no settings file",
        ));
    }
    Ok((path.to_owned(), fs::read_to_string(path)?))
}

fn unreadable(place: Place, path: &Path, error: &io::Error) -> Problems {
    let problem = format!("cannot read the settings file {}: {error}", path.display());
    Problems::new(vec![Problem {
        place,
        key: String::new(),
        value: None,
        problem,
    }])
}

/// The tree of all sources, the stronger over the weaker, and what is wrong with their form.
pub(crate) fn merge(sources: &Sources) -> (Node, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut root = Node::section(Place::Default);
    if let Some((path, text)) = &sources.file {
        match tree::from_toml(path, text) {
            Ok(file) => root = file,
            Err(problem) => problems.push(*problem),
        }
    }
    give_default_listeners(&mut root);
    for (name, value) in sources.env.iter().filter(|(name, _)| is_ours(name)) {
        let place = Place::Environment(name.clone());
        let path = name.strip_prefix(PREFIX).unwrap_or_default().to_ascii_lowercase();
        let steps: Vec<_> = path.split("__").collect();
        if let Err(problem) = overlay(&mut root, &steps, value, &place) {
            let problem = if is_known(&steps) {
                problem
            } else {
                suggest::unknown_variable(name)
            };
            problems.push(Problem {
                place,
                key: steps.join("."),
                value: None,
                problem,
            });
        }
    }
    for (key, value) in &sources.overrides {
        let place = Place::CommandLine;
        let steps: Vec<_> = key.split('.').collect();
        if let Err(problem) = overlay(&mut root, &steps, value, &place) {
            problems.push(Problem {
                place,
                key: key.clone(),
                value: None,
                problem,
            });
        }
    }
    (root, problems)
}

/// Whether a variable is meant for us. Orchestrators set variables of their own for services that they call
/// "logferry" or "logferry-parser" (`LOGFERRY_SERVICE_HOST`, `LOGFERRY_PARSER_PORT_9602_TCP`).
fn is_ours(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    let is_orchestrators = !rest.contains("__")
        && (rest.ends_with("SERVICE_HOST")
            || rest.contains("SERVICE_PORT")
            || rest == "PORT"
            || rest.starts_with("PORT_")
            || rest.ends_with("_PORT")
            || rest.contains("_PORT_"));
    name != CONFIG_VARIABLE && !name.starts_with(TEST_PREFIX) && !is_orchestrators
}

fn is_known(steps: &[&str]) -> bool {
    let mut schema = String::new();
    let mut steps = steps.iter();
    while let Some(step) = steps.next() {
        match keys::child(&schema, step) {
            Some(Child::Key(_)) => return true,
            Some(Child::Section(section)) => section.path.clone_into(&mut schema),
            Some(Child::List(section)) => {
                section.path.clone_into(&mut schema);
                if steps.next().is_none() {
                    return true;
                }
            }
            None => return false,
        }
    }
    true
}

/// The three listeners that are there when the file has none, so that they can be changed like others.
fn give_default_listeners(root: &mut Node) {
    const LISTENERS: [(&str, &str); 3] = [
        ("relp", "127.0.0.1:2514"),
        ("tcp", "127.0.0.1:5514"),
        ("udp", "127.0.0.1:5514"),
    ];
    let Data::Section(sections) = &mut root.data else {
        return;
    };
    let intake = sections
        .entry("syslog_server".to_owned())
        .or_insert_with(|| Node::section(Place::Default));
    let Data::Section(intake) = &mut intake.data else {
        return;
    };
    intake.entry("listener".to_owned()).or_insert_with(|| {
        let listeners = LISTENERS.iter().map(|(name, address)| {
            let keys = [("name", name), ("protocol", name), ("address", address)].map(|(key, text)| {
                let node = Node {
                    place: Place::Default,
                    data: Data::Text((*text).to_owned()),
                };
                (key.to_owned(), node)
            });
            Node {
                place: Place::Default,
                data: Data::Section(keys.into()),
            }
        });
        Node {
            place: Place::Default,
            data: Data::List(listeners.collect()),
        }
    });
}

/// Puts `value` at the key that `steps` lead to.
fn overlay(root: &mut Node, steps: &[&str], value: &str, place: &Place) -> Result<(), String> {
    let mut node = root;
    let mut schema = String::new();
    let mut steps = steps.iter().peekable();
    while let Some(step) = steps.next() {
        let is_last = steps.peek().is_none();
        let child = keys::child(&schema, step).ok_or_else(|| suggest::unknown(&schema, step))?;
        // What is no section here is a mistake in the file, which is told when the file is checked.
        let Data::Section(nodes) = &mut node.data else {
            return Ok(());
        };
        match child {
            Child::Key(key) if is_last => {
                let data = Data::Loose(value.to_owned());
                nodes.insert(
                    key.name.to_owned(),
                    Node {
                        place: place.clone(),
                        data,
                    },
                );
                return Ok(());
            }
            Child::Key(key) => return Err(format!("has no parts: `{}` is a key", key.name)),
            Child::Section(section) if is_last => {
                return Err(format!(
                    "is a section: name one of its keys ({})",
                    keys::names(section.path).join(", ")
                ));
            }
            Child::Section(section) => {
                node = nodes
                    .entry((*step).to_owned())
                    .or_insert_with(|| Node::section(place.clone()));
                section.path.clone_into(&mut schema);
            }
            Child::List(section) => {
                let list = nodes.entry((*step).to_owned()).or_insert_with(|| Node {
                    place: place.clone(),
                    data: Data::List(Vec::new()),
                });
                let Some(name) = steps.next() else {
                    *list = whole_list(value, place)?;
                    return Ok(());
                };
                node = named(list, name)?;
                section.path.clone_into(&mut schema);
                if steps.peek().is_none() {
                    return Err(format!(
                        "is a section: name one of its keys ({})",
                        keys::names(&schema).join(", ")
                    ));
                }
            }
        }
    }
    Ok(())
}

fn whole_list(value: &str, place: &Place) -> Result<Node, String> {
    tree::value_from_toml(value, place)
        .filter(|node| matches!(node.data, Data::List(_)))
        .ok_or_else(|| "must be a TOML list of sections, such as [{ name = \"a\", … }]".to_owned())
}

/// The element of a list of sections with this name, in the form that environment variables can have, too.
fn named<'a>(list: &'a mut Node, wanted: &str) -> Result<&'a mut Node, String> {
    let Data::List(nodes) = &mut list.data else {
        return Err("is no list of sections".to_owned());
    };
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let names: Vec<_> = nodes
        .iter()
        .map(|node| name_of(node).unwrap_or_default().to_owned())
        .collect();
    let index = names.iter().position(|name| plain(name) == plain(wanted));
    match index.and_then(|index| nodes.get_mut(index)) {
        Some(node) => Ok(node),
        None if names.is_empty() => Err(format!("nothing is named {wanted:?} here: there is none")),
        None => Err(format!(
            "nothing is named {wanted:?} here: there are {}",
            names.join(", ")
        )),
    }
}

/// The `name` of a section, when it has one.
pub(crate) fn name_of(node: &Node) -> Option<&str> {
    let Data::Section(nodes) = &node.data else {
        return None;
    };
    match &nodes.get("name")?.data {
        Data::Text(name) | Data::Loose(name) => Some(name),
        Data::Section(_) | Data::List(_) | Data::Integer(_) | Data::Other(_) => None,
    }
}
