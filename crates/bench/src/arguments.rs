//! What can be asked for.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use testkit::RabbitMq;

use crate::case::{Case, SearchedStore};

/// Measures Logferry, and rsyslog beside it where it is installed.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure the programs that stand beside this one
    Run(RunArgs),
    /// Measure two revisions, or two settings, in turn, and print the ratios
    Compare(CompareArgs),
    /// Run one case under perf and draw where the time goes
    Flamegraph(FlamegraphArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Cases to measure; all but the long ones when none is named
    #[arg(value_enum)]
    pub(crate) cases: Vec<Case>,
    #[command(flatten)]
    pub(crate) measuring: MeasuringArgs,
    /// Do not measure rsyslog
    #[arg(long)]
    pub(crate) no_reference: bool,
    /// Print the results as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Folder that a file with the results is written to
    #[arg(long, default_value = "bench-results")]
    pub(crate) out: PathBuf,
    /// A setting of Logferry for this measurement, as its own --set takes it
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}

/// How much is measured, and where.
#[derive(Debug, Clone, Args)]
pub(crate) struct MeasuringArgs {
    /// Runs of each case, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Messages of one run, instead of each case's own number
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Messages that wait in the queues in the case `backlog`
    #[arg(long, value_parser = clap::value_parser!(u64).range(1000..), default_value_t = 3_000_000)]
    pub(crate) backlog: u64,
    /// Bytes of one message
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(128..=8192))]
    pub(crate) size: u32,
    /// Messages a second in the case `latency`
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: u64,
    /// Seconds that a run of the cases `latency` and `connections` takes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// The store of the case `search`; one after the other when none is named
    #[arg(long, value_enum)]
    pub(crate) store: Option<SearchedStore>,
    /// A setting of PostgreSQL for this measurement; none that gives up durability is taken
    #[arg(long = "postgres", value_name = "NAME=VALUE", value_parser = durable)]
    pub(crate) postgres: Vec<String>,
    /// Arguments of Erlang for RabbitMQ
    #[arg(long, value_name = "ARGUMENTS", default_value = RabbitMq::IDLE_SLEEPS, allow_hyphen_values = true)]
    pub(crate) erlang: String,
    /// Where servers keep their data while they are measured: a disk, not memory
    #[arg(long, default_value = "target/bench")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// A git revision, or `.` for the programs that stand beside this one
    #[arg(long)]
    pub(crate) a: String,
    /// The other
    #[arg(long, default_value = ".")]
    pub(crate) b: String,
    /// Cases to measure
    #[arg(value_enum)]
    pub(crate) cases: Vec<Case>,
    /// A setting of Logferry for the first
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) a_set: Vec<String>,
    /// A setting of Logferry for the second
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) b_set: Vec<String>,
    #[command(flatten)]
    pub(crate) measuring: MeasuringArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FlamegraphArgs {
    /// The case to run
    #[arg(value_enum)]
    pub(crate) case: Case,
    /// Folder that the pictures are written to
    #[arg(long, default_value = "bench-results")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) measuring: MeasuringArgs,
}

/// PostgreSQL loses committed rows in a crash without these.
const DURABILITY: &[&str] = &[
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
];

fn durable(setting: &str) -> Result<String, String> {
    let (name, _) = setting.split_once('=').ok_or("NAME=VALUE is needed")?;
    if DURABILITY.contains(&name.trim()) {
        return Err(format!("{name} stays as it is: what is measured is durable"));
    }
    Ok(setting.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_in_order() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durability_is_not_given_up() {
        assert!(durable("shared_buffers=1GB").is_ok());
        for bad in ["fsync=off", "synchronous_commit=off", "full_page_writes"] {
            assert!(durable(bad).is_err(), "{bad}");
        }
    }
}
