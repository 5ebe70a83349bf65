//! `logferry reload`: has the processes of this machine read their settings again, all of them or none.

use std::{fmt::Write as _, io, path::PathBuf, process::ExitCode};

use anyhow::{Context, ensure};
use clap::Args;
use service::{ReloadReport, Wish, control, exit};

use crate::{command, terminal::visible};

const EXAMPLES: &str = "\
Examples:
  logferry reload                    every process of Logferry on this machine
  logferry reload parser             those of one service
  logferry reload --config new/logferry.toml   those that were started with this file
  logferry reload --pid 4711         one process, as units of systemd do
  logferry reload --check            says what would change, and changes nothing

Rules, limits of listeners and the log level change while sessions go on. Each process checks first: a mistake, or a key
that cannot change in a running process, is named, and then no process changes anything.
Exit codes: 0 done, 1 a process did not answer or there is none, 64 wrong arguments, 78 refused.";

/// Have running processes read their settings again
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReloadArgs {
    /// Only processes of these services; `logferry` is `logferry run`
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Only this process. May be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Only processes that were started with this settings file
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say what would change
    #[arg(long)]
    check: bool,
    /// One JSON object a line and process
    #[arg(long)]
    json: bool,
}

impl ReloadArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        let reports = match command::block_on(self.reload()) {
            Ok(reports) => reports,
            Err(error) => return command::failed(&error),
        };
        let is_ok = reports.iter().all(|report| report.ok);
        let text = if self.json {
            json(&reports)
        } else {
            self.text(&reports)
        };
        match command::print(&text) {
            Ok(()) if is_ok => ExitCode::from(exit::CLEAN),
            Ok(()) => ExitCode::from(exit::SETTINGS),
            Err(error) => command::failed(&error),
        }
    }

    /// What each process says in the end.
    async fn reload(&self) -> anyhow::Result<Vec<ReloadReport>> {
        let pids = self.pids().await?;
        // Each by its own settings, flags, environment and secrets.
        let checked = ask_all(&pids, Wish::Check).await?;
        if self.check || checked.iter().any(|report| !report.ok) {
            return Ok(checked);
        }
        ask_all(&pids, Wish::Reload).await
    }

    /// Whom to ask.
    async fn pids(&self) -> anyhow::Result<Vec<u32>> {
        let file = self.config.as_ref().map(|file| {
            file.canonicalize()
                .with_context(|| format!("cannot find {}", file.display()))
        });
        let file = file.transpose()?;
        let pids = if self.pid.is_empty() {
            control::running().context("look for processes")?
        } else {
            self.pid.clone()
        };
        let (mut wanted, mut strangers) = (Vec::new(), 0);
        for pid in pids {
            let who = match control::ask(pid, Wish::Who).await {
                Ok(who) => who,
                Err(error) if is_closed(&error) && self.pid.is_empty() => {
                    strangers += 1;
                    continue;
                }
                // It ended while this looked.
                Err(_) if self.pid.is_empty() => continue,
                Err(error) => return Err(unanswered(pid, error)),
            };
            let is_of_service = self.services.is_empty() || self.services.contains(&who.service);
            let has_file = || {
                let own = who.file.as_ref().and_then(|own| own.canonicalize().ok());
                file.is_none() || own == file
            };
            if is_of_service && has_file() {
                wanted.push(pid);
            }
        }
        let others = if strangers > 0 {
            ", but of other users: try as root"
        } else {
            ""
        };
        ensure!(
            !wanted.is_empty(),
            "no such process of Logferry runs here{others}"
        );
        Ok(wanted)
    }

    fn text(&self, reports: &[ReloadReport]) -> String {
        let is_ok = reports.iter().all(|report| report.ok);
        let mut text = String::new();
        for report in reports {
            let who = format!("{}[{}]", report.service, report.pid);
            let keys = report.keys.join(", ");
            match (report.ok, is_ok && !self.check) {
                (true, _) if keys.is_empty() => line(&mut text, &format!("{who:24} nothing changes")),
                (true, true) => line(&mut text, &format!("{who:24} reloaded: {keys}")),
                (true, false) => line(&mut text, &format!("{who:24} would change: {keys}")),
                (false, _) => {
                    for problem in &report.problems {
                        let mut lines = problem.lines();
                        let first = lines.next().unwrap_or_default();
                        line(&mut text, &format!("{who:24} refused: {first}"));
                        lines.for_each(|more| line(&mut text, more));
                    }
                }
            }
        }
        if !is_ok && !self.check {
            line(&mut text, "Nothing was changed.");
        }
        text
    }
}

async fn ask_all(pids: &[u32], wish: Wish) -> anyhow::Result<Vec<ReloadReport>> {
    let mut reports = Vec::new();
    for &pid in pids {
        let report = control::ask(pid, wish).await;
        reports.push(report.map_err(|error| unanswered(pid, error))?);
    }
    Ok(reports)
}

fn unanswered(pid: u32, error: io::Error) -> anyhow::Error {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "it is no process of Logferry, or in another container",
        _ if is_closed(&error) => "it belongs to another user",
        _ => "it does not answer",
    };
    anyhow::Error::new(error).context(format!("process {pid}: {why}"))
}

/// Who may not ask gets no answer.
fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn json(reports: &[ReloadReport]) -> String {
    let json = |report| serde_json::to_string(report).expect("a report has only text, numbers and booleans");
    reports.iter().map(|report| json(report) + "\n").collect()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{}", visible(line)).expect("writing to a string does not fail");
}
