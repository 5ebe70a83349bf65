//! `make bench`: how much the release binaries carry on this machine, and rsyslog beside them.
//!
//! Each case starts its own private servers with their data on a disk, sends with `logferry bench`, and
//! checks that every message arrived, once. We and rsyslog take turns, and medians of several rounds count.
//! Results are written as JSON with the machine, the versions and the settings beside them.

mod arguments;
mod case;
mod check;
mod compare;
mod corpus;
mod database;
mod flamegraph;
mod line;
mod load;
mod machine;
mod place;
mod report;
mod route;
mod series;
mod usage;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{Arguments, Command};

/// What shells say for a command that an interrupt ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // The measured programs need the cores.
        .worker_threads(1)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let work = async {
            match arguments.command {
                Command::Run(run) => case::run(&run).await,
                Command::Compare(compare) => compare::run(&compare).await,
                Command::Flamegraph(flamegraph) => flamegraph::run(&flamegraph).await,
            }
        };
        // Dropped in the middle, the work ends every process that it started and removes their folders.
        tokio::select! {
            done = work => done.map(|()| ExitCode::SUCCESS),
            _ = interrupt.recv() => Ok(stopped()),
            _ = terminate.recv() => Ok(stopped()),
        }
    })
}

fn stopped() -> ExitCode {
    eprintln!("bench: interrupted; servers are stopped and their data is removed");
    ExitCode::from(INTERRUPTED)
}
