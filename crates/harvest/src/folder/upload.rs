//! A file that is complete: all of it is taken, and then it is dealt with.

use std::{fs::File, path::Path, sync::Arc};

use super::{Folder, Outcome};
use crate::{
    carrier::blocking,
    identity::{Fingerprint, Identity},
    meters::What,
    progress::Record,
    scan::FileState,
    settle::{Settled, settle},
    whole::{Read, carry, recognise},
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
        let flaw = match carry(&folder.carrier, &folder.plan, path, file, &mut state, &mut record).await? {
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
    let record = recognise(progress, name, meters, (path, &file), identity, state.size)?;
    Ok(Some(Opened { file, state, record }))
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
            tracing::error!(
                ?path,
                %error,
                "file taken, and cannot be moved or removed (harvest.folder.done, done_dir, failed_dir): it stays, and is \
                 not taken again"
            );
            return Ok(Outcome::Failed);
        }
    }
    let (progress, id) = (Arc::clone(&folder.carrier.progress), record.id);
    blocking(move || progress.forget(id)).await?;
    Ok(Outcome::Gone)
}
