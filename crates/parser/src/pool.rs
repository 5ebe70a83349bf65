//! Threads that do one kind of work, batch by batch.
//!
//! Threads of their own and not the runtime's: they keep their memory and the rules' caches from batch to batch,
//! they never hold up a socket, and their stack is large enough for what rules do with deeply nested text.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use bytes::Bytes;
use event::DecodeError;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::worker::Parsed;

/// How a batch ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was parsed.
    Parsed(Box<Parsed>),
    /// Its bytes are no raw batch.
    Undecodable(DecodeError),
    /// There is a bug that this batch brings up.
    Panicked,
}

/// The threads.
#[derive(Debug)]
pub(crate) struct Pool {
    jobs: mpsc::Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    body: Bytes,
    reply: oneshot::Sender<Outcome>,
}

impl Pool {
    /// Starts `threads` threads; each makes its own worker. At most `waiting_max` batches wait for a thread.
    pub(crate) fn start<W>(
        threads: usize,
        waiting_max: usize,
        make: impl Fn() -> W + Clone + Send + 'static,
    ) -> io::Result<Self>
    where
        W: FnMut(&[u8]) -> Result<Parsed, DecodeError>,
    {
        let (jobs, waiting) = mpsc::channel(waiting_max.max(1));
        let waiting = Arc::new(Mutex::new(waiting));
        let mut handles = Vec::with_capacity(threads.max(1));
        for index in 0..threads.max(1) {
            let (waiting, make) = (Arc::clone(&waiting), make.clone());
            let builder = Builder::new()
                .name(format!("parse-{index}"))
                .stack_size(rules::STACK_BYTES);
            handles.push(builder.spawn(move || work(&waiting, &make))?);
        }
        Ok(Self {
            jobs,
            threads: handles,
        })
    }

    /// Has `body` parsed. Waits while too many batches wait.
    pub(crate) async fn submit(&self, body: Bytes) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        // Threads end only after the pool; if none were left, the receiver would say so.
        drop(self.jobs.send(Job { body, reply }).await);
        outcome
    }

    /// Lets the threads end and waits for them; not for one that may still be at work when `in_a_hurry`.
    pub(crate) async fn stop(self, in_a_hurry: bool) {
        drop(self.jobs);
        if in_a_hurry {
            return;
        }
        let join = move || {
            for thread in self.threads {
                if thread.join().is_err() {
                    tracing::error!("a parsing thread ended by a panic");
                }
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(join).await {
            tracing::error!(%error, "waiting for parsing threads failed");
        }
    }
}

fn work<W>(waiting: &Mutex<mpsc::Receiver<Job>>, make: &impl Fn() -> W)
where
    W: FnMut(&[u8]) -> Result<Parsed, DecodeError>,
{
    let mut worker = make();
    loop {
        // One thread waits for a job, the others for their turn to wait.
        let job = waiting.lock().blocking_recv();
        let Some(Job { body, reply }) = job else { return };
        let outcome = match catch_unwind(AssertUnwindSafe(|| worker(&body))) {
            Ok(Ok(parsed)) => Outcome::Parsed(Box::new(parsed)),
            Ok(Err(error)) => Outcome::Undecodable(error),
            Err(_) => {
                // Whatever the panic left half done goes with it.
                worker = make();
                Outcome::Panicked
            }
        };
        // Nobody waits any more when the drain ran out of time.
        drop(reply.send(outcome));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::DefectCounts;

    /// A worker that panics on `panic`, refuses `refuse` and counts the batches it saw.
    fn worker() -> impl FnMut(&[u8]) -> Result<Parsed, DecodeError> {
        let mut seen = 0;
        move |body| {
            seen += 1;
            assert!(body != b"panic", "a bug");
            if body == b"refuse" {
                return Err(DecodeError::NotABatch);
            }
            Ok(Parsed {
                frames: seen,
                outputs: Vec::new(),
                dropped: Vec::new(),
                defects: DefectCounts::default(),
                failures: Vec::new(),
            })
        }
    }

    fn frames(outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Parsed(parsed) => parsed.frames,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_panic_costs_one_batch_and_a_new_worker() {
        let pool = Pool::start(1, 4, worker).unwrap();
        let mut outcomes = Vec::new();
        for body in ["a", "b", "panic", "c", "refuse"] {
            outcomes.push(pool.submit(Bytes::from(body)).await);
        }
        let mut outcomes = outcomes.into_iter();
        let mut next = async || outcomes.next().unwrap().await.unwrap();
        assert_eq!(frames(next().await), 1);
        assert_eq!(frames(next().await), 2);
        assert!(matches!(next().await, Outcome::Panicked));
        assert_eq!(frames(next().await), 1);
        assert!(matches!(
            next().await,
            Outcome::Undecodable(DecodeError::NotABatch)
        ));
        pool.stop(false).await;
    }

    #[tokio::test]
    async fn all_threads_work() {
        let barrier = Arc::new(std::sync::Barrier::new(3));
        let make = move || {
            let barrier = Arc::clone(&barrier);
            move |_: &[u8]| {
                // Passes only when three batches are parsed at the same time.
                barrier.wait();
                Err(DecodeError::NotABatch)
            }
        };
        let pool = Pool::start(3, 4, make).unwrap();
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(pool.submit(Bytes::new()).await);
        }
        for outcome in outcomes {
            assert!(matches!(outcome.await.unwrap(), Outcome::Undecodable(_)));
        }
        pool.stop(false).await;
    }
}
