//! Asks the endpoint of a process of this host how it is: the other side of `http`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// Whoever asks is a watcher with a time-out of its own, which is seldom shorter.
const PATIENCE: Duration = Duration::from_secs(4);

/// A report on readiness is far below; metrics are not asked for here.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What a process said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks the endpoint at `addr` for `path`. An endpoint that listens on all addresses is asked by way of loopback.
///
/// # Errors
/// Nobody answers there, or not in time, or not HTTP.
pub async fn probe(addr: SocketAddr, path: &str) -> io::Result<Answer> {
    match timeout(PATIENCE, ask(reachable(addr), path)).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {PATIENCE:?}"),
        )),
    }
}

async fn ask(addr: SocketAddr, path: &str) -> io::Result<Answer> {
    let stream = TcpStream::connect(addr).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, addr.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX);
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Answer {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end before its last bytes were looked at.
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(io::Error::other(error)),
        },
    }
}

fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Context, HttpEndpoint};

    #[tokio::test]
    async fn gives_what_the_endpoint_says() {
        let ctx = Context::new(Duration::from_secs(1));
        let endpoint = HttpEndpoint::bind(([0, 0, 0, 0], 0).into()).await.expect("binds");
        let (addr, done) = (endpoint.addr(), CancellationToken::new());
        let serving = tokio::spawn(endpoint.serve(ctx.clone(), done.clone()));
        ctx.health.component("broker").not_ready("away");
        ctx.started();
        let alive = probe(addr, "/healthz").await.expect("answers");
        assert_eq!((alive.status, alive.body.as_str()), (200, "ok\n"));
        let answer = probe(addr, "/readyz").await.expect("answers");
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("away"), "{}", answer.body);
        done.cancel();
        serving.await.expect("ends");
        probe(addr, "/healthz").await.expect_err("nobody is there");
    }
}
