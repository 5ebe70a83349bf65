//! A file that is complete: all of it is taken, and then it is dealt with.

use std::{fs::File, path::Path, sync::Arc};

use super::{Folder, Outcome};
use crate::{
    carrier::{Carried, CarryError, blocking},
    identity::{Fingerprint, Identity},
    meters::What,
    progress::Record,
    reader::{AtEnd, Reader},
    scan::FileState,
    settle::{Settled, settle},
};

/// Takes the file at `path`.
pub(super) async fn take(folder: &Arc<Folder>, path: &Path, identity: Identity) -> Outcome {
    match try_take(folder, path, identity).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(
                ?path,
                error = format!("{error:#}"),
                "file not taken, trying again later"
            );
            Outcome::Failed
        }
    }
}

/// A file that is open, and what is known about it.
struct Opened {
    file: File,
    state: FileState,
    record: Record,
}

async fn try_take(folder: &Arc<Folder>, path: &Path, identity: Identity) -> anyhow::Result<Outcome> {
    let opened = {
        let (folder, path) = (Arc::clone(folder), path.to_owned());
        blocking(move || open(&folder, &path, identity)).await?
    };
    let Some(Opened {
        file,
        mut state,
        mut record,
    }) = opened
    else {
        return Ok(Outcome::Gone);
    };
    if record.finished_size != Some(state.size) {
        let flaw = match carry(folder, path, file, &mut state, &mut record).await? {
            Read::Stopped => return Ok(Outcome::Failed),
            Read::Truncated(file) => {
                folder.carrier.meters.file(What::Truncated);
                tracing::warn!(
                    ?path,
                    "file was truncated while it was taken: it is taken as a new one"
                );
                let folder = Arc::clone(folder);
                let begin = move || {
                    let fingerprint = Fingerprint::read(&file)?;
                    folder
                        .carrier
                        .progress
                        .begin(&folder.settings.name, identity, fingerprint)?;
                    anyhow::Ok(())
                };
                blocking(begin).await?;
                return Ok(Outcome::Again);
            }
            Read::Whole => None,
            Read::Flawed(flaw) => Some(flaw),
        };
        let (progress, id, done_to, size) = (
            Arc::clone(&folder.carrier.progress),
            record.id,
            record.done_to,
            state.size,
        );
        record.flaw = flaw.clone();
        blocking(move || progress.finish(id, done_to, size, flaw.as_deref())).await?;
        tell(folder, path, &record);
    }
    deal_with(folder, path, identity, state, record).await
}

/// Opens the file, and finds out whether it is one that is known.
fn open(folder: &Folder, path: &Path, identity: Identity) -> anyhow::Result<Option<Opened>> {
    let Some((file, metadata)) = folder.scanner.open(path, identity)? else {
        return Ok(None);
    };
    let (progress, name) = (&folder.carrier.progress, &folder.settings.name);
    let meters = &folder.carrier.meters;
    let state = FileState::of(&metadata);
    let begin = |file: &File| -> anyhow::Result<Record> {
        Ok(progress.begin(name, identity, Fingerprint::read(file)?)?)
    };
    let record = match progress.find(name, identity)? {
        None => begin(&file)?,
        Some(record) => {
            let (is_same, fingerprint) = record.fingerprint.compare(&file)?;
            let finished = record.finished_size;
            if !is_same || finished.is_some_and(|size| state.size < size) {
                if finished.is_some_and(|size| state.size < size) {
                    meters.file(What::Truncated);
                    tracing::warn!(
                        ?path,
                        "file has less than when it was taken: it is taken as a new one"
                    );
                }
                begin(&file)?
            } else {
                if finished.is_some_and(|size| state.size > size) {
                    meters.file(What::Grown);
                    tracing::warn!(?path, "file has more than when it was taken: the rest is taken");
                }
                if fingerprint != record.fingerprint {
                    progress.set_fingerprint(record.id, fingerprint)?;
                }
                record
            }
        }
    };
    Ok(Some(Opened { file, state, record }))
}

/// How a file was read.
enum Read {
    Whole,
    /// What could be read is in custody, and why not all.
    Flawed(String),
    Truncated(File),
    /// We are stopping.
    Stopped,
}

/// Carries all of the file.
async fn carry(
    folder: &Arc<Folder>,
    path: &Path,
    file: File,
    state: &mut FileState,
    record: &mut Record,
) -> anyhow::Result<Read> {
    let handle = file.try_clone()?;
    let (plan, peer, done_to) = (
        Arc::clone(&folder.plan),
        path.to_string_lossy().into_owned(),
        record.done_to,
    );
    let mut reader = match blocking(move || Reader::open(plan, peer, file, done_to)).await {
        Ok(reader) => reader,
        Err(error) => return Ok(Read::Flawed(unreadable(&error))),
    };
    let mut refused_lines = 0;
    loop {
        let carried = folder.carrier.carry(reader, record, AtEnd::CompleteFile).await;
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
            folder.carrier.meters.file(What::Grown);
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

fn tell(folder: &Folder, path: &Path, record: &Record) {
    match &record.flaw {
        None => {
            folder.carrier.meters.file(What::Taken);
            tracing::info!(?path, bytes = record.done_to, "file taken");
        }
        Some(reason) => {
            folder.carrier.meters.file(What::Failed);
            tracing::warn!(
                ?path,
                bytes = record.done_to,
                reason,
                "file not taken in full; what could be read was"
            );
        }
    }
}

/// Removes, moves or keeps it.
async fn deal_with(
    folder: &Arc<Folder>,
    path: &Path,
    identity: Identity,
    state: FileState,
    record: Record,
) -> anyhow::Result<Outcome> {
    let settled = {
        let (folder, path, flaw) = (Arc::clone(folder), path.to_owned(), record.flaw.clone());
        let settle = move || {
            settle(
                &folder.settings.done,
                folder.scanner.root(),
                &path,
                identity,
                flaw.as_deref(),
            )
        };
        blocking(settle).await
    };
    match settled {
        Ok(Settled::Kept) => return Ok(Outcome::Done(state)),
        Ok(Settled::Removed) => {}
        Ok(Settled::Moved(to)) => tracing::debug!(?path, ?to, "file moved"),
        Ok(Settled::Vanished) => {
            folder.carrier.meters.file(What::Vanished);
            tracing::warn!(
                ?path,
                "file vanished while it was taken; what was in it was taken"
            );
        }
        Err(error) => {
            tracing::error!(?path, %error, "file taken, and cannot be moved or removed: it stays, and is not taken again");
            return Ok(Outcome::Failed);
        }
    }
    let (progress, id) = (Arc::clone(&folder.carrier.progress), record.id);
    blocking(move || progress.forget(id)).await?;
    Ok(Outcome::Gone)
}
