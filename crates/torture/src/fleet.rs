//! Our own processes: started, broken in every way, and started again by a supervisor, as a site's own would.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use testkit::guard::Guard;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How often the supervisor looks who ended.
const LOOK: Duration = Duration::from_millis(50);
/// A process that ended by itself is started again after this.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// The name in the environment through which a crash point is chosen; builds without crash points do not hold it.
const CRASH_POINT_VARIABLE: &str = "LOGFERRY_TEST_CRASH_POINT";
/// A thread of the AMQP library says so when its runtime ends while it connects. The process is drained by then, and
/// nothing of it goes on.
const LIBRARY_ENDS: &str = "Task did not complete: task ";
/// A file-size limit makes writes fail instead of ending the process.
const IGNORE_FILE_SIZE_SIGNAL: &str = "trap '' XFSZ; exec \"$0\" \"$@\"";

/// All our processes. They end with it.
#[derive(Debug)]
pub(crate) struct Fleet {
    inner: Arc<Inner>,
    supervisor: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    guard: Mutex<Guard>,
    programs: PathBuf,
    dir: PathBuf,
    members: Vec<Member>,
}

/// One process that is to be running.
#[derive(Debug)]
pub(crate) struct Member {
    /// Such as `parser-1`.
    pub(crate) name: String,
    /// Such as `parser`.
    pub(crate) program: &'static str,
    env: Vec<(String, String)>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pid: Option<u32>,
    is_wanted: bool,
    /// Somebody has ended it.
    is_end_expected: bool,
    /// For the next start.
    env_once: Vec<(String, String)>,
    not_before: Option<Instant>,
    /// How it ended when nobody had ended it.
    own_ends: BTreeMap<String, u32>,
    crashes: u32,
}

impl Member {
    pub(crate) fn new(program: &'static str, number: u32, env: Vec<(String, String)>) -> Self {
        Self {
            name: format!("{program}-{number}"),
            program,
            env,
            state: Mutex::default(),
        }
    }
}

impl Fleet {
    /// Starts every member, and again whenever one ends.
    pub(crate) fn start(guard: Guard, programs: &Path, members: Vec<Member>) -> Self {
        let inner = Arc::new(Inner {
            dir: guard.dir().to_owned(),
            guard: Mutex::new(guard),
            programs: programs.to_owned(),
            members,
        });
        for member in &inner.members {
            member.state.lock().is_wanted = true;
        }
        let supervisor = tokio::spawn(supervise(Arc::clone(&inner)));
        Self { inner, supervisor }
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.inner.members
    }

    /// Whether the programs were built with crash points.
    pub(crate) fn has_crash_points(&self) -> anyhow::Result<bool> {
        let program = self.inner.programs.join("parser");
        let bytes = fs::read(&program).with_context(|| format!("read {}", program.display()))?;
        let name = CRASH_POINT_VARIABLE.as_bytes();
        Ok(bytes.windows(name.len()).any(|window| window == name))
    }

    /// Sends a signal; one that ends the process is remembered as ours.
    pub(crate) fn signal(&self, member: &Member, signal: Signal) {
        let mut state = member.state.lock();
        let Some(pid) = state.pid else { return };
        if matches!(signal, Signal::SIGKILL | Signal::SIGTERM) {
            state.is_end_expected = true;
        }
        // It may have ended by itself at this very moment.
        kill(Pid::from_raw(pid.cast_signed()), signal).ok();
    }

    /// Whether it is to run; does not end it.
    pub(crate) fn want(&self, member: &Member, is_wanted: bool) {
        member.state.lock().is_wanted = is_wanted;
    }

    /// Ends it by SIGKILL and starts it with this environment once.
    pub(crate) fn restart_with(&self, member: &Member, env: Vec<(String, String)>) {
        member.state.lock().env_once = env;
        self.signal(member, Signal::SIGKILL);
    }

    /// Starts it so that it dies at the point when it passes it for the `count`th time.
    pub(crate) fn restart_to_crash(&self, member: &Member, point: &str, count: u32) {
        let variable = (CRASH_POINT_VARIABLE.to_owned(), format!("{point}={count}"));
        self.restart_with(member, vec![variable]);
    }

    /// How often it died at a crash point.
    pub(crate) fn crashes(&self, member: &Member) -> u32 {
        member.state.lock().crashes
    }

    pub(crate) fn pid(&self, member: &Member) -> Option<u32> {
        member.state.lock().pid
    }

    /// How processes ended when nobody had ended them, by member and how.
    pub(crate) fn own_ends(&self) -> BTreeMap<String, u32> {
        let mut ends = BTreeMap::new();
        for member in self.members() {
            for (how, count) in &member.state.lock().own_ends {
                *ends.entry(format!("{}: {how}", member.program)).or_default() += count;
            }
        }
        ends
    }

    /// Log lines that tell of a bug, whatever else went well.
    pub(crate) fn panics(&self) -> Vec<String> {
        let mut panics = Vec::new();
        for member in self.members() {
            let log = fs::read(self.inner.log(member)).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines = log
                .lines()
                .filter(|line| line.contains("panicked") && !line.contains(LIBRARY_ENDS));
            panics.extend(lines.map(|line| format!("{}: {line}", member.name)));
        }
        panics
    }

    /// Asks every process to end and waits for it; returns those that did not end cleanly.
    pub(crate) async fn drain(&self, patience: Duration) -> anyhow::Result<Vec<String>> {
        self.supervisor.abort();
        let mut unclean = Vec::new();
        for member in self.members() {
            let Some(pid) = self.pid(member) else {
                unclean.push(format!("{} did not run", member.name));
                continue;
            };
            self.signal(member, Signal::SIGTERM);
            let end = Instant::now() + patience;
            let status = loop {
                if let Some(status) = self.inner.guard.lock().ended(pid) {
                    break status;
                }
                if Instant::now() > end {
                    bail!("{} does not end", member.name);
                }
                sleep(LOOK).await;
            };
            if !status.success() {
                unclean.push(format!("{} ended with {status}", member.name));
            }
        }
        Ok(unclean)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

async fn supervise(inner: Arc<Inner>) {
    loop {
        for member in &inner.members {
            inner.look_after(member);
        }
        sleep(LOOK).await;
    }
}

impl Inner {
    fn log(&self, member: &Member) -> PathBuf {
        self.dir.join(format!("{}.log", member.name))
    }

    fn look_after(&self, member: &Member) {
        let mut state = member.state.lock();
        if let Some(pid) = state.pid
            && let Some(status) = self.guard.lock().ended(pid)
        {
            state.pid = None;
            remove_faketime_memory(pid);
            if status.signal() == Some(Signal::SIGABRT as i32) {
                state.crashes += 1;
            } else if !state.is_end_expected {
                *state.own_ends.entry(describe(status)).or_default() += 1;
                state.not_before = Some(Instant::now() + RESTART_PAUSE);
            }
            state.is_end_expected = false;
        }
        let is_due = state.not_before.is_none_or(|then| then <= Instant::now());
        if state.pid.is_none() && state.is_wanted && is_due {
            let env = std::mem::take(&mut state.env_once);
            match self.spawn(member, env) {
                Ok(pid) => state.pid = Some(pid),
                // Such as too many processes for a moment.
                Err(_) => state.not_before = Some(Instant::now() + RESTART_PAUSE),
            }
        }
    }

    fn spawn(&self, member: &Member, env_once: Vec<(String, String)>) -> anyhow::Result<u32> {
        let log = File::options().create(true).append(true).open(self.log(member))?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", IGNORE_FILE_SIZE_SIGNAL])
            .arg(self.programs.join(member.program))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("LOGFERRY_") {
                command.env_remove(key);
            }
        }
        command
            .env("LOGFERRY_CONFIG", self.dir.join("logferry.toml"))
            .envs(member.env.iter().cloned())
            .envs(env_once);
        let pid = self.guard.lock().spawn(&mut command);
        pid.with_context(|| format!("start {}", member.name))
    }
}

/// Removes the names of the memory that libfaketime shares with children, which a process that is killed would leave
/// behind; whoever has it open keeps it.
pub(crate) fn remove_faketime_memory(pid: u32) {
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        // Most processes have none.
        fs::remove_file(format!("/dev/shm/{name}{pid}")).ok();
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}
