//! From deliveries to durable lines: one thread makes lines, another writes them, so that the next group is formatted while
//! one is synced. Both are threads of their own, since both block.
//!
//! ```text
//! deliveries ─▶ form() ─▶ group ─▶ write() ─▶ results
//!                  ▲                  │
//!                  └── used memory ◀──┘
//! ```
//!
//! All channels are short: at most one group is forming, one waits and one is written.

use std::{
    collections::HashSet,
    iter::repeat_with,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use broker::{PublishError, Publisher};
use bytes::Bytes;
use event::{BatchId, DecodeError};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use service::crash_point;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    group::{Formatter, Group, Held},
    letters::{Origin, PATH_REFUSED, Refused},
    meters::Meters,
    part::Part,
    readiness::Readiness,
    writer::{Outcome, WriteError, Writer},
};

/// Pauses between attempts to write: a disk that had a hiccup is tried soon, a full one now and then.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What becomes of deliveries.
#[derive(Debug)]
pub(crate) enum Settled<D> {
    /// Every line is in its file, durably.
    Written(Vec<Held<D>>),
    /// There was no time left to write them.
    GivenBack(Vec<Held<D>>),
    /// It is no event batch.
    Undecodable(D, DecodeError),
}

/// When a group is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) age_max: Duration,
    pub(crate) bytes_max: usize,
    /// Files of one destination.
    pub(crate) files_max: usize,
    /// Deliveries that the broker hands out before it has acknowledgements.
    pub(crate) prefetch: usize,
    pub(crate) idle_close: Duration,
}

/// What both threads know.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// Deliveries that are not settled.
    pub(crate) unsettled: AtomicUsize,
    /// Batches whose lines are in a group.
    pub(crate) in_flight: Mutex<HashSet<BatchId>>,
    pub(crate) meters: Meters,
    /// Cancelled when the time for the drain is over.
    pub(crate) give_up: CancellationToken,
}

/// The thread that makes lines.
#[derive(Debug)]
pub(crate) struct Former<D> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) formatter: Formatter,
    pub(crate) destinations: usize,
    pub(crate) deliveries: mpsc::Receiver<(Bytes, D)>,
    pub(crate) groups: mpsc::Sender<Group<D>>,
    pub(crate) results: mpsc::Sender<Settled<D>>,
    pub(crate) used: mpsc::Receiver<Vec<Part>>,
}

impl<D> Former<D> {
    /// Forms groups until there are no more deliveries.
    pub(crate) async fn form(mut self) {
        // A place in the channel borrows from here while `self` works on.
        let groups = self.groups.clone();
        let mut group = self.empty_group();
        let mut is_ended = false;
        loop {
            let limits = self.shared.limits;
            let is_full = group.bytes() >= limits.bytes_max || group.files_most() >= limits.files_max;
            let is_starved = self.shared.unsettled.load(Ordering::Relaxed) >= limits.prefetch;
            let due = group.since().map(|since| since + limits.age_max);
            let is_due = match due {
                None => false,
                // A broker that will hand out no more is not waited for.
                Some(due) => is_full || is_starved || is_ended || due <= Instant::now(),
            };
            if is_ended && due.is_none() {
                return;
            }
            tokio::select! {
                // Cancel-safe: a place that was not given is not taken. While the writer is busy the group grows.
                place = groups.reserve(), if is_due => match place {
                    Ok(place) => {
                        let next = self.empty_group();
                        place.send(mem::replace(&mut group, next));
                    }
                    // The other thread has failed, which ends the service.
                    Err(_) => return,
                },
                // Cancel-safe.
                delivery = self.deliveries.recv(), if !is_full && !is_ended => match delivery {
                    Some((body, delivery)) => self.add(&mut group, body, delivery).await,
                    None => is_ended = true,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && !is_due => {}
            }
        }
    }

    /// In the memory of a group that was written, where there is one.
    fn empty_group(&mut self) -> Group<D> {
        let new = || repeat_with(Part::default).take(self.destinations).collect();
        Group::new(self.used.try_recv().unwrap_or_else(|_| new()))
    }

    async fn add(&mut self, group: &mut Group<D>, body: Bytes, delivery: D) {
        let formatted = {
            let mut in_flight = self.shared.in_flight.lock();
            let formatted = self.formatter.format(&body, &mut group.parts, &in_flight);
            if let Ok(batch) = &formatted {
                in_flight.insert(batch.id);
            }
            formatted
        };
        match formatted {
            Ok(batch) => {
                let counters = &self.shared.meters.counters;
                counters.received(batch.events);
                let minted = batch.source.minted_at();
                let age = minted.map(|minted| counters.hold(minted.as_micros()));
                let held = Held {
                    body,
                    delivery,
                    batch,
                };
                group.push(held, age);
            }
            Err(error) => send(&self.results, Settled::Undecodable(delivery, error)).await,
        }
    }
}

/// Nobody takes results any more only when the service has failed.
async fn send<D>(results: &mpsc::Sender<Settled<D>>, settled: Settled<D>) {
    if results.send(settled).await.is_err() {
        tracing::debug!("nobody settles deliveries any more");
    }
}

/// The thread that writes lines.
#[derive(Debug)]
pub(crate) struct Shelver<D> {
    pub(crate) shared: Arc<Shared>,
    /// One for each destination.
    pub(crate) writers: Vec<Writer>,
    /// To format again what is left of a group when another process wrote some of it.
    pub(crate) formatter: Formatter,
    /// For dead letters.
    pub(crate) publisher: Publisher,
    pub(crate) groups: mpsc::Receiver<Group<D>>,
    pub(crate) results: mpsc::Sender<Settled<D>>,
    pub(crate) used: mpsc::Sender<Vec<Part>>,
    pub(crate) readiness: Readiness,
    /// A group was given back. Later ones may rely on its lines, so they are given back too.
    pub(crate) has_given_up: bool,
}

impl<D: Origin> Shelver<D> {
    /// Writes groups until there are no more.
    pub(crate) async fn write(mut self) {
        loop {
            let idle = sleep(self.shared.limits.idle_close);
            tokio::select! {
                // Cancel-safe.
                group = self.groups.recv() => match group {
                    Some(group) => self.write_group(group).await,
                    None => return,
                },
                () = idle => self.close_idle(),
            }
        }
    }

    async fn write_group(&mut self, mut group: Group<D>) {
        if self.has_given_up || !self.write_parts(&mut group).await {
            self.has_given_up = true;
            return send(&self.results, Settled::GivenBack(group.held)).await;
        }
        self.close_idle();
        crash_point("files:committed");
        {
            let mut in_flight = self.shared.in_flight.lock();
            for held in &group.held {
                in_flight.remove(&held.batch.id);
            }
        }
        let Group { held, parts, .. } = group;
        // Kept for a later group, or not: there may be enough of it.
        drop(self.used.try_send(parts));
        send(&self.results, Settled::Written(held)).await;
    }

    /// Writes the lines of all destinations, however long it takes; `false` when there is no time left.
    async fn write_parts(&mut self, group: &mut Group<D>) -> bool {
        let all = 0..self.writers.len();
        for index in all.clone() {
            if !self.write_part(group, index).await {
                return false;
            }
        }
        for index in all {
            let Some(part) = group.parts.get_mut(index) else {
                continue;
            };
            part.set_known(group.buried.elsewhere(index));
            if !self.write_part(group, index).await {
                return false;
            }
        }
        true
    }

    /// Writes one destination's lines.
    async fn write_part(&mut self, group: &mut Group<D>, index: usize) -> bool {
        let mut pause = PAUSE_MIN;
        loop {
            match self.try_part(group, index) {
                Ok(Outcome::Written { .. }) => {
                    self.readiness.works(index);
                    return true;
                }
                Ok(Outcome::Repeated(batches)) => {
                    tracing::info!(
                        batches = batches.len(),
                        "another process wrote some batches meanwhile"
                    );
                    self.formatter.format_again(&group.held, &mut group.parts, index);
                    continue;
                }
                Ok(Outcome::Refused(refused)) => match self.bury(group, index, &refused).await {
                    Ok(()) => continue,
                    Err(_) if self.shared.give_up.is_cancelled() => return false,
                    Err(error) => {
                        self.shared.meters.counters.retried(error.code(), 1);
                        self.readiness
                            .fails(index, format!("events cannot be dead-lettered: {error}"));
                    }
                },
                Err(error) => {
                    self.shared.meters.failed(error.kind());
                    self.readiness.fails(index, error.to_string());
                }
            }
            tokio::select! {
                () = self.shared.give_up.cancelled() => return false,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Sends events that the destination numbered `index` has no file for to the dead letters, and takes them out of
    /// its part.
    async fn bury(
        &mut self,
        group: &mut Group<D>,
        index: usize,
        refused: &Refused,
    ) -> Result<(), PublishError> {
        let letters = self.formatter.letters(group, index, refused);
        let confirmed = try_join_all(
            letters
                .iter()
                .map(|(_, _, letter)| self.publisher.deliver(letter)),
        );
        tokio::select! {
            () = self.shared.give_up.cancelled() => return Err(PublishError::Closed),
            confirmed = confirmed => confirmed?,
        };
        tracing::warn!(
            events = letters.len(),
            files = refused.len(),
            error = refused.values().next(),
            "no file for some events, dead-lettering them"
        );
        for (place, letter, _) in &letters {
            if group.buried.add(*letter, index)
                && let Some(held) = group.held.get_mut(*place)
            {
                held.batch.events = held.batch.events.saturating_sub(1);
                self.shared.meters.counters.dead_lettered(PATH_REFUSED, 1);
            }
        }
        if let Some(part) = group.parts.get_mut(index) {
            let paths = refused.keys().cloned().collect();
            part.leave_out(&paths, letters.len() as u64);
        }
        Ok(())
    }

    fn try_part(&mut self, group: &Group<D>, index: usize) -> Result<Outcome, WriteError> {
        let (Some(writer), Some(part)) = (self.writers.get_mut(index), group.parts.get(index)) else {
            return Ok(Outcome::Written { bytes: 0 });
        };
        let begun = Instant::now();
        let outcome = writer.commit(part)?;
        if let (Outcome::Written { bytes }, 1..) = (&outcome, part.lines()) {
            self.shared
                .meters
                .committed(part.lines(), *bytes, begun.elapsed());
        }
        Ok(outcome)
    }

    fn close_idle(&mut self) {
        for writer in &mut self.writers {
            writer.close_idle(self.shared.limits.idle_close);
        }
        let open = self.writers.iter().map(Writer::files_open).sum();
        self.shared.meters.files_open(open);
    }
}

#[cfg(test)]
mod tests;
