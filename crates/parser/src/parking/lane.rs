//! The way of new batches to one shipper: into its queue, or after those that are parked.

use std::{sync::Arc, time::Duration};

use broker::{Confirm, Message, PublishError, Publisher};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{PAUSE, PAUSE_MAX, Track, UNCONFIRMED_MAX};

/// Takes batches for one shipper, in order.
#[derive(Debug)]
pub(crate) struct Lane {
    track: Arc<Track>,
    entries: mpsc::Sender<Entry>,
}

/// How a batch ended: with the shipper's queue or the file queue as its owner, or not at all.
pub(crate) type Taken = oneshot::Receiver<Result<(), PublishError>>;

/// A batch, and who waits to hear that it is safe.
#[derive(Debug)]
struct Entry {
    message: Message,
    reply: oneshot::Sender<Result<(), PublishError>>,
}

impl Lane {
    pub(super) fn start(track: Arc<Track>, store: Publisher, tasks: &mut JoinSet<()>) -> Self {
        let (entries, waiting) = mpsc::channel(UNCONFIRMED_MAX);
        let (sent, verdicts) = mpsc::channel(UNCONFIRMED_MAX);
        tasks.spawn(send(Arc::clone(&track), waiting, sent));
        tasks.spawn(secure(Arc::clone(&track), verdicts, store));
        Self { track, entries }
    }

    /// Whether its shipper takes events of this route.
    pub(crate) fn takes(&self, route: &str) -> bool {
        self.track.binding_keys.iter().any(|key| key.matches(route))
    }

    /// The name of the shipper's queue.
    pub(crate) fn queue(&self) -> &str {
        self.track.queue.as_str()
    }

    /// Takes a batch when there is room for one.
    pub(crate) async fn put(&self, message: Message) -> Taken {
        let (reply, taken) = oneshot::channel();
        // A task that has ended drops the entry, and so tells.
        drop(self.entries.send(Entry { message, reply }).await);
        taken
    }
}

/// Publishes straight to the shipper's queue while nothing is parked.
async fn send(
    track: Arc<Track>,
    mut waiting: mpsc::Receiver<Entry>,
    sent: mpsc::Sender<(Entry, Option<Result<Confirm, PublishError>>)>,
) {
    while let Some(entry) = waiting.recv().await {
        let publish = if track.is_clear() {
            let publish = track.publisher.publish_to(&track.queue, &entry.message);
            match track.stop.run_until_cancelled(publish).await {
                Some(publish) => Some(publish),
                None => return,
            }
        } else {
            None
        };
        if sent.send((entry, publish)).await.is_err() {
            return;
        }
    }
}

/// Sees each batch through, in order: what the queue refuses is parked, and everything after it, too.
async fn secure(
    track: Arc<Track>,
    mut verdicts: mpsc::Receiver<(Entry, Option<Result<Confirm, PublishError>>)>,
    store: Publisher,
) {
    while let Some((entry, publish)) = verdicts.recv().await {
        let work = async {
            let verdict = match publish {
                Some(Ok(confirm)) => confirm.await,
                Some(Err(error)) => Err(error),
                None => Err(PublishError::Nacked),
            };
            take(&track, &entry.message, verdict, &store).await
        };
        let Some(taken) = track.stop.run_until_cancelled(work).await else {
            return;
        };
        // Whoever waited may have given up.
        drop(entry.reply.send(taken));
    }
}

async fn take(
    track: &Track,
    message: &Message,
    mut verdict: Result<(), PublishError>,
    store: &Publisher,
) -> Result<(), PublishError> {
    let mut pause = PAUSE;
    loop {
        match verdict {
            Err(PublishError::Nacked) => return park(track, message, store).await,
            // The broker may be away as a whole; then raw batches wait in it, and there is nothing to park.
            Err(PublishError::ConnectionLost | PublishError::TimedOut { .. }) => {
                tokio::time::sleep(pause).await;
                pause = longer(pause);
                verdict = if track.is_clear() {
                    match track.publisher.publish_to(&track.queue, message).await {
                        Ok(confirm) => confirm.await,
                        Err(error) => Err(error),
                    }
                } else {
                    Err(PublishError::Nacked)
                };
            }
            verdict => return verdict,
        }
    }
}

/// Returns when the file queue has it. While that is full, too, this waits, and everybody behind it.
async fn park(track: &Track, message: &Message, store: &Publisher) -> Result<(), PublishError> {
    // Before it is in the file, so that nothing goes past it from here on.
    track.parked_one();
    let mut pause = PAUSE;
    loop {
        let verdict = match store.publish_to(&track.queue, message).await {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        match verdict {
            Err(error) if error.is_transient() => {
                if error == PublishError::Nacked && pause == PAUSE {
                    tracing::warn!(queue = %track.queue, "the file queue for parked batches is full (parser.park_bytes_max), waiting");
                }
                tokio::time::sleep(pause).await;
                pause = longer(pause);
            }
            verdict => return verdict,
        }
    }
}

pub(super) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE_MAX)
}
