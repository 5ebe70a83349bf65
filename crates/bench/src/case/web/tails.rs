//! Live tails as browsers have them open.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A tail that is told nothing for so long is broken; each second it is told how things are.
const QUIET_MAX: Duration = Duration::from_secs(30);
const BUFFER: usize = 64 << 10;
/// What each message of the generator has once.
const ROW: &[u8] = b" seq=";
const GAP: &[u8] = b"event: gap\ndata: {\"";
/// What says that events come from the broker.
const LIVE: &[u8] = b"\"mode\":\"broker\"";

/// What all tails were told.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: u64,
    /// Events that were said not to be shown.
    pub(super) missed: u64,
}

/// A tail and what was read of it and not looked at.
#[derive(Debug)]
pub(super) struct Tail {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// Opens tails, and waits until all of them follow.
pub(super) async fn open(web: SocketAddr, count: usize) -> anyhow::Result<Vec<Tail>> {
    let mut tails = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(web).await?;
        let request = format!("GET /api/v1/tail?html=1&backfill=0 HTTP/1.1\r\nHost: {web}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        tails.push(Tail {
            stream,
            unread: Vec::new(),
        });
    }
    for tail in &mut tails {
        while memmem::find(&tail.unread, LIVE).is_none() {
            tail.read().await?;
        }
        let head = tail.unread.get(..12).unwrap_or_default();
        ensure!(head == b"HTTP/1.1 200", "a tail was refused");
        tail.unread.clear();
    }
    Ok(tails)
}

/// Reads until every tail was told of so many events.
pub(super) async fn account(tails: Vec<Tail>, count: u64) -> anyhow::Result<Seen> {
    let mut readers = JoinSet::new();
    for tail in tails {
        readers.spawn(tail.read_all(count));
    }
    let mut all = Seen::default();
    while let Some(seen) = readers.join_next().await {
        let seen = seen.context("a reader ends")??;
        all.rows += seen.rows;
        all.missed += seen.missed;
    }
    Ok(all)
}

impl Tail {
    async fn read(&mut self) -> anyhow::Result<()> {
        let mut buffer = vec![0; BUFFER];
        let read = timeout(QUIET_MAX, self.stream.read(&mut buffer)).await;
        let read = read.context("a tail is silent")??;
        if read == 0 {
            bail!("a tail was closed: {}", String::from_utf8_lossy(&self.unread));
        }
        self.unread
            .extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(())
    }

    /// Message by message: each ends with an empty line.
    async fn read_all(mut self, count: u64) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        while seen.rows + seen.missed < count {
            self.read().await?;
            while let Some(end) = memmem::find(&self.unread, b"\n\n") {
                let message: Vec<u8> = self.unread.drain(..end + 2).collect();
                seen.rows += memmem::find_iter(&message, ROW).count() as u64;
                seen.missed += missed(&message);
            }
        }
        Ok(seen)
    }
}

/// The number of a gap.
fn missed(message: &[u8]) -> u64 {
    let Some(at) = memmem::find(message, GAP) else {
        return 0;
    };
    let data = message.get(at + GAP.len() - 2..).unwrap_or_default();
    let text = String::from_utf8_lossy(data);
    let gap = serde_json::Deserializer::from_str(&text)
        .into_iter::<serde_json::Value>()
        .next();
    gap.and_then(Result::ok)
        .and_then(|gap| gap.get("n")?.as_u64())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_tells_its_number() {
        assert_eq!(missed(b"event: gap\ndata: {\"n\":17,\"from\":null}\n\n"), 17);
        assert_eq!(missed(b"5\r\nevent: gap\ndata: {\"from\":null,\"n\":3}\n\n"), 3);
        assert_eq!(missed(b"event: rows\ndata: {\"n\":17}\n\n"), 0);
    }
}
