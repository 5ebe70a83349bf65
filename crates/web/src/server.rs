//! The socket, its connections, and the router with what stands before every page.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, Request},
    middleware,
    response::Redirect,
    routing::get,
};
use broker::Broker;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use service::Context;
use settings::{Settings, WebSettings};
use store::Store;
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower::ServiceExt as _;

use crate::{
    STAGE, accounts, api, assets, dead, guard, headers, patterns, pipeline, problem::Problem, running, saved,
    search, shell, sources, state::State, tail,
};

/// A request's head is one small packet; who is slower than this wants to hold a connection.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);

/// The pause after an accept that failed for want of descriptors or memory, so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bodies are forms and small JSON.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The pages, bound and not yet served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    settings: WebSettings,
}

impl Server {
    /// Binds `web.address`; `None` where that is off.
    ///
    /// # Errors
    /// An address that cannot be bound: the text names it and the setting.
    pub fn bind(settings: &WebSettings) -> anyhow::Result<Option<Self>> {
        let Some(wanted) = settings.address else {
            return Ok(None);
        };
        let bound = TcpListener::bind(wanted).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let addr = listener.local_addr()?;
            Ok((listener, addr))
        });
        let (listener, addr) = bound.with_context(|| {
            format!(
                "cannot listen on {wanted} for the pages: choose another address with --set web.address=127.0.0.1:8081, or none with --set web.address=off"
            )
        })?;
        Ok(Some(Self {
            listener,
            addr,
            settings: settings.clone(),
        }))
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What to type into a browser.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.settings.public_url {
            Some(url) => url.clone(),
            None => format!("http://{}", self.addr),
        }
    }

    /// Serves the pages until `ctx.stop`; answers under way are finished then, within the grace.
    ///
    /// # Errors
    /// A socket that the runtime does not take.
    pub async fn run(
        self,
        settings: Settings,
        store: Store,
        broker: Broker,
        ctx: Context,
    ) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener).context("listen for the pages")?;
        let state = State::new(settings, self.addr, store, broker, &ctx);
        let state = state.context("name the queues")?;
        let (hub, broker, stop) = (state.hub.clone(), state.broker.clone(), ctx.stop.clone());
        let _hub = AbortOnDropHandle::new(tokio::spawn(hub.run(broker, stop)));
        let managed = state.managed.clone().run(ctx.stop.clone());
        let _managed = AbortOnDropHandle::new(tokio::spawn(managed));
        let fills = state.fills.clone().run(ctx.stop.clone());
        let _fills = AbortOnDropHandle::new(tokio::spawn(fills));
        state.begin().await;
        let health = ctx.health.component(STAGE);
        let (stop, desk) = (state.stop.clone(), state.desk.clone());
        let slots = Arc::new(Semaphore::new(self.settings.connections_max));
        let router = router(state);
        let mut connections = JoinSet::new();
        health.ready();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) => {
                    let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                        tracing::debug!(%peer, "connection refused: web.connections_max are there");
                        continue;
                    };
                    let (router, stop) = (router.clone(), stop.clone());
                    connections.spawn(async move {
                        serve(stream, peer, router, stop).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        let finish = async {
            while connections.join_next().await.is_some() {}
            desk.finish().await;
        };
        if timeout(ctx.grace, finish).await.is_err() {
            tracing::info!("answers cut off at the end of the grace");
        }
        Ok(())
    }
}

/// One connection. Answers without an end, such as a live tail, end with `stop` by themselves.
async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    // Rows go out as they are found, not when a packet is full.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection ended");
    }
}

/// Every page and every endpoint, behind the guard.
pub(crate) fn router(state: State) -> Router {
    Router::new()
        .route("/", get(async || Redirect::to("/search")))
        .merge(assets::routes())
        .merge(shell::routes())
        .merge(search::routes())
        .merge(patterns::routes())
        .merge(running::routes())
        .merge(saved::routes())
        .merge(tail::routes())
        .merge(pipeline::routes())
        .merge(dead::routes())
        .merge(sources::routes())
        .merge(api::routes())
        .merge(accounts::routes())
        .fallback(async |request: Request| Problem::no_page(request.uri().path()))
        .method_not_allowed_fallback(async || Problem::method())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(state.clone(), guard::guard))
        .layer(middleware::from_fn(headers::secure))
        .with_state(state)
}
