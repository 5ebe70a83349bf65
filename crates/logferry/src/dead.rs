//! `logferry dead`: what could not be processed, to be looked at, put back, taken along or dropped.

mod actions;
mod selection;
mod show;
pub(crate) mod socket;
mod talk;

use std::{
    io::{self, ErrorKind, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

use ::dead::{How, Mode, PerSecond, Request};
use clap::{Args, Subcommand};
use nix::unistd::{User, getuid};
use service::exit;
use settings::Settings;

pub(crate) use self::socket::DeadSocket;
use self::{selection::SelectionArgs, talk::Talk};
use crate::{
    command::{self, DataArgs},
    send::our_hostname,
};

const EXAMPLES: &str = "\
Examples:
  logferry dead list                                 what there is, oldest first
  logferry dead list --reason refused --since 1h     a part of it
  logferry dead show 0192f3                          all about the letters whose id begins so
  logferry dead requeue --stage shipper-pgsql        back to the queue they came from, once the cause is mended
  logferry dead requeue --all --per-second 20        slowly, so that others are not held up
  logferry dead export --all --output dead.jsonl     into a file
  logferry dead drop --reason undecodable            for good; asks, and records it in dead-drops.jsonl in data_dir
  logferry dead import dead.jsonl                    dead letters again, from a file

Works on RabbitMQ, and on the embedded queues of data_dir while `logferry run` has them or not.
Looking takes nothing away. On RabbitMQ letters are held while a command looks, so that another one does not see
them meanwhile; they go back to their place when it ends, however it ends.
Exit codes: 0 done, 1 failed or not done with all, 64 wrong arguments, 78 wrong settings.";

/// Look at what could not be processed, and put it back
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    command: DeadCommand,
    #[command(flatten)]
    settings: DataArgs,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// A line for each letter, oldest first; takes nothing away
    List {
        #[command(flatten)]
        selection: SelectionArgs,
        /// How many at most
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// One JSON object a line, of all
        #[arg(long)]
        json: bool,
    },
    /// All about letters, with every line or event in them; takes nothing away
    Show {
        #[command(flatten)]
        selection: SelectionArgs,
        /// One JSON object a line, with the body
        #[arg(long)]
        json: bool,
    },
    /// Put letters back to where they came from, with their ids
    Requeue {
        #[command(flatten)]
        selection: SelectionArgs,
        /// All of them
        #[arg(long)]
        all: bool,
        /// So many a second at most, 1 to 10000; ends after 20 minutes, and what is left stays
        #[arg(long, value_name = "N")]
        per_second: Option<PerSecond>,
    },
    /// Write letters to a file, one JSON object a line; takes nothing away
    Export {
        #[command(flatten)]
        selection: SelectionArgs,
        /// All of them
        #[arg(long)]
        all: bool,
        /// A new file; - is stdout
        #[arg(short, long, value_name = "FILE", default_value = "-")]
        output: PathBuf,
    },
    /// Make dead letters of what export wrote
    Import {
        /// A file that export wrote; - is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Drop letters for good; who, when and which is recorded in `data_dir`
    Drop {
        #[command(flatten)]
        selection: SelectionArgs,
        /// All of them
        #[arg(long)]
        all: bool,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

impl DeadArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        if let Some(problem) = self.command.problem() {
            return command::usage("dead", problem);
        }
        let settings = match self.settings.load() {
            Ok(loaded) => loaded.settings,
            Err(problems) => return command::bad_settings(&problems),
        };
        match command::block_on(self.command.run(&settings)) {
            Ok(true) => ExitCode::from(exit::CLEAN),
            Ok(false) => ExitCode::from(exit::START_FAILED),
            Err(error) if is_broken_pipe(&error) => ExitCode::from(exit::CLEAN),
            Err(error) => command::failed(&error),
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

impl DeadCommand {
    /// What the arguments' own rules cannot say.
    fn problem(&self) -> Option<&'static str> {
        let (selection, all) = match self {
            Self::Requeue { selection, all, .. } | Self::Export { selection, all, .. } => (selection, *all),
            Self::Drop { selection, all, yes } => {
                if !yes && !io::stdin().is_terminal() {
                    return Some("drop asks before it drops, and there is nobody to ask: add --yes");
                }
                (selection, *all)
            }
            Self::Show { selection, .. } if selection.is_empty() => {
                return Some("which letters? Give ids or filters; `logferry dead list` shows what there is");
            }
            Self::List { .. } | Self::Show { .. } | Self::Import { .. } => return None,
        };
        match (selection.is_empty(), all) {
            (true, false) => Some("which letters? Give ids or filters, or --all"),
            (false, true) => Some("either ids and filters, or --all"),
            (true, true) | (false, false) => None,
        }
    }

    /// Returns whether it was done with all that was meant.
    async fn run(&self, settings: &Settings) -> anyhow::Result<bool> {
        match self {
            Self::List {
                selection,
                limit,
                json,
            } => {
                let request = Request::Read {
                    selection: selection.selection(),
                    bodies: false,
                };
                actions::list(Talk::begin(settings, request).await?, *limit, *json).await
            }
            Self::Show { selection, json } => {
                let request = Request::Read {
                    selection: selection.selection(),
                    bodies: true,
                };
                actions::show(Talk::begin(settings, request).await?, *json).await
            }
            Self::Requeue {
                selection,
                per_second,
                ..
            } => {
                let request = Request::Requeue {
                    selection: selection.selection(),
                    how: How {
                        mode: Mode::AsIs,
                        per_second: *per_second,
                    },
                };
                actions::requeue(Talk::begin(settings, request).await?).await
            }
            Self::Export {
                selection, output, ..
            } => {
                let request = Request::Read {
                    selection: selection.selection(),
                    bodies: true,
                };
                actions::export(settings, request, output).await
            }
            Self::Import { file } => actions::import(settings, file).await,
            Self::Drop { selection, yes, .. } => {
                let selection = selection.selection();
                let request = Request::Drop {
                    selection,
                    who: who(),
                    why: None,
                };
                actions::drop_letters(Talk::begin(settings, request).await?, *yes).await
            }
        }
    }
}

/// Who is at work here, for the record.
fn who() -> String {
    let uid = getuid();
    let user = User::from_uid(uid).ok().flatten().map(|user| user.name);
    format!("{}@{}", user.unwrap_or_else(|| uid.to_string()), our_hostname())
}
