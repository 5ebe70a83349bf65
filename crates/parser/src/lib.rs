//! Raw batches to event batches: syslog grammar, rules, routing.
//!
//! [`Parser`] consumes the queue `parser`, or those that raw batches are spread over. Threads of its own decode each raw
//! batch, parse its frames, run the rules and build an event batch for each route that came up. A raw batch is
//! acknowledged when the broker has confirmed all event batches that came of it. The ids of those follow from the id of
//! the raw batch, so that a raw batch that is delivered again repeats them.
//!
//! It keeps nothing between batches, but what it parks for shippers whose queue is full, if the settings want that:
//! start more of them to parse more.

mod consumers;
mod fill;
mod labels;
mod meters;
mod outlet;
mod outputs;
mod parking;
mod plan;
mod pool;
mod throttle;
mod worker;

use std::{future::pending, sync::Arc};

use anyhow::Context as _;
use broker::{Broker, BrokerState};
use event::BatchId;
use rules::{CompileErrors, ProgramSource, RuleChain};
use service::{Component, Context};
use settings::{ParserSettings, Settings};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    consumers::Consumers,
    meters::Meters,
    outlet::{InFlight, Outlet},
    parking::Parking,
    plan::Plan,
    pool::Pool,
    worker::Worker,
};

/// The name of the stage in metrics and dead letters.
const STAGE: &str = "parser";

/// Registers every metric of this service, with a sample of each set of labels, for `docs/metrics.md`.
pub fn describe_metrics(metrics: &service::Metrics) {
    meters::describe(metrics);
}

/// Its heartbeat.
pub const PULSE: service::Pulse = service::Pulse {
    service: STAGE,
    version: env!("CARGO_PKG_VERSION"),
    measures: &["logferry_parser_", "logferry_parked_batches", "logferry_queue_"],
};

/// What `main` and the manual need to know of it.
pub const SPEC: service::ServiceSpec = service::ServiceSpec {
    name: "parser",
    about: "Turns raw batches into events: syslog grammar, rules, routing.",
    examples: "  parser --check                  tells what is wrong with the settings and rules
  parser --config logferry.toml   parses until it is told to stop\n",
    version: env!("CARGO_PKG_VERSION"),
    check: |settings| {
        compile_rules(&settings.parser)?;
        Ok(())
    },
    reads: READS,
};

/// What it does with lines of listeners and folders, and the shippers' queues, are its settings too.
const READS: &[&str] = &[
    "parser.",
    "syslog_server.listener[].time_zone",
    "harvest.folder[].grammar",
    "harvest.folder[].time_zone",
    "harvest.folder[].app_name",
    "harvest.folder[].hostname",
    "harvest.folder[].facility",
    "harvest.folder[].severity",
    "harvest.folder[].tags",
    "harvest.folder[].fields",
    "shipper_pgsql.queue",
    "shipper_pgsql.binding_keys",
    "shipper_pgsql.when_full",
    "shipper_fs.queue",
    "shipper_fs.binding_keys",
    "shipper_fs.when_full",
    "shipper_fs.destination[]",
];

/// How much of the grace a drain may use before what is unfinished is given back; the rest is for giving back.
const DRAIN_SHARE: f64 = 0.8;

/// Compiles the programs of the settings.
///
/// # Errors
/// All errors of all programs, as VRL shows them.
pub fn compile_rules(settings: &ParserSettings) -> Result<RuleChain, CompileErrors> {
    let sources: Vec<_> = settings
        .programs
        .iter()
        .map(|program| ProgramSource {
            name: &program.name,
            origin: &program.origin,
            source: &program.source,
        })
        .collect();
    RuleChain::compile(&sources)
}

/// Parses until `ctx.stop` is cancelled, and returns after the drain.
///
/// # Errors
/// What [`Parser::start`] and [`Parser::run`] return.
pub async fn run(settings: &Settings, broker: Broker, ctx: Context) -> anyhow::Result<()> {
    match Parser::start(settings, broker, ctx).await? {
        // Large, and held by every caller otherwise.
        Some(parser) => Box::pin(parser.run()).await,
        None => Ok(()),
    }
}

/// A parser that consumes.
#[derive(Debug)]
pub struct Parser {
    /// Another one when rules change.
    plan: watch::Receiver<Arc<Plan>>,
    settings: Settings,
    meters: Meters,
    parking: Parking,
    prefetch: u16,
    consumers: Consumers,
    broker: Broker,
    ctx: Context,
    health: Component,
}

impl Parser {
    /// Compiles the rules and begins to consume; waits for a broker that is away. `None` when it was told to stop
    /// meanwhile.
    ///
    /// # Errors
    /// Rules that do not compile, an unknown time zone, a queue that does not exist.
    pub async fn start(settings: &Settings, broker: Broker, ctx: Context) -> anyhow::Result<Option<Self>> {
        let plan = plan(settings)?;
        let meters = Meters::new(&ctx.metrics, &plan.chain);
        let (plans, plan) = watch::channel(Arc::new(plan));
        take_new_rules(&ctx, &meters, plans)?;
        let parking = Parking::start(settings, &broker, &meters).await?;
        let health = ctx.health.component(STAGE);
        health.not_ready("waiting for the broker");
        let prefetch = settings.parser.prefetch;
        let consumers = tokio::select! {
            // What is dropped here gives back what it was handed.
            () = ctx.stop.cancelled() => return Ok(None),
            consumers = Consumers::start(&broker, settings.parser.queues, prefetch) => {
                consumers.context("consume raw batches")?
            }
        };
        tracing::info!(threads = settings.parser.threads, "parsing");
        Ok(Some(Self {
            plan,
            settings: settings.clone(),
            meters,
            parking,
            prefetch,
            consumers,
            broker,
            ctx,
            health,
        }))
    }

    /// Parses until the context's `stop` is cancelled, then finishes what is in flight. What is not finished in
    /// time is given back.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub async fn run(self) -> anyhow::Result<()> {
        let (meters, plan, settings) = (self.meters, self.plan, self.settings);
        let make = move || {
            let mut worker = Worker::new(plan.clone());
            move |body: &[u8]| worker.parse(body)
        };
        let pool = Pool::start(settings.parser.threads, usize::from(self.prefetch), make)
            .context("start threads")?;
        let (in_flight, ordered) = mpsc::channel(usize::from(self.prefetch).max(1));
        let give_up = CancellationToken::new();
        let publisher = self
            .broker
            .publisher(usize::from(self.prefetch).saturating_mul(2));
        let mut parking = self.parking;
        let lanes = std::mem::take(&mut parking.lanes);
        let outlet = Outlet::new(publisher, meters.clone(), give_up.clone(), lanes);
        let feed = feed(self.consumers, &pool, in_flight, &meters, &self.ctx.stop);
        let work = async {
            tokio::join!(feed, outlet.run(ordered));
        };
        let deadline = async {
            self.ctx.stop.cancelled().await;
            tokio::time::sleep(self.ctx.grace.mul_f64(DRAIN_SHARE)).await;
            give_up.cancel();
            pending::<()>().await;
        };
        tokio::select! {
            // Only the first ever ends.
            () = work => {}
            () = deadline => {}
            () = watch_broker(self.broker.state(), &self.health) => {}
            () = fill::watch(&settings, &self.broker, &meters) => {}
        }
        self.health.not_ready("stopped");
        parking.end().await;
        pool.stop(give_up.is_cancelled()).await;
        Ok(())
    }
}

fn plan(settings: &Settings) -> anyhow::Result<Plan> {
    let chain = compile_rules(&settings.parser).context("compile the rules")?;
    Plan::new(settings, chain)
}

/// Has the threads parse by new settings, from their next batch on.
fn take_new_rules(ctx: &Context, meters: &Meters, plans: watch::Sender<Arc<Plan>>) -> anyhow::Result<()> {
    warn_of(&plans.borrow().chain);
    let meters = meters.clone();
    ctx.on_reload(move |settings| {
        let plan = plan(settings)?;
        let (meters, plans) = (meters.clone(), plans.clone());
        Ok(Box::new(move || {
            warn_of(&plan.chain);
            meters.know(&plan.chain);
            plans.send_replace(Arc::new(plan));
        }))
    })
}

fn warn_of(chain: &RuleChain) {
    for warning in chain.warnings() {
        tracing::warn!(warning, "a rule compiles, but looks wrong");
    }
}

/// Gives deliveries to the threads, and in the same order to the outlet.
async fn feed(
    mut consumers: Consumers,
    pool: &Pool,
    in_flight: mpsc::Sender<InFlight>,
    meters: &Meters,
    stop: &CancellationToken,
) {
    loop {
        let delivery = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // Cancel-safe: a delivery is returned or kept.
            delivery = consumers.next() => delivery,
        };
        let Some(delivery) = delivery else { break };
        meters.stage.taken(1);
        meters.raw_size.add(delivery.body.len());
        let parsed = pool.submit(delivery.body.clone()).await;
        let minted = delivery.id.and_then(|id| BatchId::from_uuid(id).minted_at());
        let age = minted.map(|minted| meters.stage.hold(minted.as_micros()));
        if let Err(unsent) = in_flight
            .send(InFlight {
                delivery,
                parsed,
                age,
            })
            .await
        {
            // The outlet ends after the feed only; the guard of the delivery gives it back.
            tracing::error!("nobody takes parsed batches");
            drop(unsent);
            break;
        }
    }
    consumers.stop();
}

/// Ready while the broker is.
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
            return pending().await;
        }
    }
}
