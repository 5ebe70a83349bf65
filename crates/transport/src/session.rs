//! What sessions of one listener have in common.

use std::{future::poll_fn, io, sync::Arc, task::Poll};

use tokio::io::AsyncRead;
use tokio_util::sync::CancellationToken;

use crate::{
    inbound::Inbound, join::Joining, limits::LimitsInForce, meters::Meters, room::Room, sink::FrameSink,
    throttle::Throttle,
};

/// The surroundings of a session.
#[derive(Debug)]
pub(crate) struct Surroundings<K> {
    pub(crate) listener: String,
    pub(crate) sink: Arc<K>,
    pub(crate) limits: LimitsInForce,
    /// `None`: each line is an event.
    pub(crate) joining: Option<Joining>,
    pub(crate) stop: CancellationToken,
    pub(crate) meters: Meters,
    /// Of the log lines about misbehaving peers.
    pub(crate) throttle: Throttle,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the peer closed the connection")]
    Eof,
    #[error("nothing came for the idle timeout")]
    Idle,
    #[error("we are stopping")]
    Stopped,
    #[error("connection failed")]
    Failed(#[from] io::Error),
    #[error("the peer closed the RELP session")]
    RelpClosed,
    #[error("the peer broke the protocol")]
    Violation(#[from] crate::relp::RelpViolation),
    #[error("the peer does not read our answers")]
    AnswersNotRead,
    #[error("a batch with frames of the session was given up")]
    CustodyLost,
}

impl<K: FrameSink> Surroundings<K> {
    /// Reads once when there is room; see [`Inbound::poll_read`]. Cancel-safe.
    pub(crate) async fn read<S: AsyncRead + Unpin>(
        &self,
        inbound: &mut Inbound,
        stream: &mut S,
        process: &mut (dyn FnMut(&[u8]) -> usize + Send),
    ) -> io::Result<usize> {
        let room: &Room = self.sink.room();
        loop {
            room.wait().await;
            let read = poll_fn(|cx| {
                // Others may have taken the room since; then wait in line again.
                if !room.is_open() {
                    return Poll::Ready(None);
                }
                inbound.poll_read(cx, stream, process).map(Some)
            });
            if let Some(read) = read.await {
                return read;
            }
        }
    }
}
