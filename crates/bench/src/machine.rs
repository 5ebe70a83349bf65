//! What was measured on: without it a figure says nothing.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

const SYNCS: u32 = 100;

/// The machine and the disk below `dir`.
pub(crate) fn describe(dir: &Path) -> Value {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .unwrap_or_default();
    json!({
        "cpu": model.map(|(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "memory": memory.trim(),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "system": system_name(),
        "filesystem": filesystem(dir),
        "sync_micros": sync_micros(dir).ok(),
    })
}

/// Versions of everything that takes part.
pub(crate) fn versions(binaries: &Path) -> Value {
    let logferry = binaries.join("logferry");
    json!({
        "logferry": first_line(&logferry.to_string_lossy(), &["--version"]),
        "commit": first_line("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
        "rustc": first_line("rustc", &["--version"]),
        "rsyslog": first_line("rsyslogd", &["-v"]),
    })
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(str::to_owned)
}

fn system_name() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// The type of the file system that holds `dir`: that of the longest mount point above it.
fn filesystem(dir: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (point, kind) = (words.nth(1)?, words.next()?);
        dir.starts_with(point).then(|| (point.len(), kind.to_owned()))
    });
    above.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

/// How long a small synced write takes: it decides what durable systems can do here.
fn sync_micros(dir: &Path) -> anyhow::Result<f64> {
    let path = dir.join("sync-probe");
    let mut file = File::create(&path)?;
    let start = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&[b'x'; 4096])?;
        file.sync_data()?;
    }
    let micros = start.elapsed().as_secs_f64() * 1e6 / f64::from(SYNCS);
    fs::remove_file(&path)?;
    Ok(micros.round())
}
