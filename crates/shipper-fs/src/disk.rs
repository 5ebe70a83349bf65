//! The few calls that change the disk, in one place, so that tests can make any of them fail.

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::FileExt,
};

/// A kind of call that changes the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A file, folder or name is made.
    Create,
    /// Bytes are written.
    Write,
    /// Bytes or names are made durable.
    Sync,
    /// A file is made shorter.
    Truncate,
}

/// What goes wrong, asked before each step.
pub(crate) trait Faults: fmt::Debug + Send + Sync {
    /// An error stops the step; of a write, the first half happens.
    fn before(&self, step: Step) -> io::Result<()>;
}

/// Nothing of our making; the disk has its own.
#[derive(Debug)]
pub(crate) struct NoFaults;

impl Faults for NoFaults {
    fn before(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}

/// The disk, with the faults that a test wants.
#[derive(Debug)]
pub(crate) struct Disk(Box<dyn Faults>);

impl Disk {
    pub(crate) fn new(faults: impl Faults + 'static) -> Self {
        Self(Box::new(faults))
    }

    /// To be asked before a file, folder or name is made.
    pub(crate) fn before_create(&self) -> io::Result<()> {
        self.0.before(Step::Create)
    }

    /// Writes all of `data` behind the end of `file`, which was opened for appending.
    pub(crate) fn append(&self, mut file: &fs::File, data: &[u8]) -> io::Result<()> {
        match self.0.before(Step::Write) {
            Ok(()) => file.write_all(data),
            Err(fault) => file.write_all(half(data)).and(Err(fault)),
        }
    }

    /// Writes all of `data` at `offset`.
    pub(crate) fn write_at(&self, file: &fs::File, data: &[u8], offset: u64) -> io::Result<()> {
        match self.0.before(Step::Write) {
            Ok(()) => file.write_all_at(data, offset),
            Err(fault) => file.write_all_at(half(data), offset).and(Err(fault)),
        }
    }

    /// Returns when the bytes of `file` are durable.
    pub(crate) fn sync(&self, file: &fs::File) -> io::Result<()> {
        self.0.before(Step::Sync)?;
        file.sync_data()
    }

    /// Returns when the names in the folder `dir` are durable.
    pub(crate) fn sync_dir(&self, dir: &fs::File) -> io::Result<()> {
        self.0.before(Step::Sync)?;
        dir.sync_all()
    }

    /// Makes `file` shorter, durably.
    pub(crate) fn truncate(&self, file: &fs::File, len: u64) -> io::Result<()> {
        self.0.before(Step::Truncate)?;
        file.set_len(len)?;
        self.sync(file)
    }
}

fn half(data: &[u8]) -> &[u8] {
    data.get(..data.len() / 2).unwrap_or_default()
}
