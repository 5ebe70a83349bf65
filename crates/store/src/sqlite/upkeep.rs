//! Sealing and retention in the background, on a thread that may block. A lock on a file lets one at a time do it.

use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use event::Timestamp;
use settings::UpkeepSettings;

use super::{
    Sqlite, blocking,
    file::{self, Day},
    retention,
    sealing::{self, SEALED},
};
use crate::{
    error::StoreError,
    upkeep::{Kept, Tidied, before},
};

/// Locked by who is at it; left behind, since deleting it would take the lock away from others.
const LOCK_FILE: &str = "upkeep.lock";

/// Tells work on another thread that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sets it when dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Sqlite {
    /// Deletes what is kept no longer, and gives indexes to files that are written no more.
    pub(crate) async fn tidy(&self, settings: &UpkeepSettings, now: Timestamp) -> Result<Tidied, StoreError> {
        let guard = StopOnDrop(Stop::default());
        let (dir, settings, stop) = (self.dir.clone(), settings.clone(), guard.0.clone());
        let Some(lock) = blocking({
            let dir = dir.clone();
            move || lock(&dir)
        })
        .await?
        else {
            return self.elsewhere().await;
        };
        let (expired, ended) = blocking({
            let (dir, settings) = (dir.clone(), settings.clone());
            move || {
                let days = file::days(&dir)?;
                let expired = retention::expired(&dir, &days, &settings, now)?;
                Ok((expired, ended(&dir, days, &settings, now)?))
            }
        })
        .await?;
        // A file is deleted, or rid of its log, when whoever closes it is the last that has it open.
        for day in expired.iter().chain(&ended) {
            self.forget(*day).await?;
        }
        let tidied = blocking(move || {
            let tidied = tidy(&dir, &expired, &settings, now, &stop);
            drop(lock);
            tidied
        })
        .await;
        drop(guard);
        tidied
    }

    async fn elsewhere(&self) -> Result<Tidied, StoreError> {
        let dir = self.dir.clone();
        blocking(move || {
            Ok(Tidied {
                kept: kept(&dir)?,
                is_elsewhere: true,
                ..Tidied::default()
            })
        })
        .await
    }
}

/// `None` while somebody else has it.
fn lock(dir: &Path) -> Result<Option<File>, StoreError> {
    let path = dir.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| file::refused(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(file::refused(&path, &error)),
    }
}

fn tidy(
    dir: &Path,
    expired: &[Day],
    settings: &UpkeepSettings,
    now: Timestamp,
    stop: &Stop,
) -> Result<Tidied, StoreError> {
    let mut tidied = Tidied::default();
    for day in expired {
        if retention::delete(dir, *day)? {
            tidied.dropped += 1;
            tracing::info!(%day, "file deleted");
        } else {
            tracing::info!(%day, "file is open, to be deleted later");
        }
    }
    let days = file::days(dir)?;
    for day in &days {
        for route in &settings.routes {
            tidied.deleted += retention::clear(dir, *day, route, now, stop)?;
        }
    }
    let over = before(now, settings.seal_after);
    // The newest first, which are searched most.
    for day in days.into_iter().rev() {
        if stop.is_set() {
            break;
        }
        if day.start() >= over || is_sealed(dir, day)? {
            continue;
        }
        if day.end() > over {
            sealing::index_hours(dir, day, over, stop)?;
            continue;
        }
        let began = Instant::now();
        tracing::info!(%day, "sealing file");
        sealing::seal(dir, day, stop)?;
        let took = began.elapsed();
        tidied.sealed += 1;
        tidied.sealing += took;
        tracing::info!(%day, seconds = took.as_secs_f64(), "file sealed");
    }
    tidied.kept = kept(dir)?;
    Ok(tidied)
}

/// Those of the days that are over and not sealed yet.
fn ended(
    dir: &Path,
    mut days: Vec<Day>,
    settings: &UpkeepSettings,
    now: Timestamp,
) -> Result<Vec<Day>, StoreError> {
    let over = before(now, settings.seal_after);
    days.retain(|day| day.end() <= over);
    let mut ended = Vec::new();
    for day in days {
        if !is_sealed(dir, day)? {
            ended.push(day);
        }
    }
    Ok(ended)
}

fn is_sealed(dir: &Path, day: Day) -> Result<bool, StoreError> {
    let path = day.path(dir);
    let conn = file::open_for_reading(dir, day)?;
    let state = sealing::state(&conn).map_err(|error| file::sort(error, &path))?;
    Ok(state == Some(SEALED))
}

/// What is there.
pub(super) fn kept(dir: &Path) -> Result<Kept, StoreError> {
    let mut kept = Kept::default();
    for day in file::days(dir)? {
        kept.partitions += 1;
        kept.sealed += usize::from(is_sealed(dir, day)?);
        kept.bytes += file::size(dir, day)?;
    }
    Ok(kept)
}
