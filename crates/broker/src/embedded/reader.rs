//! The thread that reads bodies back from the queue file, on its own connection, so that the writer never waits
//! for it.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    embedded::{database::BodyReader, inbox::Inbox},
    message::Envelope,
};

/// Requests taken from the inbox at a time.
const TAKE_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct ReadRequest {
    pub(crate) seq: i64,
    /// Gets `None` when the message cannot be read; it is given back then.
    pub(crate) reply: oneshot::Sender<Option<Envelope>>,
}

/// Answers requests in order, until the inbox is closed and empty.
pub(crate) fn run(bodies: &BodyReader, requests: &Arc<Inbox<ReadRequest>>) {
    let mut taken = Vec::new();
    while requests.take(&mut taken, |_| 1, TAKE_MAX) {
        for ReadRequest { seq, reply } in taken.drain(..) {
            // The consumer may have gone; then nobody needs it.
            if reply.is_closed() {
                continue;
            }
            let message = match bodies.message(seq) {
                Ok(message) => message,
                Err(error) => {
                    tracing::error!(%error, seq, "a message cannot be read from the queue file");
                    None
                }
            };
            drop(reply.send(message));
        }
    }
}
