//! Writes a load and settles its deliveries: each of them once, whatever happens.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use broker::{DeadLetter, Delivery, Disposition, EventLetter, Message, Publisher};
use bytes::Bytes;
use event::{Compression, DecodeError, EventBatch, EventBatchBuilder, PayloadKind};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use rand::Rng;
use service::{Component, crash_point};
use store::{Appended, Group, RefusedRow, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    load::{Load, count, settle},
    meters::Meters,
};

/// The reason of dead letters whose row the store refuses.
const REFUSED: &str = "refused";

/// The reason of dead letters that are no event batch.
const UNDECODABLE: &str = "undecodable";

/// The pause after the first failure, and the longest one.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What all writers have in common.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) batch_bytes_max: usize,
    pub(crate) meters: Meters,
    pub(crate) health: Component,
    /// Groups that were written, to be filled again: their memory is as large as a transaction. There are never more
    /// than writers and one.
    pub(crate) spare: Mutex<Vec<Group>>,
    /// Cancelled when the drain takes too long.
    pub(crate) give_up: CancellationToken,
}

/// Why a load was not written.
enum Abandoned {
    /// The drain is over.
    GivenUp,
    /// A refused row cannot be put into the dead letters.
    NoDeadLetters(broker::PublishError),
}

impl Writer {
    pub(crate) fn empty_load(&self) -> Load {
        let spare = self.spare.lock().pop();
        Load::new(spare.unwrap_or_else(|| self.store.group(self.batch_bytes_max)))
    }

    /// Writes the load, however long it takes, and acknowledges its deliveries; or gives them back.
    pub(crate) async fn write(&self, load: Load) {
        let Load {
            group, deliveries, ..
        } = load;
        let settled = u32::try_from(deliveries.len()).unwrap_or(u32::MAX);
        let oldest = group.oldest();
        let _held = oldest.map(|oldest| self.meters.counters.hold(oldest.as_micros()));
        match self.commit(group, &deliveries).await {
            Ok(mut written) => {
                crash_point("rows:committed");
                settle(deliveries, &Disposition::Ack).await;
                written.clear();
                self.spare.lock().push(written);
            }
            Err(abandoned) => {
                match abandoned {
                    Abandoned::GivenUp => {
                        tracing::warn!(deliveries = settled, "not written in time, giving back");
                    }
                    Abandoned::NoDeadLetters(error) => {
                        tracing::error!(%error, deliveries = settled, "refused rows cannot be dead-lettered, giving back");
                    }
                }
                settle(deliveries, &Disposition::Requeue).await;
            }
        }
        self.meters.counters.settled(settled);
    }

    async fn commit(&self, mut group: Group, deliveries: &[Delivery]) -> Result<Group, Abandoned> {
        let mut pause = PAUSE;
        loop {
            let started = Instant::now();
            let offered = group.rows();
            let (back, appended) = tokio::select! {
                // The transaction may yet be committed; the batch ids tell when the deliveries come again.
                () = self.give_up.cancelled() => return Err(Abandoned::GivenUp),
                done = self.store.append(group) => done,
            };
            group = back;
            match appended {
                Ok(Appended::Written(written)) => {
                    self.meters
                        .committed(written, offered, started.elapsed(), &self.store);
                    self.health.ready();
                    return Ok(group);
                }
                Ok(Appended::Refused(rows)) => {
                    self.dead_letter_rows(&rows, deliveries).await?;
                    group.skip(rows.iter().map(|row| row.place));
                }
                Err(error) => {
                    self.report(error, pause);
                    tokio::select! {
                        () = self.give_up.cancelled() => return Err(Abandoned::GivenUp),
                        () = tokio::time::sleep(jittered(pause)) => {}
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Says that the store did not take a group. All kinds are tried again: what is transient passes, and what is not
    /// is mended by somebody, while the deliveries are safe in the queue.
    fn report(&self, error: StoreError, pause: Duration) {
        let reason = match &error {
            StoreError::Unavailable(_) | StoreError::TimedOut(_) => "unavailable",
            StoreError::Conflict(_) => "conflict",
            StoreError::Refused(_) => "store_refused",
            StoreError::Schema { .. } => "schema",
            StoreError::NotOurs(_) => "not_ours",
            StoreError::Unexpected(_) => "unexpected",
            StoreError::Closed => "closed",
        };
        let is_transient = error.is_transient();
        let error = format!("{:#}", anyhow::Error::new(error));
        self.meters.counters.retried(reason, 1);
        if is_transient {
            tracing::warn!(error, ?pause, "store away, trying again");
        } else {
            tracing::error!(error, ?pause, "store needs attention, trying again");
        }
        self.health.not_ready(error);
    }

    /// Sends a delivery that is no event batch to the dead letters.
    pub(crate) async fn dead_letter(&self, delivery: Delivery, error: &DecodeError) {
        tracing::error!(%error, id = ?delivery.id, "undecodable batch, dead-lettering");
        self.meters.counters.dead_lettered(UNDECODABLE, 1);
        let letter = DeadLetter {
            reason: UNDECODABLE,
            text: error.to_string(),
        };
        tokio::select! {
            // The delivery is dropped, and so given back.
            () = self.give_up.cancelled() => {}
            () = delivery.settle(Disposition::DeadLetter(letter)) => {}
        }
        self.meters.counters.settled(1);
    }

    /// Puts refused rows into the dead letters; returns when the broker has them all.
    async fn dead_letter_rows(&self, rows: &[RefusedRow], deliveries: &[Delivery]) -> Result<(), Abandoned> {
        let mut by_batch: BTreeMap<usize, BTreeMap<usize, &str>> = BTreeMap::new();
        for row in rows {
            let of_batch = by_batch.entry(row.place.batch).or_default();
            of_batch.insert(row.place.event, &row.message);
        }
        for (batch, refused) in by_batch {
            let Some(delivery) = deliveries.get(batch) else {
                continue;
            };
            let letters =
                letters_of(delivery, &refused, self.batch_bytes_max).expect("the batch was decoded before");
            tracing::warn!(
                rows = letters.len(),
                error = refused.values().next(),
                "rows refused, dead-lettering"
            );
            let confirmed = try_join_all(letters.iter().map(|letter| self.publisher.deliver(letter)));
            tokio::select! {
                () = self.give_up.cancelled() => return Err(Abandoned::GivenUp),
                confirmed = confirmed => { confirmed.map_err(Abandoned::NoDeadLetters)?; }
            }
            self.meters.counters.dead_lettered(REFUSED, count(letters.len()));
        }
        Ok(())
    }
}

/// One dead letter for each refused event, a batch of one whose id follows from the batch and the position.
fn letters_of(
    delivery: &Delivery,
    refused: &BTreeMap<usize, &str>,
    batch_bytes_max: usize,
) -> Result<Vec<Message>, DecodeError> {
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&delivery.body, &mut scratch, batch_bytes_max)?;
    let mut letters = Vec::with_capacity(refused.len());
    let mut place = 0;
    while let Some(event) = batch.next_event()? {
        if let Some(text) = refused.get(&place) {
            let id = batch.id().derive(&format!("dead:{}", event.position));
            let mut alone = EventBatchBuilder::new(id, batch.source(), batch.listener(), batch.route());
            alone.push(&event);
            let alone = EventLetter {
                id: id.as_uuid(),
                batch: batch.id().as_uuid(),
                position: event.position,
                content_type: PayloadKind::Events.content_type(),
                body: Bytes::from(alone.finish(Compression::None)),
            };
            let letter = DeadLetter {
                reason: REFUSED,
                text: (*text).to_owned(),
            };
            letters.push(delivery.event_letter(alone, &letter));
        }
        place += 1;
    }
    Ok(letters)
}

/// Between half the pause and all of it, so that many shippers that lost one store do not come back at one moment.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}
