//! How a process ends, for whoever restarts it. The numbers are those of `sysexits.h`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// All is done, or drained after a signal.
pub const CLEAN: u8 = 0;
/// It could not start: an address is taken, a broker refuses. Trying again may help.
pub const START_FAILED: u8 = 1;
/// The arguments are wrong.
pub const USAGE: u8 = 64;
/// What was asked about is not in order.
pub const UNAVAILABLE: u8 = 69;
/// It failed while running, or its drain took too long.
pub const FATAL: u8 = 70;
/// It ended before it was done, with what it had; asking again goes on or does better.
pub const PARTIAL: u8 = 75;
/// The settings are wrong. Trying again does not help.
pub const SETTINGS: u8 = 78;

/// Prints what clap has to say, and gives the exit code: asking for help is no mistake.
pub fn after_arguments(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told when the terminal is gone.
    let _printed = error.print();
    ExitCode::from(if error.use_stderr() { USAGE } else { CLEAN })
}

/// Prints a line to stderr, if it takes one: where it goes may be full, which must not decide how the process ends.
pub(crate) fn complain(line: &str) {
    let _printed = writeln!(io::stderr(), "{line}");
}

/// Prints a line to stdout and ends cleanly; a reader that went away, as `head` does, is no mistake.
#[must_use]
pub fn say(line: &str) -> ExitCode {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => ExitCode::from(CLEAN),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(CLEAN),
        Err(_) => ExitCode::from(FATAL),
    }
}
