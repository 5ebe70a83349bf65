//! Shippers whose overflow is parked: what their queue refuses waits in a file queue of this parser, and goes back
//! in order, so that a shipper that is down holds up nobody else.
//!
//! AMQP does not say which queue refused a message that went to several. So these shippers' queues are not bound to
//! the exchange: each gets its batches by a publish of its own. The file queue is the embedded broker, durable
//! before it says so. Each parser has its own; one that starts takes the first that no other uses.

mod drain;
mod lane;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use broker::{BindingKey, Broker, ConnectError, Publisher, QueueName, Topology};
use settings::{BrokerSettings, Settings, WhenFull};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::drain::drain;
pub(crate) use self::lane::{Lane, Taken};
use crate::meters::Meters;

/// More parsers than this on one data folder are a mistake.
const SLOTS_MAX: u32 = 256;
/// A parked batch is never poison: it was not looked at.
const DELIVERY_LIMIT: u32 = u32::MAX;
/// Batches of a shipper under way to its queue.
const UNCONFIRMED_MAX: usize = 64;
/// The first pause after a queue refused, and the longest.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The file queue, and the way to each shipper that uses it.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    pub(crate) lanes: Vec<Lane>,
    tasks: JoinSet<()>,
    store: Option<Broker>,
    stop: CancellationToken,
}

/// What a lane and its drain share.
#[derive(Debug)]
struct Track {
    queue: QueueName,
    binding_keys: Vec<BindingKey>,
    /// Batches in the file queue, or on their way into it. While there are any, nothing goes past them.
    parked: AtomicU64,
    publisher: Publisher,
    meters: Meters,
    stop: CancellationToken,
}

impl Parking {
    /// Opens what is needed: nothing, where no shipper parks and nothing is left from when one did.
    pub(crate) async fn start(settings: &Settings, broker: &Broker, meters: &Meters) -> anyhow::Result<Self> {
        let dir = settings.data_dir.join("parked");
        let shippers = shippers(settings)?;
        let parks = shippers.iter().any(|shipper| shipper.parks);
        if !parks && !dir.try_exists().unwrap_or(false) {
            return Ok(Self::default());
        }
        let store = open(&dir, settings.parser.park_bytes_max).await?;
        let queues = shippers.iter().map(|shipper| (shipper.queue.clone(), Vec::new()));
        store
            .declare(&Topology::new(queues))
            .await
            .context("open the queues of parked batches")?;
        let mut parking = Self {
            store: Some(store.clone()),
            ..Self::default()
        };
        for shipper in shippers {
            let parked = store.fill(&shipper.queue).await?.ready;
            if parked > 0 {
                tracing::info!(queue = %shipper.queue, parked, "batches are parked for a shipper");
            }
            if !shipper.parks && parked == 0 {
                continue;
            }
            meters.parked(&shipper.queue, parked);
            let track = Arc::new(Track {
                queue: shipper.queue,
                binding_keys: shipper.binding_keys,
                parked: AtomicU64::new(parked),
                publisher: broker.publisher(UNCONFIRMED_MAX),
                meters: meters.clone(),
                stop: parking.stop.clone(),
            });
            let parked = store
                .consume(&track.queue, 1, crate::STAGE)
                .await
                .context("read parked batches")?;
            parking.tasks.spawn(drain(Arc::clone(&track), parked));
            if shipper.parks {
                let lane = Lane::start(track, store.publisher(UNCONFIRMED_MAX), &mut parking.tasks);
                parking.lanes.push(lane);
            }
        }
        Ok(parking)
    }

    /// Ends it, when nobody uses the lanes any more. What is parked stays so.
    pub(crate) async fn end(mut self) {
        self.lanes.clear();
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task for parked batches failed");
            }
        }
        if let Some(store) = self.store {
            store.close().await;
        }
    }
}

impl Track {
    fn is_clear(&self) -> bool {
        self.parked.load(Ordering::Acquire) == 0
    }

    fn parked_one(&self) {
        let parked = self.parked.fetch_add(1, Ordering::AcqRel) + 1;
        if parked == 1 {
            tracing::warn!(queue = %self.queue, "a shipper's queue is full, parking its batches");
        }
        self.meters.parked(&self.queue, parked);
    }

    fn returned_one(&self) {
        let parked = self.parked.fetch_sub(1, Ordering::AcqRel).saturating_sub(1);
        self.meters.parked(&self.queue, parked);
        if parked == 0 {
            tracing::info!(queue = %self.queue, "all parked batches are in the shipper's queue again");
        }
    }
}

/// A shipper as the parser sees it.
struct Shipper {
    queue: QueueName,
    binding_keys: Vec<BindingKey>,
    parks: bool,
}

fn shippers(settings: &Settings) -> anyhow::Result<Vec<Shipper>> {
    let (pgsql, fs) = (&settings.shipper_pgsql, &settings.shipper_fs);
    let mut shippers = vec![shipper(&pgsql.queue, &pgsql.binding_keys, pgsql.when_full)?];
    if !fs.destinations.is_empty() {
        shippers.push(shipper(&fs.queue, &fs.binding_keys, fs.when_full)?);
    }
    Ok(shippers)
}

fn shipper(queue: &str, binding_keys: &[String], when_full: WhenFull) -> anyhow::Result<Shipper> {
    let keys = binding_keys.iter().map(|key| BindingKey::new(key));
    Ok(Shipper {
        queue: QueueName::new(queue)?,
        binding_keys: keys.collect::<Result<_, _>>()?,
        parks: when_full == WhenFull::Park,
    })
}

/// The first file queue below `dir` that no other parser has.
async fn open(dir: &Path, bytes_max: u64) -> anyhow::Result<Broker> {
    for slot in 0..SLOTS_MAX {
        let settings = BrokerSettings::Embedded {
            dir: dir.join(slot.to_string()),
            queue_bytes_max: bytes_max,
            delivery_limit: DELIVERY_LIMIT,
        };
        match Broker::connect(&settings, "parked batches").await {
            Ok(store) => return Ok(store),
            Err(ConnectError::InUse { .. }) => {}
            Err(error) => return Err(error).context("open the file queue for parked batches (data_dir)"),
        }
    }
    bail!("{SLOTS_MAX} parsers use {} already", dir.display())
}
