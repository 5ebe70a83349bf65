//! Brings what is read of a file into the broker's custody, window by window.
//!
//! The broker is waited for as long as it takes: the file is its own durable queue.

use std::{io, sync::Arc, time::Duration};

use broker::{Exchange, Message, PublishError, Publisher, RoutingKey};
use event::PayloadKind;
use futures_util::future::join_all;
use service::crash_point;
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    meters::Meters,
    progress::{Progress, ProgressError, Record},
    reader::{AtEnd, Batch, Reader},
};

/// How long a batch waits that no queue takes; somebody has to declare them.
const UNROUTABLE_PAUSE: Duration = Duration::from_secs(1);

/// Why a file is not carried on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarryError {
    #[error("cannot be read further")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Progress(#[from] ProgressError),
    #[error("the broker was closed")]
    Closed,
}

/// How far it was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    /// All that there is.
    AtEnd,
    /// We are stopping; the rest comes after the next start.
    Stopped,
}

/// The way from files to the broker.
#[derive(Debug, Clone)]
pub(crate) struct Carrier {
    pub(crate) progress: Arc<Progress>,
    pub(crate) publisher: Publisher,
    pub(crate) routing_key: RoutingKey,
    pub(crate) meters: Meters,
    /// Batches that are planned and published together.
    pub(crate) window: usize,
    /// No further window is begun.
    pub(crate) stop: CancellationToken,
    /// What is not confirmed by now is published again after the next start.
    pub(crate) give_up: CancellationToken,
}

/// What one round of reading gave.
struct Window {
    reader: Reader,
    batches: Vec<Batch>,
    has_more: bool,
    error: Option<io::Error>,
}

impl Carrier {
    /// Carries all that there is to read. Gives the reader back unless it is of no use any more, and the number
    /// of lines that the broker would not take.
    pub(crate) async fn carry(
        &self,
        mut reader: Reader,
        record: &mut Record,
        at_end: AtEnd,
    ) -> Result<(Reader, Carried, u64), CarryError> {
        let mut refused = 0;
        loop {
            if self.stop.is_cancelled() {
                return Ok((reader, Carried::Stopped, refused));
            }
            let (bytes_before, cut_before) = (reader.bytes_read, reader.cut_lines);
            let window = self.window(reader, record, at_end).await?;
            self.meters.bytes.inc_by(window.reader.bytes_read - bytes_before);
            self.meters.cut_lines.inc_by(window.reader.cut_lines - cut_before);
            reader = window.reader;
            tokio::select! {
                published = self.publish(window.batches) => refused += published?,
                () = self.give_up.cancelled() => return Ok((reader, Carried::Stopped, refused)),
            }
            crash_point("harvest:confirmed");
            record.done_to = reader.done_to();
            record.planned.clear();
            if let Some(error) = window.error {
                return Err(error.into());
            }
            if !window.has_more {
                self.settled(record).await?;
                return Ok((reader, Carried::AtEnd, refused));
            }
        }
    }

    /// Reads the next batches, and writes down what they are before they are published.
    async fn window(&self, reader: Reader, record: &Record, at_end: AtEnd) -> Result<Window, CarryError> {
        let (progress, record, window) = (Arc::clone(&self.progress), record.clone(), self.window);
        blocking(move || {
            let window = read(reader, &record, window, at_end);
            if record.planned.is_empty() && !window.batches.is_empty() {
                let planned: Vec<_> = window.batches.iter().map(|batch| batch.planned).collect();
                progress.advance(record.id, record.done_to, &planned)?;
            }
            Ok(window)
        })
        .await
    }

    /// Nothing is on its way any more.
    async fn settled(&self, record: &Record) -> Result<(), ProgressError> {
        let (progress, id, done_to) = (Arc::clone(&self.progress), record.id, record.done_to);
        blocking(move || progress.advance(id, done_to, &[])).await
    }

    /// Until the broker has all of them. Gives the number of lines that it will never take.
    async fn publish(&self, batches: Vec<Batch>) -> Result<u64, CarryError> {
        let frames = batches.iter().map(|batch| u64::from(batch.frames)).sum();
        self.meters.stage.received(frames);
        // In order, as the futures are polled in order.
        let settled = join_all(batches.into_iter().map(|batch| self.deliver(batch))).await;
        settled.into_iter().sum()
    }

    async fn deliver(&self, batch: Batch) -> Result<u64, CarryError> {
        let frames = u64::from(batch.frames);
        let message = Message {
            id: batch.planned.batch.as_uuid(),
            exchange: Exchange::Received,
            routing_key: self.routing_key.clone(),
            content_type: PayloadKind::Raw.content_type(),
            body: batch.payload.into(),
            death: None,
        };
        let _held = Held::new(&self.meters);
        loop {
            match self.publisher.deliver(&message).await {
                Ok(()) => {
                    self.meters.stage.sent(frames);
                    return Ok(0);
                }
                Err(PublishError::Closed) => return Err(CarryError::Closed),
                Err(error @ PublishError::TooLarge { .. }) => {
                    tracing::error!(%error, frames, "batch given up: lower harvest.batch_bytes_max");
                    self.meters.stage.dropped("too_large", frames);
                    return Ok(frames);
                }
                Err(error) => {
                    self.meters.stage.retried(error.code(), 1);
                    tracing::debug!(%error, "batch not taken, trying again");
                    sleep(UNROUTABLE_PAUSE).await;
                }
            }
        }
    }
}

/// One batch in the gauge of those that are not settled.
struct Held<'a>(&'a Meters);

impl<'a> Held<'a> {
    fn new(meters: &'a Meters) -> Self {
        meters.stage.taken(1);
        Self(meters)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.stage.settled(1);
    }
}

fn read(mut reader: Reader, record: &Record, window: usize, at_end: AtEnd) -> Window {
    let (mut batches, mut has_more, mut error) = (Vec::new(), true, None);
    // First those again that may have been published before.
    let mut planned = record.planned.iter().copied();
    let count = if record.planned.is_empty() {
        window
    } else {
        record.planned.len()
    };
    while batches.len() < count && has_more {
        match reader.next(planned.next(), at_end) {
            Ok((batch, more)) => {
                batches.extend(batch);
                has_more = more;
            }
            Err(cause) => {
                error = Some(cause);
                break;
            }
        }
    }
    Window {
        reader,
        batches,
        has_more,
        error,
    }
}

/// Runs what reads and writes files. The task is never cancelled, so it fails only by a panic, which goes on here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
