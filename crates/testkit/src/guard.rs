//! Custody of server processes: whatever happens to their owner, they end and their folder goes.
//!
//! A [`Guard`] is a small shell script that leads a process group of its own and reads a pipe whose
//! other end only the owner holds. Servers are started into its group. When the owner closes the pipe,
//! or dies in any way, the guard reads the end of the pipe, ends every process of the group and removes
//! the folder. (A parent-death signal would need `unsafe` between fork and exec, and does not survive a
//! server that forks.)

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// `$1` is the folder, `$2` the signal that ends the servers. After 5 seconds it is SIGKILL.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
while read -r _; do :; done

# Sends signal $1 to every live process of this group but this one; false if there was none.
sweep() {
    found=1
    for stat in /proc/[0-9]*/stat; do
        { read -r line < "$stat"; } 2>/dev/null || continue
        pid=${stat#/proc/}; pid=${pid%/stat}
        set -- "$1" ${line##*) }
        [ "$4" = $$ ] && [ "$2" != Z ] && [ "$pid" != $$ ] || continue
        kill -s "$1" "$pid" 2>/dev/null
        found=0
    done
    return $found
}

if sweep "$2"; then
    tries=0
    while sweep 0; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || sweep KILL
        [ $tries -lt 200 ] || break
        sleep 0.05
    done
fi
tries=0
until rm -rf -- "$1" 2>/dev/null || [ $tries -gt 100 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
"#;

/// Free space below which memory-backed storage is left alone: servers need room for a test run.
const MEMORY_FREE_MIN: u64 = 2 << 30;

/// A folder and a process group that end with their owner.
#[derive(Debug)]
pub struct Guard {
    dir: PathBuf,
    pipe: Option<ChildStdin>,
    script: Child,
    /// Kept to be waited for: a process that ended stays in the process table until then.
    children: Vec<Child>,
}

impl Guard {
    /// Makes a folder, named after `what`, and starts the guard process.
    ///
    /// `end` is the signal that ends the servers; those that ignore it get SIGKILL after 5 seconds.
    ///
    /// # Errors
    /// If the folder cannot be made or the shell cannot be started.
    pub fn new(what: &str, end: Signal) -> anyhow::Result<Self> {
        Self::new_in(&base_dir(), what, end)
    }

    /// [`Guard::new`] with the folder below `base`.
    ///
    /// # Errors
    /// If the folder cannot be made or the shell cannot be started.
    pub fn new_in(base: &Path, what: &str, end: Signal) -> anyhow::Result<Self> {
        let dir = base.join(format!("logferry-{what}-{}", uuid::Uuid::new_v4().simple()));
        // Others may look in: a server that runs as another user must reach its own folder inside.
        DirBuilder::new()
            .mode(0o711)
            .create(&dir)
            .with_context(|| format!("create {}", dir.display()))?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711))?;
        let mut script = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "testkit-guard"])
            .arg(&dir)
            .arg(end.as_str().trim_start_matches("SIG"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start /bin/sh")?;
        Ok(Self {
            dir,
            pipe: script.stdin.take(),
            script,
            children: Vec::new(),
        })
    }

    /// The folder that goes with the guard.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts `command` in the guard's group and returns its process id.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(&mut self, command: &mut Command) -> io::Result<u32> {
        let child = command.process_group(self.group().as_raw()).spawn()?;
        let pid = child.id();
        self.children.push(child);
        Ok(pid)
    }

    /// How the child `pid` ended, if it did.
    pub fn ended(&mut self, pid: u32) -> Option<ExitStatus> {
        let child = self.children.iter_mut().find(|child| child.id() == pid)?;
        child.try_wait().ok().flatten()
    }

    /// Sends `signal` to the live processes of the group whose id and name pass `filter`.
    pub fn signal(&self, signal: Signal, filter: impl Fn(u32, &str) -> bool) {
        for (pid, name) in self.members() {
            if filter(pid.as_raw().cast_unsigned(), &name) {
                // A process that ended meanwhile is what was wanted.
                kill(pid, signal).ok();
            }
        }
    }

    /// Live processes of the group with this name.
    #[must_use]
    pub fn pids(&self, name: &str) -> Vec<u32> {
        let members = self.members().into_iter().filter(|(_, found)| found == name);
        members.map(|(pid, _)| pid.as_raw().cast_unsigned()).collect()
    }

    /// True if no process but the guard is left in the group. Forgets the children that ended.
    pub fn is_empty(&mut self) -> bool {
        self.children
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        self.members().is_empty()
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.script.id().cast_signed())
    }

    /// Live processes of the group, without the guard.
    fn members(&self) -> Vec<(Pid, String)> {
        let group = self.group();
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| {
                let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                let (start, rest) = stat.rsplit_once(')')?;
                let (_, name) = start.split_once('(')?;
                let mut words = rest.split_whitespace();
                let state = words.next()?;
                let in_group = words.nth(1)?.parse() == Ok(group.as_raw());
                (in_group && state != "Z" && pid != group.as_raw())
                    .then(|| (Pid::from_raw(pid), name.to_owned()))
            })
            .collect()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // Waited for, so that nothing is left when the test says that it is done.
        for child in std::iter::once(&mut self.script).chain(&mut self.children) {
            child.wait().ok();
        }
    }
}

/// Where servers keep their data: what `LOGFERRY_TEST_DIR` says, else memory-backed storage if there
/// is enough of it (a sync then costs nothing, while a killed server still finds its data), else the
/// temporary folder.
fn base_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os(crate::env::DIR) {
        return dir.into();
    }
    let memory = Path::new("/dev/shm");
    let is_roomy = nix::sys::statvfs::statvfs(memory)
        .is_ok_and(|stat| stat.blocks_available().saturating_mul(stat.fragment_size()) >= MEMORY_FREE_MIN);
    if is_roomy && nix::unistd::access(memory, nix::unistd::AccessFlags::W_OK).is_ok() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).try_exists().unwrap()
    }

    #[test]
    fn processes_and_folder_end_with_the_guard() {
        let mut guard = Guard::new("guard-test", Signal::SIGKILL).unwrap();
        let dir = guard.dir().to_owned();
        let pid = guard.spawn(Command::new("sleep").arg("1000")).unwrap();
        assert!(!guard.is_empty() && is_alive(pid));
        drop(guard);
        assert!(!is_alive(pid));
        assert!(!dir.try_exists().unwrap());
    }

    #[test]
    fn a_process_that_ignores_the_signal_is_killed() {
        let mut guard = Guard::new("guard-test", Signal::SIGTERM).unwrap();
        let loops = "trap '' TERM; while :; do sleep 0.1; done";
        let pid = guard.spawn(Command::new("sh").args(["-c", loops])).unwrap();
        drop(guard);
        assert!(!is_alive(pid));
    }
}
