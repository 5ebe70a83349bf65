//! Event batches to files.
//!
//! [`Shipper`] consumes its queue, formats events for every destination that takes their route, and writes and syncs
//! the lines of many batches together. A delivery is acknowledged when all its lines are synced in all destinations.
//!
//! Each destination remembers the ids of its batches in a journal beside its files (`.logferry/`), written and synced with
//! them: a batch that is delivered again adds no lines, and what a crash left of a half-written group is cut off before
//! the next one. While a disk is full or fails, deliveries stay unacknowledged and are tried again.
//!
//! Start more of them, on the same queue, to ship more: processes that write to the same folder take turns, a group each.
//! They must be on one machine, or on a file system whose locks hold between machines. No other program may write to
//! the files; renaming and removing them, as log rotation does, is fine. Two destinations must not lead to the same
//! file: give one of them both routes instead.

mod destination;
mod disk;
mod group;
mod journal;
mod letters;
mod lock;
mod meters;
mod open_files;
mod pack;
mod part;
mod path;
mod pipeline;
mod readiness;
mod root;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use broker::{Broker, BrokerState, Consumer, DeadLetter, Delivery, Disposition, Publisher, QueueName};
use bytes::Bytes;
use service::{Component, Context};
use settings::ShipperFsSettings;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

use crate::{
    destination::Destination,
    disk::{Disk, NoFaults},
    group::{Fate, Formatter, Held},
    journal::Bounds,
    meters::Meters,
    pipeline::{Former, Limits, Settled, Shared, Shelver},
    readiness::Readiness,
    writer::{WriteError, Writer},
};
pub use crate::{destination::DestinationError, path::PathError};

/// The name of the stage in metrics and dead letters.
pub const STAGE: &str = "shipper-fs";

/// Registers every metric of this service, with a sample of each set of labels, for `docs/metrics.md`.
pub fn describe_metrics(metrics: &service::Metrics) {
    Meters::new(metrics).set_writable("", true);
}

/// Its heartbeat.
pub const PULSE: service::Pulse = service::Pulse {
    service: STAGE,
    version: env!("CARGO_PKG_VERSION"),
    measures: &["logferry_files_"],
};

/// What `main` and the manual need to know of it.
pub const SPEC: service::ServiceSpec = service::ServiceSpec {
    name: STAGE,
    about: "Takes event batches from its queue and writes them to files.",
    examples: "  shipper-fs --check                          tells what is wrong with the settings\n  \
               shipper-fs --config /etc/logferry.toml      runs until it is told to stop\n",
    version: env!("CARGO_PKG_VERSION"),
    check: |settings| {
        has_destination(&settings.shipper_fs)?;
        Ok(check(&settings.shipper_fs)?)
    },
    reads: &["shipper_fs."],
};

/// How much of the grace a drain may use before what is unfinished is given back; the rest is for giving back.
const DRAIN_SHARE: f64 = 0.8;

/// Deliveries between the consumer and the thread that formats them, and results on the way back.
const CHANNEL_LEN: usize = 16;

/// Pause before a disk that was full at the start is tried again.
const START_PAUSE: Duration = Duration::from_secs(1);

/// Dead letters of single events whose confirms may be awaited at a time.
const DEAD_LETTERS_MAX: usize = 64;

/// The reason of dead letters that are no event batches.
const UNDECODABLE: &str = "undecodable";

/// Checks what the settings cannot know: templates of paths and lines.
///
/// # Errors
/// The first mistake.
pub fn check(settings: &ShipperFsSettings) -> Result<(), DestinationError> {
    destination::compile(&settings.destinations).map(drop)
}

/// A shipper without a destination would take events out of its queue for nobody.
fn has_destination(settings: &ShipperFsSettings) -> anyhow::Result<()> {
    anyhow::ensure!(
        !settings.destinations.is_empty(),
        "there is nowhere to write to: settings have no [[shipper_fs.destination]]"
    );
    Ok(())
}

/// Ships until `ctx.stop` is cancelled, and returns after the drain.
///
/// # Errors
/// What [`Shipper::start`] and [`Shipper::run`] return.
pub async fn run(settings: &ShipperFsSettings, broker: Broker, ctx: Context) -> anyhow::Result<()> {
    match Shipper::start(settings, broker, ctx).await? {
        Some(shipper) => shipper.run().await,
        None => Ok(()),
    }
}

/// A shipper that consumes.
#[derive(Debug)]
pub struct Shipper {
    limits: Limits,
    batch_bytes_max: usize,
    destinations: Arc<[Destination]>,
    writers: Vec<Writer>,
    broker: Broker,
    consumer: Consumer,
    ctx: Context,
    health: Component,
    files_health: Component,
    meters: Meters,
}

impl Shipper {
    /// Opens the destinations, takes back what a crash left half done there, and begins to consume; waits for a
    /// broker that is away and a disk that is full. `None` when it was told to stop meanwhile.
    ///
    /// # Errors
    /// No destination, a mistake in one, a folder that cannot be used, a queue that does not exist.
    pub async fn start(
        settings: &ShipperFsSettings,
        broker: Broker,
        ctx: Context,
    ) -> anyhow::Result<Option<Self>> {
        has_destination(settings)?;
        let destinations: Arc<[_]> = destination::compile(&settings.destinations)?.into();
        let health = ctx.health.component(STAGE);
        let files_health = ctx.health.component("files");
        let files_max = (settings.open_files_max / destinations.len()).max(1);
        let Some(writers) = open_writers(&destinations, files_max, &ctx.stop, &files_health).await? else {
            return Ok(None);
        };
        files_health.ready();
        health.not_ready("waiting for the broker");
        let queue = QueueName::new(&settings.queue).context("shipper_fs.queue")?;
        let consumer = tokio::select! {
            // What is dropped here has not consumed anything.
            () = ctx.stop.cancelled() => return Ok(None),
            consumer = broker.consume(&queue, settings.prefetch, STAGE) => consumer.context("consume event batches")?,
        };
        tracing::info!(
            queue = queue.as_str(),
            destinations = destinations.len(),
            "consuming"
        );
        Ok(Some(Self {
            limits: Limits {
                age_max: settings.sync_age_max,
                bytes_max: settings.sync_bytes_max,
                files_max,
                prefetch: usize::from(settings.prefetch),
                idle_close: settings.idle_close,
            },
            batch_bytes_max: settings.batch_bytes_max,
            destinations,
            writers,
            broker,
            consumer,
            meters: Meters::new(&ctx.metrics),
            ctx,
            health,
            files_health,
        }))
    }

    /// Ships until the context's `stop` is cancelled, then writes what it holds. What is not written in time is given
    /// back.
    ///
    /// # Errors
    /// A thread that ended by a panic.
    pub async fn run(self) -> anyhow::Result<()> {
        let give_up = CancellationToken::new();
        let shared = Arc::new(Shared {
            limits: self.limits,
            unsettled: 0.into(),
            in_flight: Default::default(),
            meters: self.meters.clone(),
            give_up: give_up.clone(),
        });
        let names = self
            .destinations
            .iter()
            .map(|destination| destination.name.clone());
        let readiness = Readiness::new(self.files_health, self.meters, names);
        let ((deliveries, results), threads) = start_threads(
            &shared,
            &self.destinations,
            self.batch_bytes_max,
            self.writers,
            self.broker.publisher(DEAD_LETTERS_MAX),
            readiness,
        );
        let stop = self.ctx.stop;
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(self.ctx.grace.mul_f64(DRAIN_SHARE)).await;
            give_up.cancel();
        };
        let ship = async {
            tokio::join!(
                feed(self.consumer, deliveries, &shared, &stop),
                settle(results, &shared)
            );
        };
        tokio::select! {
            // None of the others ever ends.
            () = ship => {}
            () = forever(deadline) => {}
            () = watch_broker(self.broker.state(), &self.health) => {}
        }
        self.health.not_ready("stopped");
        for thread in threads {
            thread.await.context("write files")?;
        }
        Ok(())
    }
}

type Channels = (mpsc::Sender<(Bytes, Delivery)>, mpsc::Receiver<Settled<Delivery>>);

/// The thread that makes lines and the thread that writes them.
fn start_threads(
    shared: &Arc<Shared>,
    destinations: &Arc<[Destination]>,
    batch_bytes_max: usize,
    writers: Vec<Writer>,
    publisher: Publisher,
    readiness: Readiness,
) -> (Channels, Vec<JoinHandle<()>>) {
    let (deliveries_in, deliveries) = mpsc::channel(CHANNEL_LEN);
    let (results, results_out) = mpsc::channel(CHANNEL_LEN);
    let (groups_in, groups) = mpsc::channel(1);
    let (used_in, used) = mpsc::channel(2);
    let formatter = || {
        let recent = writers.iter().map(Writer::recent).collect();
        Formatter::new(Arc::clone(destinations), recent, batch_bytes_max)
    };
    let former = Former {
        shared: Arc::clone(shared),
        formatter: formatter(),
        destinations: destinations.len(),
        deliveries,
        groups: groups_in,
        results: results.clone(),
        used,
    };
    let shelver = Shelver {
        shared: Arc::clone(shared),
        formatter: formatter(),
        writers,
        publisher,
        groups,
        results,
        used: used_in,
        readiness,
        has_given_up: false,
    };
    let runtime = Handle::current();
    let threads = vec![
        spawn_blocking({
            let runtime = runtime.clone();
            move || runtime.block_on(former.form())
        }),
        spawn_blocking(move || runtime.block_on(shelver.write())),
    ];
    ((deliveries_in, results_out), threads)
}

/// Hands deliveries to the thread that formats them, until `stop`.
async fn feed(
    mut consumer: Consumer,
    deliveries: mpsc::Sender<(Bytes, Delivery)>,
    shared: &Shared,
    stop: &CancellationToken,
) {
    loop {
        let delivery = tokio::select! {
            () = stop.cancelled() => break,
            // Cancel-safe, says the broker.
            delivery = consumer.next() => delivery,
        };
        let Some(delivery) = delivery else { break };
        shared.meters.counters.taken(1);
        shared.unsettled.fetch_add(1, Ordering::Relaxed);
        if deliveries.send((delivery.body.clone(), delivery)).await.is_err() {
            break;
        }
    }
    consumer.stop();
}

/// Settles what the threads are done with, until both have ended.
async fn settle(mut results: mpsc::Receiver<Settled<Delivery>>, shared: &Shared) {
    while let Some(settled) = results.recv().await {
        match settled {
            Settled::Written(held) => {
                for held in held {
                    count(&held, &shared.meters);
                    finish(held.delivery, Disposition::Ack, shared).await;
                }
            }
            Settled::GivenBack(held) => {
                for held in held {
                    finish(held.delivery, Disposition::Requeue, shared).await;
                }
            }
            Settled::Undecodable(delivery, error) => {
                tracing::error!(%error, id = ?delivery.id, "undecodable batch, dead-lettering");
                shared.meters.counters.dead_lettered(UNDECODABLE, 1);
                let letter = DeadLetter {
                    reason: UNDECODABLE,
                    text: error.to_string(),
                };
                tokio::select! {
                    // The delivery is dropped, and so given back.
                    () = shared.give_up.cancelled() => {}
                    () = finish(delivery, Disposition::DeadLetter(letter), shared) => {}
                }
            }
        }
    }
}

async fn finish(delivery: Delivery, disposition: Disposition, shared: &Shared) {
    delivery.settle(disposition).await;
    shared.unsettled.fetch_sub(1, Ordering::Relaxed);
    shared.meters.counters.settled(1);
}

fn count(held: &Held<Delivery>, meters: &Meters) {
    let events = held.batch.events;
    match held.batch.fate {
        Fate::Formatted => meters.counters.sent(events),
        Fate::Repeated => meters.repeated(events),
        Fate::NotTaken => meters.counters.dropped("no_destination", events),
    }
}

/// Opens all destinations. What passes, such as a full disk, is waited for; anything else is for the administrator
/// and ends the start.
async fn open_writers(
    destinations: &Arc<[Destination]>,
    files_max: usize,
    stop: &CancellationToken,
    health: &Component,
) -> anyhow::Result<Option<Vec<Writer>>> {
    let mut last_problem = None;
    loop {
        let all = Arc::clone(destinations);
        let opened = spawn_blocking(move || -> Result<Vec<Writer>, WriteError> {
            let open =
                |destination| Writer::open(destination, files_max, Bounds::default(), Disk::new(NoFaults));
            all.iter().map(open).collect()
        });
        match opened.await.context("open destinations")? {
            Ok(writers) => return Ok(Some(writers)),
            Err(error) if error.may_pass() => {
                let problem = error.to_string();
                if last_problem.as_ref() != Some(&problem) {
                    tracing::error!(error = problem, "destinations cannot be opened, trying again");
                    health.not_ready(problem.clone());
                    last_problem = Some(problem);
                }
            }
            Err(error) => return Err(error).context("open destinations"),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(START_PAUSE) => {}
        }
    }
}

async fn watch_broker(mut state: watch::Receiver<BrokerState>, health: &Component) {
    loop {
        let now = state.borrow_and_update().clone();
        if now.is_ready() {
            health.ready();
        } else {
            health.not_ready(format!("broker: {now}"));
        }
        if state.changed().await.is_err() {
            health.not_ready("broker: closed");
            return std::future::pending().await;
        }
    }
}

async fn forever(work: impl Future<Output = ()>) {
    work.await;
    std::future::pending().await
}
