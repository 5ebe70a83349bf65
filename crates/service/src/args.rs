//! Arguments that all processes share.

use std::{collections::BTreeMap, env, path::PathBuf};

use clap::Args;
use settings::{PLACES, Problems, Settings, Sources, Values};

/// Where settings come from.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingsArgs {
    /// Settings file. Without it: $LOGFERRY_CONFIG, ./logferry.toml, /etc/logferry/logferry.toml, or none
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key, over the environment and the file, such as broker.url=embedded. May be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub set: Vec<(String, String)>,
}

impl SettingsArgs {
    /// Reads the settings from the process's environment and the file, with `stronger` keys over all of them.
    ///
    /// # Errors
    ///
    /// All problems at once.
    pub fn load(&self, stronger: Vec<(String, String)>) -> Result<Loaded, Problems> {
        let variables = env::vars_os().map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        });
        let env: BTreeMap<_, _> = variables.filter(|(name, _)| Sources::reads(name)).collect();
        let overrides = self.set.iter().cloned().chain(stronger).collect();
        let sources = Sources::load(self.config.as_deref(), &PLACES, env, overrides)?;
        let (settings, values) = Settings::with_values(&sources)?;
        Ok(Loaded {
            settings,
            values,
            file: sources.file.map(|(path, _)| path),
        })
    }
}

/// Good settings and the file that they come from, if there is one.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What was read for them.
    pub values: Values,
    /// The settings file.
    pub file: Option<PathBuf>,
}

/// Arguments of a process that stays.
#[derive(Debug, Clone, Default, Args)]
pub struct ProcessArgs {
    /// Where settings come from.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// How log lines look: text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Least severe level to log, such as info or "info,broker=debug"
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Where to serve /metrics, /healthz and /readyz, or "off"
    #[arg(long, value_name = "ADDRESS")]
    pub http_addr: Option<String>,
}

impl ProcessArgs {
    /// Reads the settings; `http_key` is the key that `--http-addr` sets.
    ///
    /// # Errors
    ///
    /// All problems at once.
    pub fn load(&self, http_key: &str, mut stronger: Vec<(String, String)>) -> Result<Loaded, Problems> {
        let flags = [
            ("service.log_format", &self.log_format),
            ("service.log_level", &self.log_level),
            (http_key, &self.http_addr),
        ];
        stronger.extend(
            flags
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))),
        );
        self.settings.load(stronger)
    }
}

fn key_and_value(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as broker.url=embedded"),
    }
}
