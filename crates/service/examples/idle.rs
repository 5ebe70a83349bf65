//! The least service there is: it holds three batches and settles them when told to stop. The tests of a
//! process's life run it, and `--set service.log_level=...` and the like can be tried on it.
//!
//! `IDLE` in the environment makes it fail (`start`, `run`, `panic`), end (`end`) or hang in its drain (`hang`).

use std::{env, process::ExitCode};

use service::{Context, ServiceSpec, StageCounters};
use settings::Settings;

fn main() -> ExitCode {
    let spec = ServiceSpec {
        name: "parser",
        about: "Holds three batches and does nothing with them.",
        examples: "  idle --check     tells what is wrong with the settings\n",
        version: "1.2.3",
        check: |settings| match settings.parser.programs.first() {
            Some(program) => anyhow::bail!("{}: no program compiles here", program.origin),
            None => Ok(()),
        },
        reads: &["parser."],
    };
    service::run_main(spec, run)
}

#[expect(clippy::panic, reason = "a panic is one of the faults to try")]
async fn run(_settings: Settings, ctx: Context) -> anyhow::Result<()> {
    let fault = env::var("IDLE").unwrap_or_default();
    if fault == "start" {
        anyhow::bail!("no broker here");
    }
    let counters = StageCounters::new(&ctx.metrics, "parser");
    counters.taken(3);
    ctx.started();
    tracing::info!("started");
    match fault.as_str() {
        "run" => anyhow::bail!("the broker went away for good"),
        "panic" => panic!("a bug"),
        "end" => return Ok(()),
        _ => ctx.stop.cancelled().await,
    }
    if fault == "hang" {
        std::future::pending::<()>().await;
    }
    counters.settled(3);
    Ok(())
}
