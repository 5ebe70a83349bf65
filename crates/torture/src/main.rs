//! `make torture`: breaks the whole pipeline again and again, by a seed, and checks that nothing is lost.
//!
//! It starts private servers and our programs, sends by every way in, does faults, lets all settle, and compares
//! what was answered with what is in PostgreSQL and in the files. The exit code is 1 on any loss.

mod check;
mod drive;
mod fault;
mod fleet;
mod inject;
mod ledger;
mod message;
mod outage;
mod random;
mod report;
mod run;
mod world;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::run::Plan;

/// Tortures a whole pipeline on private servers and checks that nothing is lost and nothing is there twice.
#[derive(Debug, Parser)]
struct Arguments {
    /// Decides messages and faults; a run with the same seed does the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rounds of faults, each followed by a count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// No round begins after so many minutes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    minutes: Option<u32>,
    /// Faults of one round
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    faults: u32,
    /// Messages a second
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    rate: u32,
    /// Folder with our programs [default: where this one is]
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Folder for the report, and for the logs of a run that failed
    #[arg(long, default_value = "target/torture")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match torture(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs, prints and writes the report; `true` if nothing was lost.
fn torture(arguments: Arguments) -> anyhow::Result<bool> {
    /// A step that blocks, such as the start of a server, is not waited for any longer when interrupted.
    const BLOCKED_MAX: Duration = Duration::from_secs(1);
    let programs = match arguments.programs {
        Some(programs) => programs,
        None => std::env::current_exe()?
            .parent()
            .context("find the folder of this program")?
            .to_owned(),
    };
    let Arguments {
        seed,
        rounds,
        faults,
        rate,
        ..
    } = arguments;
    let minutes = arguments.minutes;
    let time = minutes.map_or_else(String::new, |minutes| format!(" MINUTES={minutes}"));
    let plan = Plan {
        command: format!(
            "make torture SEED={seed} ROUNDS={rounds}{time} ARGS=\"--faults {faults} --rate {rate}\""
        ),
        seed,
        rounds,
        time_max: minutes.map(|minutes| Duration::from_secs(60) * minutes),
        faults,
        rate,
        programs: programs.canonicalize().context("find the programs")?,
        out: arguments.out,
    };
    let path = plan.out.join(format!("report-{seed}.md"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Dropping the run ends everything that it has started.
        tokio::select! {
            report = run::run(plan) => report,
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
    });
    runtime.shutdown_timeout(BLOCKED_MAX);
    let report = report?;
    let text = report.to_markdown();
    eprintln!("{text}");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    fs::write(&path, &text).with_context(|| format!("write {}", path.display()))?;
    eprintln!("written to {}", path.display());
    Ok(report.is_good())
}
