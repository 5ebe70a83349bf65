//! A file that is complete: whether it is known, and all of it into the broker's custody.

use std::{fs::File, path::Path, sync::Arc};

use crate::{
    carrier::{Carried, Carrier, CarryError, blocking},
    identity::{Fingerprint, Identity},
    meters::{Meters, What},
    progress::{Progress, Record},
    reader::{AtEnd, Plan, Reader},
    scan::FileState,
};

/// Finds out whether the file, of `size` bytes, is one that is known. Blocks.
pub(crate) fn recognise(
    progress: &Progress,
    name: &str,
    meters: &Meters,
    (path, file): (&Path, &File),
    identity: Identity,
    size: u64,
) -> anyhow::Result<Record> {
    let begin =
        || -> anyhow::Result<Record> { Ok(progress.begin(name, identity, Fingerprint::read(file)?)?) };
    let Some(record) = progress.find(name, identity)? else {
        return begin();
    };
    let (is_same, fingerprint) = record.fingerprint.compare(file)?;
    let finished = record.finished_size;
    if !is_same || finished.is_some_and(|finished| size < finished) {
        if finished.is_some_and(|finished| size < finished) {
            meters.file(What::Truncated);
            tracing::warn!(
                ?path,
                "file has less than when it was taken: it is taken as a new one"
            );
        }
        return begin();
    }
    if finished.is_some_and(|finished| size > finished) {
        meters.file(What::Grown);
        tracing::warn!(?path, "file has more than when it was taken: the rest is taken");
    }
    if fingerprint != record.fingerprint {
        progress.set_fingerprint(record.id, fingerprint)?;
    }
    Ok(record)
}

/// How a file was read.
pub(crate) enum Read {
    Whole,
    /// What could be read is in custody, and why not all.
    Flawed(String),
    Truncated(File),
    /// We are stopping.
    Stopped,
}

/// Carries all of the file.
pub(crate) async fn carry(
    carrier: &Carrier,
    plan: &Arc<Plan>,
    path: &Path,
    file: File,
    state: &mut FileState,
    record: &mut Record,
) -> anyhow::Result<Read> {
    let handle = file.try_clone()?;
    let (plan, peer, done_to) = (
        Arc::clone(plan),
        path.to_string_lossy().into_owned(),
        record.done_to,
    );
    let mut reader = match blocking(move || Reader::open(plan, peer, file, done_to)).await {
        Ok(reader) => reader,
        Err(error) => return Ok(Read::Flawed(unreadable(&error))),
    };
    let mut refused_lines = 0;
    loop {
        let carried = carrier.carry(reader, record, AtEnd::CompleteFile).await;
        let refused;
        (reader, refused) = match carried {
            Ok((_, Carried::Stopped, _)) => return Ok(Read::Stopped),
            Ok((reader, Carried::AtEnd, refused)) => (reader, refused),
            Err(CarryError::Read(error)) => return Ok(Read::Flawed(unreadable(&error))),
            Err(error @ (CarryError::Progress(_) | CarryError::Closed)) => return Err(error.into()),
        };
        refused_lines += refused;
        let now = FileState::of(&handle.metadata()?);
        if now.size > state.size {
            carrier.meters.file(What::Grown);
            tracing::warn!(?path, "file grew while it was taken: the rest is taken too");
            *state = now;
            continue;
        }
        if now.size < state.size {
            return Ok(Read::Truncated(handle));
        }
        *state = now;
        return Ok(flaw(&reader, refused_lines).map_or(Read::Whole, Read::Flawed));
    }
}

fn unreadable(error: &std::io::Error) -> String {
    format!("it cannot be read to its end: {error}")
}

/// What was not taken of a file that could be read to its end.
fn flaw(reader: &Reader, refused_lines: u64) -> Option<String> {
    let mut flaws = Vec::new();
    if reader.cut_lines > 0 {
        let lines = reader.cut_lines;
        flaws.push(format!("lines longer than frame_bytes_max were cut: {lines}"));
    }
    if reader.has_encoding_errors() {
        flaws.push("it has bytes that do not fit its encoding".to_owned());
    }
    if refused_lines > 0 {
        flaws.push(format!(
            "lines in batches that are too large for the broker: {refused_lines}"
        ));
    }
    (!flaws.is_empty()).then(|| flaws.join("; "))
}
