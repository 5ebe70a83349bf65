//! A destination's folder, and opening files below it without following links.
//!
//! Every name of a path is opened by itself, relative to the folder before it and with `O_NOFOLLOW`, so a symbolic
//! link that somebody planted below the folder leads nowhere, whenever it appears. The kernel's `openat2` would do
//! it in one call, but containers often forbid it; `cap-std` follows links that stay inside, and a link from one
//! host's folder into another's is as unwanted. The folder itself is the administrator's word: links that
//! lead to it are followed.

use std::{
    ffi::OsStr,
    fs, io, iter,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::DirBuilderExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat},
    unistd::{AccessFlags, faccessat},
};

use crate::disk::Disk;

/// For the owner and its group: logs are nobody else's business.
const DIR_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// Which file it is, by whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// A file that was opened for appending.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: fs::File,
    pub(crate) id: FileId,
    pub(crate) len: u64,
}

/// Why a file is not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// What has the name numbered `name` of the path, or the name itself, is in the way, and will be until somebody
    /// does something about it: a link, a folder where a file belongs, one that lets us do nothing. Other paths are not
    /// concerned.
    #[error("{source}")]
    InTheWay { name: usize, source: io::Error },
    /// The destination's folder, the disk or the system.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::InTheWay { source, .. } | OpenError::Failed(source) => source,
        }
    }
}

/// A destination's folder.
#[derive(Debug)]
pub(crate) struct Root {
    dir: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens the folder, and makes it where it is not there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(path)?;
        let dir = fs::File::open(path)?;
        if let Some(parent) = path.canonicalize()?.parent() {
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(Self {
            dir: dir.into(),
            path: path.to_owned(),
        })
    }

    /// For messages.
    pub(crate) fn full_path(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// Opens the file at `path` for appending; makes it, and the folders on the way, where they are not there. Its
    /// name lasts only when they are [synced](Self::sync_dir).
    pub(crate) fn append(&self, path: &[u8], disk: &Disk) -> Result<Opened, OpenError> {
        self.open_or_make(path, OFlag::O_WRONLY | OFlag::O_APPEND, disk)
    }

    /// Like [`append`](Self::append), for reading and for writing anywhere.
    pub(crate) fn read_write(&self, path: &[u8], disk: &Disk) -> io::Result<Opened> {
        Ok(self.open_or_make(path, OFlag::O_RDWR, disk)?)
    }

    fn open_or_make(&self, path: &[u8], flags: OFlag, disk: &Disk) -> Result<Opened, OpenError> {
        let (parent, name) = self.parent(path, |at, name| {
            disk.before_create()?;
            match mkdirat(at, name, Mode::from_bits_truncate(DIR_MODE)) {
                // Another process was quicker.
                Ok(()) | Err(Errno::EEXIST) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })?;
        let opened = match open_file(&parent, name, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk.before_create()?;
                // Without O_EXCL: another process may make it at this moment, and it is as good.
                open_file(&parent, name, flags | OFlag::O_CREAT)
            }
            opened => opened,
        };
        opened.map_err(|error| blame(error, &parent, names_before(path)))
    }

    /// Makes the names in the folder at `path` durable; the destination's own folder is the empty path.
    pub(crate) fn sync_dir(&self, path: &[u8], disk: &Disk) -> io::Result<()> {
        let dir = if path.is_empty() {
            self.dir.try_clone()?
        } else {
            let (parent, name) = self.parent(path, no_new_dirs)?;
            open_dir(&parent, name)?
        };
        disk.sync_dir(&dir.into())
    }

    /// Opens the file that is there; `None` where nothing is, or a link or a folder.
    pub(crate) fn existing(&self, path: &[u8]) -> io::Result<Option<Opened>> {
        let opened = self.parent(path, no_new_dirs).and_then(|(parent, name)| {
            open_file(&parent, name, OFlag::O_RDWR).map_err(|error| blame(error, &parent, names_before(path)))
        });
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(OpenError::Failed(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(OpenError::InTheWay { source, .. }) if source.kind() != io::ErrorKind::PermissionDenied => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the file at `from` the name `to`, in the same folder, durably. What had that name is gone.
    pub(crate) fn rename(&self, from: &[u8], to: &[u8], disk: &Disk) -> io::Result<()> {
        let (parent, from) = self.parent(from, no_new_dirs)?;
        let to = to.rsplit(|byte| *byte == b'/').next().unwrap_or(to);
        disk.before_create()?;
        nix::fcntl::renameat(&parent, from, &parent, to)?;
        disk.sync_dir(&parent.into())
    }

    /// Which file `path` leads to now, and its length. Links on the way are followed: the answer is compared with
    /// the id of a file that was opened the careful way, and used for nothing else.
    pub(crate) fn stat(&self, path: &[u8]) -> io::Result<Option<(FileId, u64)>> {
        match fstatat(&self.dir, path, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((id_of(&stat), len_of(&stat)))),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder of the last name, and that name. A folder that is missing is made by `make`, or not.
    fn parent<'p>(
        &self,
        path: &'p [u8],
        mut make: impl FnMut(&OwnedFd, &[u8]) -> io::Result<()>,
    ) -> Result<(OwnedFd, &'p [u8]), OpenError> {
        let mut parent = self.dir.try_clone()?;
        let mut names = path.split(|byte| *byte == b'/');
        let last = names.next_back().unwrap_or_default();
        for (at, name) in names.enumerate() {
            let next = match open_dir(&parent, name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make(&parent, name).and_then(|()| open_dir(&parent, name))
                }
                next => next,
            };
            parent = next.map_err(|error| blame(error, &parent, at))?;
        }
        Ok((parent, last))
    }
}

/// Names on the way to the last one.
fn names_before(path: &[u8]) -> usize {
    path.iter().filter(|byte| **byte == b'/').count()
}

/// Says whose fault it is that the name numbered `name`, in the folder `parent`, is not opened or made.
fn blame(error: io::Error, parent: &OwnedFd, name: usize) -> OpenError {
    let guilty = match error.raw_os_error().map(Errno::from_raw) {
        Some(
            Errno::ELOOP
            | Errno::ENOTDIR
            | Errno::EISDIR
            // A pipe that nobody reads, a socket, a device that is not there.
            | Errno::ENXIO
            | Errno::ENODEV
            // A name that this file system does not take.
            | Errno::ENAMETOOLONG
            | Errno::EILSEQ
            | Errno::EINVAL,
        ) => Some(name),
        Some(Errno::EACCES | Errno::EPERM) => {
            let all = AccessFlags::W_OK | AccessFlags::X_OK;
            let parent_takes_us = faccessat(parent, ".", all, AtFlags::AT_EACCESS).is_ok();
            if parent_takes_us { Some(name) } else { name.checked_sub(1) }
        }
        None if error.get_ref().is_some_and(|inner| inner.is::<NoFile>()) => Some(name),
        _ => None,
    };
    match guilty {
        Some(name) => OpenError::InTheWay { name, source: error },
        None => OpenError::Failed(error),
    }
}

/// What can be opened and is no file.
#[derive(Debug, thiserror::Error)]
#[error("not a regular file")]
struct NoFile;

/// The folders on the way to `path`, the destination's own first, as the empty path.
pub(crate) fn dirs_of(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    iter::once(b"".as_slice()).chain(slashes.filter_map(|(at, _)| path.get(..at)))
}

fn no_new_dirs(_: &OwnedFd, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::NotFound.into())
}

fn open_dir(at: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    check_name(name)?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}

fn open_file(at: &OwnedFd, name: &[u8], flags: OFlag) -> io::Result<Opened> {
    check_name(name)?;
    // Opening a pipe or a device must neither wait nor do anything.
    let careful = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd = openat(at, name, flags | careful, Mode::from_bits_truncate(FILE_MODE))?;
    let stat = fstat(&fd)?;
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        return Err(io::Error::other(NoFile));
    }
    Ok(Opened {
        file: fd.into(),
        id: id_of(&stat),
        len: len_of(&stat),
    })
}

/// Paths are made safe before they come here; this is the last line.
fn check_name(name: &[u8]) -> io::Result<()> {
    match name {
        b"" | b"." | b".." => Err(io::Error::other("no name for a file or folder")),
        _ => Ok(()),
    }
}

fn id_of(stat: &FileStat) -> FileId {
    FileId {
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

fn len_of(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::disk::NoFaults;

    fn disk() -> Disk {
        Disk::new(NoFaults)
    }

    fn append(root: &Root, path: &str) -> Result<Opened, OpenError> {
        root.append(path.as_bytes(), &disk())
    }

    /// The number of the name that is.
    fn in_the_way(root: &Root, path: &str) -> Option<usize> {
        match append(root, path).unwrap_err() {
            OpenError::InTheWay { name, .. } => Some(name),
            OpenError::Failed(_) => None,
        }
    }

    #[test]
    fn makes_folders_and_files_and_knows_them_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(&dir.path().join("new/below")).unwrap();
        let opened = append(&root, "a/b/c.log").unwrap();
        assert_eq!(opened.len, 0);
        for path in ["a/b", "a", ""] {
            root.sync_dir(path.as_bytes(), &disk()).unwrap();
        }
        disk().append(&opened.file, b"line\n").unwrap();
        let again = append(&root, "a/b/c.log").unwrap();
        assert_eq!((again.id, again.len), (opened.id, 5));
        assert_eq!(root.stat(b"a/b/c.log").unwrap(), Some((opened.id, 5)));
        let file = dir.path().join("new/below/a/b/c.log");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o027, 0);
        fs::rename(&file, dir.path().join("rotated")).unwrap();
        assert_eq!(root.stat(b"a/b/c.log").unwrap(), None);
        assert!(root.existing(b"a/b/c.log").unwrap().is_none());
        assert!(root.existing(b"x/y").unwrap().is_none());
    }

    #[test]
    fn links_that_somebody_planted_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("target"), "keep").unwrap();
        let root = Root::open(dir.path()).unwrap();
        symlink(outside.path(), dir.path().join("dir")).unwrap();
        symlink(outside.path().join("target"), dir.path().join("file")).unwrap();
        symlink(outside.path().join("not there"), dir.path().join("dangling")).unwrap();
        symlink("/dev/full", dir.path().join("full")).unwrap();
        for path in ["dir/new", "dir/target", "file", "dangling", "full"] {
            assert_eq!(in_the_way(&root, path), Some(0), "{path}");
            assert!(root.existing(path.as_bytes()).unwrap().is_none());
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(outside.path().join("target")).unwrap(), "keep");
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), Mode::S_IRWXU).unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        for path in ["", "a/", "../x", "a/../b", "."] {
            append(&root, path).unwrap_err();
        }
        for path in ["pipe", "folder", "pipe/x"] {
            assert_eq!(in_the_way(&root, path), Some(0), "{path}");
        }
        append(&root, "folder/file").unwrap();
        assert_eq!(in_the_way(&root, "folder/file/below"), Some(1));
        let long = format!("folder/{}", "x".repeat(300));
        assert_eq!(in_the_way(&root, &long), Some(1));
    }

    #[test]
    fn whose_fault_it_is_that_something_is_denied() {
        // Root is denied nothing, so the error is made up, and a file stands for a folder that lets us do nothing.
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let open = |path: &Path| OwnedFd::from(fs::File::open(path).unwrap());
        let (folder, closed) = (open(dir.path()), open(&dir.path().join("file")));
        let guilty = |errno: Errno, parent, name| match blame(errno.into(), parent, name) {
            OpenError::InTheWay { name, .. } => Some(name),
            OpenError::Failed(_) => None,
        };
        assert_eq!(guilty(Errno::EACCES, &folder, 0), Some(0));
        assert_eq!(guilty(Errno::EPERM, &folder, 2), Some(2));
        assert_eq!(guilty(Errno::EACCES, &closed, 2), Some(1));
        assert_eq!(guilty(Errno::EACCES, &closed, 0), None);
        for errno in [
            Errno::ENOSPC,
            Errno::EROFS,
            Errno::EMFILE,
            Errno::EIO,
            Errno::EDQUOT,
        ] {
            assert_eq!(guilty(errno, &folder, 1), None);
        }
    }
}
