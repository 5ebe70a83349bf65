//! One server process under a guard: start, wait until it answers, stop, kill, start again.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::guard::Guard;

/// Starting takes 2 to 8 seconds. A machine that is busy with twenty other things may take thirty times that.
const START_MAX: Duration = Duration::from_secs(240);
/// A clean stop that takes longer is ended by SIGKILL.
const STOP_MAX: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// How much of a server's log an error shows.
const LOG_TAIL_LINES: usize = 25;
/// A port may be taken between choosing it and the server's bind.
const START_TRIES: usize = 3;

/// A start that went wrong in the server itself, perhaps because another took its port.
#[derive(Debug, thiserror::Error)]
#[error("{program} {how}; its log ends:\n{log}")]
struct NotStarted {
    program: String,
    how: String,
    log: String,
}

/// A server process, its folder and its guard.
#[derive(Debug)]
pub(crate) struct Server {
    guard: Guard,
    main: Option<u32>,
}

impl Server {
    /// A server that is not started yet, with its folder below `base` or where tests keep theirs.
    pub(crate) fn new(base: Option<&Path>, what: &str, end: Signal) -> anyhow::Result<Self> {
        let guard = match base {
            Some(base) => Guard::new_in(base, what, end)?,
            None => Guard::new(what, end)?,
        };
        Ok(Self { guard, main: None })
    }

    /// Live processes that are named so.
    pub(crate) fn pids(&self, name: &str) -> Vec<u32> {
        self.guard.pids(name)
    }

    /// The process that was started.
    pub(crate) fn main(&self) -> Option<u32> {
        self.main
    }

    pub(crate) fn dir(&self) -> &Path {
        self.guard.dir()
    }

    /// Starts a helper that the server needs, in the same custody.
    pub(crate) fn start_helper(&mut self, command: &mut Command) -> anyhow::Result<()> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.guard
            .spawn(command)
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(())
    }

    /// Starts `command`, logging into the folder, and waits until `is_ready`.
    pub(crate) fn start(&mut self, command: &mut Command, is_ready: impl Fn() -> bool) -> anyhow::Result<()> {
        let program = command.get_program().display().to_string();
        let log = File::options().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let main = self
            .guard
            .spawn(command)
            .with_context(|| format!("start {program}"))?;
        self.main = Some(main);
        let end = Instant::now() + START_MAX;
        while !is_ready() {
            let ended = self.guard.ended(main);
            if ended.is_some() || Instant::now() > end {
                let how = ended.map_or_else(
                    || format!("is not ready after {START_MAX:?}"),
                    |status| format!("ended with {status}"),
                );
                self.kill();
                return Err(NotStarted {
                    program,
                    how,
                    log: self.log_tail(),
                }
                .into());
            }
            pause();
        }
        Ok(())
    }

    /// Asks the processes named `name`, or the one that was started, to end, and waits for that.
    pub(crate) fn stop(&mut self, signal: Signal, name: Option<&str>) {
        let Some(main) = self.main else { return };
        self.guard.signal(signal, |pid, found| {
            name.map_or(pid == main, |name| name == found)
        });
        let end = Instant::now() + STOP_MAX;
        while self.guard.ended(main).is_none() && Instant::now() < end {
            pause();
        }
        self.kill();
    }

    /// Sends a signal to every process of the group, such as SIGSTOP and SIGCONT.
    pub(crate) fn signal(&self, signal: Signal) {
        self.guard.signal(signal, |_, _| true);
    }

    /// Ends all of the group at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        let end = Instant::now() + STOP_MAX;
        while !self.guard.is_empty() && Instant::now() < end {
            self.guard.signal(Signal::SIGKILL, |_, _| true);
            pause();
        }
        self.main = None;
    }

    fn log(&self) -> PathBuf {
        self.dir().join("log")
    }

    pub(crate) fn whole_log(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = self.whole_log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.len().saturating_sub(LOG_TAIL_LINES);
        lines.get(tail..).unwrap_or_default().join("\n")
    }
}

/// Calls `start`, again with other ports if it fails, because a free port can be taken meanwhile.
pub(crate) fn with_retries<T>(mut start: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut tries = 1;
    loop {
        match start() {
            Err(error) if tries < START_TRIES && error.is::<NotStarted>() => {
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Calls `start` again for a while if it fails, because what is left of a server that was killed may be in its way.
pub(crate) fn with_patience<T>(mut start: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let end = Instant::now() + STOP_MAX;
    loop {
        match start() {
            Err(error) if error.is::<NotStarted>() && Instant::now() < end => pause(),
            outcome => return outcome,
        }
    }
}

pub(crate) fn accepts(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one pause of the blocking waits in this crate"
)]
pub(crate) fn pause() {
    std::thread::sleep(PAUSE);
}

/// Runs a blocking step of a handle without holding up the async runtime of the test.
pub(crate) async fn blocking<T: Send + 'static>(step: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(step).await {
        Ok(value) => value,
        // The step's own panic says what went wrong.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The value, or a test failure that shows the whole error.
#[expect(clippy::panic, reason = "a test without its server must fail, not be skipped")]
pub(crate) fn or_fail<T>(outcome: anyhow::Result<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}
