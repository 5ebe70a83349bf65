//! RELP sessions of a server: commands in, answers out, in order and only for what is in custody.
//!
//! A session reads as long as there is room and not too many transactions await their answer. The sink puts its
//! frames under tickets; when a ticket is confirmed, the answers of all its transactions go out with one write.
//! A batch that is given up ends the session without an answer, so that the sender keeps its frames.

mod commands;
mod replies;

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use framing::{Joiner, RelpDecoder, relp};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::Notify,
    time::timeout,
};

pub(crate) use self::commands::RelpViolation;
use self::{
    commands::{Commands, Last, Source},
    replies::Replies,
};
use crate::{
    idle::Idle,
    inbound::Inbound,
    join::Joining,
    limits::LimitsInForce,
    roster::{Guest, Tally},
    session::{End, Surroundings},
    sink::FrameSink,
};

/// How long a peer may leave our answers unread, and how long a session that is over waits for its last ones.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a peer may take to close its side after we closed ours.
const LINGER: Duration = Duration::from_secs(1);

/// Serves one session until it ends.
pub(crate) async fn serve<S, K>(stream: &mut S, guest: &Guest, around: &Surroundings<K>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
    K: FrameSink,
{
    let settled = Arc::new(Notify::new());
    let mut limits = around.limits.clone();
    let first = limits.get();
    let (joiner, quiet) = Joining::of_session(around.joining.as_ref());
    let mut session = Session {
        around,
        guest,
        decoder: RelpDecoder::new(first.frame_bytes_max),
        limits,
        inbound: Inbound::default(),
        commands: Commands::new(),
        replies: Replies::new(Arc::clone(&settled)),
        joiner,
        is_counted: false,
    };
    let clocks = Clocks {
        idle: Idle::new(first.idle_timeout),
        quiet,
    };
    let outcome = session.run(stream, &settled, clocks).await;
    // Not answered any more, but passed on like all that was read.
    session.complete_event();
    let end = match outcome {
        Outcome::Cut(end) => end,
        Outcome::Answered(end) => {
            if let End::Violation(_) = end {
                around.meters.violations.inc();
            }
            if timeout(PATIENCE, session.say_goodbye(stream, &end))
                .await
                .is_err()
            {
                tracing::debug!("goodbye timed out");
            }
            end
        }
    };
    if session.is_counted {
        around.meters.relp_sessions.dec();
    }
    end
}

/// When silence is over: that of the peer, and that after a line that may be continued.
struct Clocks {
    idle: Option<Idle>,
    quiet: Option<Idle>,
}

struct Session<'a, K> {
    around: &'a Surroundings<K>,
    guest: &'a Guest,
    decoder: RelpDecoder,
    limits: LimitsInForce,
    inbound: Inbound,
    commands: Commands,
    replies: Replies,
    /// Where lines are joined into events.
    joiner: Option<Joiner>,
    /// In the gauge of open sessions.
    is_counted: bool,
}

enum Outcome {
    /// Nothing more can or should be written.
    Cut(End),
    /// All that is in custody is answered, if not yet written.
    Answered(End),
}

enum Io {
    Wrote,
    Read,
    Eof,
    NoRoom,
}

impl<K: FrameSink> Session<'_, K> {
    async fn run<S>(&mut self, stream: &mut S, settled: &Notify, clocks: Clocks) -> Outcome
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let around = self.around;
        let mut stopped = pin!(around.stop.cancelled());
        let Clocks { mut idle, mut quiet } = clocks;
        let mut limits = self.limits.clone();
        let mut patience = Idle::new(Some(PATIENCE));
        let mut closing = None;
        loop {
            if let Some(limits) = limits.changed() {
                idle = Idle::new(limits.idle_timeout);
            }
            let had_to_write = self.replies.has_to_write();
            if self.replies.collect().is_err() {
                return Outcome::Cut(End::CustodyLost);
            }
            if !had_to_write {
                patience.iter_mut().for_each(Idle::touch);
            }
            if closing.is_none() {
                closing = self.commands.take_end();
            }
            if closing.is_some() {
                self.complete_event();
            }
            let is_joining = self.joiner.as_ref().is_some_and(Joiner::is_open);
            if self.replies.is_all_answered()
                && let Some(end) = closing
            {
                return Outcome::Answered(end);
            }
            let may_read = closing.is_none() && self.replies.has_room();
            let is_open = around.sink.room().is_open();
            let reads = may_read && is_open;
            tokio::select! {
                biased;
                () = &mut stopped, if closing.is_none() => closing = Some(End::Stopped),
                io = poll_fn(|cx| self.poll_io(cx, stream, reads)) => match io {
                    Ok(Io::Wrote) => patience.iter_mut().for_each(Idle::touch),
                    Ok(Io::Read) => idle.iter_mut().chain(&mut quiet).for_each(Idle::touch),
                    Ok(Io::Eof) => return Outcome::Cut(End::Eof),
                    Ok(Io::NoRoom) => {}
                    Err(error) => return Outcome::Cut(End::Failed(error)),
                },
                () = settled.notified() => {}
                () = Idle::elapsed(&mut quiet), if is_joining => self.complete_event(),
                () = around.sink.room().wait(), if may_read && !is_open => {}
                () = Idle::elapsed(&mut idle), if closing.is_none() => {
                    // Who is not read, or is not answered yet, is not silent.
                    if reads && self.replies.is_all_answered() {
                        closing = Some(End::Idle);
                    }
                    idle.iter_mut().for_each(Idle::touch);
                }
                () = Idle::elapsed(&mut patience) => {
                    if self.replies.has_to_write() {
                        return Outcome::Cut(End::AnswersNotRead);
                    }
                    if let Some(end) = closing {
                        return Outcome::Cut(end);
                    }
                    patience.iter_mut().for_each(Idle::touch);
                }
            }
        }
    }

    /// Writes and reads, whichever can go on. Cancel-safe.
    fn poll_io<S>(&mut self, cx: &mut Context<'_>, stream: &mut S, reads: bool) -> Poll<io::Result<Io>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.replies.has_to_write()
            && let Poll::Ready(written) = self.replies.poll_write(cx, Pin::new(stream))
        {
            return Poll::Ready(written.map(|()| Io::Wrote));
        }
        if !reads {
            return Poll::Pending;
        }
        let around = self.around;
        // Others may have taken the room since.
        if !around.sink.room().is_open() {
            return Poll::Ready(Ok(Io::NoRoom));
        }
        let mut process = |input: &[u8]| {
            if let Some(limits) = self.limits.changed() {
                self.decoder.cut_at(limits.frame_bytes_max);
            }
            let frames = self.decoder.decode(input);
            let source = Source::new(
                &self.guest.peer,
                frames,
                &mut self.commands,
                &mut self.replies,
                self.joiner.as_mut(),
            );
            let mut frames = Tally::new(self.guest, source);
            around.sink.take(&mut frames);
            frames.source.consumed()
        };
        let read = std::task::ready!(self.inbound.poll_read(cx, stream, &mut process))?;
        match self.decoder.take_discarded() {
            0 => {}
            discarded => drop(around.meters.discarded_bytes.inc_by(discarded)),
        }
        if !self.is_counted && self.commands.is_open() {
            self.is_counted = true;
            around.meters.relp_sessions.inc();
        }
        Poll::Ready(Ok(if read == 0 { Io::Eof } else { Io::Read }))
    }

    /// Hands over the event under way, if there is one.
    fn complete_event(&mut self) {
        if let Some(joiner) = &mut self.joiner
            && joiner.finish()
        {
            let last = Last::new(&self.guest.peer, joiner.complete(), &mut self.replies);
            self.around.sink.take(&mut Tally::new(self.guest, last));
        }
    }

    /// Writes what is to be written and tells the peer that the session is over, and why.
    async fn say_goodbye<S>(&mut self, stream: &mut S, end: &End) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let reason = match end {
            End::Violation(violation) => violation.to_string(),
            _ => String::new(),
        };
        let mut out = self.replies.take_unwritten();
        relp::write_server_close(&mut out, &reason);
        stream.write_all(&out).await?;
        stream.shutdown().await?;
        // Closing a socket with unread bytes in it would reset the connection, and what we wrote with it.
        let mut rest = [0; 4096];
        let read_rest = async {
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        };
        timeout(LINGER, read_rest).await.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests;
