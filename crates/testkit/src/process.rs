//! A program under test as a process of its own: started on a settings file, killed, or asked to end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::server::or_fail;

/// Above the services' own bound on their drain.
const STOP_MAX: Duration = Duration::from_secs(60);

/// A process that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// `program`, on the settings file `config`, with no settings of this process's environment.
    #[must_use]
    pub fn command(program: &str, config: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("--config").arg(config);
        Self::alone(&mut command);
        command
    }

    /// The same by way of the shell, which runs `script` with the program as `$0` and its arguments as `$@`.
    #[must_use]
    pub fn command_by(script: &str, program: &str, config: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script, program]).arg("--config").arg(config);
        Self::alone(&mut command);
        command
    }

    fn alone(command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    }

    /// Starts `command`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        Self {
            child: or_fail(child.context("start a program")),
        }
    }

    /// What it says on its standard error, which `command` has to have piped. Only once.
    ///
    /// # Panics
    /// If it is not piped, or was asked for before.
    pub fn log(&mut self) -> Lines<BufReader<ChildStderr>> {
        let stderr = self.child.stderr.take();
        BufReader::new(or_fail(stderr.context("read its standard error"))).lines()
    }

    /// Its number.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn id(&self) -> u32 {
        or_fail(self.child.id().context("find the process running"))
    }

    /// Ends it by SIGKILL.
    ///
    /// # Panics
    /// If that fails.
    pub async fn kill(mut self) {
        or_fail(self.child.kill().await.context("kill a process"));
    }

    /// Asks it to end, and waits until it did so with success.
    ///
    /// # Panics
    /// If it does not.
    pub async fn stop(self) {
        or_fail(self.try_stop().await);
    }

    async fn try_stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.id().cast_signed()), Signal::SIGTERM)?;
        let ended = tokio::time::timeout(STOP_MAX, self.child.wait()).await;
        let status = ended.context("wait for a process to end")??;
        if !status.success() {
            bail!("a process ended with {status}");
        }
        Ok(())
    }
}
