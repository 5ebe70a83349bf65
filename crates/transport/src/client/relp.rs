//! The sending side of a RELP session.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use framing::{
    RelpDecoder,
    relp::{self, BadOffers, Offers, RelpFrame, Txnr, Violation},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::inbound::Inbound;

/// The version that we offer.
const VERSION: u32 = 0;

/// Answers are short; what is longer is cut.
const ANSWER_BYTES_MAX: usize = 4096;

/// How long a server may take to answer `open` and `close`.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a session is over. What was not answered must be sent again.
#[derive(Debug, thiserror::Error)]
pub enum RelpClientError {
    /// The connection failed.
    #[error("connection failed")]
    Io(#[from] io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Eof,
    /// The server says that it will close the session.
    #[error("the server closes the session ({reason})")]
    ServerClose {
        /// What it says about why; often nothing.
        reason: String,
    },
    /// No RELP.
    #[error("the server does not speak RELP")]
    NotRelp(#[from] Violation),
    /// Offers that we cannot work with.
    #[error("the server's offers cannot be used")]
    Offers(#[from] BadOffers),
    /// The server does not take syslog.
    #[error("the server does not offer the command syslog")]
    NoSyslog,
    /// An answer with another status than 200.
    #[error("the server refused transaction {txnr}: {status} {text}")]
    Refused {
        /// Which one.
        txnr: Txnr,
        /// The status.
        status: u16,
        /// What the server says.
        text: String,
    },
    /// An answer out of order, or none.
    #[error("the server answered transaction {found} where {expected} must follow")]
    Order {
        /// The oldest one that is not answered.
        expected: Txnr,
        /// The one that was answered.
        found: Txnr,
    },
    /// No answer to `open` or `close`.
    #[error("the server did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    TimedOut,
}

/// A session in which frames are sent, many before the first is answered.
#[derive(Debug)]
pub struct RelpClient<S> {
    stream: S,
    decoder: RelpDecoder,
    inbound: Inbound,
    out: Vec<u8>,
    written: usize,
    must_flush: bool,
    next: Txnr,
    answers: Answers,
}

impl<S: AsyncRead + AsyncWrite + Unpin> RelpClient<S> {
    /// Opens a session.
    ///
    /// # Errors
    /// [`RelpClientError`]: the server is none, or does not want us.
    pub async fn open(stream: S) -> Result<Self, RelpClientError> {
        let mut client = Self {
            stream,
            decoder: RelpDecoder::new(ANSWER_BYTES_MAX),
            inbound: Inbound::default(),
            out: Vec::new(),
            written: 0,
            must_flush: false,
            next: Txnr::FIRST,
            answers: Answers {
                oldest: Txnr::FIRST,
                awaited: 0,
                failed: None,
                offers: Vec::new(),
            },
        };
        client.command("open", Offers::ours(VERSION).to_string().as_bytes());
        client.wait_for_all().await?;
        let offers = std::mem::take(&mut client.answers.offers);
        if Offers::read(&offers)?.can_syslog {
            Ok(client)
        } else {
            Err(RelpClientError::NoSyslog)
        }
    }

    /// Queues a frame; [`exchange`](Self::exchange) sends it.
    pub fn push(&mut self, frame: &[u8]) -> Txnr {
        self.command("syslog", frame)
    }

    /// Transactions that are not answered, sent or not.
    #[must_use]
    pub const fn unanswered(&self) -> u32 {
        self.answers.awaited
    }

    /// Bytes that are not written yet.
    #[must_use]
    pub const fn unwritten(&self) -> usize {
        self.out.len() - self.written
    }

    /// Writes what is queued and reads answers, until there are some, or until all is written that was not.
    /// Gives how many transactions were answered, the oldest first. Cancel-safe.
    ///
    /// # Errors
    /// [`RelpClientError`]; what was answered in the same read is given first, the error by the next call.
    pub async fn exchange(&mut self) -> Result<u32, RelpClientError> {
        poll_fn(|cx| self.poll_exchange(cx)).await
    }

    /// Tells the server that nothing more comes, once all is answered.
    ///
    /// # Errors
    /// [`RelpClientError`]; whatever was answered before stays answered.
    pub async fn close(mut self) -> Result<(), RelpClientError> {
        while self.answers.awaited > 0 {
            self.exchange().await?;
        }
        self.command("close", b"");
        self.wait_for_all().await?;
        self.stream.shutdown().await?;
        Ok(())
    }

    fn command(&mut self, command: &str, data: &[u8]) -> Txnr {
        let txnr = self.next;
        self.next = txnr.next();
        self.answers.awaited += 1;
        relp::write_frame(&mut self.out, txnr, command, data);
        txnr
    }

    async fn wait_for_all(&mut self) -> Result<(), RelpClientError> {
        let all = async {
            while self.answers.awaited > 0 {
                self.exchange().await?;
            }
            Ok(())
        };
        timeout(ANSWER_TIMEOUT, all)
            .await
            .unwrap_or(Err(RelpClientError::TimedOut))
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<u32, RelpClientError>> {
        let has_written = match self.poll_write(cx)? {
            Poll::Ready(has_written) => has_written,
            Poll::Pending => false,
        };
        loop {
            if let Some(failed) = self.answers.failed.take() {
                return Poll::Ready(Err(failed));
            }
            if self.answers.awaited == 0 && self.unwritten() == 0 {
                return Poll::Ready(Ok(0));
            }
            let before = self.answers.awaited;
            let mut process = |input: &[u8]| self.answers.take(&mut self.decoder, input);
            match self.inbound.poll_read(cx, &mut self.stream, &mut process)? {
                Poll::Ready(0) => return Poll::Ready(Err(RelpClientError::Eof)),
                Poll::Ready(_) if self.answers.awaited < before => {
                    return Poll::Ready(Ok(before - self.answers.awaited));
                }
                Poll::Ready(_) => {}
                Poll::Pending if has_written => return Poll::Ready(Ok(0)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// True when this call wrote the last of what there was.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.out.is_empty() && !self.must_flush {
            return Poll::Ready(Ok(false));
        }
        loop {
            let rest = self.out.get(self.written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
            self.must_flush = true;
        }
        self.out.clear();
        self.written = 0;
        std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.must_flush = false;
        Poll::Ready(Ok(true))
    }
}

/// Which answers are to come, and what those that came say.
#[derive(Debug)]
struct Answers {
    oldest: Txnr,
    awaited: u32,
    /// Why no further answer counts.
    failed: Option<RelpClientError>,
    /// What came with the answer to `open`.
    offers: Vec<u8>,
}

impl Answers {
    fn take(&mut self, decoder: &mut RelpDecoder, input: &[u8]) -> usize {
        let mut frames = decoder.decode(input);
        while self.failed.is_none() {
            let taken = match frames.next_frame() {
                Ok(Some(frame)) => self.take_one(&frame),
                Ok(None) => break,
                Err(violation) => Err(violation.into()),
            };
            self.failed = taken.err();
        }
        frames.consumed()
    }

    fn take_one(&mut self, frame: &RelpFrame<'_>) -> Result<(), RelpClientError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if frame.txnr == Txnr::HINT {
            return match frame.command {
                b"serverclose" => Err(RelpClientError::ServerClose {
                    reason: text(frame.data),
                }),
                // Hints that we do not know are passed over.
                _ => Ok(()),
            };
        }
        if frame.txnr != self.oldest || self.awaited == 0 || frame.command != b"rsp" {
            return Err(RelpClientError::Order {
                expected: self.oldest,
                found: frame.txnr,
            });
        }
        let (status, rest) = relp::read_response(frame.data).unwrap_or((0, frame.data));
        if status != 200 {
            return Err(RelpClientError::Refused {
                txnr: frame.txnr,
                status,
                text: text(rest),
            });
        }
        if frame.txnr == Txnr::FIRST {
            let mut lines = rest.splitn(2, |byte| *byte == b'\n').skip(1);
            self.offers = lines.next().unwrap_or_default().to_vec();
        }
        self.oldest = self.oldest.next();
        self.awaited -= 1;
        Ok(())
    }
}
