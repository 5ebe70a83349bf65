//! Records of the journal as bytes.
//!
//! A record is its length and its CRC-32 (both little-endian `u32`) and then its body: a letter for the kind, numbers
//! little-endian. What a crash leaves of a record does not fit its length or its CRC.

use event::BatchId;

use crate::root::FileId;

/// The first bytes of a journal; the number is the version.
pub(super) const MAGIC: &[u8; 8] = b"LFJRNL1\n";
/// Larger ones were never written.
const BODY_BYTES_MAX: usize = 64 << 20;
const HEAD: usize = 8;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// These files are about to grow.
    Begin(Vec<Growth>),
    /// They have grown, durably, by the lines of these batches.
    Commit(Vec<BatchId>),
    /// They are as before the last `Begin`.
    Undone,
}

/// A file that is about to grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Growth {
    /// Below the destination's folder.
    pub(crate) path: Vec<u8>,
    /// Which file had this path.
    pub(crate) id: FileId,
    /// Its length before.
    pub(crate) len: u64,
    /// Bytes to be written behind it.
    pub(crate) added: u64,
}

impl Record {
    /// Appends the record to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        match self {
            Self::Begin(files) => {
                out.push(b'B');
                for file in files {
                    put_len(out, file.path.len());
                    out.extend_from_slice(&file.path);
                    for number in [file.id.device, file.id.inode, file.len, file.added] {
                        out.extend_from_slice(&number.to_le_bytes());
                    }
                }
            }
            Self::Commit(ids) => {
                out.push(b'C');
                for id in ids {
                    out.extend_from_slice(id.as_uuid().as_bytes());
                }
            }
            Self::Undone => out.push(b'U'),
        }
        let body = out.get(start + HEAD..).unwrap_or_default();
        let (len, crc) = (body.len(), crc32fast::hash(body));
        let mut head = Vec::with_capacity(HEAD);
        put_len(&mut head, len);
        head.extend_from_slice(&crc.to_le_bytes());
        if let Some(slot) = out.get_mut(start..start + HEAD) {
            slot.copy_from_slice(&head);
        }
    }

    /// The first record of `bytes`, which moves behind it; `None` where there is no whole one.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut rest = *bytes;
        let len = take_u32(&mut rest)? as usize;
        let crc = take_u32(&mut rest)?;
        if len > BODY_BYTES_MAX {
            return None;
        }
        let (body, rest) = rest.split_at_checked(len)?;
        if crc32fast::hash(body) != crc {
            return None;
        }
        let record = Self::from_body(body)?;
        *bytes = rest;
        Some(record)
    }

    fn from_body(body: &[u8]) -> Option<Self> {
        let (kind, mut rest) = body.split_first()?;
        match kind {
            b'B' => {
                let mut files = Vec::new();
                while !rest.is_empty() {
                    files.push(Growth::read(&mut rest)?);
                }
                Some(Self::Begin(files))
            }
            b'C' => {
                let (ids, rest) = rest.as_chunks::<16>();
                let ids = ids
                    .iter()
                    .map(|id| BatchId::from_uuid(uuid::Uuid::from_bytes(*id)));
                rest.is_empty().then(|| Self::Commit(ids.collect()))
            }
            b'U' => rest.is_empty().then_some(Self::Undone),
            _ => None,
        }
    }
}

impl Growth {
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let len = take_u32(bytes)? as usize;
        let (path, rest) = bytes.split_at_checked(len)?;
        *bytes = rest;
        Some(Self {
            path: path.to_vec(),
            id: FileId {
                device: take_u64(bytes)?,
                inode: take_u64(bytes)?,
            },
            len: take_u64(bytes)?,
            added: take_u64(bytes)?,
        })
    }
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("records are far below 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*number))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let growth =
            (any::<Vec<u8>>(), any::<[u64; 4]>()).prop_map(|(path, [device, inode, len, added])| Growth {
                path,
                id: FileId { device, inode },
                len,
                added,
            });
        let id = any::<[u8; 16]>().prop_map(|bytes| BatchId::from_uuid(uuid::Uuid::from_bytes(bytes)));
        prop_oneof![
            proptest::collection::vec(growth, 0..4).prop_map(Record::Begin),
            proptest::collection::vec(id, 0..4).prop_map(Record::Commit),
            Just(Record::Undone),
        ]
    }

    proptest! {
        #[test]
        fn reads_back_and_a_torn_record_is_none(records in proptest::collection::vec(any_record(), 1..4), cut: usize) {
            let mut bytes = Vec::new();
            let mut last = 0;
            for record in &records {
                last = bytes.len();
                record.write(&mut bytes);
            }
            let mut rest = bytes.as_slice();
            for record in &records {
                let read = Record::read(&mut rest);
                prop_assert_eq!(read.as_ref(), Some(record));
            }
            prop_assert!(rest.is_empty() && Record::read(&mut rest).is_none());

            let mut torn = &bytes[last..last + cut % (bytes.len() - last)];
            prop_assert_eq!(Record::read(&mut torn), None);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            Record::read(&mut bytes.as_slice());
        }
    }
}
