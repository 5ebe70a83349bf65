//! Which files there are in a folder, and how a file is opened that somebody else may swap.

use std::{
    collections::HashSet,
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use glob::{MatchOptions, Pattern};
use nix::fcntl::OFlag;
use settings::{Done, FolderSettings};

use crate::identity::Identity;

/// Folders inside each other at most.
const DEPTH_MAX: usize = 32;

const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Where and what to look for.
#[derive(Debug, Clone)]
pub(crate) struct Scanner {
    root: PathBuf,
    recursive: bool,
    pattern: Pattern,
    /// Of the path below the root, or of the name alone.
    matches_path: bool,
    /// Where files go that are done with.
    passed_over: Vec<PathBuf>,
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) state: FileState,
    /// Its name begins with a dot: it is not complete, whatever happens to it.
    pub(crate) is_hidden: bool,
}

/// What changes when a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) size: u64,
    pub(crate) mtime: (i64, i64),
}

impl FileState {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A look through a folder.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) files: Vec<Found>,
    /// Folders that could not be looked into.
    pub(crate) problems: Vec<(PathBuf, io::Error)>,
}

impl Scanner {
    pub(crate) fn new(settings: &FolderSettings) -> anyhow::Result<Self> {
        let passed_over = match &settings.done {
            Done::Move { done_dir, failed_dir } => vec![done_dir.clone(), failed_dir.clone()],
            Done::Delete { failed_dir } => vec![failed_dir.clone()],
            Done::Keep => Vec::new(),
        };
        Ok(Self {
            root: settings.path.clone(),
            recursive: settings.recursive,
            pattern: Pattern::new(&settings.glob)?,
            matches_path: settings.glob.contains('/'),
            passed_over,
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Looks through the folder. Blocks.
    pub(crate) fn scan(&self) -> Scan {
        let mut scan = Scan::default();
        self.scan_below(&self.root, DEPTH_MAX, &mut scan);
        // Oldest first, so that events come in their order.
        scan.files
            .sort_by(|a, b| (a.state.mtime, &a.path).cmp(&(b.state.mtime, &b.path)));
        scan
    }

    fn scan_below(&self, dir: &Path, depth: usize, scan: &mut Scan) {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => return scan.problems.push((dir.to_owned(), error)),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return scan.problems.push((dir.to_owned(), error)),
            };
            let path = entry.path();
            let is_hidden = entry.file_name().as_encoded_bytes().first() == Some(&b'.');
            // Of the link itself, where it is one. What vanished meanwhile is no problem.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() && self.recursive && !is_hidden && depth > 0 {
                if !self.passed_over.contains(&path) {
                    self.scan_below(&path, depth - 1, scan);
                }
            } else if metadata.is_file() && (is_hidden || self.is_wanted(&path)) {
                scan.files.push(Found {
                    path,
                    identity: Identity::of(&metadata),
                    state: FileState::of(&metadata),
                    is_hidden,
                });
            }
        }
    }

    fn is_wanted(&self, path: &Path) -> bool {
        let shown = if self.matches_path {
            path.strip_prefix(&self.root).ok()
        } else {
            path.file_name().map(Path::new)
        };
        shown.is_some_and(|path| self.pattern.matches_path_with(path, MATCHING))
    }

    /// Opens the file that was found at `path`, if it is still that one. Neither a link nor a folder that was
    /// put in its place leads out of the folder, and nothing but a plain file is read. Blocks.
    pub(crate) fn open(&self, path: &Path, identity: Identity) -> io::Result<Option<(File, Metadata)>> {
        let opened = File::options()
            .read(true)
            // A pipe would be waited for.
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let is_same = metadata.is_file() && Identity::of(&metadata) == identity;
        let is_inside = path
            .parent()
            .and_then(|parent| parent.canonicalize().ok())
            .is_some_and(|parent| {
                self.root
                    .canonicalize()
                    .is_ok_and(|root| parent.starts_with(root))
            });
        Ok((is_same && is_inside).then_some((file, metadata)))
    }
}

/// Which of `files` a process has open for writing, as far as we may see. Blocks.
pub(crate) fn open_for_writing(files: &HashSet<Identity>) -> HashSet<Identity> {
    let mut found = HashSet::new();
    if files.is_empty() {
        return found;
    }
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    for process in entries(Path::new("/proc")) {
        let is_process = process
            .file_name()
            .as_encoded_bytes()
            .iter()
            .all(u8::is_ascii_digit);
        if !is_process {
            continue;
        }
        for descriptor in entries(&process.path().join("fd")) {
            // Of the file, not of the link to it.
            let Ok(metadata) = fs::metadata(descriptor.path()) else {
                continue;
            };
            let identity = Identity::of(&metadata);
            if !files.contains(&identity) {
                continue;
            }
            let info = process.path().join("fdinfo").join(descriptor.file_name());
            if fs::read_to_string(info).is_ok_and(|info| is_writing(&info)) {
                found.insert(identity);
            }
        }
    }
    found
}

/// Whether `/proc/PID/fdinfo/FD` says so: `flags:` are octal, and their last two bits 0 for reading only.
fn is_writing(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 0b11 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use settings::{Settings, Sources};

    use super::*;

    fn scanner(root: &Path, keys: &str) -> Scanner {
        let text = format!("[[harvest.folder]]\nname = \"up\"\npath = {root:?}\n{keys}");
        let sources = Sources {
            file: Some(("logferry.toml".into(), text)),
            ..Sources::default()
        };
        let settings = Settings::from_sources(&sources).unwrap();
        Scanner::new(&settings.harvest.folders[0]).unwrap()
    }

    fn names(scanner: &Scanner) -> Vec<String> {
        let mut names: Vec<_> = scanner
            .scan()
            .files
            .into_iter()
            .filter(|file| !file.is_hidden)
            .map(|file| {
                file.path
                    .strip_prefix(scanner.root())
                    .unwrap()
                    .display()
                    .to_string()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn wanted_files_are_found_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.log"), "x").unwrap();
        for name in ["a.log", "b.txt", ".hidden.log"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::create_dir_all(dir.path().join("sub/deep")).unwrap();
        fs::create_dir_all(dir.path().join(".done")).unwrap();
        fs::write(dir.path().join("sub/deep/c.log"), "x").unwrap();
        fs::write(dir.path().join(".done/old.log"), "x").unwrap();
        symlink(outside.path(), dir.path().join("way-out")).unwrap();
        symlink(outside.path().join("secret.log"), dir.path().join("link.log")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(names(&scanner(dir.path(), "")), ["a.log", "b.txt"]);
        assert_eq!(names(&scanner(dir.path(), "glob = \"*.log\"")), ["a.log"]);
        let all = scanner(dir.path(), "recursive = true\nglob = \"*.log\"");
        assert_eq!(names(&all), ["a.log", "sub/deep/c.log"]);
        let deep = scanner(dir.path(), "recursive = true\nglob = \"sub/**/*.log\"");
        assert_eq!(names(&deep), ["sub/deep/c.log"]);
        assert!(all.scan().files.iter().any(|file| file.is_hidden));
    }

    #[test]
    fn what_was_swapped_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let path = dir.path().join("sub/a.log");
        fs::write(&path, "mine").unwrap();
        let scanner = scanner(dir.path(), "recursive = true");
        let found = scanner.scan().files.remove(0);
        assert!(scanner.open(&found.path, found.identity).unwrap().is_some());
        // The same file, reached through a link to a folder outside.
        fs::hard_link(&path, outside.path().join("a.log")).unwrap();
        fs::remove_dir_all(dir.path().join("sub")).unwrap();
        assert!(scanner.open(&found.path, found.identity).unwrap().is_none());
        symlink(outside.path(), dir.path().join("sub")).unwrap();
        assert!(scanner.open(&found.path, found.identity).unwrap().is_none());
        // Another file, or a link, under the same name.
        fs::remove_file(dir.path().join("sub")).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(&path, "other").unwrap();
        assert!(scanner.open(&found.path, found.identity).unwrap().is_none());
        fs::remove_file(&path).unwrap();
        symlink(outside.path().join("a.log"), &path).unwrap();
        assert!(scanner.open(&found.path, found.identity).is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_problem() {
        let scan = scanner(Path::new("/nonexistent/folder"), "").scan();
        assert!(scan.files.is_empty());
        assert_eq!(scan.problems[0].1.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn writers_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let writer = File::create(&path).unwrap();
        let identity = Identity::of(&writer.metadata().unwrap());
        let files = HashSet::from([identity]);
        assert_eq!(open_for_writing(&files), files);
        drop(writer);
        let _reader = File::open(&path).unwrap();
        assert!(open_for_writing(&files).is_empty());
    }
}
