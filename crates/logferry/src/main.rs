//! Glue.

use std::process::ExitCode;

fn main() -> ExitCode {
    logferry::main()
}
