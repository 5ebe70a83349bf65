//! Memory and CPU time of processes, from `/proc`.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

/// What a process has used so far, with its children for the servers that have one per connection.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) resident_kib: u64,
    pub(crate) peak_kib: u64,
    pub(crate) cpu_ticks: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        Self {
            resident_kib: kib(&status, "VmRSS:"),
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

/// User and system time, of the process and of its children that ended.
fn cpu_ticks(stat: &str) -> u64 {
    // The name, in parentheses, may have spaces; the state after it is field 3.
    let (_, rest) = stat.rsplit_once(')').unwrap_or_default();
    rest.split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum()
}

/// Linux tells CPU time in hundredths of a second, whatever the kernel's own clock.
const TICKS_PER_SECOND: u64 = 100;

/// One process before and after a load.
#[derive(Debug)]
pub(crate) struct Watched {
    name: String,
    pid: u32,
    rest: Usage,
}

impl Watched {
    pub(crate) fn start(name: &str, pid: u32) -> Self {
        Self {
            name: name.to_owned(),
            pid,
            rest: Usage::of(pid),
        }
    }

    /// Name and figures: memory at rest and at its highest, CPU seconds, and the part of one core.
    pub(crate) fn finish(&self, elapsed: Duration) -> (String, Value) {
        let now = Usage::of(self.pid);
        let ticks = now.cpu_ticks.saturating_sub(self.rest.cpu_ticks);
        let seconds = ticks_to_seconds(ticks);
        let figures = json!({
            "resident_kib_at_rest": self.rest.resident_kib,
            "resident_kib_peak": now.peak_kib,
            "cpu_seconds": seconds,
            "cores": seconds / elapsed.as_secs_f64(),
        });
        (self.name.clone(), figures)
    }
}

fn ticks_to_seconds(ticks: u64) -> f64 {
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_files() {
        assert_eq!(kib("VmPeak:\t 9 kB\nVmRSS:\t  4321 kB\n", "VmRSS:"), 4321);
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), 100);
        assert_eq!(cpu_ticks(""), 0);
    }

    #[test]
    fn this_process_uses_memory() {
        let usage = Usage::of(std::process::id());
        assert!(
            usage.resident_kib > 0 && usage.peak_kib >= usage.resident_kib,
            "{usage:?}"
        );
    }
}
