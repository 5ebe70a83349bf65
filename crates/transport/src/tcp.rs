//! Sessions of syslog over TCP.

use std::{future::poll_fn, io, pin::pin, time::Duration};

use framing::{Frame, Frames, Joiner, StreamDecoder};
use tokio::{io::AsyncRead, time::timeout};

use crate::{
    custody::Ticket,
    idle::Idle,
    inbound::Inbound,
    join::Joining,
    roster::{Guest, Tally},
    session::{End, Surroundings},
    sink::{FrameSink, FrameSource, Peer},
};

/// Bytes that are taken at a stop from what the kernel has received of a connection already. They would be lost,
/// since plain syslog has no answers; the bound keeps a fast sender from holding up the stop.
const LAST_BYTES_MAX: usize = 4 << 20;

/// How long a stop waits for more of it. Whatever had arrived is known to the scheduler before any timer ends.
const LAST_READ_PATIENCE: Duration = Duration::from_millis(20);

/// Reads frames until the session ends.
pub(crate) async fn serve<S, K>(stream: &mut S, guest: &Guest, around: &Surroundings<K>) -> End
where
    S: AsyncRead + Unpin,
    K: FrameSink,
{
    let mut limits = around.limits.clone();
    let first = limits.get();
    let mut decoder = StreamDecoder::new(first.frame_bytes_max);
    let mut limits_of_frames = limits.clone();
    let mut inbound = Inbound::default();
    let mut idle = Idle::new(first.idle_timeout);
    let (mut joiner, mut quiet) = Joining::of_session(around.joining.as_ref());
    let mut stopped = pin!(around.stop.cancelled());
    let end = loop {
        if let Some(limits) = limits.changed() {
            idle = Idle::new(limits.idle_timeout);
        }
        let is_joining = joiner.as_ref().is_some_and(Joiner::is_open);
        let mut process = |input: &[u8]| {
            if let Some(limits) = limits_of_frames.changed() {
                decoder.cut_at(limits.frame_bytes_max);
            }
            take(&mut decoder, &mut joiner, input, guest, around)
        };
        tokio::select! {
            biased;
            () = &mut stopped => break End::Stopped,
            read = around.read(&mut inbound, stream, &mut process) => match read {
                Ok(0) => break End::Eof,
                Ok(_) => idle.iter_mut().chain(&mut quiet).for_each(Idle::touch),
                Err(error) => break End::Failed(error),
            },
            () = Idle::elapsed(&mut quiet), if is_joining => take_last(None, &mut joiner, guest, around),
            () = Idle::elapsed(&mut idle) => {
                // Who is not read is not silent.
                if around.sink.room().is_open() {
                    break End::Idle;
                }
                idle.iter_mut().for_each(Idle::touch);
            }
        }
    };
    if let End::Stopped = end {
        let mut process = |input: &[u8]| take(&mut decoder, &mut joiner, input, guest, around);
        let last = read_what_is_there(&mut inbound, stream, around, &mut process).await;
        if let Err(error) = last {
            tracing::debug!(%error, "last read failed");
        }
    }
    take_last(decoder.finish(inbound.tail()), &mut joiner, guest, around);
    around.meters.discarded_bytes.inc_by(decoder.take_discarded());
    end
}

fn take<K: FrameSink>(
    decoder: &mut StreamDecoder,
    joiner: &mut Option<Joiner>,
    input: &[u8],
    guest: &Guest,
    around: &Surroundings<K>,
) -> usize {
    let mut lines = Tally::new(
        guest,
        Lines {
            peer: &guest.peer,
            frames: decoder.decode(input),
            joiner: joiner.as_mut(),
        },
    );
    around.sink.take(&mut lines);
    let consumed = lines.source.frames.consumed();
    drop(lines);
    match decoder.take_discarded() {
        0 => {}
        discarded => drop(around.meters.discarded_bytes.inc_by(discarded)),
    }
    consumed
}

/// The last frame of the stream, if there is one, and the event that ends with it or without it.
fn take_last<K: FrameSink>(
    last: Option<Frame<'_>>,
    joiner: &mut Option<Joiner>,
    guest: &Guest,
    around: &Surroundings<K>,
) {
    let give = |frame: Frame<'_>| {
        let (peer, frame) = (&guest.peer, Some(frame));
        around.sink.take(&mut Tally::new(guest, One { peer, frame }));
    };
    let Some(joiner) = joiner else {
        return last.into_iter().for_each(give);
    };
    if last.is_some_and(|frame| joiner.push(frame)) {
        give(joiner.complete());
    }
    if joiner.finish() {
        give(joiner.complete());
    }
}

async fn read_what_is_there<S, K>(
    inbound: &mut Inbound,
    stream: &mut S,
    around: &Surroundings<K>,
    process: &mut (dyn FnMut(&[u8]) -> usize + Send),
) -> io::Result<()>
where
    S: AsyncRead + Unpin,
    K: FrameSink,
{
    let mut total = 0;
    while total < LAST_BYTES_MAX && around.sink.room().is_open() {
        let read = poll_fn(|cx| inbound.poll_read(cx, stream, process));
        match timeout(LAST_READ_PATIENCE, read).await {
            Ok(Ok(0)) | Err(_) => break,
            Ok(read) => total += read?,
        }
    }
    Ok(())
}

struct Lines<'a, 'd, 'i> {
    peer: &'a Peer,
    frames: Frames<'d, 'i>,
    joiner: Option<&'a mut Joiner>,
}

impl FrameSource for Lines<'_, '_, '_> {
    fn next_frame(&mut self) -> Option<(&Peer, Frame<'_>)> {
        let Some(joiner) = &mut self.joiner else {
            return self.frames.next_frame().map(|frame| (self.peer, frame));
        };
        while let Some(frame) = self.frames.next_frame() {
            if joiner.push(frame) {
                return Some((self.peer, joiner.complete()));
            }
        }
        None
    }

    /// Plain syslog has no answers.
    fn placed(&mut self, _: &Ticket) {}
}

struct One<'a> {
    peer: &'a Peer,
    frame: Option<Frame<'a>>,
}

impl FrameSource for One<'_> {
    fn next_frame(&mut self) -> Option<(&Peer, Frame<'_>)> {
        self.frame.take().map(|frame| (self.peer, frame))
    }

    fn placed(&mut self, _: &Ticket) {}
}

#[cfg(test)]
mod tests;
