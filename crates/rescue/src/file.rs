//! The rescue queue in a local file: SQLite, synced at each transaction.
//!
//! One thread of ours writes it, many pushes in one transaction; other processes of the host may do the same at
//! the same time.

mod database;
mod worker;

use std::{path::PathBuf, sync::Arc, thread, time::Duration};

use parking_lot::Mutex;
use settings::RescueFileSettings;
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    database::Pushed,
    worker::{Ask, Op, Worker},
};
use crate::{
    batch::{Batch, Claimed, Place, Receipt},
    error::RescueError,
    queue::{Depth, QueueState},
};

/// Operations that wait for the thread; more wait before this.
const OPS_MAX: usize = 256;

/// Whether there is a file already.
pub(crate) fn is_there(settings: &RescueFileSettings) -> bool {
    matches!(database::path_in(&settings.dir).try_exists(), Ok(true))
}

/// A line for people about the file, which is not made by this. Blocks.
pub(crate) fn check(settings: &RescueFileSettings, timeout: Duration) -> Result<String, RescueError> {
    let path = database::path_in(&settings.dir);
    if !is_there(settings) {
        return Ok(format!("file {} is made when it is needed", path.display()));
    }
    let mut database = database::Database::open(&settings.dir, settings.bytes_max, timeout)?;
    let depth = database.transaction(|file| file.depth())?;
    Ok(format!(
        "file {}, {} batches of {} bytes wait",
        path.display(),
        depth.batches,
        depth.bytes
    ))
}

/// A handle to the thread. When the last one is gone, it does what was asked of it and ends.
#[derive(Debug, Clone)]
pub(crate) struct FileQueue {
    ops: Arc<Mutex<Option<mpsc::Sender<Op>>>>,
    thread: Arc<Mutex<Option<thread::JoinHandle<()>>>>,
    path: PathBuf,
    bytes_max: u64,
    timeout: Duration,
}

impl FileQueue {
    pub(crate) fn open(
        settings: &RescueFileSettings,
        timeout: Duration,
        state: Arc<watch::Sender<QueueState>>,
    ) -> Self {
        let (ops, inbox) = mpsc::channel(OPS_MAX);
        let worker = Worker::new(settings.clone(), timeout, inbox, Arc::clone(&state));
        let spawned = thread::Builder::new()
            .name("rescue-file".to_owned())
            .spawn(move || worker.run());
        let thread = match spawned {
            Ok(thread) => Some(thread),
            Err(error) => {
                // Its channel is closed with it, which every operation tells.
                tracing::error!(%error, "no thread for the rescue file");
                None
            }
        };
        Self {
            ops: Arc::new(Mutex::new(Some(ops))),
            thread: Arc::new(Mutex::new(thread)),
            path: database::path_in(&settings.dir),
            bytes_max: settings.bytes_max,
            timeout,
        }
    }

    pub(crate) async fn push(&self, batch: &Batch) -> Result<(), RescueError> {
        let batch = batch.clone();
        match self.ask(|ask| Op::Push(batch, ask)).await? {
            Pushed::Taken => Ok(()),
            Pushed::Full { bytes } => Err(RescueError::Full {
                key: "rescue.file_bytes_max",
                bytes,
                bytes_max: self.bytes_max,
            }),
        }
    }

    pub(crate) async fn claim(
        &self,
        batches_max: usize,
        claim_timeout: Duration,
    ) -> Result<Vec<Claimed>, RescueError> {
        self.ask(|ask| Op::Claim(batches_max, claim_timeout, ask)).await
    }

    pub(crate) async fn remove(&self, receipts: &[Receipt]) -> Result<usize, RescueError> {
        self.ask(|ask| Op::Remove(rows(receipts), ask)).await
    }

    pub(crate) async fn release(&self, receipts: &[Receipt]) -> Result<(), RescueError> {
        self.ask(|ask| Op::Release(rows(receipts), ask)).await
    }

    pub(crate) async fn depth(&self) -> Result<Depth, RescueError> {
        self.ask(Op::Depth).await
    }

    pub(crate) async fn close(&self) {
        drop(self.ops.lock().take());
        let thread = self.thread.lock().take();
        let Some(thread) = thread else { return };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the thread of the rescue file panicked");
        }
    }

    async fn ask<T>(&self, op: impl FnOnce(Ask<T>) -> Op) -> Result<T, RescueError> {
        let (reply, answer) = oneshot::channel();
        let ops = self.ops.lock().clone().ok_or(RescueError::Closed)?;
        let asked = async {
            ops.send(op(Ask::new(reply)))
                .await
                .map_err(|_closed| RescueError::Closed)?;
            answer.await.unwrap_or(Err(RescueError::Closed))
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(RescueError::TimedOut {
                place: format!("the rescue file {}", self.path.display()),
                after: self.timeout,
            }),
        }
    }
}

fn rows(receipts: &[Receipt]) -> Vec<i64> {
    let rows = receipts.iter().filter_map(|receipt| match receipt.place {
        Place::Row(row) => Some(row),
        Place::Stream(_) => None,
    });
    rows.collect()
}
