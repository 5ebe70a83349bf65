//! How far each file is, durably: one SQLite file in the data folder.
//!
//! What is to be published is written down before it is: the bytes, the id and the time of each batch. So a batch
//! that is published again after a crash is the same batch, and whoever has seen its id passes it over.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use event::{BatchId, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use crate::identity::{Fingerprint, Identity};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS file (
    id INTEGER PRIMARY KEY,
    folder TEXT NOT NULL,
    dev INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    print_len INTEGER NOT NULL,
    print BLOB NOT NULL,
    done_to INTEGER NOT NULL DEFAULT 0,
    finished_size INTEGER,
    flaw TEXT,
    UNIQUE (folder, dev, inode)
);
CREATE TABLE IF NOT EXISTS planned (
    file INTEGER NOT NULL REFERENCES file (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    batch BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (file, start)
) WITHOUT ROWID;
PRAGMA user_version = 1;
";

const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Progress that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum ProgressError {
    /// The folder cannot be used.
    #[error("the folder {} for the progress of files (in data_dir) cannot be used", dir.display())]
    Folder {
        /// Which folder.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process works in the folder.
    #[error("the progress of files in {} is in use by another process: stop that one, or name another data_dir", dir.display())]
    InUse {
        /// Which folder.
        dir: PathBuf,
    },
    /// The database cannot be read or written.
    #[error("the progress of files (in data_dir) cannot be read or written: make room, or look at the disk")]
    Database(#[from] rusqlite::Error),
}

/// A batch that is about to be published, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Its first byte in the decoded file.
    pub(crate) start: u64,
    /// The byte after its last one.
    pub(crate) stop: u64,
    pub(crate) batch: BatchId,
    pub(crate) received_at: Timestamp,
}

/// What is known about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: i64,
    pub(crate) fingerprint: Fingerprint,
    /// Bytes of the decoded file that are in custody.
    pub(crate) done_to: u64,
    /// Size of the file on disk when all of it was.
    pub(crate) finished_size: Option<u64>,
    /// Why it was not taken in full.
    pub(crate) flaw: Option<String>,
    /// Batches that may have been published, in order.
    pub(crate) planned: Vec<Planned>,
}

/// The progress of all files.
#[derive(Debug)]
pub struct Progress {
    database: Mutex<Connection>,
    /// Locked while it is in use; freed by the system whatever happens to the process.
    _lock: File,
}

impl Progress {
    /// Opens it in `dir`, which is made if need be. Blocks.
    ///
    /// # Errors
    /// Any [`ProgressError`].
    pub fn open(dir: &Path) -> Result<Self, ProgressError> {
        let lock = lock(dir)?;
        let database = Connection::open(dir.join("progress.db"))?;
        database.busy_timeout(BUSY_TIMEOUT)?;
        database.pragma_update(None, "journal_mode", "wal")?;
        database.pragma_update(None, "synchronous", "full")?;
        database.pragma_update(None, "foreign_keys", true)?;
        database.execute_batch(SCHEMA)?;
        Ok(Self {
            database: Mutex::new(database),
            _lock: lock,
        })
    }

    /// What is known about the file in this place of the disk, which may be another one by now.
    pub(crate) fn find(&self, folder: &str, identity: Identity) -> Result<Option<Record>, ProgressError> {
        let database = self.database.lock();
        let record = database
            .prepare_cached(
                "SELECT id, print_len, print, done_to, finished_size, flaw FROM file
                 WHERE folder = ?1 AND dev = ?2 AND inode = ?3",
            )?
            .query_row(
                params![folder, identity.dev.cast_signed(), identity.inode.cast_signed()],
                |row| {
                    Ok(Record {
                        id: row.get(0)?,
                        fingerprint: Fingerprint {
                            len: row.get(1)?,
                            hash: uuid(row.get(2)?),
                        },
                        done_to: row.get::<_, i64>(3)?.cast_unsigned(),
                        finished_size: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
                        flaw: row.get(5)?,
                        planned: Vec::new(),
                    })
                },
            )
            .optional()?;
        let Some(mut record) = record else { return Ok(None) };
        let mut planned = database.prepare_cached(
            "SELECT start, stop, batch, received_at FROM planned WHERE file = ?1 ORDER BY start",
        )?;
        let planned = planned.query_map([record.id], |row| {
            Ok(Planned {
                start: row.get::<_, i64>(0)?.cast_unsigned(),
                stop: row.get::<_, i64>(1)?.cast_unsigned(),
                batch: BatchId::from_uuid(uuid(row.get(2)?)),
                received_at: Timestamp::from_micros(row.get(3)?),
            })
        })?;
        record.planned = planned.collect::<Result<_, _>>()?;
        Ok(Some(record))
    }

    /// A new file, in the place of any that was known there.
    pub(crate) fn begin(
        &self,
        folder: &str,
        identity: Identity,
        fingerprint: Fingerprint,
    ) -> Result<Record, ProgressError> {
        let place = (identity.dev.cast_signed(), identity.inode.cast_signed());
        let id = self.write(|transaction| {
            transaction.execute(
                "DELETE FROM file WHERE folder = ?1 AND dev = ?2 AND inode = ?3",
                params![folder, place.0, place.1],
            )?;
            transaction.execute(
                "INSERT INTO file (folder, dev, inode, print_len, print) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    folder,
                    place.0,
                    place.1,
                    fingerprint.len,
                    fingerprint.hash.as_bytes().as_slice()
                ],
            )?;
            Ok(transaction.last_insert_rowid())
        })?;
        Ok(Record {
            id,
            fingerprint,
            done_to: 0,
            finished_size: None,
            flaw: None,
            planned: Vec::new(),
        })
    }

    /// The file is in custody up to `done_to`, and `planned` is published next.
    pub(crate) fn advance(&self, id: i64, done_to: u64, planned: &[Planned]) -> Result<(), ProgressError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE file SET done_to = ?2, finished_size = NULL WHERE id = ?1",
                params![id, done_to.cast_signed()],
            )?;
            transaction.execute("DELETE FROM planned WHERE file = ?1", [id])?;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO planned (file, start, stop, batch, received_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for planned in planned {
                insert.execute(params![
                    id,
                    planned.start.cast_signed(),
                    planned.stop.cast_signed(),
                    planned.batch.as_uuid().as_bytes().as_slice(),
                    planned.received_at.as_micros()
                ])?;
            }
            Ok(())
        })
    }

    /// All of the file, of `size` bytes on disk, is in custody, but for what `flaw` says.
    pub(crate) fn finish(
        &self,
        id: i64,
        done_to: u64,
        size: u64,
        flaw: Option<&str>,
    ) -> Result<(), ProgressError> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM planned WHERE file = ?1", [id])?;
            transaction.execute(
                "UPDATE file SET done_to = ?2, finished_size = ?3, flaw = ?4 WHERE id = ?1",
                params![id, done_to.cast_signed(), size.cast_signed(), flaw],
            )
        })?;
        Ok(())
    }

    /// A fingerprint of more bytes, now that there are more.
    pub(crate) fn set_fingerprint(&self, id: i64, fingerprint: Fingerprint) -> Result<(), ProgressError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE file SET print_len = ?2, print = ?3 WHERE id = ?1",
                params![id, fingerprint.len, fingerprint.hash.as_bytes().as_slice()],
            )
        })?;
        Ok(())
    }

    /// The file is gone.
    pub(crate) fn forget(&self, id: i64) -> Result<(), ProgressError> {
        self.write(|transaction| transaction.execute("DELETE FROM file WHERE id = ?1", [id]))?;
        Ok(())
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, ProgressError> {
        let mut database = self.database.lock();
        let transaction = database.transaction()?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

fn uuid(bytes: [u8; 16]) -> Uuid {
    Uuid::from_bytes(bytes)
}

fn lock(dir: &Path) -> Result<File, ProgressError> {
    let folder = |source| ProgressError::Folder {
        dir: dir.to_owned(),
        source,
    };
    fs::create_dir_all(dir).map_err(folder)?;
    let mut options = File::options();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("progress.lock"));
    let file = file.map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(ProgressError::InUse { dir: dir.to_owned() }),
        Err(fs::TryLockError::Error(error)) => Err(folder(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Identity = Identity {
        dev: 1,
        inode: u64::MAX,
    };

    fn planned(start: u64, stop: u64) -> Planned {
        Planned {
            start,
            stop,
            batch: BatchId::mint(),
            received_at: Timestamp::from_micros(7),
        }
    }

    #[test]
    fn what_is_written_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let print = Fingerprint::of(b"abc");
        let progress = Progress::open(dir.path()).unwrap();
        assert_eq!(progress.find("up", PLACE).unwrap(), None);
        let mut record = progress.begin("up", PLACE, print).unwrap();
        record.planned = vec![planned(5, 10), planned(10, 20)];
        record.done_to = 5;
        progress.advance(record.id, 5, &record.planned).unwrap();
        assert!(matches!(
            Progress::open(dir.path()),
            Err(ProgressError::InUse { .. })
        ));
        drop(progress);
        let progress = Progress::open(dir.path()).unwrap();
        assert_eq!(progress.find("up", PLACE).unwrap(), Some(record.clone()));
        assert_eq!(progress.find("other", PLACE).unwrap(), None);
        progress.finish(record.id, 20, 99, Some("cut")).unwrap();
        let found = progress.find("up", PLACE).unwrap().unwrap();
        assert_eq!((found.done_to, found.finished_size), (20, Some(99)));
        assert_eq!((found.flaw.as_deref(), found.planned.len()), (Some("cut"), 0));
        // Another file in the same place begins at its start.
        let fresh = progress.begin("up", PLACE, Fingerprint::of(b"x")).unwrap();
        assert_eq!(progress.find("up", PLACE).unwrap(), Some(fresh.clone()));
        progress.forget(fresh.id).unwrap();
        assert_eq!(progress.find("up", PLACE).unwrap(), None);
    }
}
