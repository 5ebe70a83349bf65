//! A living file: what is new is taken, whatever it is called by now.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{Folder, Outcome};
use crate::{
    carrier::{Carried, CarryError, blocking},
    identity::{Fingerprint, Identity},
    meters::What,
    progress::Record,
    reader::{AtEnd, Reader},
    scan::FileState,
    source::Packing,
};

/// A living file that is held open, so that what is written to it under another name, or after it was removed, is
/// not lost.
#[derive(Debug)]
pub(super) struct Tail {
    handle: File,
    /// `None` for files that are not read.
    reader: Option<Reader>,
    record: Record,
    size: u64,
    /// When lines came last.
    read_at: Instant,
    timeout: Option<Duration>,
}

impl Tail {
    /// When an event under way is complete, if nothing more comes.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let has_event = self.reader.as_ref().is_some_and(Reader::has_open_event);
        self.timeout
            .filter(|_| has_event)
            .map(|timeout| self.read_at + timeout)
    }
}

/// Takes what is new. `is_over`: the file is gone from the folder and silent, so that all of it is complete.
pub(super) async fn follow(
    folder: &Arc<Folder>,
    tail: Option<Box<Tail>>,
    path: PathBuf,
    identity: Identity,
    is_over: bool,
) -> Outcome {
    match try_follow(folder, tail, &path, identity, is_over).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(
                ?path,
                error = format!("{error:#}"),
                "living file not read, trying again later"
            );
            Outcome::Failed
        }
    }
}

async fn try_follow(
    folder: &Arc<Folder>,
    tail: Option<Box<Tail>>,
    path: &Path,
    identity: Identity,
    is_over: bool,
) -> anyhow::Result<Outcome> {
    let tail = match tail {
        Some(tail) => complete_if_cut(folder, tail, path).await?,
        None => None,
    };
    let tail = {
        let (folder, path) = (Arc::clone(folder), path.to_owned());
        blocking(move || prepare(&folder, tail, &path, identity)).await?
    };
    let Some(mut tail) = tail else {
        return Ok(Outcome::Gone);
    };
    let state = FileState::of(&tail.handle.metadata()?);
    let Some(reader) = tail.reader.take() else {
        return Ok(Outcome::Tail(state, tail));
    };
    let is_quiet = tail
        .timeout
        .is_some_and(|timeout| tail.read_at.elapsed() >= timeout);
    let at_end = match (is_over, is_quiet) {
        (true, _) => AtEnd::CompleteFile,
        (false, true) => AtEnd::CompleteEvent,
        (false, false) => AtEnd::Wait,
    };
    let lines_before = reader.lines_read;
    let (reader, carried, _) = match folder.carrier.carry(reader, &mut tail.record, at_end).await {
        Ok(carried) => carried,
        Err(CarryError::Read(error)) => {
            tracing::warn!(?path, %error, "living file cannot be read further for now");
            return Ok(Outcome::Failed);
        }
        Err(error @ (CarryError::Progress(_) | CarryError::Closed)) => return Err(error.into()),
    };
    if reader.lines_read > lines_before {
        tail.read_at = Instant::now();
    }
    tail.reader = Some(reader);
    if is_over && carried == Carried::AtEnd {
        let (progress, id) = (Arc::clone(&folder.carrier.progress), tail.record.id);
        blocking(move || progress.forget(id)).await?;
        return Ok(Outcome::Gone);
    }
    Ok(Outcome::Tail(state, tail))
}

/// Of a file that was cut while it is open, what was under way is complete.
async fn complete_if_cut(
    folder: &Arc<Folder>,
    mut tail: Box<Tail>,
    path: &Path,
) -> anyhow::Result<Option<Box<Tail>>> {
    let is_cut = tail.handle.metadata()?.len() < tail.size;
    if is_cut && let Some(reader) = tail.reader.take_if(|reader| reader.has_rest()) {
        let carried = folder
            .carrier
            .carry(reader, &mut tail.record, AtEnd::CompleteFile)
            .await;
        match carried {
            Ok((reader, _, _)) => tail.reader = Some(reader),
            Err(CarryError::Read(error)) => {
                tracing::warn!(?path, %error, "living file cannot be read further")
            }
            Err(error @ (CarryError::Progress(_) | CarryError::Closed)) => return Err(error.into()),
        }
    }
    Ok(Some(tail))
}

/// Opens the file, or looks whether it is still the one that is open. `None` when it is gone.
fn prepare(
    folder: &Folder,
    tail: Option<Box<Tail>>,
    path: &Path,
    identity: Identity,
) -> anyhow::Result<Option<Box<Tail>>> {
    let progress = &folder.carrier.progress;
    let Some(mut tail) = tail else {
        return open(folder, path, identity);
    };
    let size = tail.handle.metadata()?.len();
    let (is_same, fingerprint) = tail.record.fingerprint.compare(&tail.handle)?;
    if size < tail.size || !is_same {
        folder.carrier.meters.file(What::Truncated);
        tracing::info!(?path, "living file begins anew");
        let record = progress.begin(&folder.settings.name, identity, fingerprint)?;
        return Ok(Some(Box::new(start(folder, tail.handle, record, path, size)?)));
    }
    if fingerprint != tail.record.fingerprint {
        progress.set_fingerprint(tail.record.id, fingerprint)?;
        tail.record.fingerprint = fingerprint;
    }
    tail.size = size;
    Ok(Some(tail))
}

fn open(folder: &Folder, path: &Path, identity: Identity) -> anyhow::Result<Option<Box<Tail>>> {
    let Some((file, metadata)) = folder.scanner.open(path, identity)? else {
        return Ok(None);
    };
    let (progress, name) = (&folder.carrier.progress, &folder.settings.name);
    let size = metadata.len();
    let record = match progress.find(name, identity)? {
        Some(record) => {
            let (is_same, fingerprint) = record.fingerprint.compare(&file)?;
            // In another encoding a file may have more bytes as text than on disk.
            let is_cut = folder.plan.is_plain() && size < record.done_to;
            if is_same && !is_cut {
                if fingerprint != record.fingerprint {
                    progress.set_fingerprint(record.id, fingerprint)?;
                }
                Record {
                    fingerprint,
                    ..record
                }
            } else {
                folder.carrier.meters.file(What::Truncated);
                tracing::info!(?path, "living file began anew while it was not watched");
                progress.begin(name, identity, fingerprint)?
            }
        }
        None => progress.begin(name, identity, Fingerprint::read(&file)?)?,
    };
    Ok(Some(Box::new(start(folder, file, record, path, size)?)))
}

fn start(folder: &Folder, file: File, record: Record, path: &Path, size: u64) -> anyhow::Result<Tail> {
    let peer = path.to_string_lossy().into_owned();
    let reader = if Packing::of_file(&file)? == Packing::None {
        let plan = Arc::clone(&folder.plan);
        Some(Reader::open(plan, peer, file.try_clone()?, record.done_to)?)
    } else {
        // Most likely an old one that was followed when it was not packed.
        tracing::info!(?path, "compressed file passed over: it does not grow");
        None
    };
    let multiline = folder.settings.multiline.as_ref();
    Ok(Tail {
        handle: file,
        reader,
        record,
        size,
        read_at: Instant::now(),
        timeout: multiline.map(|lines| lines.timeout),
    })
}
