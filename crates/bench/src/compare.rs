//! `make bench-compare`: two revisions, or two settings, in turn on the same machine.
//!
//! The load generator and the checks are those of this program; only the measured services differ.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use testkit::binaries::project;
use tokio::process::Command;

use crate::arguments::CompareArgs;
use crate::case::Case;
use crate::line::{Spread, number};
use crate::place::{Place, Side};
use crate::series::Series;

/// What stands for the programs beside this one.
const HERE: &str = ".";

/// What is measured when no case is named.
const USUAL: &[Case] = &[
    Case::Relp,
    Case::Rabbitmq,
    Case::Rows,
    Case::Files,
    Case::Embedded,
    Case::Latency,
];

/// # Errors
/// If a revision cannot be built, or a case cannot be measured.
pub(crate) async fn run(arguments: &CompareArgs) -> anyhow::Result<()> {
    let cases = if arguments.cases.is_empty() {
        USUAL
    } else {
        &arguments.cases
    };
    ensure!(
        !cases.contains(&Case::Parse),
        "parsing is measured inside this program: compare it with `cargo bench -p event` in both revisions"
    );
    let place = Place::new(&arguments.measuring, false)?;
    place.check_disk(cases)?;
    let a = side("A", &arguments.a, &arguments.a_set).await?;
    let b = side("B", &arguments.b, &arguments.b_set).await?;
    let mut table = format!(
        "{:<12} {:>16} {:>16} {:>8} {:>15}\n",
        "median", "A", "B", "B / A", "(from–to)"
    );
    for case in cases {
        eprintln!("{}:", case.name());
        let (mut of_a, mut of_b) = (Series::default(), Series::default());
        for round in 1..=place.measuring.runs {
            // Who comes first changes, so that what a round does to the next hits both.
            let mut sides = [(&a, &mut of_a), (&b, &mut of_b)];
            if round % 2 == 0 {
                sides.reverse();
            }
            for (side, series) in sides {
                let run = case.once(&place, side).await?;
                eprintln!("  run {round}: {} {}", side.name, number(run.value, case.unit()));
                series.push(run);
            }
        }
        table.push_str(&row(*case, &of_a, &of_b)?);
    }
    let mut out = io::stdout();
    writeln!(out, "\nA: {}\nB: {}\n", a.describe(), b.describe())?;
    writeln!(out, "{table}")?;
    Ok(())
}

fn row(case: Case, a: &Series, b: &Series) -> anyhow::Result<String> {
    let median = |series: &Series| -> anyhow::Result<String> {
        let spread = series.spread().context("measure at least once")?;
        Ok(number(spread.median, case.unit()))
    };
    let Spread {
        median: ratio,
        min,
        max,
    } = b.over(a).context("measure at least once")?;
    Ok(format!(
        "{:<12} {:>16} {:>16} {ratio:>8.3} {:>15}\n",
        case.name(),
        median(a)?,
        median(b)?,
        format!("({min:.3}–{max:.3})")
    ))
}

async fn side(name: &str, revision: &str, settings: &[String]) -> anyhow::Result<Side> {
    let programs = if revision == HERE {
        Side::here(&[])?.programs
    } else {
        build(revision).await?
    };
    let side = Side {
        name: name.to_owned(),
        programs,
        settings: settings.to_vec(),
    };
    side.check()?;
    Ok(side)
}

/// The folder with the programs of a revision, which are built unless they have been.
async fn build(revision: &str) -> anyhow::Result<PathBuf> {
    let commit = git(&[
        "rev-parse",
        "--verify",
        "--short=12",
        &format!("{revision}^{{commit}}"),
    ])
    .await;
    let commit = commit.with_context(|| format!("find the revision {revision}"))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project().join("target"), PathBuf::from);
    let base = target.join("compare");
    let programs = base.join(&commit);
    if programs.is_dir() {
        return Ok(programs);
    }
    let tree = base.join(format!("{commit}-source"));
    let tree_text = tree.to_string_lossy();
    // An interrupted build leaves its source behind.
    git(&["worktree", "prune"]).await?;
    if !tree.is_dir() {
        git(&["worktree", "add", "--detach", &tree_text, &commit]).await?;
    }
    eprintln!("building {revision} ({commit})");
    let built = base.join("cargo");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--workspace", "--bins"])
        .current_dir(&tree)
        .env("CARGO_TARGET_DIR", &built)
        .kill_on_drop(true)
        .status()
        .await
        .context("run cargo build")?;
    ensure!(status.success(), "cargo build of {revision}: {status}");
    keep(&built.join("release"), &programs)?;
    git(&["worktree", "remove", "--force", &tree_text]).await?;
    Ok(programs)
}

/// Copies the programs, since the next build writes to the same place. The folder appears when it is whole.
fn keep(from: &Path, to: &Path) -> anyhow::Result<()> {
    let part = to.with_extension("part");
    fs::create_dir_all(&part).with_context(|| format!("create {}", part.display()))?;
    for name in Side::PROGRAMS {
        fs::copy(from.join(name), part.join(name)).with_context(|| format!("copy {name}"))?;
    }
    fs::rename(&part, to).with_context(|| format!("create {}", to.display()))
}

async fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(project())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("run git")?;
    if !output.status.success() {
        bail!("git: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
