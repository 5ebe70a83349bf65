//! Rescue queues back to the broker.
//!
//! Batches that waited are claimed, oldest first, published to `logferry.received` with the ids that they were given
//! at intake, and removed when the broker has confirmed them. A collector that dies in between leaves its claims to
//! the next one, which publishes some batches a second time: the same id makes that harmless. What is no batch any
//! more goes to the dead letters. Any number of collectors may work on the same queues.

mod metrics;
mod pace;
mod returner;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use broker::{Broker, BrokerState};
use rescue::Rescue;
use service::Context;
use settings::{CollectorSettings, RescueSettings};
use tokio::{task::JoinSet, time::sleep};

use crate::{metrics::QueueMetrics, returner::Returner};

/// The name of the stage in metrics and dead letters.
pub const STAGE: &str = "collector";

/// Registers every metric of this service, with a sample of each set of labels, for `docs/metrics.md`.
pub fn describe_metrics(metrics: &service::Metrics) {
    drop(QueueMetrics::new(metrics, ""));
}

/// Its heartbeat.
pub const PULSE: service::Pulse = service::Pulse {
    service: STAGE,
    version: env!("CARGO_PKG_VERSION"),
    measures: &["logferry_rescue_"],
};

/// What `main` and the manual need to know of it.
pub const SPEC: service::ServiceSpec = service::ServiceSpec {
    name: "collector",
    about: "Returns batches from the rescue queues to the broker",
    examples: "  collector --config /etc/logferry/logferry.toml
      Run with this settings file, beside the syslog-server of this host
  collector --check
      Tell every mistake in the settings, and exit",
    version: env!("CARGO_PKG_VERSION"),
    check: |_| Ok(()),
    reads: &["collector.", "rescue."],
};

/// Returns batches until `ctx.stop` is cancelled; what is on its way then is finished.
///
/// # Errors
/// A rescue queue that can never work, or a task that ended by a panic.
pub async fn run(
    settings: &CollectorSettings,
    rescue: &RescueSettings,
    broker: Broker,
    ctx: Context,
) -> anyhow::Result<()> {
    let rescue = Rescue::open_all(rescue).context("open the rescue queues")?;
    let health = ctx.health.component(STAGE);
    let mut tasks = JoinSet::new();
    for queue in rescue.queues() {
        tracing::info!(queue = queue.name(), "returning batches");
        let metrics = Arc::new(QueueMetrics::new(&ctx.metrics, queue.name()));
        let returner = Returner {
            queue: queue.clone(),
            broker: broker.clone(),
            publisher: broker.publisher(usize::from(settings.prefetch)),
            settings: settings.clone(),
            metrics: Arc::clone(&metrics),
            stop: ctx.stop.clone(),
        };
        tasks.spawn(returner.run());
        tasks.spawn(measure(
            queue.clone(),
            metrics,
            settings.poll_interval,
            ctx.clone(),
        ));
    }
    if rescue.queues().is_empty() {
        tracing::warn!("there is no rescue queue to return batches from (rescue.order, rescue.url)");
    }
    let mut state = broker.state();
    let work = async {
        ctx.stop.cancelled().await;
        while let Some(ended) = tasks.join_next().await {
            ended.context("return batches")?;
        }
        Ok(())
    };
    let watch = async {
        loop {
            match &*state.borrow_and_update() {
                BrokerState::Ready => health.ready(),
                state => health.not_ready(format!("broker: {state}")),
            }
            if state.changed().await.is_err() {
                return std::future::pending::<()>().await;
            }
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = watch => Ok(()),
    };
    rescue.close().await;
    ended
}

/// Keeps the gauges of what waits up to date, whether the broker is there or not.
async fn measure(queue: rescue::Queue, metrics: Arc<QueueMetrics>, pause: Duration, ctx: Context) {
    let measuring = async {
        loop {
            match queue.depth().await {
                Ok(depth) => metrics.waiting(depth),
                Err(error) => tracing::debug!(%error, queue = queue.name(), "depth of the rescue queue"),
            }
            sleep(pause).await;
        }
    };
    tokio::select! {
        () = ctx.stop.cancelled() => {}
        () = measuring => {}
    }
}
