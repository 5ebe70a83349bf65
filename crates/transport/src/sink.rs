//! Between sessions and whoever takes their frames.

use framing::Frame;

use crate::{custody::Ticket, room::Room};

/// Takes the frames of one listener. It is asked once a read, so that a lock costs little.
pub trait FrameSink: Send + Sync + 'static {
    /// Whether sockets may be read. It is looked at before each read; one read may bring more than there is
    /// room for.
    fn room(&self) -> &Room;

    /// Takes all frames of a read. Must not block.
    fn take(&self, frames: &mut dyn FrameSource);

    /// The kernel dropped this many datagrams before they could be read.
    fn lost(&self, datagrams: u64);
}

/// The frames of one read.
pub trait FrameSource {
    /// The next frame and where it came from.
    fn next_frame(&mut self) -> Option<(&Peer, Frame<'_>)>;

    /// The frames given since the last call are under `ticket`. The sink calls this before it puts further
    /// frames under another ticket, and at the end.
    fn placed(&mut self, ticket: &Ticket);
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Address and port.
    pub addr: String,
    /// The name in its TLS certificate, where one was shown and checked.
    pub tls_name: Option<String>,
}
