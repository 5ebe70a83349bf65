//! One queue of either kind.

use std::{fmt, sync::Arc, time::Duration};

use settings::{RescueKind, RescueSettings};
use tokio::sync::watch;

use crate::{
    batch::{Batch, Claimed, Receipt},
    error::RescueError,
    file::FileQueue,
    redis::RedisQueue,
};

/// What a queue promises about a batch that it has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guarantee {
    /// It is on a disk: neither a crash nor a power cut loses it.
    Synced,
    /// Less than that, and why.
    Weaker(Arc<str>),
}

/// How a queue stood when it was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueState {
    /// It takes batches.
    Ready(Guarantee),
    /// There is no room.
    Full,
    /// It takes none, and why.
    Unusable(String),
}

impl QueueState {
    /// Whether the next push is likely to succeed.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

impl fmt::Display for QueueState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(Guarantee::Synced) => f.write_str("ready"),
            Self::Ready(Guarantee::Weaker(why)) => write!(f, "ready, with a weaker guarantee: {why}"),
            Self::Full => f.write_str("full"),
            Self::Unusable(problem) => f.write_str(problem),
        }
    }
}

/// What waits in a queue, claimed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Batches.
    pub batches: u64,
    /// Their bytes, as they count against the bound.
    pub bytes: u64,
    /// How long the oldest has waited; zero when there is none.
    pub oldest: Duration,
}

/// A rescue queue. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Queue {
    inner: Inner,
    state: Arc<watch::Sender<QueueState>>,
}

#[derive(Debug, Clone)]
enum Inner {
    Redis(RedisQueue),
    File(FileQueue),
}

impl Queue {
    /// Opens the queue of this kind; `None` for Redis without a `url`. What cannot be used at present is told by
    /// [`state`](Self::state).
    ///
    /// # Errors
    ///
    /// [`RescueError::Url`], which never mends itself.
    pub fn open(settings: &RescueSettings, kind: RescueKind) -> Result<Option<Self>, RescueError> {
        let (state, _) = watch::channel(QueueState::Unusable("not open yet".to_owned()));
        let state = Arc::new(state);
        let inner = match kind {
            RescueKind::Redis => {
                let Some(redis) = &settings.redis else {
                    return Ok(None);
                };
                Inner::Redis(RedisQueue::open(redis, settings.timeout, Arc::clone(&state))?)
            }
            RescueKind::File => Inner::File(FileQueue::open(
                &settings.file,
                settings.timeout,
                Arc::clone(&state),
            )),
        };
        Ok(Some(Self { inner, state }))
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> RescueKind {
        match self.inner {
            Inner::Redis(_) => RescueKind::Redis,
            Inner::File(_) => RescueKind::File,
        }
    }

    /// The kind's name in the settings, in metrics and in dead letters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.inner {
            Inner::Redis(_) => "redis",
            Inner::File(_) => "file",
        }
    }

    /// How it stands, now and at each change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<QueueState> {
        self.state.subscribe()
    }

    /// Puts `batch` at the end, and returns when the queue has it as durably as the settings demand. Many pushes at
    /// the same time share the cost of a sync.
    ///
    /// # Errors
    ///
    /// [`RescueError`]; after [`RescueError::TimedOut`] and where a connection was lost the batch may be there.
    pub async fn push(&self, batch: &Batch) -> Result<Guarantee, RescueError> {
        let pushed = match &self.inner {
            Inner::Redis(redis) => redis.push(batch).await,
            Inner::File(file) => file.push(batch).await.map(|()| Guarantee::Synced),
        };
        self.note(match &pushed {
            Ok(guarantee) => QueueState::Ready(guarantee.clone()),
            Err(RescueError::Full { .. }) => QueueState::Full,
            Err(error) => QueueState::Unusable(error.to_string()),
        });
        pushed
    }

    /// Takes up to `batches_max` of the oldest batches that nobody has claimed within the last `claim_timeout`. What
    /// is neither removed nor released can be claimed again after that.
    ///
    /// # Errors
    ///
    /// [`RescueError`].
    pub async fn claim(
        &self,
        batches_max: usize,
        claim_timeout: Duration,
    ) -> Result<Vec<Claimed>, RescueError> {
        match &self.inner {
            Inner::Redis(redis) => redis.claim(batches_max, claim_timeout).await,
            Inner::File(file) => file.claim(batches_max, claim_timeout).await,
        }
    }

    /// Takes entries out for good, and returns how many were still there.
    ///
    /// # Errors
    ///
    /// [`RescueError`]; the entries may be there or not.
    pub async fn remove(&self, receipts: &[Receipt]) -> Result<usize, RescueError> {
        if receipts.is_empty() {
            return Ok(0);
        }
        match &self.inner {
            Inner::Redis(redis) => redis.remove(receipts).await,
            Inner::File(file) => file.remove(receipts).await,
        }
    }

    /// Gives entries back, so that they can be claimed at once.
    ///
    /// # Errors
    ///
    /// [`RescueError`]; they can be claimed when their time is over.
    pub async fn release(&self, receipts: &[Receipt]) -> Result<(), RescueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        match &self.inner {
            Inner::Redis(redis) => redis.release(receipts).await,
            Inner::File(file) => file.release(receipts).await,
        }
    }

    /// What waits.
    ///
    /// # Errors
    ///
    /// [`RescueError`].
    pub async fn depth(&self) -> Result<Depth, RescueError> {
        match &self.inner {
            Inner::Redis(redis) => redis.depth().await,
            Inner::File(file) => file.depth().await,
        }
    }

    pub(crate) async fn close(&self) {
        match &self.inner {
            Inner::Redis(redis) => redis.close().await,
            Inner::File(file) => file.close().await,
        }
    }

    fn note(&self, new: QueueState) {
        note(&self.state, new);
    }
}

/// Tells a state, unless it was told.
pub(crate) fn note(state: &watch::Sender<QueueState>, new: QueueState) {
    state.send_if_modified(|state| {
        let is_new = *state != new;
        if is_new {
            *state = new;
        }
        is_new
    });
}
