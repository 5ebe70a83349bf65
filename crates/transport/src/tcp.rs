//! Sessions of syslog over TCP.

use std::{future::poll_fn, io, pin::pin, time::Duration};

use framing::{Frame, Frames, StreamDecoder};
use tokio::{io::AsyncRead, time::timeout};

use crate::{
    custody::Ticket,
    idle::Idle,
    inbound::Inbound,
    session::{End, Surroundings},
    sink::{FrameSink, FrameSource, Peer},
};

/// Bytes that are taken at a stop from what the kernel has received of a connection already. They would be lost,
/// since plain syslog has no answers; the bound keeps a fast sender from holding up the stop.
const LAST_BYTES_MAX: usize = 4 << 20;

/// How long a stop waits for more of it. Whatever had arrived is known to the scheduler before any timer ends.
const LAST_READ_PATIENCE: Duration = Duration::from_millis(20);

/// Reads frames until the session ends.
pub(crate) async fn serve<S, K>(stream: &mut S, peer: &Peer, around: &Surroundings<K>) -> End
where
    S: AsyncRead + Unpin,
    K: FrameSink,
{
    let mut decoder = StreamDecoder::new(around.frame_bytes_max);
    let mut inbound = Inbound::default();
    let mut idle = Idle::new(around.idle_timeout);
    let mut stopped = pin!(around.stop.cancelled());
    let mut process = |input: &[u8]| take(&mut decoder, input, peer, around);
    let end = loop {
        tokio::select! {
            biased;
            () = &mut stopped => break End::Stopped,
            read = around.read(&mut inbound, stream, &mut process) => match read {
                Ok(0) => break End::Eof,
                Ok(_) => idle.iter_mut().for_each(Idle::touch),
                Err(error) => break End::Failed(error),
            },
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
        let last = read_what_is_there(&mut inbound, stream, around, &mut process).await;
        if let Err(error) = last {
            tracing::debug!(%error, "last read failed");
        }
    }
    if let Some(frame) = decoder.finish(inbound.tail()) {
        around.sink.take(&mut One {
            peer,
            frame: Some(frame),
        });
    }
    around.meters.discarded_bytes.inc_by(decoder.take_discarded());
    end
}

fn take<K: FrameSink>(
    decoder: &mut StreamDecoder,
    input: &[u8],
    peer: &Peer,
    around: &Surroundings<K>,
) -> usize {
    let mut source = Lines {
        peer,
        frames: decoder.decode(input),
    };
    around.sink.take(&mut source);
    let consumed = source.frames.consumed();
    match decoder.take_discarded() {
        0 => {}
        discarded => drop(around.meters.discarded_bytes.inc_by(discarded)),
    }
    consumed
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
}

impl FrameSource for Lines<'_, '_, '_> {
    fn next_frame(&mut self) -> Option<(&Peer, Frame<'_>)> {
        self.frames.next_frame().map(|frame| (self.peer, frame))
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
