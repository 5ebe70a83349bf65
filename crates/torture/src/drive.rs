//! The senders of a round.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use testkit::{Pace, RelpLoad};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use crate::message::{Driver, Fate, Key, Message};

/// A RELP server that is silent for this long is connected to again. Longer than most faults, so that most of what
/// is in flight is not sent twice.
const RELP_PATIENCE: Duration = Duration::from_secs(8);
/// A TCP connection that takes nothing for this long is given up.
const TCP_PATIENCE: Duration = Duration::from_secs(90);
/// Messages of one TCP connection; then another is made, as senders come and go.
const TCP_BURST: usize = 40;
/// Pause between two bursts and between two attempts to connect.
const TCP_PAUSE: Duration = Duration::from_millis(100);

/// Messages of one file.
const FILE_LINES: usize = 50;

/// Where messages go in.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    pub(crate) relp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    /// The folder that harvest watches.
    pub(crate) folder: PathBuf,
}

/// What a driver is to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(crate) seed: u64,
    pub(crate) round: u32,
    pub(crate) driver: Driver,
    pub(crate) count: u32,
    pub(crate) per_second: u32,
}

impl Task {
    fn keys(self) -> impl Iterator<Item = Key> {
        (0..self.count).map(move |number| Key {
            round: self.round,
            driver: self.driver,
            number,
        })
    }

    fn messages(self) -> impl Iterator<Item = Vec<u8>> {
        self.keys().map(move |key| Message::new(self.seed, key).bytes)
    }

    /// Sends everything; returns how often each message was sent, and what becomes of it.
    pub(crate) async fn run(self, inputs: Inputs) -> anyhow::Result<Vec<(u32, Fate)>> {
        let named = format!("send as {:?}", self.driver);
        let sends = match self.driver {
            Driver::Relp(_) | Driver::Fresh => self.over_relp(inputs.relp).await,
            Driver::TcpLines => self.over_tcp(inputs.tcp, line).await,
            Driver::TcpOctets => self.over_tcp(inputs.tcp, octets).await,
            Driver::Files => self.by_files(&inputs.folder).await,
        };
        let fates = self.keys().map(|key| Fate::of(self.seed, key));
        Ok(sends.context(named)?.into_iter().zip(fates).collect())
    }

    /// Some messages to a file, which gets its name when it is complete.
    async fn by_files(self, folder: &Path) -> anyhow::Result<Vec<u32>> {
        let messages: Vec<Vec<u8>> = self.messages().collect();
        let mut pace = interval(Duration::from_secs(1) / self.per_second.max(1));
        for (number, part) in messages.chunks(FILE_LINES).enumerate() {
            let mut text = Vec::new();
            for message in part {
                pace.tick().await;
                line(&mut text, message);
            }
            let name = format!("{}-{number}.log", self.round);
            let hidden = folder.join(format!(".{name}"));
            fs::write(&hidden, text).context("write a file")?;
            fs::rename(&hidden, folder.join(name)).context("give a file its name")?;
        }
        Ok(vec![1; messages.len()])
    }

    /// Until each message was answered.
    async fn over_relp(self, addr: SocketAddr) -> anyhow::Result<Vec<u32>> {
        let pace = Pace {
            per_second: self.per_second,
            patience: RELP_PATIENCE,
        };
        let load = RelpLoad::start_at(addr, self.messages().collect(), pace);
        load.try_finish().await
    }

    /// Each message once, whatever happens to the connection.
    async fn over_tcp(self, addr: SocketAddr, frame: fn(&mut Vec<u8>, &[u8])) -> anyhow::Result<Vec<u32>> {
        let messages: Vec<Vec<u8>> = self.messages().collect();
        let mut sends = vec![0; messages.len()];
        let mut next = 0;
        while next < messages.len() {
            let begun = Instant::now();
            if let Ok(stream) = timeout(TCP_PATIENCE, TcpStream::connect(addr))
                .await
                .context("connect")?
            {
                let burst = messages.get(next..).unwrap_or_default();
                let sent = self.burst(stream, burst, frame).await;
                for sends in sends.iter_mut().skip(next).take(sent) {
                    *sends = 1;
                }
                next += sent;
            }
            tokio::time::sleep_until(begun + TCP_PAUSE).await;
        }
        Ok(sends)
    }

    /// Sends some messages over one connection and waits until the server has closed it; returns how many may have
    /// been sent.
    async fn burst(
        self,
        mut stream: TcpStream,
        messages: &[Vec<u8>],
        frame: fn(&mut Vec<u8>, &[u8]),
    ) -> usize {
        let mut pace = interval(Duration::from_secs(1) / self.per_second.max(1));
        let mut sent = 0;
        for message in messages.iter().take(TCP_BURST) {
            pace.tick().await;
            let mut bytes = Vec::new();
            frame(&mut bytes, message);
            // From here on some of it may be on its way.
            sent += 1;
            if !matches!(timeout(TCP_PATIENCE, stream.write_all(&bytes)).await, Ok(Ok(()))) {
                return sent;
            }
        }
        // A connection that breaks here loses what it loses; which rounds allow that is the ledger's matter.
        if stream.shutdown().await.is_ok() {
            timeout(TCP_PATIENCE, stream.read(&mut [0; 1])).await.ok();
        }
        sent
    }
}

fn line(out: &mut Vec<u8>, message: &[u8]) {
    out.extend_from_slice(message);
    out.push(b'\n');
}

fn octets(out: &mut Vec<u8>, message: &[u8]) {
    out.extend_from_slice(format!("{} ", message.len()).as_bytes());
    out.extend_from_slice(message);
}
