//! The thread that reads bodies back from the queue file, on its own connection, so that the writer never waits
//! for it.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    embedded::{database::BodyReader, inbox::Inbox},
    message::Envelope,
    name::QueueName,
};

/// Requests taken from the inbox at a time.
const TAKE_MAX: usize = 64;

#[derive(Debug)]
pub(crate) enum ReadRequest {
    /// A message that was handed out.
    Body {
        seq: i64,
        /// Gets `None` when the message cannot be read; it is given back then.
        reply: oneshot::Sender<Option<Envelope>>,
    },
    /// The first message of a queue after this one, wherever it is.
    Next {
        queue: QueueName,
        after: i64,
        reply: oneshot::Sender<rusqlite::Result<Option<(i64, Envelope)>>>,
    },
}

/// Answers requests in order, until the inbox is closed and empty.
pub(crate) fn run(bodies: &BodyReader, requests: &Arc<Inbox<ReadRequest>>) {
    let mut taken = Vec::new();
    while requests.take(&mut taken, |_| 1, TAKE_MAX) {
        for request in taken.drain(..) {
            let (seq, reply) = match request {
                ReadRequest::Body { seq, reply } => (seq, reply),
                ReadRequest::Next { queue, after, reply } => {
                    drop(reply.send(bodies.next(queue.as_str(), after)));
                    continue;
                }
            };
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
