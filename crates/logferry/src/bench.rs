//! `logferry bench`: a load generator that costs little, since it often shares the machine with what it measures.
//!
//! Messages are made before, like those of real machines, and sent many to a write. Each carries the id of the run and a number of its own, so
//! that whoever looks at the other end can tell whether every one arrived, and once.

mod latency;
mod message;
mod pace;
mod report;
mod sender;
mod words;

use std::{
    cell::Cell,
    io::{self, IsTerminal},
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use service::exit;
use settings::units;

use self::{
    message::Template,
    pace::Pace,
    report::Report,
    sender::{Sender, Sent},
};
use crate::{command, send::target::TargetArgs};

const EXAMPLES: &str = "\
Examples:
  logferry bench                     100,000 messages over relp to `logferry run` on this machine
  logferry bench --protocol tcp --count 1000000 --to 127.0.0.1:5514
  logferry bench --connections 4 --window 128 --duration 30s
  logferry bench --rate 10000 --duration 1m --json

Each message holds run=ID and seq=NUMBER, with numbers from 0 and none left out: `logferry search run=ID` finds them.
Exit codes: 0 all was sent and, over relp, acknowledged; 1 not all; 64 wrong arguments.";

/// Messages of a run without --count or --duration.
const COUNT: u64 = 100_000;

/// How often the progress is shown.
const PROGRESS_PERIOD: Duration = Duration::from_millis(200);

/// Send a load, and say how fast it was taken
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Messages in all [default: 100000, without --duration]
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Send for this long
    #[arg(short, long, value_name = "DURATION", value_parser = units::duration)]
    duration: Option<Duration>,
    /// Connections at the same time
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Messages of a connection over relp that may await their acknowledgement
    #[arg(short, long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Bytes of a message
    #[arg(short, long, value_name = "BYTES", default_value_t = 200, value_parser = message::size)]
    size: usize,
    /// Messages a second in all [default: as fast as they are taken]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// One JSON object about the run
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        if let Some(problem) = self.target.problem() {
            return command::usage("bench", problem);
        }
        let told = command::block_on(self.run()).and_then(|report| {
            let text = if self.json {
                report.to_json()?
            } else {
                report.to_text()
            };
            command::print(&text)?;
            Ok(report.ok)
        });
        match told {
            Ok(true) => ExitCode::from(exit::CLEAN),
            Ok(false) => ExitCode::from(exit::START_FAILED),
            Err(error) => command::failed(&error),
        }
    }

    async fn run(&self) -> anyhow::Result<Report> {
        let target = self.target.target()?;
        let run = format!("{:08x}", uuid::Uuid::new_v4().as_fields().0);
        let mut template = Template::new(self.size, &run);
        let lz4_ratio = template.lz4_ratio();
        allow_descriptors(self.connections);
        let mut senders = Vec::new();
        for _ in 0..self.connections {
            senders.push(Sender::connect(&target, self.window).await?);
        }
        let count = self.count.or_else(|| self.duration.is_none().then_some(COUNT));
        let total = Rc::new(Cell::new(0));
        let progress = self.progress(count);
        let began = Instant::now();
        let until = self.duration.map(|duration| began + duration);
        let sending = senders.into_iter().zip(0..).map(|(sender, number)| {
            let pace = Pace::new(pace::Share {
                number,
                of: self.connections,
                count,
                until,
                rate: self.rate,
            });
            sender.send_all(template.clone(), pace, Rc::clone(&total))
        });
        let mut sending = std::pin::pin!(join_all(sending));
        let mut ticks = tokio::time::interval(PROGRESS_PERIOD);
        let sent: Vec<Sent> = loop {
            tokio::select! {
                sent = &mut sending => break sent,
                _ = ticks.tick() => progress.set_position(total.get()),
            }
        };
        progress.finish_and_clear();
        Ok(Report::new(&report::Run {
            run,
            target,
            connections: self.connections,
            window: self.window,
            size: self.size,
            lz4_ratio,
            rate: self.rate,
            elapsed: began.elapsed(),
            sent,
        }))
    }

    /// Shown only to people.
    fn progress(&self, count: Option<u64>) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let (bar, style) = match count {
            Some(count) => (
                ProgressBar::new(count),
                "{bar:40} {human_pos} of {human_len}, {per_sec}",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {human_pos}, {per_sec}"),
        };
        match ProgressStyle::with_template(style) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

/// Raises the soft limit of open files where many connections need it; where that is not allowed, connecting says so.
fn allow_descriptors(connections: u32) {
    let needed = u64::from(connections) + 64;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft < needed
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard)
    {
        eprintln!("logferry bench: {connections} connections need more open files than allowed: {error}");
    }
}
