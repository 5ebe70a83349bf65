//! The data folder: made, recognised and kept for one process. A folder that somebody uses for something else is
//! never touched.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{ErrorKind, Read, Seek, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, bail};
use settings::{BrokerSettings, Settings, StoreSettings};

/// Says that a folder is ours. Everything else in it may be there or not.
const MARKER: &str = "logferry.data";

const MARKER_TEXT: &str = "\
This folder belongs to Logferry. queues/ holds what is under way, store/ holds events. To start afresh, stop
Logferry and remove the whole folder.
version 1
";

/// Locked while a process uses the folder; holds its process id.
const LOCK: &str = "logferry.lock";

/// The marker while it is written, so that it is there as a whole or not at all.
const MARKER_UNDER_WAY: &str = "logferry.data.new";

/// What services put into the folder without marking it: what the parser parked, how far `harvest` and imports are,
/// and the rescue file.
const OF_SERVICES: [&str; 4] = ["parked", "harvest", "import", "rescue"];

/// Logs tell about people and passwords.
const MODE: u32 = 0o700;

const GIVE: &str = "give it to this user";

const OTHER: &str = "name another one with --data DIR or data_dir";

/// A data folder that this process uses. Others can use it when this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Unlocked by the system when it is closed, whatever happens to the process.
    _lock: File,
}

/// Another process has the folder.
#[derive(Debug)]
pub struct InUse {
    shown: String,
    holder: String,
}

impl std::error::Error for InUse {}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shown, holder } = self;
        write!(
            f,
            "the data folder {shown} is in use by another logferry{holder}: stop that one, or {OTHER}"
        )
    }
}

impl DataDir {
    /// Makes the folder, or recognises it as ours, and locks it.
    ///
    /// # Errors
    /// It is not ours, is in use, or cannot be written.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(MODE)
            .create(path)
            .with_context(|| {
                format!("make the data folder {shown}: make it yourself and give it to this user, or {OTHER}")
            })?;
        // The full path, for whoever reads it in another folder.
        let path = path
            .canonicalize()
            .with_context(|| format!("find the data folder {shown}"))?;
        let is_new = !is_ours(&path)?;
        let lock = lock(&path)?;
        // Two that start at once both find it new; only one of them gets here.
        if is_new {
            write_marker(&path)?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// Opens the folder of the settings, when a broker or a store lives in it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_if_used(settings: &Settings) -> anyhow::Result<Option<Self>> {
        is_used_by(settings)
            .then(|| Self::open(&settings.data_dir))
            .transpose()
    }

    /// Makes the folder, or recognises it as ours, for a file in it that several processes may use.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn prepare(path: &Path) -> anyhow::Result<PathBuf> {
        if !path.join(MARKER).try_exists().unwrap_or(false) {
            return Self::open(path).map(|dir| dir.path.clone());
        }
        is_ours(path)?;
        path.canonicalize()
            .with_context(|| format!("find the data folder {}", path.display()))
    }

    /// Whether another process has it, without making or changing anything.
    ///
    /// # Errors
    /// It is in use, or is not ours.
    pub fn expect_unused(settings: &Settings) -> anyhow::Result<()> {
        let path = &settings.data_dir;
        let is_there = is_used_by(settings) && path.join(LOCK).try_exists().unwrap_or(false);
        if is_there && is_ours(path)? {
            lock(path).map(drop)
        } else {
            Ok(())
        }
    }

    /// Its full path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn is_used_by(settings: &Settings) -> bool {
    matches!(settings.broker, BrokerSettings::Embedded { .. })
        || matches!(settings.store, StoreSettings::Sqlite(_))
        || !settings.harvest.folders.is_empty()
}

/// Whether the folder has our marker; `false` when it is empty and may become ours.
fn is_ours(path: &Path) -> anyhow::Result<bool> {
    let shown = path.display();
    match fs::read_to_string(path.join(MARKER)) {
        Ok(text) if text.lines().any(|line| line == "version 1") => Ok(true),
        Ok(_) => {
            bail!("the data folder {shown} was made by another version of Logferry: use that one, or {OTHER}")
        }
        Err(error) if error.kind() == ErrorKind::NotFound => match first_file(path)? {
            None => Ok(false),
            Some(found) => bail!(
                "{shown} is not a data folder of Logferry: it holds {found:?} and no {MARKER:?}. Nothing was changed; {OTHER}"
            ),
        },
        Err(error) => Err(error)
            .with_context(|| format!("read {MARKER} in the data folder {shown}: {GIVE}, or {OTHER}")),
    }
}

/// The first thing in the folder that is not simply part of an empty file system or of our own start.
fn first_file(path: &Path) -> anyhow::Result<Option<String>> {
    let entries = fs::read_dir(path)
        .with_context(|| format!("look into the data folder {}: {GIVE}, or {OTHER}", path.display()))?;
    for entry in entries {
        let name = entry
            .with_context(|| format!("look into {}", path.display()))?
            .file_name();
        let is_ours = |ours: &&str| name == **ours;
        if !["lost+found", LOCK, MARKER_UNDER_WAY]
            .iter()
            .chain(&OF_SERVICES)
            .any(is_ours)
        {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

fn write_marker(path: &Path) -> anyhow::Result<()> {
    let under_way = path.join(MARKER_UNDER_WAY);
    let write = || {
        let mut file = File::create(&under_way)?;
        file.write_all(MARKER_TEXT.as_bytes())?;
        file.sync_all()?;
        fs::rename(&under_way, path.join(MARKER))?;
        File::open(path)?.sync_all()
    };
    write().with_context(|| format!("write to the data folder {}: {GIVE}, or {OTHER}", path.display()))
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let shown = path.display();
    let name = path.join(LOCK);
    let opened = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&name);
    let mut file = opened.with_context(|| format!("write to the data folder {shown}: {GIVE}, or {OTHER}"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who it is only helps to find it.
            let _read = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() {
                String::new()
            } else {
                format!(" (process {holder})")
            };
            return Err(anyhow::Error::new(InUse {
                shown: shown.to_string(),
                holder,
            }));
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("lock the data folder {shown}: {OTHER}"));
        }
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", process::id()));
    written.with_context(|| format!("write to the data folder {shown}: make room, or {OTHER}"))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        format!("{:#}", DataDir::open(path).expect_err("is refused"))
    }

    #[test]
    fn a_new_folder_becomes_ours_and_stays_so() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("a/b");
        let dir = DataDir::open(&path).expect("is made");
        assert_eq!(dir.path(), path.canonicalize().expect("is there"));
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("is there").permissions());
        assert_eq!(mode & 0o777, 0o700, "nobody else looks into it");
        drop(dir);
        fs::write(path.join("events"), "rows").expect("writes");
        DataDir::open(&path).expect("is ours");
    }

    #[test]
    fn one_process_at_a_time() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = DataDir::open(parent.path()).expect("an empty folder will do");
        let told = refused(parent.path());
        assert!(
            told.contains(&format!("in use by another logferry (process {})", process::id())),
            "{told}"
        );
        drop(dir);
        DataDir::open(parent.path()).expect("is free again");
    }

    #[test]
    fn a_folder_of_others_is_left_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        fs::write(parent.path().join("thesis.txt"), "years").expect("writes");
        let told = refused(parent.path());
        assert!(
            told.contains("\"thesis.txt\"") && told.contains("--data DIR"),
            "{told}"
        );
        let left: Vec<_> = fs::read_dir(parent.path()).expect("is there").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn an_empty_file_system_and_a_broken_start_are_no_obstacle() {
        let parent = tempfile::tempdir().expect("a folder");
        fs::create_dir(parent.path().join("lost+found")).expect("makes");
        fs::write(parent.path().join(MARKER_UNDER_WAY), "This fol").expect("writes");
        DataDir::open(parent.path()).expect("is made ours");
    }

    #[test]
    fn what_services_keep_there_is_no_obstacle() {
        let parent = tempfile::tempdir().expect("a folder");
        for name in OF_SERVICES {
            fs::create_dir(parent.path().join(name)).expect("makes");
        }
        DataDir::open(parent.path()).expect("is made ours");
    }

    #[test]
    fn what_cannot_be_a_folder() {
        let parent = tempfile::tempdir().expect("a folder");
        let file = parent.path().join("file");
        fs::write(&file, "").expect("writes");
        assert!(
            refused(&file).contains("make the data folder"),
            "{}",
            refused(&file)
        );
        assert!(refused(&file.join("below")).contains("--data DIR"));
    }

    #[test]
    fn a_folder_of_another_version() {
        let parent = tempfile::tempdir().expect("a folder");
        fs::write(parent.path().join(MARKER), "version 12\n").expect("writes");
        let told = refused(parent.path());
        assert!(told.contains("another version"), "{told}");
    }
}
