//! Answers that are written while they are sent.

use std::{convert::Infallible, future::Future};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

/// Pieces that wait for a slow reader; the writer waits with them.
const WAITING_MAX: usize = 4;

/// Where the pieces go.
#[derive(Debug, Clone)]
pub(crate) struct Out(mpsc::Sender<Bytes>);

impl Out {
    /// The next piece. When the reader is gone, so is the writer, so that this never fails.
    pub(crate) async fn push(&self, piece: impl Into<Bytes>) {
        // The receiver lives as long as the future that this is called from.
        let _is_sent = self.0.send(piece.into()).await;
    }
}

/// A body that `write` writes. It runs only while somebody reads, and ends where it stands when the reader goes away.
pub(crate) fn written_by<F, Fut>(write: F) -> Body
where
    F: FnOnce(Out) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (out, mut pieces) = mpsc::channel(WAITING_MAX);
    let mut writing = Some(Box::pin(write(Out(out))));
    Body::from_stream(stream::poll_fn(move |cx| {
        if let Some(future) = &mut writing
            && future.as_mut().poll(cx).is_ready()
        {
            writing = None;
        }
        pieces.poll_recv(cx).map(|piece| piece.map(Ok::<_, Infallible>))
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::to_bytes;
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn all_pieces_come_in_order() {
        let body = written_by(async |out| {
            for number in 0..20 {
                out.push(format!("{number} ")).await;
            }
        });
        let bytes = to_bytes(body, 1000).await.unwrap();
        assert!(
            bytes.starts_with(b"0 1 2 ") && bytes.ends_with(b" 18 19 "),
            "{bytes:?}"
        );
    }

    #[tokio::test]
    async fn the_writer_ends_with_the_reader() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let body = written_by(async move |out| {
            out.push("first").await;
            std::future::pending::<()>().await;
            drop(held);
        });
        let mut pieces = body.into_data_stream();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "first");
        drop(pieces);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
