//! Every key that `logferry.toml` can hold, with its kind, its default and the reason for it. A data table: the
//! reader, the sample file and the reference are all made from it, so that they cannot disagree.

mod broker;
mod collector;
mod harvest;
mod parser;
mod process;
mod rescue;
mod shared;
mod shipper_fs;
mod shipper_pgsql;
mod store;
mod syslog_server;
mod web;

use crate::kind::Kind;

/// A section of the file.
pub(crate) struct Section {
    /// Its path; `[]` marks a section that may be repeated.
    pub(crate) path: &'static str,
    /// What it is about.
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [Key],
}

/// One key.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unset: Unset,
    /// What it sets.
    pub(crate) about: &'static str,
    /// Why the default is what it is.
    pub(crate) reason: &'static str,
    /// Whether a running process takes a new value over.
    pub(crate) is_live: bool,
}

impl Key {
    /// The same, taken over by a running process.
    const fn live(mut self) -> Self {
        self.is_live = true;
        self
    }
}

/// What holds when a key is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// This value, as it stands in the file but for quotes.
    Default(&'static str),
    /// Nothing. With an example for the sample file.
    Nothing { example: &'static str },
    /// The section needs the key. With an example for the sample file.
    Mistake { example: &'static str },
}

/// In the order in which the sample file and the reference show them.
pub(crate) const SECTIONS: &[&Section] = &[
    &process::DATA,
    &process::SERVICE,
    &broker::BROKER,
    &rescue::RESCUE,
    &store::STORE,
    &store::ROUTE,
    &syslog_server::SYSLOG_SERVER,
    &syslog_server::LISTENER,
    &syslog_server::LISTENER_TLS,
    &syslog_server::LISTENER_MULTILINE,
    &harvest::HARVEST,
    &harvest::FOLDER,
    &harvest::FOLDER_MULTILINE,
    &parser::PARSER,
    &parser::PROGRAM,
    &shipper_pgsql::SHIPPER_PGSQL,
    &shipper_fs::SHIPPER_FS,
    &shipper_fs::DESTINATION,
    &collector::COLLECTOR,
    &web::WEB,
];

/// The section at `path`.
pub(crate) fn section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().copied().find(|section| section.path == path)
}

/// The path of a child in the notation of [`SECTIONS`].
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

/// What a name below the section at `parent` is.
pub(crate) enum Child {
    Key(&'static Key),
    Section(&'static Section),
    /// A section that may be repeated.
    List(&'static Section),
}

/// What `name` below the section at `parent` is.
pub(crate) fn child(parent: &str, name: &str) -> Option<Child> {
    if let Some(key) = section(parent)?.keys.iter().find(|key| key.name == name) {
        return Some(Child::Key(key));
    }
    // Names in quotes may hold anything, and must not reach through to sections further down.
    if name.is_empty() || name.contains(['.', '[']) {
        return None;
    }
    let path = join(parent, name);
    let list = format!("{path}[]");
    section(&path)
        .map(Child::Section)
        .or_else(|| section(&list).map(Child::List))
}

/// Every name that [`child`] knows below the section at `parent`.
pub(crate) fn names(parent: &str) -> Vec<&'static str> {
    let prefix = if parent.is_empty() {
        String::new()
    } else {
        format!("{parent}.")
    };
    let keys = section(parent)
        .map_or(&[][..], |section| section.keys)
        .iter()
        .map(|key| key.name);
    let sections = SECTIONS.iter().filter_map(|section| {
        let name = section.path.strip_prefix(&prefix)?.trim_end_matches("[]");
        (!name.is_empty() && !name.contains('.')).then_some(name)
    });
    keys.chain(sections).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_or_section_stands_twice() {
        let mut seen = HashSet::new();
        for section in SECTIONS {
            assert!(seen.insert(section.path.to_owned()), "{}", section.path);
            for key in section.keys {
                assert!(
                    seen.insert(join(section.path, key.name)),
                    "{}.{}",
                    section.path,
                    key.name
                );
            }
        }
    }

    #[test]
    fn every_key_says_what_it_is_and_why() {
        for section in SECTIONS {
            for key in section.keys {
                assert!(
                    key.about.ends_with('.') && key.reason.ends_with('.'),
                    "{}.{}",
                    section.path,
                    key.name
                );
            }
        }
    }

    #[test]
    fn names_below_a_section() {
        assert!(names("").contains(&"data_dir") && names("").contains(&"parser"));
        assert!(names("syslog_server").contains(&"listener"));
        assert!(names("syslog_server.listener[]").contains(&"tls"));
        assert!(!names("").contains(&"listener"));
    }
}
