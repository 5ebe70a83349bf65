//! Runs the body of a process from its start to its drain, and says with which exit code it ends.

use std::{
    env,
    future::Future,
    io::{self, IsTerminal},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use settings::{LogFormat, Settings};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, JoinHandle},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    context::Context, control::Control, exit, http::HttpEndpoint, logging, manager::Manager, privileges,
    reload::Reloader,
};

/// How long threads may take to end after everything was drained.
const THREADS_PATIENCE: Duration = Duration::from_secs(2);

/// Becomes the user of the settings, starts tracing, the endpoint and the signal handlers, runs `body` until it ends or a signal stops it, and
/// drains. `http` is where the endpoint listens and the key that says so.
///
/// The first SIGINT or SIGTERM cancels the context's `stop`; `body` then has the grace of the settings to
/// return. A second one ends the process at once. SIGHUP has `reloader` read the settings again, but when it says that the
/// terminal of the process is gone.
pub fn supervise<F, Fut>(
    name: &'static str,
    settings: Settings,
    http: (Option<SocketAddr>, &str),
    reloader: Reloader,
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
    let outcome = runtime.block_on(live(name, settings, http, Arc::new(reloader), body));
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

async fn live<F, Fut>(
    name: &'static str,
    settings: Settings,
    http: (Option<SocketAddr>, &str),
    reloader: Arc<Reloader>,
    body: F,
) -> Outcome
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
    let level = ctx.on_reload(|settings| {
        let filter = logging::filter(&settings.service)?;
        Ok(Box::new(move || logging::change(filter)))
    });
    if let Err(error) = level {
        return Outcome::NotStarted(error);
    }
    let running = body(settings, ctx.clone());
    let done = CancellationToken::new();
    let serving = endpoint.map(|endpoint| {
        tracing::info!(addr = %endpoint.addr(), "serving metrics");
        tokio::spawn(endpoint.serve(ctx.clone(), done.clone()))
    });
    let telling = manager
        .clone()
        .map(|manager| tokio::spawn(manager.keep_told(ctx.clone(), done.clone())));
    let _reloading = start_reloading(name, &reloader, &ctx, manager);
    let mut running = tokio::spawn(running);
    let outcome = tokio::select! {
        // Cancel-safe: a join handle and signal streams lose nothing when dropped.
        ended = &mut running => ended_by_itself(ended, &ctx),
        name = signals.next(|| reloader.hangup.notify_one()) => {
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
type Prepared = (Signals, Option<HttpEndpoint>, Option<Arc<Manager>>);

async fn prepare(http: (Option<SocketAddr>, &str)) -> anyhow::Result<Prepared> {
    let signals = Signals::new().context("install signal handlers")?;
    let manager = Manager::find(|name| env::var_os(name))?.map(Arc::new);
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
        // Nothing is reloaded any more.
        _ = signals.next(|| {}) => Outcome::Interrupted { in_flight: ctx.metrics.in_flight() },
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

/// Reloads as long as what is returned is kept: at SIGHUP, and when somebody asks through the socket of this process.
fn start_reloading(
    name: &'static str,
    reloader: &Arc<Reloader>,
    ctx: &Context,
    manager: Option<Arc<Manager>>,
) -> Vec<AbortOnDropHandle<()>> {
    let hangups = Arc::clone(reloader).run(ctx.clone(), manager.clone());
    let mut tasks = vec![AbortOnDropHandle::new(tokio::spawn(hangups))];
    match Control::bind() {
        Ok(control) => {
            let (reloader, ctx) = (Arc::clone(reloader), ctx.clone());
            let serving = async move { control.serve(name, reloader, ctx, manager).await };
            tasks.push(AbortOnDropHandle::new(tokio::spawn(serving)));
        }
        // In another container of the same network a process may have the same number.
        Err(error) => {
            tracing::warn!(%error, "`logferry reload` cannot reach this process; SIGHUP does");
        }
    }
    tasks
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    has_terminal: bool,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            has_terminal: has_terminal(),
        })
    }

    /// The next signal to end. Those that are none call `reload`.
    async fn next(&mut self, reload: impl Fn()) -> &'static str {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.hangup.recv() => {
                    // Somebody closed the window in which it was started; nobody would expect it to go on.
                    if self.has_terminal && !has_terminal() {
                        return "SIGHUP";
                    }
                    reload();
                }
            }
        }
    }
}

/// Whether there is a terminal that can be written to or read from.
fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stderr().is_terminal()
}
