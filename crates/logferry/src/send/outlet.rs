//! What `send` writes into.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
    time::timeout,
};
use transport::{Connection, RelpClient, TlsRefusal};

use super::target::{Framing, Protocol, Target};

/// Bytes that wait to be written before no more messages are taken.
const UNWRITTEN_BYTES_MAX: usize = 256 * 1024;

/// How long a server may take to close a connection whose end it has seen.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// A session or socket that takes frames.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// Answers each frame.
    Relp {
        client: Box<RelpClient<Connection>>,
        /// Frames that may be unanswered.
        window: u32,
    },
    /// Syslog over TCP.
    Stream {
        connection: Connection,
        framing: Framing,
        out: Vec<u8>,
    },
    /// Syslog over UDP.
    Datagram(UdpSocket),
}

impl Outlet {
    pub(crate) async fn open(target: &Target, window: u32) -> anyhow::Result<Self> {
        Ok(match target.protocol {
            Protocol::Relp => Self::Relp {
                client: Box::new(target.open_relp().await?),
                window,
            },
            Protocol::Tcp => Self::Stream {
                connection: target.connect().await?,
                framing: target.framing,
                out: Vec::new(),
            },
            Protocol::Udp => Self::Datagram(target.open_udp().await?),
        })
    }

    /// Whether another frame may be pushed.
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Self::Relp { client, window } => {
                client.unanswered() < *window && client.unwritten() < UNWRITTEN_BYTES_MAX
            }
            Self::Stream { out, .. } => out.len() < UNWRITTEN_BYTES_MAX,
            Self::Datagram(_) => true,
        }
    }

    /// Whether [`exchange`](Self::exchange) has something to do.
    pub(crate) fn is_busy(&self) -> bool {
        match self {
            Self::Relp { client, .. } => client.unanswered() > 0,
            Self::Stream { out, .. } => !out.is_empty(),
            Self::Datagram(_) => false,
        }
    }

    /// Takes a frame; a datagram is sent at once.
    pub(crate) async fn push(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Relp { client, .. } => {
                client.push(frame);
            }
            Self::Stream { framing, out, .. } => framing.write(out, frame),
            Self::Datagram(socket) => {
                let sent = socket.send(frame).await;
                sent.with_context(|| format!("send a datagram of {} bytes", frame.len()))?;
            }
        }
        Ok(())
    }

    /// Writes and reads; gives how many frames were acknowledged. Cancel-safe.
    pub(crate) async fn exchange(&mut self) -> anyhow::Result<u64> {
        match self {
            Self::Relp { client, .. } => Ok(client.exchange().await?.into()),
            Self::Stream { connection, out, .. } => {
                let written = match connection.write(out).await {
                    Ok(written) => written,
                    Err(error) => return Err(told(connection, error).await).context("write"),
                };
                anyhow::ensure!(written > 0, "the server takes nothing more");
                out.drain(..written);
                Ok(0)
            }
            Self::Datagram(_) => Ok(0),
        }
    }

    /// Says goodbye after all was pushed and exchanged. Over TCP it waits for the server to close, which it does
    /// when it has read everything.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Relp { client, .. } => client.close().await.context("close the RELP session"),
            Self::Stream { mut connection, .. } => {
                if let Err(error) = connection.flush().await {
                    return Err(told(&mut connection, error).await).context("write");
                }
                if let Err(error) = connection.shutdown().await {
                    return Err(told(&mut connection, error).await).context("close");
                }
                let closed = timeout(CLOSE_PATIENCE, connection.read(&mut [0; 64])).await;
                match closed {
                    // Over TLS many servers hang up without a goodbye; they read our end before that.
                    Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
                    Ok(Err(error)) => Err(error).context("the server closed before it had read everything"),
                    Ok(Ok(_)) | Err(_) => Ok(()),
                }
            }
            Self::Datagram(_) => Ok(()),
        }
    }
}

/// Why a write failed: with TLS 1.3 a server that refuses us says so after the handshake and hangs up, so that a write
/// may meet the closed connection before anybody has read the reason.
async fn told(connection: &mut Connection, error: io::Error) -> io::Error {
    match timeout(CLOSE_PATIENCE, connection.read(&mut [0; 64])).await {
        Ok(Err(reason)) if TlsRefusal::find(&reason).is_some() => reason,
        Ok(_) | Err(_) => error,
    }
}
