//! What harvest counts, by folder.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use service::{Metrics, StageCounters};

/// The name of the stage in metrics.
pub(crate) const STAGE: &str = "harvest";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FolderLabel {
    folder: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabels {
    folder: String,
    what: &'static str,
}

/// What happens to files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// All of it is in custody.
    Taken,
    /// What could be read of it is in custody.
    Failed,
    /// It had more after it was complete.
    Grown,
    /// It had less than before.
    Truncated,
    /// It has another name than before.
    Renamed,
    /// It was there and is not.
    Vanished,
}

impl What {
    const fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Failed => "failed",
            Self::Grown => "grown",
            Self::Truncated => "truncated",
            Self::Renamed => "renamed",
            Self::Vanished => "vanished",
        }
    }
}

/// The counters of one folder.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    pub(crate) stage: StageCounters,
    folder: String,
    files: Family<FileLabels, Counter>,
    pub(crate) bytes: Counter,
    pub(crate) cut_lines: Counter,
    pub(crate) scans_failed: Counter,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics, folder: &str) -> Self {
        let counter = |name: &str, help: &str| {
            let family: Family<FolderLabel, Counter> = metrics.register(name, help, Family::default());
            family.get_or_create_owned(&FolderLabel {
                folder: folder.to_owned(),
            })
        };
        Self {
            stage: StageCounters::new(metrics, STAGE),
            folder: folder.to_owned(),
            files: metrics.register(
                "logferry_harvest_files_total",
                "Files, by what happened to them.",
                Family::default(),
            ),
            bytes: counter(
                "logferry_harvest_bytes_total",
                "Bytes of files that were read, decompressed.",
            ),
            cut_lines: counter(
                "logferry_harvest_lines_truncated_total",
                "Lines longer than frame_bytes_max.",
            ),
            scans_failed: counter(
                "logferry_harvest_scans_failed_total",
                "Times that a folder, or one in it, could not be looked through.",
            ),
        }
    }

    pub(crate) fn file(&self, what: What) {
        let labels = FileLabels {
            folder: self.folder.clone(),
            what: what.word(),
        };
        self.files.get_or_create_owned(&labels).inc();
    }
}
