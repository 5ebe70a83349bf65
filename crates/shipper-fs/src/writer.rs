//! Writing the lines of many batches to the files of one destination: all of them durably, or none.
//!
//! One commit, under the destination's lock, which all processes share (`flock` on `.logferry/lock`):
//!
//! 1. read what others wrote into the journal; take back what a dead one left half done;
//! 2. leave out batches that another process has written meanwhile;
//! 3. open the files (if something is in the way of one whose name events chose, that is for the caller to decide,
//!    and nothing is written), and say in the journal, durably, how long they are and how much is to come;
//! 4. append each file's lines in one go, sync the files and new names;
//! 5. put the batches' ids into the journal, durably.
//!
//! Whatever stops a commit, step 1 of the next one, in any process, makes the files as they were: no line is torn
//! or stands twice. After step 5 a batch that is delivered again is known. Lines of two processes never mix, since
//! only the holder of the lock writes.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use event::BatchId;
use parking_lot::Mutex;
use service::crash_point;

use crate::{
    destination::Destination,
    disk::Disk,
    journal::{Bounds, Growth, Journal, RecentIds},
    letters::Refused,
    lock::{Lock, Locked},
    open_files::OpenFiles,
    pack::Packer,
    part::Part,
    path::{OUR_DIR, PathTemplate, safe_name},
    root::{FileId, OpenError, Root, dirs_of},
};

/// Files that are synced at the same time: disks sync several for little more than the price of one.
const SYNCS_MAX: usize = 8;

/// Why lines are not written. The files are as before, or will be before anything else is written; trying again is
/// always right.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path:?}: {source}")]
pub(crate) struct WriteError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl WriteError {
    pub(crate) fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether it is the kind that goes away while the program runs, with nobody changing its settings.
    pub(crate) fn may_pass(&self) -> bool {
        use nix::libc;
        let full = matches!(
            self.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        full || matches!(
            self.source.raw_os_error(),
            Some(libc::EIO | libc::EMFILE | libc::ENFILE | libc::ENOLCK | libc::ESTALE)
        )
    }
}

/// How a commit went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All lines are in the files, durably; so many bytes of them.
    Written { bytes: u64 },
    /// Nothing was written, since another process wrote these batches meanwhile.
    Repeated(Vec<BatchId>),
    /// Nothing was written, since something is in the way of these files, whose names events chose.
    Refused(Refused),
}

/// Writes to one destination.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathTemplate,
    root: Root,
    lock: Lock,
    journal: Journal,
    journal_path: PathBuf,
    files: OpenFiles,
    packer: Packer,
    disk: Disk,
}

/// What is done in parallel.
enum Task<'p> {
    File(&'p Job<'p>, FileId),
    Folder(&'p [u8]),
}

/// What one file gets in a commit.
struct Job<'p> {
    path: &'p [u8],
    data: &'p [u8],
}

impl Writer {
    /// Opens the destination's folder and journal, makes them where they are not there, and takes back what a
    /// crash left half done.
    pub(crate) fn open(
        destination: &Destination,
        files_max: usize,
        bounds: Bounds,
        disk: Disk,
    ) -> Result<Self, WriteError> {
        let dir = &destination.dir;
        let root = Root::open(dir).map_err(failed("open", dir))?;
        let mut lock = Lock::open(&root, &disk).map_err(failed("open the lock in", dir))?;
        let locked = lock.acquire(&root, &disk).map_err(failed("lock", dir))?;
        let journal_path = format!("{OUR_DIR}/{}.journal", safe_name(&destination.name));
        let full_path = root.full_path(journal_path.as_bytes());
        let journal = Journal::open(&root, journal_path.as_bytes(), bounds, &disk)
            .map_err(failed("read", &full_path))?;
        let packer = Packer::new(destination.compression).map_err(failed("compress for", dir))?;
        let mut writer = Self {
            path: destination.path.clone(),
            root,
            lock,
            journal,
            journal_path: full_path,
            files: OpenFiles::new(files_max),
            packer,
            disk,
        };
        writer.recover(&locked)?;
        Ok(writer)
    }

    /// Ids of batches that need not come to [`commit`](Self::commit) any more.
    pub(crate) fn recent(&self) -> Arc<Mutex<RecentIds>> {
        self.journal.recent()
    }

    /// Open files.
    pub(crate) fn files_open(&self) -> usize {
        self.files.len()
    }

    /// Closes files without new lines for `idle`.
    pub(crate) fn close_idle(&mut self, idle: Duration) {
        self.files.close_idle(idle);
    }

    /// Writes all lines of `part`, or none.
    pub(crate) fn commit(&mut self, part: &Part) -> Result<Outcome, WriteError> {
        if part.batches().is_empty() {
            return Ok(Outcome::Written { bytes: 0 });
        }
        let packed = self.pack(part)?;
        let jobs: Vec<Job<'_>> = part
            .files()
            .iter()
            .zip(&packed)
            .map(|(file, packed)| Job {
                path: &file.path,
                data: packed.as_ref().unwrap_or(&file.data),
            })
            .collect();

        let locked = self.acquire()?;
        self.recover(&locked)?;
        let repeated: Vec<BatchId> = {
            let recent = self.journal.recent();
            let recent = recent.lock();
            let ids = part.batches().iter().copied();
            ids.filter(|id| recent.contains(*id)).collect()
        };
        if !repeated.is_empty() {
            return Ok(Outcome::Repeated(repeated));
        }
        let (files, refused) = self.open_files(&jobs)?;
        if !refused.is_empty() {
            return Ok(Outcome::Refused(refused));
        }
        self.write_locked(&jobs, &files, part.batches().to_vec(), &locked)?;
        let rotated = self.journal.rotate_if_large(&self.root, &self.disk);
        if let Err(error) = rotated {
            // The lines are written; a journal that grows is no reason to write them again.
            tracing::warn!(%error, path = ?self.journal_path, "cannot begin a new journal");
        }
        let bytes = jobs.iter().map(|job| job.data.len() as u64).sum();
        Ok(Outcome::Written { bytes })
    }

    fn pack(&mut self, part: &Part) -> Result<Vec<Option<Vec<u8>>>, WriteError> {
        let packer = &mut self.packer;
        part.files()
            .iter()
            .map(|file| {
                let path = self.root.full_path(&file.path);
                packer.pack(&file.data).map_err(failed("compress for", &path))
            })
            .collect()
    }

    fn acquire(&mut self) -> Result<Locked, WriteError> {
        let dir = self.root.full_path(b"");
        let locked = self
            .lock
            .acquire(&self.root, &self.disk)
            .map_err(failed("lock", &dir))?;
        self.journal
            .catch_up(&self.root, &self.disk)
            .map_err(failed("read", &self.journal_path))?;
        Ok(locked)
    }

    /// Which files these are and how long. What is in the way of a name that events chose is told for all files at
    /// once, so that one more attempt is enough.
    fn open_files(&mut self, jobs: &[Job<'_>]) -> Result<(Vec<(FileId, u64)>, Refused), WriteError> {
        let (mut files, mut refused) = (Vec::with_capacity(jobs.len()), Refused::new());
        for job in jobs {
            let path = self.root.full_path(job.path);
            let failed = failed("open", &path);
            match self.files.open(&self.root, job.path, &self.disk) {
                Ok(file) => files.push(file),
                Err(OpenError::InTheWay { name, source }) if self.path.is_chosen(name) => {
                    refused.insert(job.path.into(), failed(source).to_string());
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok((files, refused))
    }

    /// The rest of step 3, to step 5. The batches are not known yet.
    fn write_locked(
        &mut self,
        jobs: &[Job<'_>],
        files: &[(FileId, u64)],
        ids: Vec<BatchId>,
        locked: &Locked,
    ) -> Result<(), WriteError> {
        let mut new_names = BTreeSet::new();
        let (mut growing, mut tasks) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
        for (job, &(id, len)) in jobs.iter().zip(files) {
            if len == 0 {
                // Whoever made it, this process or one that died, may not have come to sync its name.
                new_names.extend(dirs_of(job.path));
            }
            tasks.push(Task::File(job, id));
            growing.push(Growth {
                path: job.path.to_vec(),
                id,
                len,
                added: job.data.len() as u64,
            });
        }
        self.journal
            .begin(growing, &self.disk)
            .map_err(failed("write", &self.journal_path))?;
        crash_point("files:begun");
        tasks.extend(new_names.into_iter().map(Task::Folder));
        if let Err(error) = self.append_all(&tasks) {
            if let Err(error) = self.take_back(locked) {
                tracing::debug!(%error, "an unfinished commit is taken back later");
            }
            return Err(error);
        }
        crash_point("files:appended");
        // An error leaves it open whether the batches are committed; the next commit finds out.
        self.journal
            .commit(ids, &self.disk)
            .map_err(failed("write", &self.journal_path))
    }

    /// Appends and syncs every file, and syncs the folders with new names.
    fn append_all(&self, tasks: &[Task<'_>]) -> Result<(), WriteError> {
        let append = |job: &Job<'_>, id: FileId| {
            let opened;
            let file = if let Some(file) = self.files.get(job.path) {
                file
            } else {
                // One batch can have lines for more files than may be open; those are opened again one by one.
                opened = self.root.append(job.path, &self.disk).map_err(io::Error::from)?;
                if opened.id != id {
                    return Err(io::Error::other("somebody replaced the file"));
                }
                &opened.file
            };
            self.disk.append(file, job.data)?;
            self.disk.sync(file)
        };
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (done, path) = match task {
                    Task::File(job, id) => (append(job, *id), job.path),
                    Task::Folder(dir) => (self.root.sync_dir(dir, &self.disk), *dir),
                };
                done.map_err(failed("write", &self.root.full_path(path)))?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            // This thread is one of them, so a single file needs no other.
            let workers = SYNCS_MAX.min(tasks.len());
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let ours = work();
            others.into_iter().fold(ours, |result, other| {
                let other = other.join().expect("workers do not panic");
                result.and(other)
            })
        })
    }

    /// Takes back what was found half done.
    fn recover(&mut self, locked: &Locked) -> Result<(), WriteError> {
        if let Some(pending) = self.journal.pending() {
            tracing::info!(files = pending.len(), "taking back a commit that did not end");
        }
        self.take_back(locked)
    }

    /// Makes the files as they were before a commit that did not end, of this process or of another.
    fn take_back(&mut self, _: &Locked) -> Result<(), WriteError> {
        let Some(pending) = self.journal.pending() else {
            return Ok(());
        };
        for growth in pending {
            let path = self.root.full_path(&growth.path);
            self.cut(growth).map_err(failed("cut back", &path))?;
        }
        self.journal
            .undone(&self.disk)
            .map_err(failed("write", &self.journal_path))
    }

    fn cut(&self, growth: &Growth) -> io::Result<()> {
        let Some(opened) = self.root.existing(&growth.path)? else {
            return Ok(());
        };
        let is_ours = opened.id == growth.id && opened.len <= growth.len + growth.added;
        if !is_ours {
            let path = self.root.full_path(&growth.path);
            tracing::warn!(
                ?path,
                "another program changed the file; it is left as it is and may hold a torn line"
            );
            return Ok(());
        }
        if opened.len > growth.len {
            self.disk.truncate(&opened.file, growth.len)?;
        }
        Ok(())
    }
}

fn failed(doing: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.to_owned();
    move |source| WriteError { doing, path, source }
}

#[cfg(test)]
mod tests;
