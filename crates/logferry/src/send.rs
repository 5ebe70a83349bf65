//! `logferry send`: messages to a syslog server, and what it acknowledged.

mod messages;
mod outlet;
pub(crate) mod target;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use event::{Facility, Severity};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;
use service::exit;

pub(crate) use self::messages::our_hostname;
use self::{
    messages::{Header, Messages, Origin},
    outlet::Outlet,
    target::{Framing, Protocol, Target, TargetArgs},
};
use crate::command;

const EXAMPLES: &str = "\
Examples:
  logferry send 'disk is full' --priority daemon.crit
                                     one message to `logferry run` on this machine, and whether it is safe there
  logferry send --file app.log --app-name app --to logs.example:2514
                                     each line of a file
  zcat old.log.gz | logferry send --raw --to logs.example:2514
                                     lines that are syslog messages already
  logferry send hello --protocol tcp --tls --ca ca.pem --to logs.example:6514

Exit codes: 0 all was sent and, over relp, acknowledged; 1 not all; 64 wrong arguments.";

/// Send a message, a file or stdin, and say what was acknowledged
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SendArgs {
    /// Messages, one each. Without any: --file, or stdin
    #[arg(value_name = "MESSAGE")]
    messages: Vec<String>,
    /// Send each line of this file; - is stdin
    #[arg(short, long, value_name = "FILE", conflicts_with = "messages")]
    file: Option<PathBuf>,
    /// Send messages as they are, without a syslog header before them
    #[arg(long, conflicts_with_all = ["priority", "hostname", "app_name"])]
    raw: bool,
    /// Facility and severity in the header
    #[arg(long, value_name = "FACILITY.SEVERITY", value_parser = messages::priority, default_value = "user.notice")]
    priority: (Facility, Severity),
    /// Host name in the header [default: this machine's]
    #[arg(long, value_name = "NAME", value_parser = messages::word::<255>)]
    hostname: Option<String>,
    /// Name of the application in the header
    #[arg(long, value_name = "NAME", value_parser = messages::word::<48>, default_value = "logferry")]
    app_name: String,
    #[command(flatten)]
    target: TargetArgs,
    /// Messages over relp that may await their acknowledgement
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// One JSON object about what was sent
    #[arg(long)]
    json: bool,
}

/// What was sent. With `--json` it is printed as it stands here.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    protocol: String,
    to: String,
    sent: u64,
    bytes: u64,
    /// Absent where the protocol does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    acked: Option<u64>,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl SendArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        if let Some(problem) = self.target.problem() {
            return command::usage("send", problem);
        }
        let has_line_feed = |message: &String| message.contains(['\n', '\0']);
        if self.target.is_tcp_by_lines() && self.messages.iter().any(has_line_feed) {
            let problem =
                "a message with a line feed in it would arrive as several: use --framing octet-counted";
            return command::usage("send", problem);
        }
        let report = match command::block_on(self.send()) {
            Ok(report) => report,
            Err(error) => return command::failed(&error),
        };
        match self.tell(&report) {
            Ok(()) if report.ok => ExitCode::from(exit::CLEAN),
            Ok(()) => ExitCode::from(exit::START_FAILED),
            Err(error) => command::failed(&error),
        }
    }

    fn origin(&self) -> Origin {
        match &self.file {
            Some(path) if path.as_os_str() != "-" => Origin::File(path.clone()),
            None if !self.messages.is_empty() => Origin::Arguments(self.messages.clone()),
            Some(_) | None => Origin::Stdin,
        }
    }

    async fn send(&self) -> anyhow::Result<Report> {
        let target = self.target.target()?;
        let messages = Messages::open(&self.origin())?;
        let mut report = Report {
            ok: false,
            protocol: target.protocol.to_string(),
            to: target.to.clone(),
            sent: 0,
            bytes: 0,
            acked: (target.protocol == Protocol::Relp).then_some(0),
            seconds: 0.0,
            error: None,
        };
        let progress = self.progress(messages.bytes());
        let started = Instant::now();
        let sent = self.send_all(&target, messages, &mut report, &progress).await;
        progress.finish_and_clear();
        report.seconds = started.elapsed().as_secs_f64();
        report.error = sent
            .err()
            .map(|error| format!("{error:#}{}", target::advice(&error)));
        report.ok = report.error.is_none() && report.acked.is_none_or(|acked| acked == report.sent);
        Ok(report)
    }

    async fn send_all(
        &self,
        target: &Target,
        mut messages: Messages,
        report: &mut Report,
        progress: &ProgressBar,
    ) -> anyhow::Result<()> {
        let mut outlet = Outlet::open(target, self.window).await?;
        let (facility, severity) = self.priority;
        let header = Header {
            facility,
            severity,
            hostname: self.hostname.clone().unwrap_or_else(messages::our_hostname),
            app_name: self.app_name.clone(),
        };
        let (mut frame, mut is_at_end) = (Vec::new(), false);
        while !is_at_end || outlet.is_busy() {
            // Both branches are cancel-safe.
            tokio::select! {
                biased;
                message = messages.next(), if !is_at_end && outlet.has_room() => {
                    let Some(message) = message else {
                        is_at_end = true;
                        continue;
                    };
                    let message = message?;
                    progress.inc(u64::try_from(message.len()).unwrap_or(0) + 1);
                    let frame = if self.raw { &message } else {
                        header.write(&mut frame, &message);
                        &frame
                    };
                    outlet.push(frame).await?;
                    report.sent += 1;
                    report.bytes += u64::try_from(frame.len()).unwrap_or(0);
                }
                acked = outlet.exchange(), if outlet.is_busy() => {
                    let acked = acked?;
                    report.acked = report.acked.map(|before| before + acked);
                }
            }
        }
        outlet.close().await
    }

    /// Shown only to people.
    fn progress(&self, bytes: Option<u64>) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() || !self.messages.is_empty() {
            return ProgressBar::hidden();
        }
        let (bar, style) = match bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {bytes_per_sec}"),
        };
        bar.enable_steady_tick(Duration::from_millis(200));
        match ProgressStyle::with_template(style) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }

    fn tell(&self, report: &Report) -> anyhow::Result<()> {
        if self.json {
            return command::print(&format!("{}\n", serde_json::to_string(report)?));
        }
        let text = report.to_text();
        if report.ok {
            command::print(&text)
        } else {
            eprint!("{text}");
            Ok(())
        }
    }
}

impl Report {
    fn to_text(&self) -> String {
        let acked = match self.acked {
            None => format!("{} does not acknowledge", self.protocol),
            Some(acked) if acked == self.sent => "all acknowledged".to_owned(),
            Some(acked) => format!("{} acknowledged", HumanCount(acked)),
        };
        let error = self.error.iter().map(|error| format!("logferry send: {error}\n"));
        format!(
            "{}sent {} {} ({}) to {} by {} in {:.2} s: {acked}\n",
            error.collect::<String>(),
            HumanCount(self.sent),
            if self.sent == 1 { "message" } else { "messages" },
            HumanBytes(self.bytes),
            self.to,
            self.protocol,
            self.seconds,
        )
    }
}

impl TargetArgs {
    fn is_tcp_by_lines(&self) -> bool {
        (self.protocol(), self.framing()) == (Protocol::Tcp, Framing::Lf)
    }
}
