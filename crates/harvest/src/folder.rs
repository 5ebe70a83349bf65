//! One folder: which of its files are due, and what has become of them.

mod tail;
mod upload;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use settings::FolderSettings;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    carrier::{Carrier, blocking},
    identity::Identity,
    reader::Plan,
    scan::{FileState, Found, Scan, Scanner, open_for_writing},
    watch::Watch,
};

/// Changes that come together are looked at together.
const COALESCE: Duration = Duration::from_millis(20);

/// How long a living file that was renamed away or removed must be silent until its last line is complete.
const GONE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a file that could not be dealt with is left alone.
const RETRY_PAUSE: Duration = Duration::from_secs(30);

/// A folder that is watched.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) settings: FolderSettings,
    pub(crate) plan: Arc<Plan>,
    pub(crate) scanner: Scanner,
    pub(crate) carrier: Carrier,
    pub(crate) files_max: usize,
}

/// What is remembered of a file between two looks at it.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    state: FileState,
    /// When it was seen to change last.
    changed_at: Instant,
    /// It had a name with a dot in front.
    was_hidden: bool,
    is_hidden: bool,
    is_gone: bool,
    is_busy: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// There is something to do when it is due.
    Due,
    /// It changed while it was dealt with, or has something to say after a while.
    Later(Instant),
    /// Nothing to do until it changes.
    Idle,
}

/// What is done with a file, and what came of it.
struct Ended {
    identity: Identity,
    outcome: Outcome,
}

enum Outcome {
    /// It is dealt with, in this state of it.
    Done(FileState),
    /// A living file: what was there is read.
    Tail(FileState, Box<tail::Tail>),
    /// It went away.
    Gone,
    /// It is another one by now, and begins anew.
    Again,
    /// To be tried again.
    Failed,
}

/// The loop of one folder.
struct Loop {
    folder: Arc<Folder>,
    known: HashMap<Identity, Known>,
    tails: HashMap<Identity, Box<tail::Tail>>,
    jobs: JoinSet<Ended>,
    watch: Watch,
    has_problems: bool,
}

impl Folder {
    /// Takes files until it is told to stop, and then finishes what is on its way.
    pub(crate) async fn run(self) {
        let stop = self.carrier.stop.clone();
        let mut this = Loop {
            folder: Arc::new(self),
            known: HashMap::new(),
            tails: HashMap::new(),
            jobs: JoinSet::new(),
            watch: Watch::default(),
            has_problems: false,
        };
        while !stop.is_cancelled() {
            this.look().await;
            let due = this.begin_due().await;
            // All branches are cancel-safe.
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = this.jobs.join_next() => this.ended(ended),
                () = this.watch.changed() => sleep(COALESCE).await,
                () = async { sleep_until(due).await } => {}
            }
            while let Some(ended) = this.jobs.try_join_next() {
                this.ended(ended);
            }
        }
        while let Some(ended) = this.jobs.join_next().await {
            this.ended(ended);
        }
    }
}

impl Loop {
    async fn look(&mut self) {
        let folder = Arc::clone(&self.folder);
        let (root, recursive) = (folder.scanner.root().to_owned(), folder.settings.recursive);
        self.watch.begin(&root, recursive);
        let scan = blocking(move || folder.scanner.scan()).await;
        self.tell_problems(&scan);
        if !scan.problems.is_empty() {
            self.watch.end();
        }
        let is_complete = scan.problems.is_empty();
        let mut seen = HashSet::new();
        for found in scan.files {
            seen.insert(found.identity);
            self.saw(found);
        }
        // A folder that cannot be looked into for now has all its files.
        if is_complete {
            self.miss(&seen).await;
        }
    }

    fn tell_problems(&mut self, scan: &Scan) {
        let Some((path, error)) = scan.problems.first() else {
            if std::mem::take(&mut self.has_problems) {
                tracing::info!(path = ?self.folder.scanner.root(), "folder can be looked through again");
            }
            return;
        };
        self.folder.carrier.meters.scans_failed.inc();
        if !std::mem::replace(&mut self.has_problems, true) {
            let problems = scan.problems.len();
            tracing::error!(
                ?path,
                %error,
                problems,
                "folder cannot be looked through: harvest.folder.path has to be a folder that the user of this process \
                 may read and search; it is tried again, and the others go on"
            );
        }
    }

    fn saw(&mut self, found: Found) {
        let now = Instant::now();
        let is_renamed = !found.is_hidden && self.watch.take_renamed(&found.path);
        let Some(known) = self.known.get_mut(&found.identity) else {
            let known = Known {
                changed_at: quiet_since(found.state, now),
                path: found.path,
                state: found.state,
                was_hidden: is_renamed,
                is_hidden: found.is_hidden,
                is_gone: false,
                is_busy: false,
                stage: Stage::Due,
            };
            self.known.insert(found.identity, known);
            return;
        };
        known.is_gone = false;
        if known.state != found.state {
            known.state = found.state;
            known.changed_at = now;
            known.stage = Stage::Due;
        }
        known.was_hidden |= is_renamed || (known.is_hidden && !found.is_hidden);
        known.is_hidden = found.is_hidden;
        if known.path != found.path {
            if self.tails.contains_key(&found.identity) {
                self.folder.carrier.meters.file(crate::meters::What::Renamed);
                tracing::info!(from = ?known.path, to = ?found.path, "living file renamed");
            }
            known.path = found.path;
        }
    }

    /// Files that are not there any more.
    async fn miss(&mut self, seen: &HashSet<Identity>) {
        let gone: Vec<_> = self
            .known
            .iter()
            .filter(|(identity, known)| !seen.contains(identity) && !known.is_busy)
            .map(|(identity, _)| *identity)
            .collect();
        for identity in gone {
            if self.tails.contains_key(&identity) {
                if let Some(known) = self.known.get_mut(&identity)
                    && !std::mem::replace(&mut known.is_gone, true)
                {
                    known.changed_at = Instant::now();
                    known.stage = Stage::Due;
                }
                continue;
            }
            self.known.remove(&identity);
            self.forget(identity).await;
        }
    }

    async fn forget(&self, identity: Identity) {
        let folder = Arc::clone(&self.folder);
        let forgotten = blocking(move || {
            let progress = &folder.carrier.progress;
            match progress.find(&folder.settings.name, identity)? {
                Some(record) => progress.forget(record.id),
                None => Ok(()),
            }
        });
        if let Err(error) = forgotten.await {
            tracing::error!(%error, "progress of a file that is gone not removed");
        }
    }

    /// Begins with the files that are due, and gives the time to look again.
    async fn begin_due(&mut self) -> Instant {
        let now = Instant::now();
        let mut next = now + self.folder.settings.poll_interval;
        let mut due = Vec::new();
        for (identity, known) in &self.known {
            if known.is_busy || (known.is_hidden && !self.folder.settings.follow) {
                continue;
            }
            match self.due(known) {
                Some(at) if at <= now => due.push((known.state.mtime, known.path.clone(), *identity)),
                Some(at) => next = next.min(at),
                None => {}
            }
        }
        due.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let writing = self.writing(&due).await;
        for (_, path, identity) in due {
            if writing.contains(&identity) {
                continue;
            }
            if self.jobs.len() >= self.folder.files_max {
                // The end of a job wakes us.
                break;
            }
            self.begin(identity, &path);
        }
        next
    }

    /// When there is something to do with a file.
    fn due(&self, known: &Known) -> Option<Instant> {
        let settings = &self.folder.settings;
        if settings.follow {
            return match known.stage {
                _ if known.is_hidden => None,
                Stage::Due => Some(known.changed_at),
                _ if known.is_gone => Some(known.changed_at + GONE_PATIENCE),
                Stage::Later(at) => Some(at),
                Stage::Idle => None,
            };
        }
        match known.stage {
            Stage::Due => {
                let is_complete = known.was_hidden;
                Some(if is_complete {
                    known.changed_at
                } else {
                    known.changed_at + settings.quiet
                })
            }
            Stage::Later(at) => Some(at),
            Stage::Idle => None,
        }
    }

    async fn writing(&self, due: &[(impl Sized, PathBuf, Identity)]) -> HashSet<Identity> {
        if self.folder.settings.follow {
            return HashSet::new();
        }
        let files: HashSet<_> = due.iter().map(|(_, _, identity)| *identity).collect();
        blocking(move || open_for_writing(&files)).await
    }

    fn begin(&mut self, identity: Identity, path: &Path) {
        let Some(known) = self.known.get_mut(&identity) else {
            return;
        };
        known.is_busy = true;
        known.was_hidden = false;
        known.stage = Stage::Idle;
        let (folder, path) = (Arc::clone(&self.folder), path.to_owned());
        if folder.settings.follow {
            let tail = self.tails.remove(&identity);
            let is_over = known.is_gone && known.changed_at.elapsed() >= GONE_PATIENCE;
            self.jobs.spawn(async move {
                let outcome = tail::follow(&folder, tail, path, identity, is_over).await;
                Ended { identity, outcome }
            });
        } else {
            self.jobs.spawn(async move {
                let outcome = upload::take(&folder, &path, identity).await;
                Ended { identity, outcome }
            });
        }
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let Ended { identity, outcome } = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "reading a file ended by a bug; it is read again after a restart");
                return;
            }
        };
        let Some(known) = self.known.get_mut(&identity) else {
            return;
        };
        known.is_busy = false;
        match outcome {
            Outcome::Done(state) => {
                if known.state != state {
                    known.state = state;
                    known.changed_at = Instant::now();
                }
            }
            Outcome::Tail(state, tail) => {
                if known.state != state {
                    known.state = state;
                    known.changed_at = Instant::now();
                }
                if let Some(at) = tail.next_at() {
                    known.stage = Stage::Later(at);
                }
                self.tails.insert(identity, tail);
            }
            Outcome::Gone => {
                self.known.remove(&identity);
            }
            Outcome::Again => {
                known.changed_at = Instant::now();
                known.stage = Stage::Due;
            }
            Outcome::Failed => known.stage = Stage::Later(Instant::now() + RETRY_PAUSE),
        }
    }
}

/// When a file that is seen for the first time changed last: what is old need not be waited for again.
fn quiet_since(state: FileState, now: Instant) -> Instant {
    let mtime = UNIX_EPOCH + Duration::from_secs(u64::try_from(state.mtime.0).unwrap_or(0) + 1);
    let age = SystemTime::now().duration_since(mtime).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}
