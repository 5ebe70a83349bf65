//! `make flamegraph`: one run of a case under perf, and a picture for each process of where its time goes.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::arguments::FlamegraphArgs;

/// Samples a second of each core: odd, so that it does not beat with what happens every millisecond.
const FREQUENCY: &str = "499";

/// # Errors
/// If a tool is missing, perf may not be used, or the case cannot be measured.
pub(crate) async fn run(arguments: &FlamegraphArgs) -> anyhow::Result<()> {
    check_tools().await?;
    let measuring = &arguments.measuring;
    fs::create_dir_all(&arguments.out).with_context(|| format!("create {}", arguments.out.display()))?;
    fs::create_dir_all(&measuring.dir).with_context(|| format!("create {}", measuring.dir.display()))?;
    let case = arguments.case.name();
    let data = measuring.dir.join(format!("perf-{case}.data"));
    let mut command = Command::new("perf");
    command
        .args([
            "record",
            "--quiet",
            "--call-graph",
            "fp",
            "--freq",
            FREQUENCY,
            "--output",
        ])
        .arg(&data)
        .arg("--")
        .arg(std::env::current_exe().context("find this program")?)
        .args(["run", &case, "--runs", "1", "--no-reference", "--json"])
        .args(["--size", &measuring.size.to_string()])
        .args(["--rate", &measuring.rate.to_string()])
        .args(["--seconds", &measuring.seconds.to_string()])
        .args(["--backlog", &measuring.backlog.to_string()])
        .args(["--erlang", &measuring.erlang])
        .arg("--dir")
        .arg(&measuring.dir)
        .arg("--out")
        .arg(&arguments.out);
    if let Some(count) = measuring.count {
        command.args(["--count", &count.to_string()]);
    }
    for setting in &measuring.postgres {
        command.args(["--postgres", setting]);
    }
    command.stdout(Stdio::piped());
    let report = output(&mut command, "perf record").await?.stdout;
    let report: Value = serde_json::from_slice(&report).context("read the results of the run")?;
    let pointer = format!("/cases/{case}/runs/logferry/0/usage");
    let usage = report.pointer(&pointer).and_then(Value::as_object);
    let usage = usage.filter(|usage| !usage.is_empty());
    for (name, used) in usage.context("this case starts no process to look into")? {
        let pid = used
            .get("pid")
            .and_then(Value::as_u64)
            .context("find the process")?;
        let picture = arguments.out.join(format!("flamegraph-{case}-{name}.svg"));
        draw(&data, pid, name, &picture).await?;
        eprintln!("{}", picture.display());
    }
    fs::remove_file(&data).context("remove what perf recorded")
}

/// Says what to install or to allow before anything is started.
async fn check_tools() -> anyhow::Result<()> {
    for (program, package) in [
        (
            "perf",
            "install the package linux-perf (Debian) or linux-tools (Ubuntu)",
        ),
        ("inferno-collapse-perf", "run `cargo install --locked inferno`"),
        ("inferno-flamegraph", "run `cargo install --locked inferno`"),
    ] {
        let found = Command::new(program)
            .arg("--help")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if found.is_err() {
            bail!("`{program}` is not installed: {package}");
        }
    }
    let try_out = Command::new("perf")
        .args(["record", "--quiet", "--output", "/dev/null", "--", "true"])
        .stdin(Stdio::null())
        .output()
        .await
        .context("run perf")?;
    ensure!(
        try_out.status.success(),
        "perf may not be used here; as root, `sysctl kernel.perf_event_paranoid=1` allows it \
         (in a container the host must): {}",
        String::from_utf8_lossy(&try_out.stderr).trim()
    );
    Ok(())
}

/// perf script | inferno-collapse-perf | inferno-flamegraph
async fn draw(data: &Path, pid: u64, title: &str, picture: &Path) -> anyhow::Result<()> {
    let folder = data.parent().context("find the folder of the samples")?;
    let (stacks, folded) = (folder.join("perf.stacks"), folder.join("perf.folded"));
    let mut script = Command::new("perf");
    script
        .args(["script", "--pid", &pid.to_string(), "--input"])
        .arg(data);
    script.stdout(File::create(&stacks)?);
    output(&mut script, "perf script").await?;
    let mut collapse = Command::new("inferno-collapse-perf");
    collapse.arg(&stacks).stdout(File::create(&folded)?);
    output(&mut collapse, "inferno-collapse-perf").await?;
    let mut flamegraph = Command::new("inferno-flamegraph");
    flamegraph
        .args(["--title", title])
        .arg(&folded)
        .stdout(File::create(picture)?);
    output(&mut flamegraph, "inferno-flamegraph").await?;
    fs::remove_file(&stacks)?;
    fs::remove_file(&folded)?;
    Ok(())
}

/// Runs a tool; its errors, and the progress of a run, are shown as they come.
async fn output(command: &mut Command, name: &str) -> anyhow::Result<Output> {
    let command = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let child = command.spawn().with_context(|| format!("start {name}"))?;
    let output = child
        .wait_with_output()
        .await
        .with_context(|| format!("await {name}"))?;
    ensure!(output.status.success(), "{name}: {}", output.status);
    Ok(output)
}
