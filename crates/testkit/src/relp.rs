//! A RELP sender that knows which lines were answered, and sends the others again as a good sender does.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::server::or_fail;

/// Transactions that may be unanswered.
const WINDOW: usize = 500;
/// Pause before connecting again to a server that is away.
const PAUSE: Duration = Duration::from_millis(50);
/// [`Pace::patience`] where nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first transaction of a session is `open`.
const FIRST_TXNR: u32 = 1;
/// Numbers have nine digits at most in librelp.
const TXNR_MAX: u32 = 999_999_999;

/// How fast a load is sent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Lines a second at most; those that a fault has held up come at once after it.
    pub per_second: u32,
    /// A server that answers nothing for this long is given up and connected to again.
    pub patience: Duration,
}

impl Default for Pace {
    /// As fast as the server takes it.
    fn default() -> Self {
        Self {
            per_second: u32::MAX,
            patience: PATIENCE,
        }
    }
}

/// A load that is being sent in the background.
#[derive(Debug)]
pub struct RelpLoad {
    acked: Arc<AtomicUsize>,
    task: JoinHandle<Vec<u32>>,
}

/// A load that nobody waits for is not sent.
impl Drop for RelpLoad {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RelpLoad {
    /// Starts to send `lines`, again over new connections where an answer is missing, until each was
    /// answered with 200.
    #[must_use]
    pub fn start(addr: SocketAddr, lines: Vec<String>) -> Self {
        let lines = lines.into_iter().map(String::into_bytes).collect();
        Self::start_at(addr, lines, Pace::default())
    }

    /// [`RelpLoad::start`] with lines of any bytes, at a pace.
    #[must_use]
    pub fn start_at(addr: SocketAddr, lines: Vec<Vec<u8>>, pace: Pace) -> Self {
        let acked = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(send_all(addr, lines, pace, Arc::clone(&acked)));
        Self { acked, task }
    }

    /// How many lines were answered so far.
    #[must_use]
    pub fn acked(&self) -> usize {
        self.acked.load(Ordering::Relaxed)
    }

    /// Waits until every line is answered; returns how often each was sent.
    ///
    /// # Panics
    /// If the server refuses a line or breaks the protocol.
    pub async fn finish(self) -> Vec<u32> {
        or_fail(self.try_finish().await)
    }

    /// [`RelpLoad::finish`] for code that is no test.
    ///
    /// # Errors
    /// If the server refuses a line or breaks the protocol.
    pub async fn try_finish(mut self) -> anyhow::Result<Vec<u32>> {
        (&mut self.task).await.context("send the load")
    }
}

async fn send_all(addr: SocketAddr, lines: Vec<Vec<u8>>, pace: Pace, acked: Arc<AtomicUsize>) -> Vec<u32> {
    let mut work = Work {
        pace,
        begun: Instant::now(),
        sends: vec![0; lines.len()],
        lines,
        next: 0,
        unanswered: VecDeque::new(),
        acked,
    };
    while !work.is_done() {
        if let Err(error) = session(addr, &mut work).await {
            // A refusal is a fault of the server; a broken connection is what this sender is for.
            if error.is::<Refused>() {
                or_fail::<()>(Err(error));
            }
            work.take_back();
            tokio::time::sleep(PAUSE).await;
        }
    }
    work.sends
}

/// What is sent, what is in flight and what is left.
struct Work {
    pace: Pace,
    begun: Instant,
    lines: Vec<Vec<u8>>,
    sends: Vec<u32>,
    /// The first line that was never sent, or must be sent again: all lines before it are answered or
    /// in flight.
    next: usize,
    /// Transaction and line, in the order of sending.
    unanswered: VecDeque<(u32, usize)>,
    acked: Arc<AtomicUsize>,
}

impl Work {
    fn is_done(&self) -> bool {
        self.next == self.lines.len() && self.unanswered.is_empty()
    }

    /// The connection broke: what is unanswered goes again. Answers come in order, so that is a tail.
    fn take_back(&mut self) {
        if let Some((_, line)) = self.unanswered.front() {
            self.next = *line;
        }
        self.unanswered.clear();
    }

    /// When the next line may be sent.
    fn due(&self) -> Instant {
        self.begun + Duration::from_secs_f64(self.next as f64 / f64::from(self.pace.per_second))
    }

    /// The next line as a frame, if the window has room and it is time.
    fn next_frame(&mut self, txnr: u32) -> Option<Vec<u8>> {
        if self.unanswered.len() == WINDOW || self.due() > Instant::now() {
            return None;
        }
        let line = self.lines.get(self.next)?;
        if let Some(sends) = self.sends.get_mut(self.next) {
            *sends += 1;
        }
        self.unanswered.push_back((txnr, self.next));
        self.next += 1;
        let mut frame = format!("{txnr} syslog {} ", line.len()).into_bytes();
        frame.extend_from_slice(line);
        frame.push(b'\n');
        Some(frame)
    }

    fn answered(&mut self, answer: &Answer) -> anyhow::Result<()> {
        if !answer.data.starts_with("200") {
            return Err(Refused(answer.data.clone()).into());
        }
        match self.unanswered.pop_front() {
            Some((txnr, _)) if txnr == answer.txnr => {
                self.acked.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            expected => Err(Refused(format!("answer to {}, expected {expected:?}", answer.txnr)).into()),
        }
    }
}

/// The server answered something that it never should.
#[derive(Debug, thiserror::Error)]
#[error("RELP server: {0}")]
struct Refused(String);

async fn session(addr: SocketAddr, work: &mut Work) -> anyhow::Result<()> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut answers = Answers {
        read,
        buffer: Vec::new(),
    };
    timeout(work.pace.patience, open(&mut write, &mut answers))
        .await
        .context("open the session")??;
    let mut txnr = FIRST_TXNR;
    while !work.is_done() {
        let mut frames = Vec::new();
        loop {
            let next = if txnr == TXNR_MAX { FIRST_TXNR } else { txnr + 1 };
            let Some(frame) = work.next_frame(next) else { break };
            txnr = next;
            frames.extend(frame);
        }
        timeout(work.pace.patience, write.write_all(&frames))
            .await
            .context("write lines")??;
        let has_more = work.next < work.lines.len() && work.unanswered.len() < WINDOW;
        let answer = tokio::select! {
            // Cancel-safe: what was read stays in the buffer.
            answer = timeout(work.pace.patience, answers.next()), if !work.unanswered.is_empty() => {
                answer.context("await an answer")??
            }
            () = sleep_until(work.due()), if has_more => continue,
        };
        work.answered(&answer)?;
        while let Some(answer) = answers.buffered()? {
            work.answered(&answer)?;
        }
    }
    write
        .write_all(format!("{} close 0\n", txnr + 1).as_bytes())
        .await?;
    Ok(())
}

async fn open(write: &mut OwnedWriteHalf, answers: &mut Answers) -> anyhow::Result<()> {
    let offers = "relp_version=0\nrelp_software=testkit\ncommands=syslog";
    write
        .write_all(format!("{FIRST_TXNR} open {} {offers}\n", offers.len()).as_bytes())
        .await?;
    let answer = answers.next().await?;
    if !answer.data.starts_with("200") {
        return Err(Refused(answer.data).into());
    }
    Ok(())
}

struct Answer {
    txnr: u32,
    data: String,
}

struct Answers {
    read: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Answers {
    async fn next(&mut self) -> anyhow::Result<Answer> {
        loop {
            if let Some(answer) = self.buffered()? {
                return Ok(answer);
            }
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }

    /// A whole answer from what was read: `TXNR rsp LENGTH DATA LF`.
    fn buffered(&mut self) -> anyhow::Result<Option<Answer>> {
        let mut words = self.buffer.splitn(4, |byte| *byte == b' ' || *byte == b'\n');
        let (Some(txnr), Some(command), Some(length), Some(rest)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Ok(None);
        };
        let length: usize = std::str::from_utf8(length)?.parse()?;
        if length > 0 && rest.len() <= length {
            return Ok(None);
        }
        if command == b"serverclose" {
            bail!("the server closes the session");
        }
        let txnr = std::str::from_utf8(txnr)?.parse()?;
        let data = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        // With data comes an LF after it; without, the LF ended the length and is split off already.
        let after = if length > 0 { length + 1 } else { 0 };
        let used = self.buffer.len() - rest.len() + after;
        self.buffer.drain(..used);
        Ok(Some(Answer { txnr, data }))
    }
}
