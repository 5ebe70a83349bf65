//! Who dropped which dead letters: a file in the data folder that is only appended to.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;
use service::DataDir;
use uuid::Uuid;

use crate::{error::WorkError, record::Record};

const FILE: &str = "dead-drops.jsonl";

/// The open file.
#[derive(Debug)]
pub(crate) struct Drops {
    file: File,
    path: PathBuf,
}

/// One line: a letter that is about to be dropped.
#[derive(Debug, Serialize)]
struct Drop<'a> {
    at: Timestamp,
    who: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    id: Option<Uuid>,
    reason: Option<&'a str>,
    text: Option<&'a str>,
    stage: Option<&'a str>,
    queue: Option<&'a str>,
    batch: Option<Uuid>,
    bytes: usize,
    events: Option<usize>,
    preview: &'a str,
}

impl Drops {
    pub(crate) fn open(data_dir: &Path) -> Result<Self, WorkError> {
        let path = DataDir::prepare(data_dir)
            .map_err(|error| WorkError::DataDir(format!("{error:#}")))?
            .join(FILE);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        match file {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err(WorkError::Open { path, error }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line for each record, durably. Blocks.
    pub(crate) fn note(&mut self, who: &str, why: Option<&str>, records: &[Record]) -> Result<(), WorkError> {
        let at = Timestamp::now();
        let mut lines = Vec::new();
        for record in records {
            let death = record.death.as_ref();
            let line = Drop {
                at,
                who,
                why,
                id: record.id,
                reason: death.map(|death| death.reason.as_str()),
                text: death.map(|death| death.text.as_str()),
                stage: death.map(|death| death.stage.as_str()),
                queue: death.map(|death| death.queue.as_str()),
                batch: death.and_then(|death| death.batch),
                bytes: record.bytes,
                events: record.events,
                preview: &record.preview,
            };
            serde_json::to_writer(&mut lines, &line).expect("names are texts and the writer is memory");
            lines.push(b'\n');
        }
        self.file
            .write_all(&lines)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| WorkError::Write {
                path: self.path.clone(),
                error,
            })
    }
}
