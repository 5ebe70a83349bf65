//! `logferry check`: whether the settings are good, and whether what they name is there.

use std::{
    fmt::Write as _,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use broker::{Broker, Management, Topology};
use clap::Args;
use serde::Serialize;
use service::{Loaded, exit};
use settings::{BrokerSettings, Problem, RescueSettings, Settings, StoreSettings};
use store::Store;

use crate::{
    command::{self, DataArgs},
    terminal::visible,
};

const EXAMPLES: &str = "\
Examples:
  logferry check                     every mistake in the settings, and whether the rules compile
  logferry check --connect           also whether broker, management API, store and rescue queue answer
  logferry check --config new.toml --json

Exit codes: 0 all is well, 78 the settings or the rules are wrong, 1 something does not answer.";

/// Validate the settings, compile the rules, and try the servers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    /// Also try the broker, its management API, the store and the rescue queue
    #[arg(long)]
    connect: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: DataArgs,
}

/// What was found. With `--json` it is printed as it stands here.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Mistakes in the settings; nothing else is checked then.
    problems: Vec<Problem>,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    detail: String,
    took_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Failed,
    /// There is nothing to check.
    Unused,
}

impl CheckArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        let (report, exit_code) = match self.settings.load() {
            Err(problems) => {
                let problems = problems.iter().cloned().collect();
                (
                    Report {
                        ok: false,
                        file: None,
                        problems,
                        checks: Vec::new(),
                    },
                    exit::SETTINGS,
                )
            }
            Ok(loaded) => match command::block_on(self.check(&loaded)) {
                Ok(checked) => checked,
                Err(error) => return command::failed(&error),
            },
        };
        let text = if self.json {
            report.to_json()
        } else {
            report.to_text()
        };
        match command::print(&text) {
            Ok(()) => ExitCode::from(exit_code),
            Err(error) => command::failed(&error),
        }
    }

    async fn check(&self, loaded: &Loaded) -> anyhow::Result<(Report, u8)> {
        let settings = &loaded.settings;
        let mut checks = vec![
            timed("rules", async { rules(settings) }).await,
            timed("files", async { files(settings) }).await,
        ];
        let settings_ok = checks.iter().all(|check| check.state == State::Ok);
        if self.connect {
            checks.push(timed("broker", broker(settings)).await);
            if let BrokerSettings::Amqp(amqp) = &settings.broker {
                checks.push(match amqp.management_url {
                    Some(_) => timed("rabbitmq", management(settings)).await,
                    None => unused("rabbitmq", "broker.management_url is \"off\""),
                });
            }
            checks.push(timed("store", store(settings)).await);
            checks.push(match &settings.broker {
                BrokerSettings::Amqp(_) => timed("rescue", rescue(&settings.rescue)).await,
                BrokerSettings::Embedded { .. } => unused(
                    "rescue",
                    "none with the embedded broker, whose queues are on the same disk",
                ),
            });
        }
        let is_ok = checks.iter().all(|check| check.state != State::Failed);
        let file = loaded
            .file
            .as_deref()
            .map(Path::display)
            .map(|file| file.to_string());
        let exit_code = match (settings_ok, is_ok) {
            (false, _) => exit::SETTINGS,
            (true, false) => exit::START_FAILED,
            (true, true) => exit::CLEAN,
        };
        Ok((
            Report {
                ok: is_ok,
                file,
                problems: Vec::new(),
                checks,
            },
            exit_code,
        ))
    }
}

async fn timed(name: &'static str, check: impl Future<Output = anyhow::Result<String>>) -> Check {
    let began = Instant::now();
    let (state, detail) = match check.await {
        Ok(detail) => (State::Ok, detail),
        Err(error) => (State::Failed, format!("{error:#}")),
    };
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Check {
        name,
        state,
        detail,
        took_ms,
    }
}

fn unused(name: &'static str, detail: &str) -> Check {
    Check {
        name,
        state: State::Unused,
        detail: detail.to_owned(),
        took_ms: 0,
    }
}

fn rules(settings: &Settings) -> anyhow::Result<String> {
    let chain = parser::compile_rules(&settings.parser)?;
    let mut told = match chain.programs().count() {
        0 => "no programs".to_owned(),
        1 => "1 program compiles".to_owned(),
        count => format!("{count} programs compile"),
    };
    for warning in chain.warnings() {
        told.push_str("\nwarning: ");
        told.push_str(warning);
    }
    Ok(told)
}

fn files(settings: &Settings) -> anyhow::Result<String> {
    shipper_fs::check(&settings.shipper_fs)?;
    Ok(match settings.shipper_fs.destinations.len() {
        0 => "no destinations".to_owned(),
        1 => "1 destination".to_owned(),
        count => format!("{count} destinations"),
    })
}

/// What the settings alone can tell, beyond what their reader knows.
///
/// # Errors
///
/// What the rules' compiler says, or what is wrong with a destination.
pub(crate) fn settings_only(settings: &Settings) -> anyhow::Result<()> {
    rules(settings).and_then(|_| files(settings)).map(drop)
}

async fn broker(settings: &Settings) -> anyhow::Result<String> {
    if let BrokerSettings::Embedded { dir, .. } = &settings.broker
        && !dir.try_exists()?
    {
        return Ok(not_made(dir));
    }
    Broker::check(&settings.broker).await.context("broker.url")
}

/// What the management API lets our user see. Nothing but the pages needs it, and they say what they miss, so that it fails
/// only when it tells nothing of our queues.
async fn management(settings: &Settings) -> anyhow::Result<String> {
    const KEY: &str = "broker.management_url";
    let management = Management::new(&settings.broker).context(KEY)?;
    let management = management.context("broker.management_url is \"off\"")?;
    let queues: Vec<_> = Topology::of(settings)?
        .queues()
        .iter()
        .map(|queue| queue.name.clone())
        .collect();
    let report = Box::pin(management.ask(&queues, None)).await;
    let known = report.queues.context(KEY)?.len();
    let mut told = format!(
        "{} tells of {known} of {} queues",
        management.address(),
        queues.len()
    );
    match report.nodes {
        Ok(nodes) if nodes.len() == 1 => told.push_str(" and of 1 node"),
        Ok(nodes) => told.push_str(&format!(" and of {} nodes", nodes.len())),
        Err(error) => told.push_str(&format!("\nwarning: it does not tell of its nodes: {error}")),
    }
    Ok(told)
}

async fn store(settings: &Settings) -> anyhow::Result<String> {
    if let StoreSettings::Sqlite(sqlite) = &settings.store
        && !sqlite.dir.try_exists()?
    {
        return Ok(not_made(&sqlite.dir));
    }
    let store = Store::connect(&settings.store).context("store.url")?;
    let found = store.check().await.context("store.url");
    store.close().await;
    found
}

/// Whether the rescue queues answer, and what they promise.
///
/// # Errors
///
/// Why one of them cannot be used, or does not promise what the settings demand.
pub(crate) async fn rescue(settings: &RescueSettings) -> anyhow::Result<String> {
    ::rescue::check(settings).await.context("rescue queue")
}

/// A check leaves nothing behind.
fn not_made(dir: &Path) -> String {
    format!("embedded, {} is made by `logferry run`", dir.display())
}

impl Report {
    fn to_json(&self) -> String {
        let mut json = serde_json::to_string(self).expect("a report has only text, numbers and booleans");
        json.push('\n');
        json
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        // Problems begin with file and line, where editors look for them.
        for problem in &self.problems {
            line(&mut text, &problem.to_string());
        }
        if !self.problems.is_empty() {
            return text;
        }
        let file = self
            .file
            .as_deref()
            .unwrap_or("no file, so defaults and environment");
        line(&mut text, &format!("{:9} ok      {file}", "settings"));
        for check in &self.checks {
            let (state, took) = match check.state {
                State::Ok => ("ok", took(check.took_ms)),
                State::Failed => ("failed", took(check.took_ms)),
                State::Unused => ("-", String::new()),
            };
            // Compilers point at a place in several lines.
            if check.detail.contains('\n') {
                line(&mut text, &format!("{:9} {state}", check.name));
                check
                    .detail
                    .lines()
                    .for_each(|detail| line(&mut text, &visible(detail)));
            } else {
                line(
                    &mut text,
                    &format!("{:9} {state:7} {}{took}", check.name, visible(&check.detail)),
                );
            }
        }
        text
    }
}

fn took(took_ms: u64) -> String {
    match Duration::from_millis(took_ms) {
        short if short < Duration::from_secs(1) => format!(" ({took_ms} ms)"),
        long => format!(" ({:.1} s)", long.as_secs_f64()),
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}
