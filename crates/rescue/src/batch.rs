//! What waits in a rescue queue, and how damage to it is noticed.

use std::fmt;

use bytes::Bytes;
use uuid::Uuid;

/// What a batch takes in a queue besides its own bytes, about.
const OVERHEAD_BYTES: usize = 128;

/// A batch on its way to the broker. A clone shares the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The batch id; it stays the same through rescue and return.
    pub id: Uuid,
    /// What it is to be published with.
    pub routing_key: String,
    /// What the body is.
    pub content_type: String,
    /// The payload.
    pub body: Bytes,
}

impl Batch {
    /// What it counts against the bound of a queue.
    #[must_use]
    pub fn size(&self) -> u64 {
        let bytes = self.body.len() + self.routing_key.len() + self.content_type.len() + OVERHEAD_BYTES;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Tells this batch from one that was damaged.
    pub(crate) fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for part in [
            self.id.as_bytes().as_slice(),
            self.routing_key.as_bytes(),
            b"\0",
            self.content_type.as_bytes(),
            b"\0",
            &self.body,
        ] {
            hasher.update(part);
        }
        hasher.finalize()
    }

    /// The batch, if it is the one that was pushed with `checksum`.
    pub(crate) fn verified(self, checksum: u32) -> Result<Self, Damaged> {
        if self.checksum() == checksum {
            return Ok(self);
        }
        Err(Damaged {
            problem: "its checksum is another".to_owned(),
            id: Some(self.id),
            body: self.body,
        })
    }
}

/// A batch that was claimed.
#[derive(Debug)]
pub struct Claimed {
    /// Removes or releases it.
    pub receipt: Receipt,
    /// The batch, or what is left of it.
    pub content: Result<Batch, Damaged>,
}

/// An entry that is not the batch that was pushed, or was never one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the entry is damaged: {problem}")]
pub struct Damaged {
    /// What is wrong with it.
    pub problem: String,
    /// The batch id, where it can be read.
    pub id: Option<Uuid>,
    /// The bytes of the body, or of all of the entry where it has no body.
    pub body: Bytes,
}

/// Names an entry of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) place: Place,
    pub(crate) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// An id in a stream.
    Stream(String),
    /// A row of the file.
    Row(i64),
}

impl Receipt {
    /// What the entry counts against the bound of its queue.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// Where in its queue the entry stands; the same for each claim of it.
impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Stream(id) => f.write_str(id),
            Place::Row(row) => write!(f, "{row}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_covers_every_part() {
        let batch = Batch {
            id: Uuid::from_u128(7),
            routing_key: "syslog.tcp".into(),
            content_type: "text/plain".into(),
            body: "body".into(),
        };
        let checksum = batch.checksum();
        assert_eq!(batch.clone().verified(checksum), Ok(batch.clone()));
        let others = [
            Batch {
                id: Uuid::from_u128(8),
                ..batch.clone()
            },
            Batch {
                routing_key: "syslog.tc".into(),
                content_type: "ptext/plain".into(),
                ..batch.clone()
            },
            Batch {
                body: "bodx".into(),
                ..batch
            },
        ];
        for other in others {
            let damaged = other.clone().verified(checksum).unwrap_err();
            assert_eq!((damaged.id, damaged.body), (Some(other.id), other.body));
        }
    }
}
