//! `logferry run`: every stage in one process, on embedded queues and store or on the servers of the settings.

mod greeting;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use broker::{Broker, QueueName, Topology};
use clap::Args;
use service::{Context, DataDir, Loaded, ProcessArgs, Pulse, Reloader, supervise};
use settings::{BrokerSettings, LogFormat, Settings};
use store::Store;
use syslog_server::{Inherited, Server};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    check, command,
    dead::DeadSocket,
    init::{declare, migrate_context},
};

const EXAMPLES: &str = "\
Examples:
  logferry run                       no settings needed: data in ./data, syslog on 127.0.0.1:5514, RELP on 2514
  logferry run --data /var/lib/logferry
  logferry run --set syslog_server.listener.tcp.address=0.0.0.0:5514
  logferry run --config logferry.toml   with RabbitMQ and PostgreSQL, when the file names them

SIGINT and SIGTERM drain within service.shutdown_grace; a second one ends at once, and what was under way is
delivered again at the next start. SIGHUP reads the settings again, as `logferry reload` does.
Exit codes: 0 drained, 1 could not start, 64 wrong arguments, 70 failed while running, 78 wrong settings.";

/// Run every stage in this one process
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// Folder of the embedded queues and store, made if need be; sets data_dir [default: ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    #[command(flatten)]
    process: ProcessArgs,
}

impl RunArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        const HTTP_KEY: &str = "service.http_addr";
        let data = self.data.iter().map(|dir| ("data_dir".to_owned(), dir.clone()));
        let (process, data) = (self.process.clone(), data.collect::<Vec<_>>());
        let read = move || {
            let loaded = process.load(HTTP_KEY, data.clone())?;
            check::settings_only(&loaded.settings)?;
            Ok(loaded)
        };
        let loaded: Loaded = match read() {
            Ok(loaded) => loaded,
            Err(error) => return command::bad_settings(&format!("{error:#}")),
        };
        // Every key, as all stages are in it.
        let reloader = Reloader::new(&loaded, &[""], read);
        let Loaded { settings, file, .. } = loaded;
        // Who started it twice is told so, rather than that some port is busy.
        if let Err(error) = DataDir::expect_unused(&settings) {
            return command::failed(&error);
        }
        let http_addr = settings.service.http_addr;
        let http = (http_addr, HTTP_KEY);
        supervise("logferry", settings, http, reloader, |settings, ctx| {
            run(settings, file, ctx)
        })
    }
}

async fn run(settings: Settings, file: Option<PathBuf>, ctx: Context) -> anyhow::Result<()> {
    let shown = file.as_ref().map(|file| file.display().to_string());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), settings = shown, "starting");
    // Sockets first: a busy port is the commonest mistake, and leaves nothing behind.
    let server = Server::bind_or_inherit(&settings.syslog_server, Inherited::from_env()?)?
        .over_queues(settings.parser.queues)
        .with_rescue(&settings.broker, &settings.rescue)?;
    let pages = web::Server::bind(&settings.web)?;
    let data_dir = DataDir::open_if_used(&settings)?;
    let broker = Broker::connect(&settings.broker, "logferry run")
        .await
        .context("connect to the broker (broker.url)")?;
    ctx.metrics.collect(broker.collector());
    let topology = Topology::of(&settings)?;
    declare(&broker, &settings.broker, &topology).await?;
    let store = Store::connect(&settings.store).context("open the store (store.url)")?;
    store
        .migrate()
        .await
        .with_context(|| migrate_context(&settings.store))?;
    ctx.started();
    let greeting = greeting::text(&greeting::Facts {
        settings: &settings,
        listening: &server.addrs(),
        data_dir: data_dir.as_ref().map(DataDir::path),
        file: file.as_deref(),
        http_addr: ctx.http_addr(),
        pages: pages.as_ref().map(web::Server::url),
    });
    let is_for_people = settings.service.log_format == LogFormat::Text;
    let queues = topology.queues().iter().map(|queue| queue.name.clone());
    let dead = dead_socket(&settings, data_dir.as_ref(), queues.collect());
    let sockets = Sockets { server, pages, dead };
    let stages = stages(settings, sockets, &broker, &store, &ctx);
    let ended = if is_for_people {
        greet_when_ready(stages, &greeting, &ctx).await
    } else {
        stages.await
    };
    broker.close().await;
    store.close().await;
    drop(data_dir);
    ended
}

/// Opens the way in for `logferry dead` and `logferry status`, which cannot open the embedded queues while this process
/// has them.
fn dead_socket(
    settings: &Settings,
    data_dir: Option<&DataDir>,
    queues: Vec<QueueName>,
) -> Option<DeadSocket> {
    if !matches!(settings.broker, BrokerSettings::Embedded { .. }) {
        return None;
    }
    match DeadSocket::bind(data_dir?.path(), queues) {
        Ok(socket) => Some(socket),
        Err(error) => {
            // A path of more than about 100 bytes is too long for a socket.
            tracing::warn!(%error, "no socket in data_dir: `logferry status` cannot reach this process, and `logferry dead` works only while it does not run");
            None
        }
    }
}

/// Prints the greeting below what the stages log at their start.
async fn greet_when_ready(
    stages: impl Future<Output = anyhow::Result<()>>,
    greeting: &str,
    ctx: &Context,
) -> anyhow::Result<()> {
    /// With servers that are away it is ready when they are there; who looks on wants to know before that.
    const GREETING_PATIENCE: Duration = Duration::from_secs(3);
    tokio::pin!(stages);
    tokio::select! {
        ended = &mut stages => return ended,
        _ = timeout(GREETING_PATIENCE, ctx.health.until_ready()) => {
            if let Err(error) = command::print(greeting) {
                tracing::warn!(%error, "cannot print where it listens");
            }
        }
    }
    stages.await
}

/// What is bound before anything runs.
struct Sockets {
    server: Server,
    pages: Option<web::Server>,
    dead: Option<DeadSocket>,
}

/// Runs all stages until `stop`. One that ends before it stops the others.
async fn stages(
    settings: Settings,
    sockets: Sockets,
    broker: &Broker,
    store: &Store,
    ctx: &Context,
) -> anyhow::Result<()> {
    let Sockets { server, pages, dead } = sockets;
    let _pulses = pulses(&settings, broker, ctx);
    let mut stages = JoinSet::new();
    if let Some(pages) = pages {
        let (all, pages_store) = (settings.clone(), store.clone());
        let (pages_broker, pages_ctx) = (broker.clone(), ctx.clone());
        stages.spawn(async move { ("web", pages.run(all, pages_store, pages_broker, pages_ctx).await) });
    }
    if let Some(dead) = dead {
        let (broker, stop) = (broker.clone(), ctx.stop.clone());
        stages.spawn(async move {
            dead.serve(broker, stop).await;
            ("dead letters", Ok(()))
        });
    }
    let (intake_broker, intake_ctx) = (broker.clone(), ctx.clone());
    stages.spawn(async move { ("syslog-server", server.run(intake_broker, intake_ctx).await) });
    if !settings.harvest.folders.is_empty() {
        let (all, harvest_broker, harvest_ctx) = (settings.clone(), broker.clone(), ctx.clone());
        stages.spawn(async move { ("harvest", harvest::run(&all, harvest_broker, harvest_ctx).await) });
    }
    let (all, parser_broker, parser_ctx) = (settings.clone(), broker.clone(), ctx.clone());
    stages.spawn(async move { ("parser", parser::run(&all, parser_broker, parser_ctx).await) });
    let (pgsql, pgsql_store) = (settings.shipper_pgsql.clone(), store.clone());
    let (pgsql_broker, pgsql_ctx) = (broker.clone(), ctx.clone());
    stages.spawn(async move {
        (
            "shipper-pgsql",
            shipper_pgsql::run(&pgsql, pgsql_store, pgsql_broker, pgsql_ctx).await,
        )
    });
    if matches!(settings.broker, BrokerSettings::Amqp(_)) {
        let (own, rescue) = (settings.collector.clone(), settings.rescue.clone());
        let (own_broker, own_ctx) = (broker.clone(), ctx.clone());
        stages.spawn(async move {
            (
                "collector",
                collector::run(&own, &rescue, own_broker, own_ctx).await,
            )
        });
    }
    if !settings.shipper_fs.destinations.is_empty() {
        let (fs, fs_broker, fs_ctx) = (settings.shipper_fs, broker.clone(), ctx.clone());
        stages.spawn(async move { ("shipper-fs", shipper_fs::run(&fs, fs_broker, fs_ctx).await) });
    }
    let first = next(&mut stages, ctx).await;
    if ctx.stop.is_cancelled() && first.is_ok() {
        return all_of(&mut stages, ctx).await;
    }
    ctx.stop.cancel();
    // The others get the grace that a signal would give them; the reason to stop counts for more than theirs.
    if timeout(ctx.grace, all_of(&mut stages, ctx)).await.is_err() {
        tracing::warn!("drain timed out");
    }
    first
}

/// A heartbeat for each stage, as if it were a process of its own.
fn pulses(settings: &Settings, broker: &Broker, ctx: &Context) -> Vec<AbortOnDropHandle<()>> {
    let mut stages = vec![syslog_server::PULSE, parser::PULSE, shipper_pgsql::PULSE];
    if !settings.harvest.folders.is_empty() {
        stages.push(harvest::PULSE);
    }
    if matches!(settings.broker, BrokerSettings::Amqp(_)) {
        stages.push(collector::PULSE);
    }
    if !settings.shipper_fs.destinations.is_empty() {
        stages.push(shipper_fs::PULSE);
    }
    if settings.web.address.is_some() {
        stages.push(web::PULSE);
    }
    let start = |pulse: Pulse| {
        let speaker = broker.clone();
        pulse.start(ctx, move |key, beat| speaker.announce(key, beat))
    };
    stages.into_iter().map(start).collect()
}

async fn all_of(stages: &mut JoinSet<Ended>, ctx: &Context) -> anyhow::Result<()> {
    let mut result = Ok(());
    while !stages.is_empty() {
        result = result.and(next(stages, ctx).await);
    }
    result
}

/// A stage's name, and how it ended.
type Ended = (&'static str, anyhow::Result<()>);

async fn next(stages: &mut JoinSet<Ended>, ctx: &Context) -> anyhow::Result<()> {
    match stages.join_next().await {
        None => Ok(()),
        Some(Ok((stage, Ok(())))) if ctx.stop.is_cancelled() => {
            tracing::info!(stage, "stage drained");
            Ok(())
        }
        Some(Ok((stage, Ok(())))) => Err(anyhow::anyhow!("{stage} ended without being told to stop")),
        Some(Ok((stage, Err(error)))) => Err(error.context(stage)),
        Some(Err(error)) => Err(anyhow::Error::new(error).context("run a stage")),
    }
}
