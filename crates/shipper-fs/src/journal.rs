//! The journal of a destination: which batches its files hold, and which files are growing just now.
//!
//! ```text
//! Begin(files, their lengths) · sync · the files grow · sync them · Commit(batch ids) · sync
//! ```
//!
//! A `Begin` without its `Commit` is all that a crash can leave: whoever holds the lock next cuts those files back to
//! their lengths and writes `Undone`. A batch whose id stands in a `Commit` is in the files, durably, and is never
//! written again. All processes of a destination share the journal; it is touched only under the destination's lock.
//!
//! It is bounded: after [`GENERATION_IDS`] ids a new journal is begun, and the one before it is kept as `….1`.

mod record;

use std::{
    collections::HashSet,
    fs,
    io::{self, Read, Seek, SeekFrom},
    mem,
    sync::Arc,
};

use event::BatchId;
use parking_lot::Mutex;

use self::record::MAGIC;
pub(crate) use self::record::{Growth, Record};
use crate::{
    disk::Disk,
    root::{Opened, Root, dirs_of},
};

/// Ids in one journal; between one and two times as many are remembered. A batch comes again when its acknowledgement
/// was lost, or when the stage before did its work twice, seconds or a few hours later: at 100 batches a second, this is
/// one and a half hours at the least, and twice 16 bytes an id in memory.
const GENERATION_IDS: usize = 1 << 19;
/// Bytes of one journal: many files in a commit can make it long before ids do.
const GENERATION_BYTES: u64 = 64 << 20;

/// The ids of batches that were written lately.
#[derive(Debug, Default)]
pub(crate) struct RecentIds {
    /// Of the journal that is written.
    newer: HashSet<BatchId>,
    /// Of the one before.
    older: HashSet<BatchId>,
}

impl RecentIds {
    pub(crate) fn contains(&self, id: BatchId) -> bool {
        self.newer.contains(&id) || self.older.contains(&id)
    }

    fn add(&mut self, ids: &[BatchId]) {
        self.newer.extend(ids);
    }

    fn begin_generation(&mut self) {
        self.older = mem::take(&mut self.newer);
    }
}

/// When a new journal is begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) ids: usize,
    pub(crate) bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            ids: GENERATION_IDS,
            bytes: GENERATION_BYTES,
        }
    }
}

/// A destination's journal. Every method but [`recent`](Self::recent) is called under the destination's lock.
#[derive(Debug)]
pub(crate) struct Journal {
    path: Vec<u8>,
    opened: Opened,
    /// Behind the last whole record.
    end: u64,
    /// What the last record began, if nothing ended it.
    pending: Option<Vec<Growth>>,
    recent: Arc<Mutex<RecentIds>>,
    bounds: Bounds,
}

impl Journal {
    /// Opens the journal at `path`, and makes it where it is not there.
    pub(crate) fn open(root: &Root, path: &[u8], bounds: Bounds, disk: &Disk) -> io::Result<Self> {
        let recent = Arc::new(Mutex::new(RecentIds::default()));
        if let Some(previous) = root.existing(&previous(path))? {
            read_generation(&previous.file, &recent)?;
        }
        let mut journal = Self {
            path: path.to_vec(),
            opened: open_or_make(root, path, disk)?,
            end: 0,
            pending: None,
            recent,
            bounds,
        };
        journal.read_on(disk)?;
        Ok(journal)
    }

    /// The ids that are known, shared with whoever decides what to format.
    pub(crate) fn recent(&self) -> Arc<Mutex<RecentIds>> {
        Arc::clone(&self.recent)
    }

    /// Reads what other processes have written since.
    pub(crate) fn catch_up(&mut self, root: &Root, disk: &Disk) -> io::Result<()> {
        self.read_on(disk)?;
        let is_ours = root.stat(&self.path)?.is_some_and(|(id, _)| id == self.opened.id);
        if is_ours {
            return Ok(());
        }
        // Another process began a new journal, or several since.
        self.recent.lock().begin_generation();
        if let Some(previous) = root.existing(&previous(&self.path))?
            && previous.id != self.opened.id
        {
            read_generation(&previous.file, &self.recent)?;
        }
        self.opened = open_or_make(root, &self.path, disk)?;
        self.end = 0;
        self.read_on(disk)
    }

    /// What another process, or this one, began and did not end.
    pub(crate) fn pending(&self) -> Option<&[Growth]> {
        self.pending.as_deref()
    }

    /// Says durably that `files` are about to grow.
    pub(crate) fn begin(&mut self, files: Vec<Growth>, disk: &Disk) -> io::Result<()> {
        let record = Record::Begin(files);
        self.append(&record, disk)?;
        if let Record::Begin(files) = record {
            self.pending = Some(files);
        }
        Ok(())
    }

    /// Says durably that they have grown by these batches.
    pub(crate) fn commit(&mut self, ids: Vec<BatchId>, disk: &Disk) -> io::Result<()> {
        let record = Record::Commit(ids);
        self.append(&record, disk)?;
        if let Record::Commit(ids) = record {
            self.recent.lock().add(&ids);
        }
        self.pending = None;
        Ok(())
    }

    /// Says durably that they are as before.
    pub(crate) fn undone(&mut self, disk: &Disk) -> io::Result<()> {
        self.append(&Record::Undone, disk)?;
        self.pending = None;
        Ok(())
    }

    /// Begins a new journal when this one has its size. The files must not be growing.
    pub(crate) fn rotate_if_large(&mut self, root: &Root, disk: &Disk) -> io::Result<()> {
        if self.recent.lock().newer.len() < self.bounds.ids && self.end < self.bounds.bytes {
            return Ok(());
        }
        let mut new = self.path.clone();
        new.extend_from_slice(b".new");
        let opened = root.read_write(&new, disk)?;
        disk.truncate(&opened.file, 0)?;
        disk.write_at(&opened.file, MAGIC, 0)?;
        disk.sync(&opened.file)?;
        // Between the two renames the journal has no name; whoever opens it then makes an empty one.
        root.rename(&self.path, &previous(&self.path), disk)?;
        root.rename(&new, &self.path, disk)?;
        self.opened = opened;
        self.end = MAGIC.len() as u64;
        self.recent.lock().begin_generation();
        Ok(())
    }

    /// An error leaves it open whether the record is there; [`catch_up`](Self::catch_up) finds out, and nothing may be
    /// appended before.
    fn append(&mut self, record: &Record, disk: &Disk) -> io::Result<()> {
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        disk.write_at(&self.opened.file, &bytes, self.end)?;
        disk.sync(&self.opened.file)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Reads the records behind `end`. What follows the last whole one was torn by a crash and is cut off, so that
    /// nothing of it can ever look like a record.
    fn read_on(&mut self, disk: &Disk) -> io::Result<()> {
        let mut file = &self.opened.file;
        let len = file.seek(SeekFrom::End(0))?;
        if len < self.end || len < MAGIC.len() as u64 {
            // New, or somebody emptied it.
            disk.truncate(file, 0)?;
            disk.write_at(file, MAGIC, 0)?;
            disk.sync(file)?;
            (self.end, self.pending) = (MAGIC.len() as u64, None);
            return Ok(());
        }
        if len == self.end {
            return Ok(());
        }
        file.seek(SeekFrom::Start(self.end))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut rest = bytes.as_slice();
        if self.end == 0 {
            rest = rest.strip_prefix(MAGIC).ok_or(io::ErrorKind::InvalidData)?;
        }
        let (mut pending, mut ids) = (self.pending.clone(), Vec::new());
        let Extent { last, end } = read_records(rest, |record| match record {
            Record::Begin(files) => pending = Some(files),
            Record::Undone => pending = None,
            Record::Commit(batches) => {
                pending = None;
                ids.extend(batches);
            }
        });
        let start = self.end + (bytes.len() - rest.len()) as u64;
        let whole = start + end as u64;
        if end < rest.len() {
            let path = String::from_utf8_lossy(&self.path);
            tracing::warn!(%path, bytes = rest.len() - end, "cut a torn record off the journal");
            disk.truncate(file, whole)?;
        }
        // Whoever wrote the last record may have died, or failed, before it was durable; written again, it is.
        let again = rest.get(last..end).unwrap_or_default();
        disk.write_at(file, again, start + last as u64)?;
        disk.sync(file)?;
        (self.end, self.pending) = (whole, pending);
        self.recent.lock().add(&ids);
        Ok(())
    }
}

fn previous(path: &[u8]) -> Vec<u8> {
    [path, b".1"].concat()
}

/// An existing journal, or an empty one whose name is durable.
fn open_or_make(root: &Root, path: &[u8], disk: &Disk) -> io::Result<Opened> {
    let opened = root.read_write(path, disk)?;
    if opened.len == 0 {
        for dir in dirs_of(path) {
            root.sync_dir(dir, disk)?;
        }
    }
    Ok(opened)
}

/// Reads a journal that nobody writes any more, as a generation of its own.
fn read_generation(mut file: &fs::File, recent: &Mutex<RecentIds>) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let mut recent = recent.lock();
    read_records(bytes.strip_prefix(MAGIC).unwrap_or_default(), |record| {
        if let Record::Commit(ids) = record {
            recent.add(&ids);
        }
    });
    recent.begin_generation();
    Ok(())
}

/// Where the whole records are.
struct Extent {
    /// Where the last one begins.
    last: usize,
    /// Behind it.
    end: usize,
}

/// Calls `each` with every whole record.
fn read_records(bytes: &[u8], mut each: impl FnMut(Record)) -> Extent {
    let (mut rest, mut last) = (bytes, 0);
    loop {
        let end = bytes.len() - rest.len();
        match Record::read(&mut rest) {
            Some(record) => each(record),
            None => return Extent { last, end },
        }
        last = end;
    }
}

#[cfg(test)]
mod tests;
