//! The lock of a destination's folder, which all processes that write there share.

use std::{fs, io, sync::Arc};

use crate::{
    disk::Disk,
    path::OUR_DIR,
    root::{FileId, Root},
};

/// The file whose `flock` is the lock.
#[derive(Debug)]
pub(crate) struct Lock {
    path: Vec<u8>,
    file: Arc<fs::File>,
    id: FileId,
}

/// The lock is held until this is dropped, or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Locked(Arc<fs::File>);

impl Drop for Locked {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::error!(%error, "cannot unlock the destination");
        }
    }
}

impl Lock {
    pub(crate) fn open(root: &Root, disk: &Disk) -> io::Result<Self> {
        let path = [OUR_DIR.as_bytes(), b"/lock"].concat();
        let opened = root.read_write(&path, disk)?;
        Ok(Self {
            path,
            file: Arc::new(opened.file),
            id: opened.id,
        })
    }

    /// Waits until no other process holds it.
    pub(crate) fn acquire(&mut self, root: &Root, disk: &Disk) -> io::Result<Locked> {
        loop {
            self.file.lock()?;
            let locked = Locked(Arc::clone(&self.file));
            // Somebody who removes the folder leaves each process with a lock of its own.
            if root.stat(&self.path)?.is_some_and(|(id, _)| id == self.id) {
                return Ok(locked);
            }
            *self = Self::open(root, disk)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::NoFaults;

    #[test]
    fn one_holder_at_a_time_even_when_the_file_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let disk = Disk::new(NoFaults);
        let mut ours = Lock::open(&root, &disk).unwrap();
        fs::remove_dir_all(dir.path().join(OUR_DIR)).unwrap();
        let locked = ours.acquire(&root, &disk).unwrap();
        let theirs = Lock::open(&root, &disk).unwrap();
        assert!(matches!(
            theirs.file.try_lock(),
            Err(fs::TryLockError::WouldBlock)
        ));
        drop(locked);
        theirs.file.try_lock().unwrap();
    }
}
