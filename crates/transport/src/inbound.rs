//! Reading a connection: one large buffer a thread, and a connection keeps only what is not a whole frame yet.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Bytes of one read at most.
const READ_BYTES: usize = 256 * 1024;

/// A connection that has more than this of an unfinished frame reads behind it, into memory of its own: copying
/// it into the thread's buffer for each read would cost more than the read.
const OWN_BYTES: usize = 4096;

/// Room that such a connection makes for a read.
const OWN_READ_BYTES: usize = 16 * 1024;

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(READ_BYTES + OWN_BYTES));
}

/// The unfinished frame of one connection.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    tail: Vec<u8>,
}

impl Inbound {
    /// Reads once and hands `process` all bytes that are not dealt with; it says how many it dealt with. Gives
    /// the number of bytes read, 0 at the end of the stream. Nothing is lost when polling stops.
    pub(crate) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        process: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<usize>> {
        if self.tail.len() > OWN_BYTES {
            self.tail.reserve(OWN_READ_BYTES);
            let read = ready!(poll_read_buf(Pin::new(stream), cx, &mut self.tail))?;
            if read > 0 {
                let consumed = process(&self.tail);
                self.tail.drain(..consumed);
                self.give_back();
            }
            return Poll::Ready(Ok(read));
        }
        SHARED.with_borrow_mut(|shared| {
            shared.clear();
            shared.extend_from_slice(&self.tail);
            let read = ready!(poll_read_buf(Pin::new(stream), cx, shared))?;
            if read > 0 {
                let consumed = process(shared);
                self.tail.clear();
                self.tail
                    .extend_from_slice(shared.get(consumed..).unwrap_or_default());
            }
            Poll::Ready(Ok(read))
        })
    }

    /// What is not a whole frame.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// One long frame does not keep memory for the life of a connection.
    fn give_back(&mut self) {
        if self.tail.len() <= OWN_BYTES {
            self.tail.shrink_to(OWN_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn long_unfinished_frames_are_kept_and_their_memory_is_given_back() {
        let (mut here, mut there) = tokio::io::duplex(1 << 20);
        let mut inbound = Inbound::default();
        let mut sent = 0;
        // Frames of 100,000 bytes, in pieces of 7,000.
        let mut found = 0;
        while found < 3 {
            here.write_all(&[b'x'; 7000]).await.unwrap();
            sent += 7000;
            let mut process = |bytes: &[u8]| {
                assert!(bytes.len() <= sent);
                let frames = bytes.len() / 100_000;
                found += frames;
                frames * 100_000
            };
            let read = poll_fn(|cx| inbound.poll_read(cx, &mut there, &mut process)).await;
            assert_eq!(read.unwrap(), 7000);
            assert_eq!(inbound.tail().len(), sent - found * 100_000);
            assert!(inbound.tail().len() > OWN_BYTES || inbound.tail.capacity() <= 2 * OWN_BYTES);
        }
        drop(here);
        let mut process = |_: &[u8]| panic!("there is nothing to process at the end");
        let read = poll_fn(|cx| inbound.poll_read(cx, &mut there, &mut process)).await;
        assert_eq!(read.unwrap(), 0);
    }
}
