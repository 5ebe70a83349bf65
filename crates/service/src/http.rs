//! `/metrics`, `/healthz` and `/readyz`; the web UI's API is not here.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{context::Context, health::Report};

/// Scrapers and probes hold one connection each; more is a mistake or an attack.
const CONNECTIONS_MAX: usize = 32;

/// A scraper keeps its connection between two scrapes for at most a few minutes.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);

/// A request is one small packet.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);

/// The pause after an accept that failed for want of descriptors or memory, so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The endpoint, bound and not yet serving.
#[derive(Debug)]
pub struct HttpEndpoint {
    listener: TcpListener,
    addr: SocketAddr,
}

impl HttpEndpoint {
    /// Binds `addr`.
    ///
    /// # Errors
    ///
    /// What the system says, such as that the address is in use.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr })
    }

    /// The address that is bound, with the port that the system chose where 0 was asked for.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `done` is cancelled, which is after the drain: a process that drains is alive and not ready.
    pub async fn serve(self, ctx: Context, done: CancellationToken) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = done.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                        tracing::debug!(connections_max = CONNECTIONS_MAX, "http connection refused");
                        continue;
                    };
                    let ctx = ctx.clone();
                    connections.spawn(async move {
                        serve_connection(stream, ctx).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "http accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, ctx: Context) {
    let service = service_fn(move |request| {
        let response = answer(&request, &ctx);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_AGE_MAX, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "http connection ended"),
        Err(_) => tracing::debug!("http connection too old"),
    }
}

fn answer(request: &Request<Incoming>, ctx: &Context) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
        refused
            .headers_mut()
            .insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => respond(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ctx.metrics.encode(),
        ),
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => ready(ctx),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /metrics, /healthz and /readyz\n",
        ),
    }
}

fn ready(ctx: &Context) -> Response<Full<Bytes>> {
    let mut report: Report = ctx.health.report();
    report.stopping = ctx.stop.is_cancelled();
    report.ready = report.ready && ctx.is_started() && !report.stopping;
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = serde_json::to_string(&report).expect("a report has only text and booleans");
    body.push('\n');
    respond(status, "application/json", body)
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .body(Full::new(body.into()))
        .expect("status and header are constants")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(addr: SocketAddr, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(addr).await.expect("connects");
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("reads");
        let (head, body) = answer.split_once("\r\n\r\n").expect("has a body");
        let status = head
            .split(' ')
            .nth(1)
            .expect("has a status")
            .parse()
            .expect("is a number");
        (status, body.to_owned())
    }

    #[tokio::test]
    async fn answers_scrapers_and_probes() {
        let ctx = Context::new(Duration::from_secs(1));
        let endpoint = HttpEndpoint::bind(([127, 0, 0, 1], 0).into())
            .await
            .expect("binds");
        let addr = endpoint.addr();
        let done = CancellationToken::new();
        let serving = tokio::spawn(endpoint.serve(ctx.clone(), done.clone()));
        crate::StageCounters::new(&ctx.metrics, "parser").received(7);
        let broker = ctx.health.component("broker");

        let (status, body) = get(addr, "GET /metrics").await;
        assert_eq!(status, 200);
        assert!(
            body.contains("logferry_events_received_total{stage=\"parser\"} 7"),
            "{body}"
        );
        assert_eq!(get(addr, "GET /healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(get(addr, "GET /elsewhere").await.0, 404);
        assert_eq!(get(addr, "POST /metrics").await.0, 405);

        assert_eq!(get(addr, "GET /readyz").await.0, 503, "the broker is not ready");
        broker.ready();
        assert_eq!(get(addr, "GET /readyz").await.0, 503, "the start is not over");
        ctx.started();
        let (status, body) = get(addr, "GET /readyz").await;
        assert_eq!(
            (status, body.trim_end()),
            (
                200,
                r#"{"ready":true,"stopping":false,"components":[{"name":"broker","ready":true}]}"#
            )
        );
        ctx.stop.cancel();
        assert_eq!(
            get(addr, "GET /readyz").await.0,
            503,
            "a process that drains takes nothing new"
        );

        done.cancel();
        serving.await.expect("ends");
    }

    #[tokio::test]
    async fn connections_that_say_nothing_do_not_keep_others_out_for_good() {
        let ctx = Context::new(Duration::from_secs(1));
        let endpoint = HttpEndpoint::bind(([127, 0, 0, 1], 0).into())
            .await
            .expect("binds");
        let addr = endpoint.addr();
        let done = CancellationToken::new();
        let serving = tokio::spawn(endpoint.serve(ctx, done.clone()));
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(addr).await.expect("connects"));
        }
        let mut refused = TcpStream::connect(addr).await.expect("connects");
        assert_eq!(
            refused.read(&mut [0; 1]).await.ok().unwrap_or(0),
            0,
            "one too many is closed"
        );
        drop(silent);
        // The slots come free as the server reads the ends of the silent ones.
        let answered = async {
            loop {
                let mut stream = TcpStream::connect(addr).await.expect("connects");
                let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
                let mut answer = String::new();
                if stream.write_all(request).await.is_ok()
                    && stream.read_to_string(&mut answer).await.is_ok()
                    && answer.contains(" 200 ")
                {
                    break;
                }
            }
        };
        timeout(Duration::from_secs(10), answered)
            .await
            .expect("is answered again");
        done.cancel();
        serving.await.expect("ends");
    }
}
