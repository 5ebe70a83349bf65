//! The thread of the rescue file: what waits is done in one transaction, and answered when that is synced.

use std::{sync::Arc, time::Duration};

use settings::RescueFileSettings;
use tokio::sync::{mpsc, oneshot, watch};

use super::database::{Database, Entries, Pushed};
use crate::{
    batch::{Batch, Claimed},
    error::RescueError,
    queue::{Depth, Guarantee, QueueState, note},
};

/// What one transaction takes in. More would not be faster.
const TRANSACTION_BYTES_MAX: u64 = 8 << 20;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Op {
    Push(Batch, Ask<Pushed>),
    Claim(usize, Duration, Ask<Vec<Claimed>>),
    Remove(Vec<i64>, Ask<usize>),
    Release(Vec<i64>, Ask<()>),
    Depth(Ask<Depth>),
}

/// Who waits for an answer, and the answer until its transaction is synced.
#[derive(Debug)]
pub(super) struct Ask<T> {
    reply: oneshot::Sender<Result<T, RescueError>>,
    answer: Option<T>,
}

impl<T> Ask<T> {
    pub(super) const fn new(reply: oneshot::Sender<Result<T, RescueError>>) -> Self {
        Self { reply, answer: None }
    }

    fn finish(self, ended: Result<(), RescueError>) {
        let answer = ended.and_then(|()| self.answer.ok_or(RescueError::Closed));
        // Who asked may have lost patience.
        drop(self.reply.send(answer));
    }
}

impl Op {
    fn weight(&self) -> u64 {
        match self {
            Self::Push(batch, _) => batch.size(),
            Self::Claim(..) | Self::Remove(..) | Self::Release(..) | Self::Depth(_) => 0,
        }
    }

    fn run(&mut self, entries: &Entries<'_>) -> rusqlite::Result<()> {
        match self {
            Self::Push(batch, ask) => ask.answer = Some(entries.push(batch)?),
            Self::Claim(batches_max, claim_timeout, ask) => {
                ask.answer = Some(entries.claim(*batches_max, *claim_timeout)?);
            }
            Self::Remove(rows, ask) => ask.answer = Some(entries.remove(rows)?),
            Self::Release(rows, ask) => ask.answer = Some(entries.release(rows)?),
            Self::Depth(ask) => ask.answer = Some(entries.depth()?),
        }
        Ok(())
    }

    fn finish(self, ended: Result<(), RescueError>) {
        match self {
            Self::Push(_, ask) => ask.finish(ended),
            Self::Claim(_, _, ask) => ask.finish(ended),
            Self::Remove(_, ask) => ask.finish(ended),
            Self::Release(_, ask) => ask.finish(ended),
            Self::Depth(ask) => ask.finish(ended),
        }
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    settings: RescueFileSettings,
    timeout: Duration,
    inbox: mpsc::Receiver<Op>,
    state: Arc<watch::Sender<QueueState>>,
    database: Option<Database>,
}

impl Worker {
    pub(super) const fn new(
        settings: RescueFileSettings,
        timeout: Duration,
        inbox: mpsc::Receiver<Op>,
        state: Arc<watch::Sender<QueueState>>,
    ) -> Self {
        Self {
            settings,
            timeout,
            inbox,
            state,
            database: None,
        }
    }

    /// Works until the last handle is gone.
    pub(super) fn run(mut self) {
        match self.open() {
            Ok(_) => note(&self.state, QueueState::Ready(Guarantee::Synced)),
            Err(error) => {
                tracing::warn!(%error, "rescue file cannot be used, it is tried again when it is needed");
                note(&self.state, QueueState::Unusable(error.to_string()));
            }
        }
        while let Some(op) = self.inbox.blocking_recv() {
            let mut weight = op.weight();
            let mut ops = vec![op];
            while weight < TRANSACTION_BYTES_MAX
                && let Ok(op) = self.inbox.try_recv()
            {
                weight = weight.saturating_add(op.weight());
                ops.push(op);
            }
            self.work(ops);
        }
    }

    fn open(&mut self) -> Result<&mut Database, RescueError> {
        if self.database.is_none() {
            let settings = &self.settings;
            self.database = Some(Database::open(&settings.dir, settings.bytes_max, self.timeout)?);
        }
        Ok(self.database.as_mut().expect("it was put there just now"))
    }

    /// One transaction. A failed one changes nothing and is told to all who took part.
    fn work(&mut self, mut ops: Vec<Op>) {
        let ended = self.open().and_then(|database| {
            database.transaction(|entries| ops.iter_mut().try_for_each(|op| op.run(entries)))
        });
        for op in ops {
            op.finish(ended.clone());
        }
    }
}
