//! Which file it is, whatever its name.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
};

use uuid::Uuid;

/// Bytes of a fingerprint at most.
const FINGERPRINT_BYTES_MAX: usize = 1024;

/// A place on disk. It stays when a file is renamed, and is used again when a file is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) dev: u64,
    pub(crate) inode: u64,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// What a file begins with: tells whether a place on disk holds another file than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// How many bytes.
    pub(crate) len: u32,
    pub(crate) hash: Uuid,
}

impl Fingerprint {
    pub(crate) fn of(front: &[u8]) -> Self {
        Self {
            len: u32::try_from(front.len()).unwrap_or(u32::MAX),
            hash: Uuid::new_v5(&Uuid::NAMESPACE_OID, front),
        }
    }

    /// The fingerprint of a file as it is now. Blocks.
    pub(crate) fn read(file: &File) -> io::Result<Self> {
        Ok(Self::of(&front(file)?))
    }

    /// Whether `file` still begins like this, and its fingerprint now, which is of more bytes when it has grown.
    /// Blocks.
    pub(crate) fn compare(self, file: &File) -> io::Result<(bool, Self)> {
        let front = front(file)?;
        let len = usize::try_from(self.len).unwrap_or(usize::MAX);
        let is_same = front.get(..len).is_some_and(|front| Self::of(front) == self);
        Ok((is_same, Self::of(&front)))
    }
}

fn front(file: &File) -> io::Result<Vec<u8>> {
    let mut front = vec![0; FINGERPRINT_BYTES_MAX];
    let mut len = 0;
    while let Some(free) = front.get_mut(len..).filter(|free| !free.is_empty()) {
        match file.read_at(free, u64::try_from(len).unwrap_or(u64::MAX)) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    front.truncate(len);
    Ok(front)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn growing_is_the_same_file_and_other_bytes_are_another() {
        let mut file = tempfile::tempfile().unwrap();
        let empty = Fingerprint::read(&file).unwrap();
        file.write_all(b"first line\n").unwrap();
        let (is_same, short) = empty.compare(&file).unwrap();
        assert!(is_same && short.len == 11);
        file.write_all(&[b'x'; 2000]).unwrap();
        let (is_same, long) = short.compare(&file).unwrap();
        assert!(is_same && long.len == 1024);
        assert!(long.compare(&file).unwrap().0);
        file.set_len(0).unwrap();
        assert!(!short.compare(&file).unwrap().0);
        file.write_all_at(b"other line\n", 0).unwrap();
        assert!(!short.compare(&file).unwrap().0);
    }
}
