//! `testkit run -- CMD…`: runs a command with the shared test servers up, and stops them afterwards.

use std::process::ExitCode;
use std::thread;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Postgres, RabbitMq, Redis, env};
use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "\
Runs a command with private RabbitMQ, PostgreSQL and Redis servers for tests.

usage: testkit run [--with rabbitmq,postgres,redis] -- COMMAND [ARGUMENT...]

The servers listen on free ports of 127.0.0.1 and keep their data in a folder that is removed.
Tests in COMMAND find them through LOGFERRY_TEST_... in the environment. They stop when COMMAND
ends, and also when this program is interrupted or killed.

examples:
  testkit run -- cargo test --workspace
  testkit run --with postgres -- cargo test -p store
";
const USAGE: u8 = 64;
/// What shells say for a command that a signal ended, plus the signal's number.
const SIGNALLED: i32 = 128;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((kinds, command)) = parse(&arguments) else {
        eprint!("{HELP}");
        return ExitCode::from(USAGE);
    };
    match run(&kinds, command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("testkit: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<(Vec<&str>, &[String])> {
    let split = arguments.iter().position(|argument| argument == "--")?;
    let (ours, command) = arguments.split_at_checked(split)?;
    let command = command.get(1..).filter(|command| !command.is_empty())?;
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    match ours.as_slice() {
        ["run"] => Some((vec!["rabbitmq", "postgres", "redis"], command)),
        ["run", "--with", kinds] => Some((kinds.split(',').collect(), command)),
        _ => None,
    }
}

/// A server that runs, and what to tell the command about it.
struct Running {
    _server: Box<dyn Send>,
    variables: Vec<(&'static str, String)>,
}

fn launch(kind: &str) -> anyhow::Result<Running> {
    Ok(match kind {
        "rabbitmq" => {
            let server = RabbitMq::launch()?;
            let variables = vec![
                (env::RABBITMQ_URL, server.base_url()),
                (env::RABBITMQ_API, server.api_url()),
            ];
            Running {
                _server: Box::new(server),
                variables,
            }
        }
        "postgres" => {
            let server = Postgres::launch()?;
            let variables = vec![(env::POSTGRES_URL, server.base_url())];
            Running {
                _server: Box::new(server),
                variables,
            }
        }
        "redis" => {
            let server = Redis::launch()?;
            let variables = vec![(env::REDIS_URL, server.url())];
            Running {
                _server: Box::new(server),
                variables,
            }
        }
        other => bail!("unknown server `{other}`: rabbitmq, postgres and redis are known"),
    })
}

fn run(kinds: &[&str], command: &[String]) -> anyhow::Result<u8> {
    let started: Vec<anyhow::Result<Running>> = thread::scope(|scope| {
        let starts: Vec<_> = kinds.iter().map(|kind| scope.spawn(|| launch(kind))).collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap_or_else(|_| bail!("the start panicked")))
            .collect()
    });
    let servers = started.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let code = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(supervise(command, &servers));
    drop(servers);
    code
}

/// Runs the command to its end; a signal to stop is passed on to it.
async fn supervise(command: &[String], servers: &[Running]) -> anyhow::Result<u8> {
    let (program, arguments) = command.split_first().context("find the command")?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .envs(servers.iter().flat_map(|server| server.variables.clone()))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {program}"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        // All three futures may be dropped without losing anything.
        let asked = tokio::select! {
            status = child.wait() => {
                let status = status.context("wait for the command")?;
                let by_signal = || std::os::unix::process::ExitStatusExt::signal(&status);
                let code = status.code().or_else(|| by_signal().map(|signal| SIGNALLED + signal));
                return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
            }
            _ = terminate.recv() => Signal::SIGTERM,
            // A terminal interrupts the command itself.
            _ = interrupt.recv() => Signal::SIGINT,
        };
        if asked == Signal::SIGTERM
            && let Some(pid) = child.id()
        {
            kill(Pid::from_raw(pid.cast_signed()), asked).context("pass the signal on")?;
        }
    }
}
