//! `logferry status`: all processes on this broker, by their heartbeats, and how full its queues are.

mod source;
mod table;

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use service::{Custody, Heartbeat, exit, heartbeat::PERIOD};
use settings::{Settings, units};
use tokio::time::{Instant, timeout_at};

pub(crate) use self::source::{QueueState, Told, tell};
use self::source::{Source, queues};
use crate::{
    command::{self, DataArgs},
    terminal::visible_json,
};

const EXAMPLES: &str = "\
Examples:
  logferry status                    a table, after listening for 6 seconds
  logferry status --watch            the same every 5 seconds, until Ctrl-C
  logferry status --json | jq '.processes[] | select(.not_ready)'

It hears the heartbeats of the services on the broker of the settings; with embedded queues, those of the `logferry run`
that has data_dir.
Exit codes: 0 all is well, 1 the broker is away or nobody answers, 69 something is not in order (a part that is not
ready, a process that fell silent, nobody takes lines, a queue that is not there, or no process was heard), 64 wrong
arguments, 78 wrong settings.";

/// A process is silent when nothing was heard of it for so many of its periods.
const SILENT_PERIODS: u32 = 3;
/// Processes that are shown at most: names come from whoever may publish to the broker.
const PROCESSES_MAX: usize = 10_000;

/// Show all processes on this broker and how they are
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Show it again every 5 seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// How long to listen before showing; heartbeats come every 5 seconds
    #[arg(long, value_name = "DURATION", default_value = "6s", value_parser = units::duration)]
    wait: Duration,
    #[command(flatten)]
    settings: DataArgs,
}

impl StatusArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        command::run_to_code(&self.settings, async |settings| self.show(&settings).await)
    }

    async fn show(&self, settings: &Settings) -> anyhow::Result<u8> {
        let mut source = Source::open(settings, queues(settings)?).await?;
        let mut seen = Seen::default();
        let mut until = Instant::now() + self.wait;
        loop {
            while let Ok(told) = timeout_at(until, source.next()).await {
                seen.take(told?, Instant::now());
            }
            let picture = seen.picture(Instant::now());
            if !self.print(&picture)? || !self.watch {
                return Ok(if picture.ok {
                    exit::CLEAN
                } else {
                    exit::UNAVAILABLE
                });
            }
            until += PERIOD;
        }
    }

    /// Whether somebody still reads it.
    fn print(&self, picture: &Picture) -> anyhow::Result<bool> {
        let text = if self.json {
            format!("{}\n", visible_json(&serde_json::to_string(picture)?))
        } else {
            let text = table::text(picture, self.wait);
            match (self.watch, io::stdout().is_terminal()) {
                // To the top, and everything below goes.
                (true, true) => format!("\x1b[H\x1b[J{text}"),
                (true, false) => format!("{text}\n"),
                (false, _) => text,
            }
        };
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => Ok(written.map(|()| true)?),
        }
    }
}

/// What was heard so far.
#[derive(Debug, Default)]
struct Seen {
    beats: BTreeMap<(String, String), (Instant, Heartbeat)>,
    queues: Vec<QueueState>,
}

/// What there is to show. With `--json` it is printed as it stands here.
#[derive(Debug, Serialize)]
struct Picture {
    ok: bool,
    at: Timestamp,
    processes: Vec<Process>,
    queues: Vec<QueueState>,
}

#[derive(Debug, Serialize)]
struct Process {
    #[serde(flatten)]
    beat: Heartbeat,
    /// Nothing came for longer than its period.
    is_silent: bool,
}

impl Seen {
    fn take(&mut self, told: Told, now: Instant) {
        match told {
            Told::Queues(queues) => self.queues = queues,
            Told::Heartbeat(beat) => {
                let key = (beat.service.clone(), beat.instance.clone());
                if beat.is_stopping {
                    self.beats.remove(&key);
                } else if self.beats.len() < PROCESSES_MAX || self.beats.contains_key(&key) {
                    self.beats.insert(key, (now, *beat));
                }
            }
        }
    }

    fn picture(&self, now: Instant) -> Picture {
        let processes: Vec<_> = self
            .beats
            .values()
            .map(|(heard_at, beat)| {
                let mut beat = beat.clone();
                // They have a page of their own, and there may be a thousand.
                beat.clients.clear();
                let patience = Duration::from_millis(beat.period_ms) * SILENT_PERIODS;
                Process {
                    is_silent: now.saturating_duration_since(*heard_at) > patience,
                    beat,
                }
            })
            .collect();
        let are_well = processes.iter().all(Process::is_well);
        let have_queues = self.queues.iter().all(|queue| queue.problem.is_none());
        Picture {
            ok: !processes.is_empty() && are_well && have_queues,
            at: Timestamp::now(),
            processes,
            queues: self.queues.clone(),
        }
    }
}

impl Process {
    fn is_well(&self) -> bool {
        !self.is_silent && self.beat.not_ready.is_empty() && !self.is_refusing()
    }

    fn is_refusing(&self) -> bool {
        let durability = self.beat.durability.as_ref();
        durability.is_some_and(|now| now.in_force == Custody::Refusing.name())
    }
}
