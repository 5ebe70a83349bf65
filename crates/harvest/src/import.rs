//! One-off import: files that somebody names, one after the other, into the broker's custody.
//!
//! How far each is, is kept as for upload folders, so that an import that was interrupted goes on where it was when it
//! is repeated. What cannot be read twice (stdin, a pipe) is put into a file first, and is known by its contents.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf, absolute},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use broker::{Broker, RoutingKey};
use parking_lot::Mutex;
use service::Metrics;
use settings::{FolderSettings, Settings};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    carrier::{Carrier, blocking},
    identity::{Fingerprint, Identity},
    meters::Meters,
    progress::{Progress, Record},
    reader::Plan,
    scan::FileState,
    whole::{Read, carry, recognise},
};

/// The folder below `data_dir` for progress: not that of the service, which keeps its own to itself.
const DIR: &str = "import";

/// Holds what cannot be read twice. It has no name for longer than it takes to open it.
const SPOOL: &str = "spool";

/// Bytes that are put into that file, and go into its identity, at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Takes files.
#[derive(Debug)]
pub struct Importer {
    carrier: Carrier,
    plan: Arc<Plan>,
    dir: PathBuf,
    place: Mutex<Place>,
}

/// How far the reading is.
#[derive(Debug, Default)]
struct Place {
    /// Size of the files that are done with.
    before: u64,
    /// The one that is read.
    file: Option<File>,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// All of it is in custody.
    Whole,
    /// What could be read is, and why that is not all.
    Flawed(String),
    /// It was before; nothing was published. With the flaw that it had.
    Before(Option<String>),
}

struct Opened {
    file: File,
    identity: Identity,
    state: FileState,
    peer: PathBuf,
}

impl Importer {
    /// Imports by what `folder` says about lines; its place on disk has no meaning.
    ///
    /// # Errors
    /// Progress that cannot be kept.
    pub async fn open(settings: &Settings, folder: &FolderSettings, broker: &Broker) -> anyhow::Result<Self> {
        let dir = settings.data_dir.join(DIR);
        let progress = {
            let dir = dir.clone();
            blocking(move || Progress::open(&dir)).await?
        };
        let (name, window) = (&folder.name, settings.harvest.unconfirmed_batches_max);
        let carrier = Carrier {
            progress: Arc::new(progress),
            publisher: broker.publisher(window),
            routing_key: RoutingKey::new(&format!("harvest.{name}"))
                .with_context(|| format!("make a routing key of {name:?}"))?,
            meters: Meters::new(&Metrics::new(), name),
            window,
            // An import may be killed at any time, and needs no end besides.
            stop: CancellationToken::new(),
            give_up: CancellationToken::new(),
        };
        Ok(Self {
            carrier,
            plan: Arc::new(Plan::new(&settings.harvest, folder)?),
            dir,
            place: Mutex::default(),
        })
    }

    /// Lines, or events where lines are joined, in custody so far.
    pub fn lines(&self) -> u64 {
        self.carrier.meters.stage.sent_so_far()
    }

    /// Bytes on disk that were read so far.
    pub fn bytes(&self) -> u64 {
        let place = self.place.lock();
        let here = place.file.as_ref().map(|mut file| file.stream_position());
        // Only for show.
        place.before + here.and_then(Result::ok).unwrap_or(0)
    }

    /// Takes the file at `path`, or stdin. One that was taken in full before is passed over, unless `again`.
    ///
    /// # Errors
    /// It cannot be opened, progress cannot be kept, or the broker is closed.
    pub async fn take(&self, path: Option<&Path>, again: bool) -> anyhow::Result<Imported> {
        let opened = {
            let (path, spool) = (path.map(Path::to_owned), self.dir.join(SPOOL));
            blocking(move || open(path.as_deref(), &spool)).await?
        };
        self.place.lock().file = Some(opened.file.try_clone()?);
        let taken = self.take_opened(opened, again).await;
        let mut place = self.place.lock();
        if let Some(file) = place.file.take() {
            place.before += file.metadata().map_or(0, |metadata| metadata.len());
        }
        taken
    }

    async fn take_opened(&self, opened: Opened, again: bool) -> anyhow::Result<Imported> {
        let Opened {
            file,
            identity,
            mut state,
            peer,
        } = opened;
        let mut record = self
            .recognise(&file, (identity, state.size), &peer, again)
            .await?;
        if record.finished_size == Some(state.size) {
            return Ok(Imported::Before(record.flaw));
        }
        let flaw = match carry(&self.carrier, &self.plan, &peer, file, &mut state, &mut record).await? {
            Read::Whole => None,
            Read::Flawed(flaw) => Some(flaw),
            Read::Truncated(file) => {
                self.begin(file, identity).await?;
                bail!(
                    "it was truncated while it was read: what was read until then is imported; import it again"
                );
            }
            Read::Stopped => bail!("the import was stopped"),
        };
        let (progress, told) = (Arc::clone(&self.carrier.progress), flaw.clone());
        blocking(move || progress.finish(record.id, record.done_to, state.size, told.as_deref())).await?;
        Ok(flaw.map_or(Imported::Whole, Imported::Flawed))
    }

    async fn recognise(
        &self,
        file: &File,
        (identity, size): (Identity, u64),
        peer: &Path,
        again: bool,
    ) -> anyhow::Result<Record> {
        let (carrier, name, peer) = (self.carrier.clone(), self.plan.listener.clone(), peer.to_owned());
        let handle = file.try_clone()?;
        let known = move || {
            let file = (peer.as_path(), &handle);
            recognise(&carrier.progress, &name, &carrier.meters, file, identity, size)
        };
        let record = blocking(known).await?;
        // One that was interrupted goes on in any case.
        if again && record.finished_size.is_some() {
            return self.begin(file.try_clone()?, identity).await;
        }
        Ok(record)
    }

    async fn begin(&self, file: File, identity: Identity) -> anyhow::Result<Record> {
        let (progress, name) = (Arc::clone(&self.carrier.progress), self.plan.listener.clone());
        blocking(move || Ok(progress.begin(&name, identity, Fingerprint::read(&file)?)?)).await
    }
}

fn open(path: Option<&Path>, spool: &Path) -> anyhow::Result<Opened> {
    let (mut file, peer) = match path {
        Some(path) => (File::open(path)?, absolute(path)?),
        None => (
            File::from(io::stdin().as_fd().try_clone_to_owned()?),
            "stdin".into(),
        ),
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        bail!("it is a folder: name the files in it");
    }
    // Of what a shell has read a part of, the rest is meant.
    if metadata.is_file() && (path.is_some() || file.stream_position()? == 0) {
        let (identity, state) = (Identity::of(&metadata), FileState::of(&metadata));
        return Ok(Opened {
            file,
            identity,
            state,
            peer,
        });
    }
    let shown = spool.parent().unwrap_or(spool).display();
    let (file, identity) = put_by(&mut file, spool)
        .with_context(|| format!("put it into a file in {shown} (in data_dir), to be read from there"))?;
    let state = FileState::of(&file.metadata()?);
    Ok(Opened {
        file,
        identity,
        state,
        peer,
    })
}

/// Puts all that comes from `from` into a file. The same bytes have the same identity.
fn put_by(from: &mut impl io::Read, spool: &Path) -> io::Result<(File, Identity)> {
    let mut options = File::options();
    let mut file = options
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(spool)?;
    // It is gone with this process, whatever happens to that.
    fs::remove_file(spool)?;
    let (mut hash, mut piece) = (Uuid::NAMESPACE_OID, Vec::with_capacity(PIECE_BYTES));
    loop {
        piece.clear();
        let piece_bytes = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
        from.by_ref().take(piece_bytes).read_to_end(&mut piece)?;
        if piece.is_empty() {
            let (dev, inode) = hash.as_u64_pair();
            return Ok((file, Identity { dev, inode }));
        }
        hash = Uuid::new_v5(&hash, &piece);
        file.write_all(&piece)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_by_a_pipe_is_known_by_its_contents() {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join(SPOOL);
        let text = "line\n".repeat(50_000);
        // However it comes in pieces.
        let (front, back) = text.as_bytes().split_at(70_001);
        let (mut file, pieces) = put_by(&mut front.chain(back), &spool).unwrap();
        let (_, whole) = put_by(&mut text.as_bytes(), &spool).unwrap();
        let (_, other) = put_by(&mut &*back, &spool).unwrap();
        assert_eq!(pieces, whole);
        assert_ne!(pieces, other);
        let mut read = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut read).unwrap();
        assert!(read == text);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
