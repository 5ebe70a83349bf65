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
    pub(crate) fn append(&self, path: &[u8], disk: &Disk) -> io::Result<Opened> {
        self.open_or_make(path, OFlag::O_WRONLY | OFlag::O_APPEND, disk)
    }

    /// Like [`append`](Self::append), for reading and for writing anywhere.
    pub(crate) fn read_write(&self, path: &[u8], disk: &Disk) -> io::Result<Opened> {
        self.open_or_make(path, OFlag::O_RDWR, disk)
    }

    fn open_or_make(&self, path: &[u8], flags: OFlag, disk: &Disk) -> io::Result<Opened> {
        let (parent, name) = self.parent(path, |at, name| {
            disk.before_create()?;
            match mkdirat(at, name, Mode::from_bits_truncate(DIR_MODE)) {
                // Another process was quicker.
                Ok(()) | Err(Errno::EEXIST) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })?;
        match open_file(&parent, name, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk.before_create()?;
                // Without O_EXCL: another process may make it at this moment, and it is as good.
                open_file(&parent, name, flags | OFlag::O_CREAT)
            }
            opened => opened,
        }
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
        let opened = self
            .parent(path, no_new_dirs)
            .and_then(|(parent, name)| open_file(&parent, name, OFlag::O_RDWR));
        let errno = |error: &io::Error| error.raw_os_error().map(Errno::from_raw);
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if matches!(errno(&error), Some(Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR)) => {
                Ok(None)
            }
            Err(error) => Err(error),
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
    ) -> io::Result<(OwnedFd, &'p [u8])> {
        let mut parent = self.dir.try_clone()?;
        let mut names = path.split(|byte| *byte == b'/');
        let last = names.next_back().unwrap_or_default();
        for name in names {
            let next = match open_dir(&parent, name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make(&parent, name)?;
                    open_dir(&parent, name)?
                }
                next => next?,
            };
            parent = next;
        }
        Ok((parent, last))
    }
}

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
        return Err(io::Error::other("not a regular file"));
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

    fn append(root: &Root, path: &str) -> io::Result<Opened> {
        root.append(path.as_bytes(), &disk())
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
            append(&root, path).unwrap_err();
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
        for path in ["pipe", "folder", "", "a/", "../x", "a/../b", "."] {
            append(&root, path).unwrap_err();
        }
    }
}
