//! Where distributions keep the server programs, and which package to install when they are missing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

/// A program that tests need.
pub(crate) struct Program {
    /// File name, and others that the same program goes by.
    pub(crate) names: &'static [&'static str],
    /// Folders to look in before `PATH`; one `*` stands for any text within a folder's name.
    pub(crate) folders: &'static [&'static str],
    /// What to install on Debian and its relatives, and elsewhere.
    pub(crate) package: &'static str,
}

impl Program {
    /// The full path of the program.
    pub(crate) fn find(&self) -> anyhow::Result<PathBuf> {
        let listed = self.folders.iter().flat_map(|pattern| expand(pattern));
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Programs for servers are often in folders that only root has in its PATH.
        let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
        for folder in listed.chain(std::env::split_paths(&path)).chain(usual) {
            let candidates = self.names.iter().map(|name| folder.join(name));
            if let Some(found) = candidates.into_iter().find(|candidate| candidate.is_file()) {
                return Ok(found);
            }
        }
        bail!(
            "`{}` is not installed, and tests need it: install the package {} (`make test` does)",
            self.names.join("` or `"),
            self.package
        )
    }
}

/// The folders that match `pattern`, the highest version first.
pub(crate) fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = fs::read_dir(Path::new(parent)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(version(name)));
    names
        .into_iter()
        .map(|name| PathBuf::from(format!("{parent}/{name}{after}")))
        .collect()
}

/// The numbers in `name`, so that 15 sorts above 9.
fn version(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["pg-9", "pg-15", "pg-14.2", "other"] {
            fs::create_dir_all(dir.path().join(name).join("bin")).unwrap();
        }
        let pattern = format!("{}/pg-*/bin", dir.path().display());
        let names: Vec<String> = expand(&pattern)
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["pg-15/bin", "pg-14.2/bin", "pg-9/bin"]);
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let program = Program {
            names: &["no-such-server"],
            folders: &["/nowhere/*/bin"],
            package: "no-such-package",
        };
        let error = program.find().unwrap_err().to_string();
        assert!(error.contains("install the package no-such-package"), "{error}");
    }
}
