//! Files that stay open between two commits: the most recently used ones, up to a bound, and none for long.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use crate::{
    disk::Disk,
    root::{FileId, OpenError, Opened, Root},
};

/// Open files of one destination.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    files: HashMap<Box<[u8]>, Entry>,
    files_max: usize,
}

#[derive(Debug)]
struct Entry {
    opened: Opened,
    used_at: Instant,
}

impl OpenFiles {
    /// At most `files_max`, and at least one.
    pub(crate) fn new(files_max: usize) -> Self {
        Self {
            files: HashMap::new(),
            files_max: files_max.max(1),
        }
    }

    /// Opens the file at `path` unless it is open, and returns which it is and its length now. A file that was
    /// renamed or removed since (log rotation) is left alone, and a new one made at `path`.
    pub(crate) fn open(&mut self, root: &Root, path: &[u8], disk: &Disk) -> Result<(FileId, u64), OpenError> {
        let now = Instant::now();
        // Opening it tells better what is wrong.
        let there = root.stat(path).unwrap_or_default();
        if let (Some(entry), Some((id, len))) = (self.files.get_mut(path), there)
            && entry.opened.id == id
        {
            entry.used_at = now;
            return Ok((id, len));
        }
        self.files.remove(path);
        if self.files.len() >= self.files_max {
            self.close_least_recent();
        }
        let opened = root.append(path, disk)?;
        let (id, len) = (opened.id, opened.len);
        self.files.insert(path.into(), Entry { opened, used_at: now });
        Ok((id, len))
    }

    /// The file that [`open`](Self::open) opened, unless more than the allowed number were opened since.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&fs::File> {
        self.files.get(path).map(|entry| &entry.opened.file)
    }

    /// Closes files that were not used for `idle`.
    pub(crate) fn close_idle(&mut self, idle: Duration) {
        self.files.retain(|_, entry| entry.used_at.elapsed() < idle);
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    fn close_least_recent(&mut self) {
        let least_recent = self.files.iter().min_by_key(|(_, entry)| entry.used_at);
        if let Some(path) = least_recent.map(|(path, _)| path.clone()) {
            self.files.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::NoFaults;

    #[test]
    fn keeps_the_most_recent_and_notices_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let disk = Disk::new(NoFaults);
        let mut files = OpenFiles::new(2);
        let open = |files: &mut OpenFiles, path: &str| files.open(&root, path.as_bytes(), &disk).unwrap();
        let (a, _) = open(&mut files, "a");
        open(&mut files, "b");
        assert_eq!(open(&mut files, "a"), (a, 0));
        open(&mut files, "c");
        assert_eq!(files.len(), 2);
        assert!(files.get(b"a").is_some() && files.get(b"b").is_none());

        disk.append(files.get(b"a").unwrap(), b"line\n").unwrap();
        assert_eq!(open(&mut files, "a"), (a, 5));
        std::fs::rename(dir.path().join("a"), dir.path().join("a.1")).unwrap();
        let (rotated, len) = open(&mut files, "a");
        assert_ne!(rotated, a);
        assert_eq!(len, 0);

        files.close_idle(Duration::from_secs(3600));
        assert_eq!(files.len(), 2);
        files.close_idle(Duration::ZERO);
        assert_eq!(files.len(), 0);
    }
}
