//! The product's own programs, built before a test starts them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, bail};

use crate::server::or_fail;

/// The folder with the product's programs, built like the tests themselves. They are brought up to date first,
/// once in a process.
///
/// # Panics
/// If they do not build.
#[must_use]
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| or_fail(build()))
}

/// The top of the project's source.
#[must_use]
pub fn project() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        // With the tests in the same build, because that is what `cargo test --workspace` has built: without
        // them features would differ, and everything would be compiled again.
        .args(["build", "--quiet", "--workspace", "--bins", "--tests"])
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
    Ok(target.join("debug"))
}
