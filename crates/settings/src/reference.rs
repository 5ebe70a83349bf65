//! The sample file and the reference, written from the key table. `cargo run -p settings --example reference`
//! puts them in their places; a test fails when they are not up to date.

use std::fmt::Write;

use crate::{
    keys::{self, Key, SECTIONS, Section, Unset},
    suggest::variable,
};

const SAMPLE_HEAD: &str = "\
# Logferry's settings: every key with its meaning and its default. Nothing here has to be set.
#
# A line such as `#key = value` shows the default, or an example where there is none: take the # away and
# change the value. Lines in prose have a space after the #. Durations and sizes have units: 5ms, 10s, 1h;
# 64KiB, 8MiB. Paths are relative to this file's folder.
#
# Every key can also be set in the environment (LOGFERRY_BROKER__URL for broker.url) and on the command
# line (--set broker.url=...), which wins over the environment, which wins over this file.
# `logferry check` tells every mistake at once.
";

const REFERENCE_HEAD: &str = "\
# Settings

All services and `logferry` read one file: the one that `--config` or `LOGFERRY_CONFIG` names, or else
`./logferry.toml`, or else `/etc/logferry/logferry.toml`. None is needed. [`deploy/logferry.toml`](../deploy/logferry.toml)
is a complete sample.

- The command line (`--set broker.url=embedded`) wins over the environment (`LOGFERRY_BROKER__URL`: two
  underscores for each dot), which wins over the file, which wins over the default.
- Repeated sections are addressed by their `name`: `--set syslog_server.listener.tcp.address=0.0.0.0:514`, or
  `LOGFERRY_SYSLOG_SERVER__LISTENER__TCP__ADDRESS`.
- In the environment and on the command line a list is written `a,b` or `[\"a\", \"b\"]`.
- A variable that begins with `LOGFERRY_` and is no setting is a mistake. Left alone are `LOGFERRY_CONFIG`, `LOGFERRY_TEST_…`
  (the tests' own), and what orchestrators set for a service called logferry (`LOGFERRY_SERVICE_HOST`, `LOGFERRY_PORT_…`).
- Durations and sizes have units: `us`, `ms`, `s`, `m`, `h`, `d`; `B`, `KiB`, `MiB`, `GiB`, `TiB`.
- Paths in the file are relative to the file's folder, others to the current folder.
- Secrets need not stand in the file: each address (`url`) has the keys `url_file`, `password` and `password_file` beside
  it. `LOGFERRY_BROKER__PASSWORD_FILE=/run/secrets/rabbitmq` is the form for containers. Of two that stand in sources
  of different strength the stronger counts; in one source they are a mistake.
- A path that begins with `${CREDENTIALS_DIRECTORY}/` is a credential of systemd (`LoadCredential=`, `SetCredentialEncrypted=`),
  for secrets and for keys of certificates. In a unit, `Environment=LOGFERRY_BROKER__PASSWORD_FILE=%d/name` is the same.
- `logferry check` tells every mistake at once, with file, line, key, value and what is allowed.
- A running process takes over keys marked *Reloaded* by `logferry reload` or SIGHUP
  ([operations.md](operations.md#reloading)); the others need a restart.

This page is written from the code by `cargo run -p settings --example reference`.
";

/// `deploy/logferry.toml`.
#[must_use]
pub fn sample() -> String {
    let mut text = SAMPLE_HEAD.to_owned();
    for section in SECTIONS {
        if !section.path.is_empty() {
            text.push('\n');
            comment(&mut text, section.about);
            line(&mut text, &header(section));
        }
        for key in section.keys {
            text.push('\n');
            comment(&mut text, key.about);
            let (default, reason) = match key.unset {
                Unset::Default(_) => ("", "Why this default: "),
                Unset::Nothing { .. } => ("Not set by default. ", "Why: "),
                Unset::Mistake { .. } => ("Needed. ", "Why: "),
            };
            comment(&mut text, &format!("{default}Allowed: {}.", key.kind.allowed()));
            comment(&mut text, &format!("{reason}{}", key.reason));
            if key.is_live {
                comment(&mut text, "Changes while running, by `logferry reload`.");
            }
            line(&mut text, &format!("#{} = {}", key.name, written(key)));
        }
    }
    text
}

/// `docs/settings.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = REFERENCE_HEAD.to_owned();
    for section in SECTIONS {
        text.push('\n');
        if !section.path.is_empty() {
            line(
                &mut text,
                &format!("## `{}`\n\n{}\n", brackets(section), section.about),
            );
        }
        line(&mut text, "| key | default | allowed | meaning | why |");
        line(&mut text, "|---|---|---|---|---|");
        for key in section.keys {
            let default = match key.unset {
                Unset::Default(_) => format!("`{}`", written(key)),
                Unset::Nothing { .. } => "not set".to_owned(),
                Unset::Mistake { .. } => "needed".to_owned(),
            };
            let allowed = key.kind.allowed();
            let live = if key.is_live { " *Reloaded.*" } else { "" };
            line(
                &mut text,
                &format!(
                    "| `{}` | {default} | {allowed} | {}{live} | {} |",
                    key.name, key.about, key.reason
                ),
            );
        }
    }
    text
}

/// Every key outside repeated sections, with its environment variable.
#[must_use]
pub fn variables() -> Vec<(String, String)> {
    let single = SECTIONS.iter().filter(|section| !section.path.contains("[]"));
    let paths = single.flat_map(|section| section.keys.iter().map(|key| keys::join(section.path, key.name)));
    paths.map(|path| (variable(&path), path)).collect()
}

/// The default or the example as TOML.
fn written(key: &Key) -> String {
    let (Unset::Default(value) | Unset::Nothing { example: value } | Unset::Mistake { example: value }) =
        key.unset;
    if !key.kind.is_quoted(value) {
        value.to_owned()
    } else if value.contains('"') {
        format!("'{value}'")
    } else {
        format!("\"{value}\"")
    }
}

/// Repeated sections have no default, so their headers are examples too.
fn header(section: &Section) -> String {
    let brackets = brackets(section);
    if section.path.contains("[]") {
        format!("#{brackets}")
    } else {
        brackets
    }
}

fn brackets(section: &Section) -> String {
    let plain = section.path.replace("[]", "");
    if section.path.ends_with("[]") {
        format!("[[{plain}]]")
    } else {
        format!("[{plain}]")
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}

/// Words in lines of at most 110 characters, each after `# `.
fn comment(text: &mut String, words: &str) {
    const WIDTH: usize = 108;
    let mut current = String::new();
    for word in words.split(' ') {
        if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > WIDTH {
            line(text, &format!("# {current}"));
            current.clear();
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    line(text, &format!("# {current}"));
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use toml_edit::{Document, Item, TableLike};

    use super::*;
    use crate::{Settings, Sources};

    fn in_repository(path: &str) -> String {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).expect(path)
    }

    #[test]
    fn the_files_are_up_to_date() {
        let how = "run `cargo run -p settings --example reference`";
        assert!(in_repository("deploy/logferry.toml") == sample(), "{how}");
        assert!(in_repository("docs/settings.md") == markdown(), "{how}");
    }

    #[test]
    fn the_sample_as_it_is_sets_nothing() {
        let file = (
            "deploy/logferry.toml".into(),
            in_repository("deploy/logferry.toml"),
        );
        let sources = Sources {
            file: Some(file),
            ..Sources::default()
        };
        assert_eq!(Settings::from_sources(&sources), Ok(Settings::default()));
    }

    /// The sample with every `#key = value` taken as a setting.
    fn uncommented() -> String {
        let is_setting = |line: &&str| {
            line.strip_prefix('#')
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(' '))
        };
        let lines = in_repository("deploy/logferry.toml");
        let lines = lines.lines().map(|line| {
            if is_setting(&line) {
                line.trim_start_matches('#')
            } else {
                line
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn paths(table: &dyn TableLike, schema: &str, found: &mut BTreeSet<String>) {
        for (name, item) in table.iter() {
            let path = keys::join(schema, name);
            match item {
                Item::Table(table) => paths(table, &path, found),
                Item::ArrayOfTables(tables) => {
                    tables
                        .iter()
                        .for_each(|table| paths(table, &format!("{path}[]"), found));
                }
                Item::Value(_) | Item::None => assert!(found.insert(path.clone()), "{path} stands twice"),
            }
        }
    }

    #[test]
    fn the_sample_has_every_key_and_no_other() {
        let text = uncommented();
        let document = Document::parse(text.as_str()).expect("the sample is TOML");
        let mut found = BTreeSet::new();
        paths(document.as_table(), "", &mut found);
        let known = SECTIONS
            .iter()
            .flat_map(|section| section.keys.iter().map(|key| keys::join(section.path, key.name)));
        assert_eq!(found, known.collect());
    }

    #[test]
    fn values_of_the_sample_are_the_defaults() {
        let text = uncommented();
        let examples: Vec<String> = SECTIONS
            .iter()
            .flat_map(|section| section.keys)
            .filter(|key| matches!(key.unset, Unset::Nothing { .. }))
            .map(|key| format!("{} = {}", key.name, written(key)))
            .collect();
        // Without the examples, and without the sections that are examples as a whole.
        let mut in_example = false;
        let kept = text.lines().filter(|line| {
            if let Some(header) = line.strip_prefix('[') {
                in_example =
                    header.starts_with('[') || header.contains("listener") || header.contains("folder");
            }
            !in_example && !examples.iter().any(|example| example == line)
        });
        let file = ("logferry.toml".into(), kept.collect::<Vec<_>>().join("\n"));
        let read = Settings::from_sources(&Sources {
            file: Some(file),
            ..Sources::default()
        });
        assert_eq!(read, Ok(Settings::default()));
    }
}
