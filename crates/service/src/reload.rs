//! The settings are read again, and what can change in a running process does. One mistake, or one key that cannot
//! change, and everything stays as it is.

use std::{fmt, path::PathBuf, process, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use settings::{Problems, Values};
use tokio::sync::{Mutex, Notify};

use crate::{args::Loaded, context::Context, manager::Manager};

/// Keys of no service, which each process reads.
const OF_ALL: [&str; 4] = [
    "data_dir",
    "service.log_",
    "service.shutdown_grace",
    "service.user",
];
/// Keys that one answer or log line names.
const NAMED_MAX: usize = 20;

/// How a process reads its settings again.
pub struct Reloader {
    read: Box<dyn Fn() -> anyhow::Result<Loaded> + Send + Sync>,
    /// How the paths of keys begin that this process looks at.
    reads: Vec<&'static str>,
    file: Option<PathBuf>,
    /// What is in force.
    values: Mutex<Values>,
    pub(crate) hangup: Notify,
}

/// What somebody wants of a running process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// To know who it is.
    Who,
    /// To know what a reload would do.
    Check,
    /// That it reads its settings again.
    Reload,
}

/// What a process says of itself and its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The service, or `logferry`.
    pub service: String,
    /// Its process.
    pub pid: u32,
    /// Its settings file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Whether the wish was met, or could be.
    pub ok: bool,
    /// The keys that differ from what was in force; of many, the first.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Why everything stays as it is.
    #[serde(default)]
    pub problems: Vec<String>,
}

impl Reloader {
    /// Reads by `read` what was read for `loaded`, of which the process looks at keys that begin as one of `reads`
    /// (`parser.`, `syslog_server.listener[].time_zone`), besides those of no service.
    #[must_use]
    pub fn new(
        loaded: &Loaded,
        reads: &[&'static str],
        read: impl Fn() -> anyhow::Result<Loaded> + Send + Sync + 'static,
    ) -> Self {
        let file = loaded.file.as_deref();
        Self {
            read: Box::new(read),
            reads: [&OF_ALL, reads].concat(),
            // Others may be in another folder.
            file: file.and_then(|file| std::path::absolute(file).ok()),
            values: Mutex::new(loaded.values.clone()),
            hangup: Notify::new(),
        }
    }

    /// Reloads at each hangup. It never ends.
    pub(crate) async fn run(self: Arc<Self>, ctx: Context, manager: Option<Arc<Manager>>) {
        loop {
            self.hangup.notified().await;
            // The log tells how it went.
            drop(self.reload(&ctx, manager.as_deref()).await);
        }
    }

    /// Does what is wished.
    pub(crate) async fn grant(
        self: &Arc<Self>,
        wish: Wish,
        ctx: &Context,
        manager: Option<&Manager>,
    ) -> Outcome {
        match wish {
            Wish::Who => Ok(Vec::new()),
            Wish::Check => {
                let values = self.values.lock().await;
                let (loaded, keys) = self.read_again(values.clone()).await?;
                in_background(ctx, move |ctx| ctx.check_settings(&loaded.settings)).await?;
                Ok(keys)
            }
            Wish::Reload => self.reload(ctx, manager).await,
        }
    }

    pub(crate) fn report(&self, service: &str, outcome: Outcome) -> ReloadReport {
        let ok = outcome.is_ok();
        let (keys, problems) = match outcome {
            Ok(keys) => (keys, Vec::new()),
            Err(problems) => (Vec::new(), problems),
        };
        ReloadReport {
            service: service.to_owned(),
            pid: process::id(),
            file: self.file.clone(),
            ok,
            keys,
            problems,
        }
    }

    async fn reload(self: &Arc<Self>, ctx: &Context, manager: Option<&Manager>) -> Outcome {
        // One at a time; a second one finds nothing different.
        let mut values = self.values.lock().await;
        let is_told = ctx.is_started() && !ctx.stop.is_cancelled();
        let manager = manager.filter(|_| is_told);
        if let Some(manager) = manager {
            manager.tell("RELOADING=1\nSTATUS=reading settings");
        }
        let outcome = self.take_over(&mut values, ctx).await;
        let status = match &outcome {
            Ok(keys) => {
                tracing::info!(keys = keys.join(", "), "settings reloaded");
                "running"
            }
            Err(problems) => {
                for problem in problems {
                    tracing::error!(problem, "settings not reloaded, the old ones stay");
                }
                "running by older settings: those of now are refused"
            }
        };
        ctx.metrics.settings_read(outcome.is_ok(), Timestamp::now());
        if let Some(manager) = manager {
            manager.tell(&format!("READY=1\nSTATUS={status}"));
        }
        outcome
    }

    async fn take_over(self: &Arc<Self>, values: &mut Values, ctx: &Context) -> Outcome {
        let (loaded, keys) = self.read_again(values.clone()).await?;
        in_background(ctx, move |ctx| ctx.take_settings_over(loaded.settings)).await?;
        *values = loaded.values;
        Ok(keys)
    }

    /// New settings that differ from `values` in nothing that cannot change, and the keys that differ.
    async fn read_again(self: &Arc<Self>, values: Values) -> Result<(Loaded, Vec<String>), Vec<String>> {
        let this = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let loaded = (this.read)().map_err(|error| problems(&error))?;
            let mut changes = values.changes(&loaded.values, &this.reads);
            if changes.fixed.is_empty() {
                changes.live.truncate(NAMED_MAX);
                return Ok((loaded, changes.live));
            }
            changes.fixed.truncate(NAMED_MAX);
            let fixed = changes.fixed.into_iter();
            Err(fixed
                .map(|key| format!("{key} cannot change while running: restart for it, or put it back"))
                .collect())
        });
        reading.await.unwrap_or_else(|error| Err(vec![error.to_string()]))
    }
}

/// The keys that differed, or what was wrong.
pub(crate) type Outcome = Result<Vec<String>, Vec<String>>;

/// What stages do with settings may take time: rules are compiled.
async fn in_background(
    ctx: &Context,
    work: impl FnOnce(&Context) -> anyhow::Result<()> + Send + 'static,
) -> Result<(), Vec<String>> {
    let ctx = ctx.clone();
    match tokio::task::spawn_blocking(move || work(&ctx)).await {
        Ok(done) => done.map_err(|error| problems(&error)),
        Err(error) => Err(vec![error.to_string()]),
    }
}

fn problems(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.iter().map(ToString::to_string).collect(),
        None => vec![format!("{error:#}")],
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
