//! Watches how full queues are: the parser's own, and those of shippers, which cannot tell it themselves while they
//! are down.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use broker::{Broker, BrowseError, Fill, QueueName};
use settings::{BrokerSettings, Settings};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::meters::Meters;

/// Queues fill in minutes or hours.
const PERIOD: Duration = Duration::from_secs(5);
/// A warning is repeated this often while it stays so.
const REPEAT: Duration = Duration::from_secs(600);

/// The mean size of what was published, since AMQP tells the messages of a queue and not their bytes.
#[derive(Debug, Default)]
pub(crate) struct MeanSize {
    bytes: AtomicU64,
    messages: AtomicU64,
}

impl MeanSize {
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> Option<u64> {
        let messages = self.messages.load(Ordering::Relaxed);
        self.bytes.load(Ordering::Relaxed).checked_div(messages)
    }
}

/// A queue that is watched.
struct Watched {
    name: QueueName,
    /// Whether raw batches are in it; else event batches.
    is_raw: bool,
    warned_at: Option<Instant>,
}

/// Watches until it is dropped.
pub(crate) async fn watch(settings: &Settings, broker: &Broker, meters: &Meters) {
    let bytes_max = match &settings.broker {
        BrokerSettings::Amqp(amqp) => amqp.queue_bytes_max,
        BrokerSettings::Embedded { queue_bytes_max, .. } => *queue_bytes_max,
    };
    let mut queues = queues(settings);
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for queue in &mut queues {
            match broker.fill(&queue.name).await {
                Ok(fill) => queue.note(&fill, bytes_max, settings.parser.queue_warn_percent, meters),
                Err(BrowseError::NoSuchQueue { .. }) => meters.fill(&queue.name, None, None, bytes_max),
                // Whoever looks after the connection has said so.
                Err(error) => {
                    tracing::debug!(%error, queue = %queue.name, "the fill level is not known");
                    meters.fill(&queue.name, None, None, bytes_max);
                }
            }
        }
    }
}

fn queues(settings: &Settings) -> Vec<Watched> {
    let mut names = vec![(settings.shipper_pgsql.queue.as_str(), false)];
    if !settings.shipper_fs.destinations.is_empty() {
        names.push((settings.shipper_fs.queue.as_str(), false));
    }
    let names = names
        .into_iter()
        .filter_map(|(name, is_raw)| Some((QueueName::new(name).ok()?, is_raw)));
    let raw = QueueName::of_parser(settings.parser.queues).map(|name| (name, true));
    raw.chain([(QueueName::dead(), false)])
        .chain(names)
        .map(|(name, is_raw)| Watched {
            name,
            is_raw,
            warned_at: None,
        })
        .collect()
}

impl Watched {
    fn note(&mut self, fill: &Fill, bytes_max: u64, warn_percent: u8, meters: &Meters) {
        let mean = if self.is_raw {
            &meters.raw_size
        } else {
            &meters.output_size
        };
        let bytes = fill.bytes.or_else(|| {
            if fill.ready == 0 {
                Some(0)
            } else {
                Some(mean.get()? * fill.ready)
            }
        });
        meters.fill(&self.name, Some(fill.ready), bytes, bytes_max);
        let percent = bytes.map(|bytes| bytes.saturating_mul(100) / bytes_max.max(1));
        if percent.is_none_or(|percent| percent < u64::from(warn_percent)) {
            if self.warned_at.take().is_some() {
                tracing::info!(queue = %self.name, messages = fill.ready, "a queue has room again");
            }
            return;
        }
        if self.warned_at.is_some_and(|at| at.elapsed() < REPEAT) {
            return;
        }
        self.warned_at = Some(Instant::now());
        tracing::warn!(
            queue = %self.name,
            messages = fill.ready,
            percent,
            is_estimate = fill.bytes.is_none(),
            consumers = fill.consumers,
            "a queue fills up; at its bound (broker.queue_bytes_max) it refuses batches"
        );
    }
}
