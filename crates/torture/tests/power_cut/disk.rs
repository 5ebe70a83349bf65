//! A disk as it is after the power failed: what was synced, and by chance some of what was not.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A sector: what a disk writes in one piece.
const SECTOR_BYTES: usize = 512;
const HEAD_BYTES: usize = 32;

/// One record of `record.c`.
#[derive(Debug)]
struct Record<'a> {
    kind: u64,
    inode: u64,
    offset: usize,
    data: &'a [u8],
}

/// A disk that follows the records.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    root: u64,
    files: HashMap<u64, File>,
    /// The names in a folder when it was synced last.
    folders: HashMap<u64, Vec<Name>>,
}

#[derive(Debug, Clone, Default)]
struct File {
    synced: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Clone)]
struct Name {
    inode: u64,
    is_folder: bool,
    name: String,
}

/// What becomes of a write that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// None of them reached the disk.
    Lost,
    /// Some sectors of some of them did, chosen by this number; sizes of files did or did not.
    Torn(u64),
    /// All of them did: the disk as the process saw it.
    Written,
}

impl Disk {
    /// An empty disk with the folder that the process got.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: fs::metadata(root).unwrap().ino(),
            files: HashMap::new(),
            folders: HashMap::new(),
        }
    }

    /// Follows all whole records, and returns how many bytes they are.
    pub(crate) fn follow(&mut self, mut log: &[u8]) -> usize {
        let all = log.len();
        while let Some((record, rest)) = Record::read(log) {
            self.apply(&record);
            log = rest;
        }
        all - log.len()
    }

    fn apply(&mut self, record: &Record<'_>) {
        let file = self.files.entry(record.inode).or_default();
        match record.kind {
            1 => *file = File::default(),
            2 => file
                .pending
                .push(Change::Write(record.offset, record.data.to_vec())),
            3 => file.pending.push(Change::Truncate(record.offset)),
            4 => {
                for change in std::mem::take(&mut file.pending) {
                    change.apply(&mut file.synced);
                }
            }
            5 => {
                let list = String::from_utf8(record.data.to_vec()).unwrap();
                self.folders
                    .insert(record.inode, list.lines().map(Name::parse).collect());
            }
            kind => panic!("record of kind {kind}"),
        }
    }

    /// Writes what the disk holds into `to`.
    pub(crate) fn write_to(&self, to: &Path, unsynced: Unsynced) {
        self.write_folder(self.root, to, unsynced);
    }

    fn write_folder(&self, inode: u64, to: &Path, unsynced: Unsynced) {
        fs::create_dir_all(to).unwrap();
        for Name {
            inode,
            is_folder,
            name,
        } in self.folders.get(&inode).into_iter().flatten()
        {
            let path = to.join(name);
            if *is_folder {
                self.write_folder(*inode, &path, unsynced);
            } else {
                let file = self.files.get(inode);
                fs::write(
                    path,
                    file.map(|file| file.content(*inode, unsynced))
                        .unwrap_or_default(),
                )
                .unwrap();
            }
        }
    }

    /// What the process wrote into the file `path`, synced or not.
    pub(crate) fn written(&self, path: &Path) -> Vec<u8> {
        let inode = fs::metadata(path).unwrap().ino();
        let file = self.files.get(&inode);
        file.map(|file| file.content(inode, Unsynced::Written))
            .unwrap_or_default()
    }
}

impl File {
    fn content(&self, inode: u64, unsynced: Unsynced) -> Vec<u8> {
        let mut content = self.synced.clone();
        // Any numbers will do, as long as they are the same in every run.
        let mut state = match unsynced {
            Unsynced::Torn(seed) => (seed ^ inode.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1,
            Unsynced::Lost | Unsynced::Written => 1,
        };
        let mut happens = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match unsynced {
                Unsynced::Lost => false,
                Unsynced::Torn(_) => state & 0x400 != 0,
                Unsynced::Written => true,
            }
        };
        for change in &self.pending {
            match change {
                Change::Truncate(_) => {
                    if happens() {
                        change.apply(&mut content);
                    }
                }
                Change::Write(offset, data) => {
                    for (number, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                        if happens() {
                            Change::Write(offset + number * SECTOR_BYTES, sector.to_vec())
                                .apply(&mut content);
                        }
                    }
                }
            }
        }
        content
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Truncate(length) => content.resize(*length, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl Name {
    fn parse(line: &str) -> Self {
        let mut words = line.splitn(3, ' ');
        Self {
            inode: words.next().unwrap().parse().unwrap(),
            is_folder: words.next().unwrap() == "d",
            name: words.next().unwrap().to_owned(),
        }
    }
}

impl<'a> Record<'a> {
    /// The first record of `log`, if it is whole, and what follows it.
    fn read(log: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = log.split_at_checked(HEAD_BYTES)?;
        let mut numbers = head
            .chunks(8)
            .map(|bytes| u64::from_ne_bytes(bytes.try_into().unwrap()));
        let mut next = || numbers.next().unwrap();
        let (kind, inode, offset, length) = (next(), next(), next(), next());
        let (data, rest) = rest.split_at_checked(usize::try_from(length).unwrap())?;
        let offset = usize::try_from(offset).unwrap();
        Some((
            Self {
                kind,
                inode,
                offset,
                data,
            },
            rest,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: u64 = 7;

    fn record(log: &mut Vec<u8>, kind: u64, inode: u64, offset: u64, data: &[u8]) {
        for number in [kind, inode, offset, data.len() as u64] {
            log.extend_from_slice(&number.to_ne_bytes());
        }
        log.extend_from_slice(data);
    }

    fn content(log: &[u8], root: &Path, unsynced: Unsynced) -> Option<Vec<u8>> {
        let mut disk = Disk::new(root);
        assert_eq!(disk.follow(log), log.len());
        let to = tempfile::tempdir().unwrap();
        disk.write_to(to.path(), unsynced);
        fs::read(to.path().join("file")).ok()
    }

    #[test]
    fn only_what_was_synced_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::metadata(dir.path()).unwrap().ino();
        let mut log = Vec::new();
        record(&mut log, 1, FILE, 0, b"");
        record(&mut log, 2, FILE, 0, b"synced");
        record(&mut log, 4, FILE, 0, b"");
        assert_eq!(
            content(&log, dir.path(), Unsynced::Written),
            None,
            "it has no name yet"
        );
        record(&mut log, 5, root, 0, b"7 f file\n");
        record(&mut log, 2, FILE, 6, b" and not");
        assert_eq!(content(&log, dir.path(), Unsynced::Lost).unwrap(), b"synced");
        assert_eq!(
            content(&log, dir.path(), Unsynced::Written).unwrap(),
            b"synced and not"
        );
        record(&mut log, 3, FILE, 2, b"");
        record(&mut log, 4, FILE, 0, b"");
        assert_eq!(content(&log, dir.path(), Unsynced::Lost).unwrap(), b"sy");
    }
}
