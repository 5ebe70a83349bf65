//! Memory and CPU time of processes, from `/proc`.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Usage {
    resident_kib: u64,
    /// Of that, what is its own and not a mapped file, such as the program itself.
    anonymous_kib: u64,
    peak_kib: u64,
    cpu_ticks: u64,
}

impl Usage {
    fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        Self {
            resident_kib: kib(&status, "VmRSS:"),
            anonymous_kib: kib(&status, "RssAnon:"),
            peak_kib: kib(&status, "VmHWM:"),
            cpu_ticks: cpu_ticks(&stat),
        }
    }
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_default()
}

/// User and system time.
fn cpu_ticks(stat: &str) -> u64 {
    // The name, in parentheses, may have spaces; the state after it is field 3.
    let (_, rest) = stat.rsplit_once(')').unwrap_or_default();
    rest.split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum()
}

/// Linux tells CPU time in hundredths of a second, whatever the kernel's own clock.
const TICKS_PER_SECOND: u64 = 100;

/// A process from now on.
#[derive(Debug)]
pub(crate) struct Watched {
    name: String,
    pid: u32,
    since: Instant,
    start: Usage,
}

/// What a process used while it was watched.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) name: String,
    pid: u32,
    start: Usage,
    end: Usage,
    elapsed: Duration,
}

impl Watched {
    pub(crate) fn start(name: &str, pid: u32) -> Self {
        Self {
            name: name.to_owned(),
            pid,
            since: Instant::now(),
            start: Usage::of(pid),
        }
    }

    pub(crate) fn used(&self) -> Used {
        Used {
            name: self.name.clone(),
            pid: self.pid,
            start: self.start,
            end: Usage::of(self.pid),
            elapsed: self.since.elapsed(),
        }
    }
}

impl Used {
    /// Megabytes resident now.
    pub(crate) fn resident(&self) -> f64 {
        megabytes(self.end.resident_kib)
    }

    /// Megabytes resident at most, since the process was started.
    pub(crate) fn peak(&self) -> f64 {
        megabytes(self.end.peak_kib)
    }

    fn cpu_seconds(&self) -> f64 {
        let ticks = self.end.cpu_ticks.saturating_sub(self.start.cpu_ticks);
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND).as_secs_f64()
    }

    /// Of one core.
    pub(crate) fn cpu_percent(&self) -> f64 {
        self.cpu_seconds() / self.elapsed.as_secs_f64() * 100.0
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "pid": self.pid,
            "resident_mb": self.resident(),
            "anonymous_mb": megabytes(self.end.anonymous_kib),
            "resident_mb_before": megabytes(self.start.resident_kib),
            "resident_mb_peak": self.peak(),
            "cpu_seconds": self.cpu_seconds(),
            "cpu_percent_of_a_core": self.cpu_percent(),
        })
    }
}

fn megabytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) * 1024.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_files() {
        assert_eq!(kib("VmPeak:\t 9 kB\nVmRSS:\t  4321 kB\n", "VmRSS:"), 4321);
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), 30);
        assert_eq!(cpu_ticks(""), 0);
    }

    #[test]
    fn this_process_uses_memory() {
        let used = Watched::start("this", std::process::id()).used();
        assert!(
            used.resident() > 1.0 && used.peak() >= used.resident(),
            "{used:?}"
        );
    }
}
