//! Whether a search still runs, seen from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::asking::BUDGET;
use super::kept::Outside;
use crate::database::Looker;

pub(super) enum Watcher {
    Postgres(Looker),
    /// A search has files of the folder open, beside those that were open before.
    Files {
        folder: PathBuf,
        before: usize,
    },
}

impl Watcher {
    /// To be made while no search runs.
    pub(super) async fn new(outside: &Outside) -> anyhow::Result<Self> {
        Ok(match outside {
            Outside::Url(url) => Self::Postgres(Looker::connect(url).await?),
            Outside::Folder(folder) => {
                let folder = folder.canonicalize().context("find the folder of the store")?;
                Self::Files {
                    before: open_files(&folder)?,
                    folder,
                }
            }
        })
    }

    /// How long it takes until no search runs.
    pub(super) async fn stops(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        while self.is_searched().await? {
            ensure!(began.elapsed() < BUDGET, "a cancelled search does not stop");
            // As often as the connection lets us.
            tokio::task::yield_now().await;
        }
        Ok(began.elapsed())
    }

    async fn is_searched(&self) -> anyhow::Result<bool> {
        const RUNNING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND state = 'active' AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND query LIKE '%FROM events%'";
        match self {
            Self::Postgres(looker) => Ok(looker.number(RUNNING).await? > 0),
            Self::Files { folder, before } => Ok(open_files(folder)? > *before),
        }
    }
}

/// How many files of the folder this process has open.
fn open_files(folder: &Path) -> anyhow::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc/self/fd").context("look at the open files")? {
        // One that is closed meanwhile has no target.
        let target = entry.and_then(|entry| fs::read_link(entry.path()));
        count += usize::from(target.is_ok_and(|target| target.starts_with(folder)));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_search_is_seen_by_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        fs::write(&path, "rows").unwrap();
        let writer = fs::File::open(&path).unwrap();
        let watcher = Watcher::new(&Outside::Folder(folder.path().to_owned()))
            .await
            .unwrap();
        assert!(!watcher.is_searched().await.unwrap());
        let search = fs::File::open(&path).unwrap();
        assert!(watcher.is_searched().await.unwrap());
        drop(search);
        watcher.stops().await.unwrap();
        drop(writer);
    }
}
