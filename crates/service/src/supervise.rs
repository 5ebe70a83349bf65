//! Runs the body of a process from its start to its drain, and says with which exit code it ends.

use std::{env, future::Future, io, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context as _;
use settings::{LogFormat, Settings};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, JoinHandle},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{context::Context, exit, http::HttpEndpoint, logging, manager::Manager, privileges};

/// How long threads may take to end after everything was drained.
const THREADS_PATIENCE: Duration = Duration::from_secs(2);

/// Becomes the user of the settings, starts tracing, the endpoint and the signal handlers, runs `body` until it ends or a signal stops it, and
/// drains. `http` is where the endpoint listens and the key that says so.
///
/// The first SIGINT or SIGTERM cancels the context's `stop`; `body` then has the grace of the settings to
/// return. A second one ends the process at once.
pub fn supervise<F, Fut>(
    name: &'static str,
    settings: Settings,
    http: (Option<SocketAddr>, &str),
    body: F,
) -> ExitCode
where
    F: FnOnce(Settings, Context) -> Fut,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let log_format = settings.service.log_format;
    // First, while there is one thread.
    let own = settings
        .service
        .user
        .as_deref()
        .map_or(Ok(()), privileges::become_user);
    let started = own
        .and_then(|()| logging::start(&settings.service).context("start logging"))
        .and_then(|()| {
            runtime::Builder::new_multi_thread()
                .enable_all()
                .thread_name(name)
                .build()
                .context("start threads")
        });
    let runtime = match started {
        Ok(runtime) => runtime,
        Err(error) => return end(name, log_format, &Outcome::NotStarted(error)),
    };
    let outcome = runtime.block_on(live(name, settings, http, body));
    match outcome {
        Outcome::DrainTimedOut { .. } | Outcome::Interrupted { .. } => runtime.shutdown_background(),
        Outcome::Drained { .. } | Outcome::NotStarted(_) | Outcome::Failed(_) => {
            runtime.shutdown_timeout(THREADS_PATIENCE);
        }
    }
    end(name, log_format, &outcome)
}

/// How a process ended.
enum Outcome {
    Drained { in_flight: i64 },
    NotStarted(anyhow::Error),
    Failed(anyhow::Error),
    DrainTimedOut { grace: Duration, in_flight: i64 },
    Interrupted { in_flight: i64 },
}

fn end(name: &str, log_format: LogFormat, outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::Drained { in_flight } => {
            tracing::info!(in_flight, "drained");
            ExitCode::from(exit::CLEAN)
        }
        Outcome::NotStarted(error) => {
            // At the start somebody looks on, who is told in plain words.
            match log_format {
                LogFormat::Text => exit::complain(&format!("{name}: cannot start: {error:#}")),
                LogFormat::Json => tracing::error!(error = format!("{error:#}"), "cannot start"),
            }
            ExitCode::from(exit::START_FAILED)
        }
        Outcome::Failed(error) => {
            tracing::error!(error = format!("{error:#}"), "failed");
            ExitCode::from(exit::FATAL)
        }
        Outcome::DrainTimedOut { grace, in_flight } => {
            let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(grace_ms, in_flight, "drain timed out");
            ExitCode::from(exit::FATAL)
        }
        Outcome::Interrupted { in_flight } => {
            tracing::warn!(in_flight, "second signal: ended without draining");
            ExitCode::from(exit::FATAL)
        }
    }
}

async fn live<F, Fut>(name: &str, settings: Settings, http: (Option<SocketAddr>, &str), body: F) -> Outcome
where
    F: FnOnce(Settings, Context) -> Fut,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let (mut signals, endpoint, manager) = match prepare(http).await {
        Ok(prepared) => prepared,
        Err(error) => return Outcome::NotStarted(error),
    };
    let http_addr = endpoint.as_ref().map(HttpEndpoint::addr);
    let ctx = Context::new(settings.service.shutdown_grace).with_http_addr(http_addr);
    ctx.metrics.of_process(name, ctx.since());
    let running = body(settings, ctx.clone());
    let done = CancellationToken::new();
    let serving = endpoint.map(|endpoint| {
        tracing::info!(addr = %endpoint.addr(), "serving metrics");
        tokio::spawn(endpoint.serve(ctx.clone(), done.clone()))
    });
    let telling = manager.map(|manager| tokio::spawn(manager.keep_told(ctx.clone(), done.clone())));
    let mut running = tokio::spawn(running);
    let outcome = tokio::select! {
        // Cancel-safe: a join handle and signal streams lose nothing when dropped.
        ended = &mut running => ended_by_itself(ended, &ctx),
        name = signals.next() => {
            let grace_ms = u64::try_from(ctx.grace.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(signal = name, grace_ms, "stopping");
            ctx.stop.cancel();
            drain(running, &mut signals, &ctx).await
        }
    };
    done.cancel();
    if let Some(serving) = serving
        && let Err(error) = serving.await
    {
        tracing::error!(%error, "serving metrics failed");
    }
    if let Some(telling) = telling
        && let Err(error) = telling.await
    {
        tracing::error!(%error, "talking to the service manager failed");
    }
    outcome
}

/// What must be there before the body runs.
type Prepared = (Signals, Option<HttpEndpoint>, Option<Manager>);

async fn prepare(http: (Option<SocketAddr>, &str)) -> anyhow::Result<Prepared> {
    let signals = Signals::new().context("install signal handlers")?;
    let manager = Manager::find(|name| env::var_os(name))?;
    let (Some(addr), key) = http else {
        return Ok((signals, None, manager));
    };
    let endpoint = HttpEndpoint::bind(addr).await.map_err(|error| {
        anyhow::anyhow!(
            "cannot listen on {addr} for /metrics ({error}): set {key} (or --http-addr) to another address, or to \"off\""
        )
    })?;
    Ok((signals, Some(endpoint), manager))
}

async fn drain(running: JoinHandle<anyhow::Result<()>>, signals: &mut Signals, ctx: &Context) -> Outcome {
    tokio::select! {
        ended = timeout(ctx.grace, running) => match ended {
            Ok(ended) => ended_by_itself(ended, ctx),
            Err(_) => Outcome::DrainTimedOut { grace: ctx.grace, in_flight: ctx.metrics.in_flight() },
        },
        _ = signals.next() => Outcome::Interrupted { in_flight: ctx.metrics.in_flight() },
    }
}

fn ended_by_itself(ended: Result<anyhow::Result<()>, JoinError>, ctx: &Context) -> Outcome {
    match ended {
        Ok(Ok(())) if ctx.stop.is_cancelled() => Outcome::Drained {
            in_flight: ctx.metrics.in_flight(),
        },
        Ok(Ok(())) => Outcome::Failed(anyhow::anyhow!("ended without being told to stop")),
        Ok(Err(error)) if ctx.is_started() => Outcome::Failed(error),
        Ok(Err(error)) => Outcome::NotStarted(error),
        Err(error) => Outcome::Failed(anyhow::Error::new(error).context("run")),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self {
            interrupt: signal(interrupt)?,
            terminate: signal(terminate)?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
