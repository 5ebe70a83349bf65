//! The product's own programs, built before a test starts them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, bail};

use crate::server::or_fail;

/// How the programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Like the tests themselves.
    Dev,
    /// Like what is shipped, for measurements.
    Release,
}

/// The folder with the product's programs, which are brought up to date first, once in a process.
///
/// # Panics
/// If they do not build.
#[must_use]
pub fn folder(profile: Profile) -> &'static Path {
    static DEV: OnceLock<PathBuf> = OnceLock::new();
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    match profile {
        // With the tests in the same build, because that is what `cargo test --workspace` has built:
        // without them features would differ, and everything would be compiled again.
        Profile::Dev => DEV.get_or_init(|| or_fail(build("debug", &["--bins", "--tests"]))),
        Profile::Release => RELEASE.get_or_init(|| or_fail(build("release", &["--bins", "--release"]))),
    }
}

/// The top of the project's source.
#[must_use]
pub fn project() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

fn build(folder: &str, arguments: &[&str]) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--workspace"])
        .args(arguments)
        .current_dir(project())
        .stdin(Stdio::null());
    // What cargo tells the tests that it runs would make build scripts believe in a change.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        let is_cargos = name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if is_cargos || name == "LD_LIBRARY_PATH" {
            command.env_remove(&key);
        }
    }
    let output = command.output().context("run cargo build")?;
    if !output.status.success() {
        bail!("cargo build: {}", String::from_utf8_lossy(&output.stderr));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project().join("target"), PathBuf::from);
    Ok(target.join(folder))
}
