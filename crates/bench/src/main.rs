//! `make bench`: how much the release binaries carry on this machine, and rsyslog beside them.
//!
//! Each case starts its own private servers with their data on a disk, sends with `logferry bench`, and
//! counts what arrived. What is printed is the median of several runs. Results are written as JSON with
//! the machine, the versions and the settings beside them.

mod case;
mod database;
mod latency;
mod load;
mod machine;
mod parse;
mod place;
mod reference;
mod report;
mod throughput;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::case::Case;
use crate::place::Place;
use crate::report::Report;

/// Measures Logferry, and rsyslog beside it where it is installed.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Cases to measure; all when none is named
    #[arg(value_enum)]
    cases: Vec<Case>,
    /// Runs of each case, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Messages of one run of a throughput case
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Bytes of one message
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(100..=8192))]
    size: u32,
    /// Connections that send
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Messages a second in the case `latency`
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// Seconds that a run of the case `latency` takes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Do not measure rsyslog
    #[arg(long)]
    no_reference: bool,
    /// Where results go
    #[arg(long, default_value = "bench-results")]
    out: PathBuf,
    /// Where servers keep their data while they are measured: a disk, not memory
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        let place = Place::new(arguments)?;
        let mut report = Report::new(arguments, &place)?;
        let all = Case::ALL.to_vec();
        for case in if arguments.cases.is_empty() {
            all
        } else {
            arguments.cases.clone()
        } {
            eprintln!("{}: {}", case.name(), case.describe());
            report.add(
                case.measure(&place)
                    .await
                    .with_context(|| format!("measure {}", case.name()))?,
            );
        }
        report.finish()
    })
}
