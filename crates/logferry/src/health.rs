//! `logferry health`: whether a process of this host is ready, for whoever watches it and has no HTTP client.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;
use service::{Answer, SettingsArgs, exit, probe};
use settings::Settings;

use crate::command::{self, bad_settings, failed, usage};

const EXAMPLES: &str = "\
Examples:
  logferry health                    of `logferry run`
  logferry health parser             of a service, at the http_addr of its section in the settings
  logferry health parser --http-addr 127.0.0.1:9621
  logferry health web --live         whether it lives at all, ready or not

Exit codes: 0 it is ready, 1 it is not, or nobody answers, 64 wrong arguments, 78 wrong settings.";

/// Ask a process of this host whether it is ready
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HealthArgs {
    /// The service; `logferry run` without one
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    /// Where it serves /readyz, instead of what the settings say
    #[arg(long, value_name = "ADDRESS")]
    http_addr: Option<SocketAddr>,
    /// Ask whether it lives, not whether all that it needs is there
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// What `/readyz` answers.
#[derive(Debug, Deserialize)]
struct Report {
    stopping: bool,
    components: Vec<Component>,
}

#[derive(Debug, Deserialize)]
struct Component {
    name: String,
    why: Option<String>,
}

impl HealthArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        let addr = match self.http_addr {
            Some(addr) => addr,
            None => match self.settings.load(Vec::new()) {
                Ok(loaded) => match self.addr(&loaded.settings) {
                    Ok(addr) => addr,
                    Err(problem) => return usage("health", &problem),
                },
                Err(problems) => return bad_settings(&problems),
            },
        };
        match command::block_on(self.ask(addr)) {
            Ok(None) => exit::say(if self.live { "alive" } else { "ready" }),
            Ok(Some(why)) => failed(&anyhow::anyhow!("not ready: {why}")),
            Err(error) => failed(&error),
        }
    }

    fn addr(&self, settings: &Settings) -> Result<SocketAddr, String> {
        let (addr, key) = match &self.service {
            None => (settings.service.http_addr, "service.http_addr".to_owned()),
            Some(name) => match settings.service.http_addrs.get(name) {
                Some(addr) => (*addr, format!("{}.http_addr", name.replace('-', "_"))),
                None => {
                    let names: Vec<_> = settings.service.http_addrs.keys().map(String::as_str).collect();
                    return Err(format!("{name} is no service; there are {}", names.join(", ")));
                }
            },
        };
        addr.ok_or_else(|| format!("{key} is \"off\", so there is nobody to ask: set it to an address"))
    }

    /// Why it is not ready, if it is not.
    async fn ask(&self, addr: SocketAddr) -> anyhow::Result<Option<String>> {
        let path = if self.live { "/healthz" } else { "/readyz" };
        let Answer { status, body } = probe(addr, path)
            .await
            .with_context(|| format!("ask http://{addr}{path}"))?;
        Ok((status != 200).then(|| reasons(status, &body)))
    }
}

fn reasons(status: u16, body: &str) -> String {
    let Ok(report) = serde_json::from_str::<Report>(body) else {
        return format!("it answers with status {status}, and not as a process of Logferry does");
    };
    if report.stopping {
        return "it is stopping".to_owned();
    }
    let parts = report.components.into_iter();
    let parts = parts.filter_map(|part| Some(format!("{}: {}", part.name, part.why?)));
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        "it is starting".to_owned()
    } else {
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing() {
        for (body, expected) in [
            (
                r#"{"ready":false,"stopping":false,"components":[{"name":"broker","ready":false,"why":"refused"},{"name":"a","ready":true}]}"#,
                "broker: refused",
            ),
            (
                r#"{"ready":false,"stopping":true,"components":[]}"#,
                "it is stopping",
            ),
            (
                r#"{"ready":false,"stopping":false,"components":[]}"#,
                "it is starting",
            ),
            (
                "<html>",
                "it answers with status 503, and not as a process of Logferry does",
            ),
        ] {
            assert_eq!(reasons(503, body), expected);
        }
    }
}
