//! What becomes of a file when the broker has it: removed, moved or kept.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
};
use settings::Done;

use crate::identity::Identity;

/// Names that are tried when a file of the same name was moved before.
const NAMES_MAX: u32 = 100_000;

/// Bytes of a file name that are kept, so that a number and an ending fit behind it.
const NAME_BYTES_MAX: usize = 200;

/// Where the file is now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Removed,
    Moved(PathBuf),
    Kept,
    /// Somebody else removed or replaced it.
    Vanished,
}

/// Deals with the file of this identity at `path` below `root`. With a flaw it is kept for people, with the reason
/// beside it. Blocks.
pub(crate) fn settle(
    done: &Done,
    root: &Path,
    path: &Path,
    identity: Identity,
    flaw: Option<&str>,
) -> io::Result<Settled> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if Identity::of(&metadata) == identity => {}
        Ok(_) => return Ok(Settled::Vanished),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Settled::Vanished),
        Err(error) => return Err(error),
    }
    let (dir, is_moved) = match (done, flaw) {
        (Done::Keep, _) => return Ok(Settled::Kept),
        (Done::Delete { .. }, None) => {
            fs::remove_file(path)?;
            return Ok(Settled::Removed);
        }
        (Done::Move { done_dir, .. }, None) => (done_dir, true),
        (Done::Move { failed_dir, .. } | Done::Delete { failed_dir }, Some(_)) => (failed_dir, false),
    };
    make_dir(dir, root)?;
    let moved = move_into(path, root, dir)?;
    if let (Some(flaw), false) = (flaw, is_moved) {
        let mut reason = moved.clone().into_os_string();
        reason.push(".reason.txt");
        fs::write(reason, format!("{}\n{flaw}\n", path.display()))?;
    }
    Ok(Settled::Moved(moved))
}

/// A folder below the upload folder may have been put there by whoever uploads, as a link to some other place.
fn make_dir(dir: &Path, root: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if dir.starts_with(root) && !fs::symlink_metadata(dir)?.is_dir() {
        return Err(io::Error::other(format!("{} is a link", dir.display())));
    }
    Ok(())
}

/// Moves a file; one of the same name that was moved before stays.
fn move_into(path: &Path, root: &Path, dir: &Path) -> io::Result<PathBuf> {
    let name = flat_name(path.strip_prefix(root).unwrap_or(path));
    for number in 0..NAMES_MAX {
        let mut numbered = name.clone();
        if number > 0 {
            numbered.push(format!(".{number}"));
        }
        let target = dir.join(&numbered);
        match rename_unless_there(path, &target) {
            Ok(()) => return Ok(target),
            Err(Errno::EEXIST) => {}
            Err(Errno::EXDEV) => {
                return Err(io::Error::other(format!(
                    "{} is on another file system: name a folder on the same one",
                    dir.display()
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other(format!(
        "{} holds {NAMES_MAX} files of that name",
        dir.display()
    )))
}

fn rename_unless_there(path: &Path, target: &Path) -> Result<(), Errno> {
    match renameat2(
        AT_FDCWD.as_fd(),
        path,
        AT_FDCWD.as_fd(),
        target,
        RenameFlags::RENAME_NOREPLACE,
    ) {
        // File systems that cannot: nobody else moves files into this folder.
        Err(Errno::EINVAL | Errno::ENOSYS) if fs::symlink_metadata(target).is_err() => {
            fs::rename(path, target)
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
        }
        Err(Errno::EINVAL | Errno::ENOSYS) => Err(Errno::EEXIST),
        renamed => renamed,
    }
}

/// The path as one name, so that no folder has to be made where somebody may have put a link.
fn flat_name(path: &Path) -> OsString {
    let parts: Vec<_> = path.iter().collect();
    let flat = parts.join(OsStr::new("__"));
    if flat.len() <= NAME_BYTES_MAX {
        return flat;
    }
    // The end of it tells more than the front.
    let text = flat.to_string_lossy();
    let from = text.ceil_char_boundary(text.len() - NAME_BYTES_MAX);
    text.get(from..).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        done: Done,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let done = Done::Move {
            done_dir: dir.path().join(".done"),
            failed_dir: dir.path().join(".failed"),
        };
        Place { dir, done }
    }

    impl Place {
        fn settle(&self, name: &str, done: &Done, flaw: Option<&str>) -> io::Result<Settled> {
            let path = self.dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            let identity = Identity::of(&fs::metadata(&path).unwrap());
            settle(done, self.dir.path(), &path, identity, flaw)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.dir.path().join(name)).unwrap()
        }
    }

    #[test]
    fn files_are_moved_and_the_same_name_again_has_a_number() {
        let place = place();
        for expected in [".done/a.log", ".done/a.log.1", ".done/a.log.2"] {
            let settled = place.settle("a.log", &place.done, None).unwrap();
            assert_eq!(settled, Settled::Moved(place.dir.path().join(expected)));
        }
        place.settle("sub/b.log", &place.done, None).unwrap();
        assert_eq!(place.read(".done/sub__b.log"), "sub/b.log");
        place.settle("c.log", &place.done, Some("too long")).unwrap();
        assert_eq!(place.read(".failed/c.log"), "c.log");
        assert!(
            place
                .read(".failed/c.log.reason.txt")
                .ends_with("c.log\ntoo long\n")
        );
        let long = format!("{}ä.log", "x".repeat(240));
        let settled = place.settle(&long, &place.done, Some("why")).unwrap();
        assert!(matches!(settled, Settled::Moved(path) if path.to_string_lossy().ends_with("ä.log")));
    }

    #[test]
    fn files_are_removed_only_when_they_were_taken_in_full() {
        let place = place();
        let delete = Done::Delete {
            failed_dir: place.dir.path().join(".failed"),
        };
        assert_eq!(place.settle("a.log", &delete, None).unwrap(), Settled::Removed);
        let settled = place.settle("a.log", &delete, Some("cut")).unwrap();
        assert_eq!(settled, Settled::Moved(place.dir.path().join(".failed/a.log")));
        assert_eq!(
            place.settle("b.log", &Done::Keep, Some("cut")).unwrap(),
            Settled::Kept
        );
        assert_eq!(place.read("b.log"), "b.log");
    }

    #[test]
    fn neither_a_link_nor_another_file_is_touched() {
        let place = place();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), place.dir.path().join(".done")).unwrap();
        let error = place.settle("a.log", &place.done, None).unwrap_err();
        assert!(error.to_string().ends_with("is a link"), "{error}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        let path = place.dir.path().join("a.log");
        let other = Identity { dev: 1, inode: 1 };
        let settled = settle(&Done::Keep, place.dir.path(), &path, other, None).unwrap();
        assert_eq!(settled, Settled::Vanished);
        assert_eq!(place.read("a.log"), "a.log");
    }
}
