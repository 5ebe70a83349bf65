//! The command people type: run, check, reload, init, send, harvest, search, dead, health, bench.
//!
//! Each command is a module with its arguments and a `main` that gives the exit code; what they do is the matter of the other
//! crates.

mod bench;
mod check;
mod command;
mod dead;
mod harvest;
mod health;
mod init;
pub mod metrics_page;
mod reload;
mod run;
mod search;
mod send;
mod status;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  logferry run                       everything in one process, data in ./data
  logger -n 127.0.0.1 -P 5514 --tcp 'hello'
  logferry search hello              finds it

Settings: --config FILE, $LOGFERRY_CONFIG, ./logferry.toml or /etc/logferry/logferry.toml; none is needed.
Exit codes: 0 done, 1 failed, 64 wrong arguments, 70 failed while running, 75 a search that found only a part in its time, 78 wrong settings.";

/// Carries logs from senders to where people search them, and never loses one on the way
#[derive(Debug, Parser)]
#[command(name = "logferry", version, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::BenchArgs),
    Check(check::CheckArgs),
    Dead(dead::DeadArgs),
    Harvest(harvest::HarvestArgs),
    Health(health::HealthArgs),
    Init(init::InitArgs),
    Reload(reload::ReloadArgs),
    Run(run::RunArgs),
    Search(search::SearchArgs),
    Send(send::SendArgs),
    Status(status::StatusArgs),
}

/// The arguments of the command, for manuals and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// `main` of the binary.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return service::exit::after_arguments(&error),
    };
    match cli.command {
        Command::Bench(args) => args.main(),
        Command::Check(args) => args.main(),
        Command::Dead(args) => args.main(),
        Command::Harvest(args) => args.main(),
        Command::Health(args) => args.main(),
        Command::Init(args) => args.main(),
        Command::Reload(args) => args.main(),
        Command::Run(args) => args.main(),
        Command::Search(args) => args.main(),
        Command::Send(args) => args.main(),
        Command::Status(args) => args.main(),
    }
}
