//! Event batches to rows in the store.
//!
//! [`Shipper`] consumes its queue and gathers deliveries into groups, which writers put into the store, one
//! transaction a group, several at the same time. A delivery is acknowledged when its transaction is committed. The
//! store remembers the ids of batches, so that a batch that is delivered again adds no rows. Rows that the store refuses
//! go to the dead letters before the rest of their group is committed. While the store is away, deliveries stay
//! unacknowledged and are tried again.
//!
//! Beside that it keeps the store in order: partitions made ahead, sealed when their time is over, and dropped when they
//! are kept no longer.
//!
//! It keeps nothing else: start more of them, on the same queue, to ship more. The store is PostgreSQL, or SQLite in
//! `logferry run`.

mod load;
mod meters;
#[cfg(test)]
mod tests;
mod writer;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use broker::{Broker, BrokerState, Consumer, Delivery, QueueName};
use event::Timestamp;
use parking_lot::Mutex;
use service::{Component, Context};
use settings::{ShipperPgsqlSettings, UpkeepSettings};
use store::Store;
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{load::Load, meters::Meters, writer::Writer};

/// The name of the stage in metrics and dead letters.
pub const STAGE: &str = "shipper-pgsql";

/// Registers every metric of this service, with a sample of each set of labels, for `docs/metrics.md`.
pub fn describe_metrics(metrics: &service::Metrics) {
    drop(Meters::new(metrics));
}

/// Its heartbeat.
pub const PULSE: service::Pulse = service::Pulse {
    service: STAGE,
    version: env!("CARGO_PKG_VERSION"),
    measures: &["logferry_store_"],
};

/// What `main` and the manual need to know of it.
pub const SPEC: service::ServiceSpec = service::ServiceSpec {
    name: STAGE,
    about: "Takes event batches from its queue and writes them to the store as rows.",
    examples: "  shipper-pgsql --check                          tells what is wrong with the settings\n  \
               shipper-pgsql --config /etc/logferry.toml      runs until it is told to stop\n",
    version: env!("CARGO_PKG_VERSION"),
    check: |_| Ok(()),
    reads: &["shipper_pgsql.", "store."],
};

/// How much of the grace a drain may use before what is unfinished is given back; the rest is for giving back.
const DRAIN_SHARE: f64 = 0.8;

/// How often the store makes partitions ahead. Rows whose partition is missing make it themselves, so this only has to be
/// well below the shortest period, an hour.
const MAINTENANCE_PAUSE: Duration = Duration::from_secs(300);

/// How often the store is tidied: partitions are sealed, and dropped, by the hour or day.
const TIDYING_PAUSE: Duration = Duration::from_secs(300);

/// Pause after maintenance that failed.
const MAINTENANCE_RETRY: Duration = Duration::from_secs(5);

/// Or a transaction commits at this many bytes: rows have no size of their own, and memory has.
const TRANSACTION_BYTES_MAX: usize = 32 << 20;

/// Dead letters on their way at once.
const DEAD_LETTERS_MAX: usize = 64;

/// Ships until `ctx.stop` is cancelled, and returns after the drain.
///
/// # Errors
/// What [`Shipper::start`] and [`Shipper::run`] return.
pub async fn run(
    settings: &ShipperPgsqlSettings,
    store: Store,
    broker: Broker,
    ctx: Context,
) -> anyhow::Result<()> {
    match Shipper::start(settings, store, broker, ctx).await? {
        Some(shipper) => shipper.run().await,
        None => Ok(()),
    }
}

/// A shipper that consumes.
#[derive(Debug)]
pub struct Shipper {
    settings: ShipperPgsqlSettings,
    store: Store,
    broker: Broker,
    consumer: Consumer,
    ctx: Context,
    health: Component,
}

impl Shipper {
    /// Begins to consume; waits for a broker that is away. `None` when it was told to stop meanwhile.
    ///
    /// # Errors
    /// A queue that does not exist.
    pub async fn start(
        settings: &ShipperPgsqlSettings,
        store: Store,
        broker: Broker,
        ctx: Context,
    ) -> anyhow::Result<Option<Self>> {
        let health = ctx.health.component(STAGE);
        health.not_ready("waiting for the broker");
        let queue = QueueName::new(&settings.queue).context("shipper_pgsql.queue")?;
        let consumer = tokio::select! {
            // What is dropped here has not consumed anything.
            () = ctx.stop.cancelled() => return Ok(None),
            consumer = broker.consume(&queue, settings.prefetch, STAGE) => consumer.context("consume event batches")?,
        };
        tracing::info!(queue = queue.as_str(), writers = settings.writers, "consuming");
        Ok(Some(Self {
            settings: settings.clone(),
            store,
            broker,
            consumer,
            ctx,
            health,
        }))
    }

    /// Ships until the context's `stop` is cancelled, then writes what it holds. What is not written in time is given
    /// back.
    ///
    /// # Errors
    /// A writer that ended by a panic.
    pub async fn run(self) -> anyhow::Result<()> {
        let give_up = CancellationToken::new();
        let store_health = self.ctx.health.component("store");
        let meters = Meters::new(&self.ctx.metrics);
        let tidying = keep_tidy(self.store.clone(), self.settings.upkeep.clone(), meters.clone());
        let writer = Arc::new(Writer {
            store: self.store.clone(),
            publisher: self.broker.publisher(DEAD_LETTERS_MAX),
            batch_bytes_max: self.settings.batch_bytes_max,
            meters,
            health: store_health.clone(),
            spare: Mutex::default(),
            give_up: give_up.clone(),
        });
        let upkeep = keep_up(self.store.clone(), store_health.clone(), self.ctx.stop.clone());
        let deadline = async {
            self.ctx.stop.cancelled().await;
            tokio::time::sleep(self.ctx.grace.mul_f64(DRAIN_SHARE)).await;
            give_up.cancel();
        };
        let ship = ship(&self.settings, self.consumer, writer, &self.ctx.stop);
        let shipped = tokio::select! {
            // None of the others ever ends.
            shipped = ship => shipped,
            () = forever(upkeep) => Ok(()),
            // Stopped by being dropped: what it has not done is done by whoever comes next.
            () = tidying => Ok(()),
            () = forever(deadline) => Ok(()),
            () = watch_broker(self.broker.state(), &self.health) => Ok(()),
        };
        self.health.not_ready("stopped");
        shipped.context("write rows")
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

/// Makes partitions ahead, now and then, and tells whether the store is there.
async fn keep_up(store: Store, health: Component, stop: CancellationToken) {
    loop {
        let pause = match store.maintain().await {
            Ok(()) => {
                health.ready();
                MAINTENANCE_PAUSE
            }
            Err(error) => {
                let error = anyhow::Error::new(error);
                tracing::warn!(error = format!("{error:#}"), "store not maintained, trying again");
                health.not_ready(format!("{error:#}"));
                MAINTENANCE_RETRY
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Seals partitions and drops what is kept no longer, now and then, for as long as it is polled.
async fn keep_tidy(store: Store, settings: UpkeepSettings, meters: Meters) {
    loop {
        match store.tidy(&settings, Timestamp::now()).await {
            Ok(tidied) => meters.tidied(&tidied),
            Err(error) => {
                let error = anyhow::Error::new(error);
                tracing::warn!(
                    error = format!("{error:#}"),
                    "store not tidied, trying again later"
                );
            }
        }
        tokio::time::sleep(TIDYING_PAUSE).await;
    }
}

/// Gathers deliveries and hands them to writers until `stop`, then waits for the writers.
async fn ship(
    settings: &ShipperPgsqlSettings,
    mut consumer: Consumer,
    writer: Arc<Writer>,
    stop: &CancellationToken,
) -> Result<(), JoinError> {
    let free = Arc::new(Semaphore::new(settings.writers));
    let mut writers = JoinSet::new();
    let mut load = writer.empty_load();
    loop {
        let is_full = load.rows() >= settings.transaction_rows_max || load.size() >= TRANSACTION_BYTES_MAX;
        let due = load.since().map(|since| since + settings.transaction_age_max);
        let is_due = is_full || due.is_some_and(|due| due <= Instant::now());
        tokio::select! {
            () = stop.cancelled() => break,
            // Cancel-safe: a permit that was not returned stays with the semaphore.
            permit = Arc::clone(&free).acquire_owned(), if is_due => {
                let full = std::mem::replace(&mut load, writer.empty_load());
                let writer = Arc::clone(&writer);
                writers.spawn(async move {
                    writer.write(full).await;
                    drop(permit);
                });
            }
            // Cancel-safe, says the broker. While all writers are busy the group grows, up to its bound.
            delivery = consumer.next(), if !is_full => match delivery {
                Some(delivery) => take(&mut load, delivery, &writer, &mut writers),
                None => break,
            },
            () = wait_until(due), if !is_due => {}
            Some(ended) = writers.join_next() => ended?,
        }
    }
    consumer.stop();
    if !load.is_empty() {
        writers.spawn(async move { writer.write(load).await });
    }
    while let Some(ended) = writers.join_next().await {
        ended?;
    }
    Ok(())
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Adds a delivery to the load. What cannot be decoded goes to the dead letters, which may take a while and holds up
/// nobody; there are never more of them than deliveries in flight.
fn take(load: &mut Load, delivery: Delivery, writer: &Arc<Writer>, writers: &mut JoinSet<()>) {
    writer.meters.counters.taken(1);
    match load.push(delivery) {
        Ok(rows) => writer.meters.counters.received(rows),
        Err(undecodable) => {
            let (delivery, error) = *undecodable;
            let writer = Arc::clone(writer);
            writers.spawn(async move { writer.dead_letter(delivery, &error).await });
        }
    }
}
