//! One connection of a run.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
    time::{sleep_until, timeout},
};
use transport::{Connection, RelpClient};

use super::{
    latency::Latency,
    message::Template,
    pace::{Due, Pace},
};
use crate::send::target::{Framing, Protocol, Target};

/// Bytes of one write, about.
const WRITE_BYTES: usize = 64 * 1024;

/// Datagrams between two looks at the clock.
const DATAGRAMS: u64 = 64;

/// How long a server may take to read the rest and close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(60);

/// A connection that is ready to send.
#[derive(Debug)]
pub(crate) enum Sender {
    Relp {
        client: Box<RelpClient<Connection>>,
        window: u32,
    },
    Stream {
        connection: Connection,
        framing: Framing,
    },
    Datagram(UdpSocket),
}

/// What a connection sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) latency: Latency,
    pub(crate) error: Option<anyhow::Error>,
}

impl Sender {
    pub(crate) async fn connect(target: &Target, window: u32) -> anyhow::Result<Self> {
        Ok(match target.protocol {
            Protocol::Relp => Self::Relp {
                client: Box::new(target.open_relp().await?),
                window,
            },
            Protocol::Tcp => Self::Stream {
                connection: target.connect().await?,
                framing: target.framing,
            },
            Protocol::Udp => Self::Datagram(target.open_udp().await?),
        })
    }

    /// Sends as `pace` says, and adds to `total` what it sends.
    pub(crate) async fn send_all(self, template: Template, pace: Pace, total: Rc<Cell<u64>>) -> Sent {
        let mut work = Work {
            template,
            pace,
            total,
            sent: Sent {
                sent: 0,
                acked: 0,
                latency: Latency::new(),
                error: None,
            },
        };
        let ended = match self {
            Self::Relp { client, window } => relp(*client, window, &mut work).await,
            Self::Stream { connection, framing } => stream(connection, framing, &mut work).await,
            Self::Datagram(socket) => datagrams(&socket, &mut work).await,
        };
        work.sent.error = ended.err();
        work.sent
    }
}

/// What is to be sent and what was.
struct Work {
    template: Template,
    pace: Pace,
    total: Rc<Cell<u64>>,
    sent: Sent,
}

impl Work {
    /// Renders `count` messages, sent now.
    fn render(&mut self, count: u64, mut write: impl FnMut(&[u8])) {
        self.template.stamp();
        for _ in 0..count {
            write(self.template.render(self.pace.take()));
        }
        self.sent.sent += count;
        self.total.set(self.total.get() + count);
    }
}

async fn relp(mut client: RelpClient<Connection>, window: u32, work: &mut Work) -> anyhow::Result<()> {
    loop {
        let room = window.saturating_sub(client.unanswered());
        let due = if room > 0 {
            work.pace.due(room.into())
        } else {
            Due::Now(0)
        };
        if let Due::Now(count) = due {
            work.render(count, |message| {
                client.push(message);
            });
            work.sent.latency.sent(count);
        }
        let is_waiting = client.unanswered() > 0;
        if due == Due::Done && !is_waiting {
            break;
        }
        // Both branches are cancel-safe.
        tokio::select! {
            answered = client.exchange(), if is_waiting => {
                let answered = u64::from(answered?);
                work.sent.acked += answered;
                work.sent.latency.acked(answered);
            }
            () = until(&due) => {}
        }
    }
    client.close().await.context("close the RELP session")
}

/// Ends when something is due that is not due now.
async fn until(due: &Due) {
    match due {
        Due::At(at) => sleep_until((*at).into()).await,
        Due::Now(_) | Due::Done => std::future::pending().await,
    }
}

async fn stream(mut connection: Connection, framing: Framing, work: &mut Work) -> anyhow::Result<()> {
    let mut out = Vec::with_capacity(2 * WRITE_BYTES);
    let message_bytes = work.template.render(0).len();
    let per_write = u64::try_from(WRITE_BYTES / message_bytes).unwrap_or(0).max(1);
    loop {
        let due = work.pace.due(per_write);
        match due {
            Due::Done => break,
            Due::At(_) => until(&due).await,
            Due::Now(count) => {
                out.clear();
                work.render(count, |message| framing.write(&mut out, message));
                connection.write_all(&out).await.context("write")?;
            }
        }
    }
    connection.flush().await.context("write")?;
    connection.shutdown().await.context("close")?;
    // The server closes when it has read everything; a reset says that it has not.
    let closed = timeout(CLOSE_PATIENCE, connection.read(&mut [0; 64])).await;
    closed
        .unwrap_or(Ok(0))
        .context("the server closed before it had read everything")?;
    Ok(())
}

async fn datagrams(socket: &UdpSocket, work: &mut Work) -> anyhow::Result<()> {
    let mut out = Vec::new();
    loop {
        let due = work.pace.due(DATAGRAMS);
        match due {
            Due::Done => return Ok(()),
            Due::At(_) => until(&due).await,
            Due::Now(count) => {
                out.clear();
                work.render(count, |message| out.extend_from_slice(message));
                let bytes = out.len() / usize::try_from(count).unwrap_or(usize::MAX).max(1);
                for datagram in out.chunks_exact(bytes.max(1)) {
                    socket.send(datagram).await.context("send a datagram")?;
                }
            }
        }
    }
}
