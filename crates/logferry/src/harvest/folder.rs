//! What the arguments say about lines, as a folder of the settings would.

use clap::Args;
use serde_json::{Map, Value, json};
use service::Loaded;
use settings::{FolderSettings, Problems, Settings};

use crate::command::DataArgs;

/// The listener of what is imported without a folder.
const NAME: &str = "import";

/// A folder of the settings, or what it would say.
#[derive(Debug, Args)]
#[command(next_help_heading = "What the lines are")]
pub(super) struct FolderArgs {
    /// As this [[harvest.folder]] of the settings says. Without: by the options below, as files of a folder "import"
    #[arg(long, value_name = "NAME", conflicts_with_all = ["encoding", "start", "continuation", "Labels"])]
    folder: Option<String>,
    /// Encoding of the files, such as latin1 or utf-16le [default: utf-8]
    #[arg(long, value_name = "LABEL")]
    encoding: Option<String>,
    /// Join lines: this pattern matches the first line of an event
    #[arg(long, value_name = "REGEX", conflicts_with = "continuation")]
    start: Option<String>,
    /// Join lines: this pattern matches further lines of an event
    #[arg(long, value_name = "REGEX")]
    continuation: Option<String>,
    #[command(flatten)]
    labels: Labels,
}

/// What the parser does with the lines; with a broker elsewhere it does so by its own settings.
#[derive(Debug, Args)]
struct Labels {
    /// Do not parse lines: each is a message
    #[arg(long, conflicts_with = "time_zone")]
    no_grammar: bool,
    /// IANA name of the time zone of timestamps that name none
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Application, where the line names none
    #[arg(long, value_name = "NAME")]
    app_name: Option<String>,
    /// Host, where the line names none
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Facility, where the line has none
    #[arg(long, value_name = "NAME")]
    facility: Option<String>,
    /// Severity, where the line has none
    #[arg(long, value_name = "NAME")]
    severity: Option<String>,
    /// Tag of every event. May be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Field of every event. May be repeated
    #[arg(long = "field", value_name = "NAME=VALUE")]
    fields: Vec<String>,
}

impl FolderArgs {
    /// The settings, and the folder that the files are taken for.
    pub(super) fn load(&self, settings: &DataArgs) -> Result<(Settings, FolderSettings), String> {
        let told = |problems: Problems| problems.to_string();
        let Loaded { settings: own, .. } = settings.load().map_err(told)?;
        if let Some(name) = &self.folder {
            let known = own.harvest.folders.iter().find(|folder| folder.name == *name);
            let folder = known.cloned().ok_or_else(|| {
                let names: Vec<_> = own.harvest.folders.iter().map(|folder| &*folder.name).collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                format!("--folder {name:?}: no [[harvest.folder]] of the settings has this name; there are: {names}")
            })?;
            return Ok((own, folder));
        }
        // Checked like any other folder.
        let folders = ("harvest.folder".to_owned(), self.to_toml());
        let loaded = settings.load_with(vec![folders]).map_err(told)?;
        let folder = loaded.settings.harvest.folders.into_iter().next();
        let folder = folder.ok_or_else(|| "the folder of the arguments is missing".to_owned())?;
        Ok((own, folder))
    }

    /// Why these arguments can have no effect where the parser runs elsewhere.
    pub(super) fn needs_own_parser(&self) -> Option<&'static str> {
        let labels = &self.labels;
        let texts = [
            &labels.time_zone,
            &labels.app_name,
            &labels.hostname,
            &labels.facility,
            &labels.severity,
        ];
        let has_any = labels.no_grammar
            || texts.into_iter().any(Option::is_some)
            || !(labels.tags.is_empty() && labels.fields.is_empty());
        has_any.then_some(
            "the parser of this broker gives labels by its own settings: name a [[harvest.folder]] of them with --folder",
        )
    }

    /// A list of one folder. Its place on disk has no meaning.
    fn to_toml(&self) -> String {
        let labels = &self.labels;
        let mut keys = Map::new();
        for (key, value) in [
            ("encoding", &self.encoding),
            ("time_zone", &labels.time_zone),
            ("app_name", &labels.app_name),
            ("hostname", &labels.hostname),
            ("facility", &labels.facility),
            ("severity", &labels.severity),
        ] {
            if let Some(value) = value {
                keys.insert(key.to_owned(), json!(value));
            }
        }
        for (key, values) in [("tags", &labels.tags), ("fields", &labels.fields)] {
            if !values.is_empty() {
                keys.insert(key.to_owned(), json!(values));
            }
        }
        keys.insert("name".to_owned(), json!(NAME));
        keys.insert("path".to_owned(), json!("/"));
        keys.insert("done".to_owned(), json!("keep"));
        keys.insert("grammar".to_owned(), json!(!labels.no_grammar));
        let keys: Vec<_> = keys.iter().map(|(key, value)| pair(key, value)).collect();
        let joined = [("start", &self.start), ("continuation", &self.continuation)];
        let joined = joined.into_iter().find_map(|(key, value)| {
            let value = json!(value.as_ref()?);
            Some(format!(", multiline = {{ {} }}", pair(key, &value)))
        });
        format!("[{{ {}{} }}]", keys.join(", "), joined.unwrap_or_default())
    }
}

/// Strings, flags and lists of strings are the same in JSON and TOML, but for one character.
fn pair(key: &str, value: &Value) -> String {
    format!("{key} = {value}").replace('\x7f', "\\u007f")
}
