//! The embedded broker: the queues of one process in one SQLite file, with the guarantees of the real one.
//!
//! A publish is confirmed when its transaction is synced to disk. Many publishes and dispositions share a
//! transaction, so that the cost of the sync is shared too.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    backoff::Backoff,
    counters::Counters,
    delivery::{DeadLetter, Delivery, Origin, Receipt, Settlement},
    embedded::{
        database::{BodyReader, Database},
        inbox::Inbox,
        reader::ReadRequest,
        writer::{Content, Op, Slot, Subscription, Writer},
    },
    error::{ConnectError, ConsumeError, DeclareError, PublishError},
    message::Envelope,
    name::QueueName,
    publisher::PublishRequest,
    state::BrokerState,
    topology::Topology,
};

mod audience;
mod browse;
mod database;
mod inbox;
mod queue;
mod reader;
mod writer;

pub(crate) use self::{
    audience::{Audience, Seat, Subject},
    browse::Browser,
    writer::Limits,
};

/// A handle to the threads of one queue file. When the last one is gone, they write what was asked of them and
/// end.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inbox: Arc<Inbox<Op>>,
    reads: Arc<Inbox<ReadRequest>>,
    state: watch::Sender<BrokerState>,
    counters: Arc<Counters>,
    last_consumer: AtomicU64,
    audience: Arc<Audience>,
    writer: parking_lot::Mutex<Option<thread::JoinHandle<()>>>,
}

/// Passes dispositions to the writer.
#[derive(Debug)]
pub(crate) struct Settler {
    inbox: Arc<Inbox<Op>>,
    queue: i64,
}

/// A subscription of the embedded broker.
#[derive(Debug)]
pub(crate) struct Subscriber {
    id: u64,
    queue: i64,
    slots: mpsc::Receiver<Slot>,
    /// Taken from `slots`, its body not there yet.
    current: Option<Slot>,
    origin: Arc<Origin>,
    // Keeps the threads alive.
    broker: Embedded,
}

impl Embedded {
    /// Opens the queue file in `dir` and starts its threads. Blocks.
    pub(crate) fn open(
        dir: &Path,
        limits: Limits,
        state: watch::Sender<BrokerState>,
        counters: Arc<Counters>,
    ) -> Result<Self, ConnectError> {
        let lock = lock(dir)?;
        let database = Database::open(dir)?;
        let bodies = BodyReader::open(dir)?;
        let inbox = Arc::new(Inbox::new());
        let reads = Arc::new(Inbox::<ReadRequest>::new());
        let audience = Arc::new(Audience::default());
        let writer = Writer::new(
            database,
            limits,
            Arc::clone(&inbox),
            Arc::clone(&reads),
            state.clone(),
            Arc::clone(&counters),
            Arc::clone(&audience),
        )
        .map_err(|error| ConnectError::Database {
            path: database::file_of(dir),
            problem: error.to_string(),
        })?;
        let folder = |source| ConnectError::Folder {
            dir: dir.to_owned(),
            source,
        };
        let (reader_requests, reads_in) = (Arc::clone(&reads), Arc::clone(&reads));
        let reader = thread::Builder::new()
            .name("broker-reader".into())
            .spawn(move || reader::run(&bodies, &reader_requests))
            .map_err(folder)?;
        let writer = thread::Builder::new()
            .name("broker-writer".into())
            .spawn(move || {
                writer.run();
                reads.close();
                if reader.join().is_err() {
                    tracing::error!("the reader of the queue file panicked");
                }
                // Nobody else may open the file before its last connection is closed.
                drop(lock);
            })
            .map_err(folder)?;
        state.send_replace(BrokerState::Ready);
        let writer = parking_lot::Mutex::new(Some(writer));
        let shared = Shared {
            inbox,
            reads: reads_in,
            state,
            counters,
            last_consumer: AtomicU64::new(0),
            audience,
            writer,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    pub(crate) fn publish(&self, request: Box<PublishRequest>) {
        if let Err(Op::Publish(request)) = self.shared.inbox.push(Op::Publish(request)) {
            request.verdict.resolve(Err(PublishError::Closed));
        }
    }

    pub(crate) fn audience(&self) -> &Arc<Audience> {
        &self.shared.audience
    }

    pub(crate) async fn declare(&self, topology: &Topology) -> Result<(), DeclareError> {
        let (reply, declared) = oneshot::channel();
        let op = Op::Declare {
            topology: topology.clone(),
            reply,
        };
        self.shared
            .inbox
            .push(op)
            .map_err(|_closed| DeclareError::Closed)?;
        declared.await.unwrap_or(Err(DeclareError::Closed))
    }

    pub(crate) async fn consume(
        &self,
        queue: &QueueName,
        prefetch: u16,
        stage: &'static str,
    ) -> Result<Subscriber, ConsumeError> {
        let id = self.shared.last_consumer.fetch_add(1, Ordering::Relaxed) + 1;
        let prefetch = usize::from(prefetch.max(1));
        let (slots_in, slots) = mpsc::channel(prefetch);
        let (reply, consumed) = oneshot::channel();
        let request = Subscription {
            consumer: id,
            queue: queue.clone(),
            prefetch,
            slots: slots_in,
        };
        let op = Op::Consume { request, reply };
        self.shared
            .inbox
            .push(op)
            .map_err(|_closed| ConsumeError::Closed)?;
        let queue_id = consumed.await.unwrap_or(Err(ConsumeError::Closed))?;
        let settler = Settler {
            inbox: Arc::clone(&self.shared.inbox),
            queue: queue_id,
        };
        let origin = Arc::new(Origin {
            queue: queue.clone(),
            stage,
            counters: Arc::clone(&self.shared.counters),
            settler: crate::delivery::Settler::Embedded(settler),
        });
        Ok(Subscriber {
            id,
            queue: queue_id,
            slots,
            current: None,
            origin,
            broker: self.clone(),
        })
    }

    /// Writes what was asked for and ends the threads.
    pub(crate) async fn close(&self) {
        self.shared.state.send_replace(BrokerState::Closed);
        self.shared.inbox.close();
        self.shared.audience.end();
        let writer = self.shared.writer.lock().take();
        if let Some(writer) = writer
            && !matches!(tokio::task::spawn_blocking(|| writer.join()).await, Ok(Ok(())))
        {
            tracing::error!("the writer of the queue file panicked");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl Settler {
    /// A closed broker forgets dispositions: what was not acknowledged is delivered again after the next start.
    pub(crate) fn settle(&self, origin: &Origin, tag: u64, settlement: Settlement) {
        match settlement {
            Settlement::Ack => origin.counters.acked.add(1),
            Settlement::Requeue => origin.counters.requeued.add(1),
        }
        let op = Op::Settle {
            queue: self.queue,
            seq: tag.cast_signed(),
            settlement,
        };
        if self.inbox.push(op).is_err() {
            origin.counters.stale_settlements.add(1);
        }
    }

    /// Publishes the dead letter and acknowledges the delivery in one transaction.
    pub(crate) async fn dead_letter(&self, mut delivery: Delivery, letter: DeadLetter) {
        let origin = Arc::clone(&delivery.receipt.origin);
        let message = delivery.dead_letter(&letter);
        let mut backoff = Backoff::new(crate::publisher::RETRY_PAUSE, crate::publisher::RETRY_PAUSE_MAX);
        loop {
            let (reply, done) = oneshot::channel();
            let (queue, seq) = (self.queue, delivery.receipt.tag.cast_signed());
            let op = Op::DeadLetter {
                queue,
                seq,
                message: Box::new(message.clone()),
                reply,
            };
            let pushed = self.inbox.push(op).map_err(|_closed| PublishError::Closed);
            let published = match pushed {
                Ok(()) => done.await.unwrap_or(Err(PublishError::Closed)),
                Err(closed) => Err(closed),
            };
            match published {
                Ok(()) => {
                    origin.counters.dead_lettered.add(1);
                    return delivery.receipt.take_over();
                }
                Err(PublishError::Closed) => {
                    origin.counters.stale_settlements.add(1);
                    return delivery.receipt.take_over();
                }
                Err(error) if error.is_transient() => tokio::time::sleep(backoff.pause()).await,
                Err(error) => {
                    tracing::error!(%error, queue = %origin.queue, "a dead letter cannot be published, giving it back");
                    return delivery.receipt.finish(Settlement::Requeue);
                }
            }
        }
    }
}

impl Subscriber {
    /// Cancel-safe: a slot whose body is not there yet is kept.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        loop {
            let slot = match &mut self.current {
                Some(slot) => slot,
                None => self.current.insert(self.slots.recv().await?),
            };
            let message = match &mut slot.content {
                Content::Here(message) => Some(Envelope::clone(message)),
                Content::Coming(coming) => coming.await.ok().flatten(),
            };
            let (seq, attempts) = (slot.seq, slot.attempts);
            self.current = None;
            // What was handed out before the close could not be settled any more.
            if self.broker.shared.inbox.is_closed() {
                return None;
            }
            match message {
                Some(message) => return Some(self.delivery(seq, attempts, message)),
                None => self.give_back(seq),
            }
        }
    }

    /// No more deliveries; those already given out can still be settled.
    pub(crate) fn stop(&mut self) {
        // Before anything is given back: it would come to this consumer again, and again, until it counted as poison. A
        // closed broker has no consumers to cancel.
        drop(self.broker.shared.inbox.push(Op::Cancel { consumer: self.id }));
        self.slots.close();
        if let Some(slot) = self.current.take() {
            self.give_back(slot.seq);
        }
        while let Ok(slot) = self.slots.try_recv() {
            self.give_back(slot.seq);
        }
    }

    fn delivery(&self, seq: i64, attempts: u32, message: Envelope) -> Delivery {
        Delivery {
            body: message.body,
            id: message.id,
            content_type: message.content_type,
            exchange: Some(message.exchange),
            routing_key: message.routing_key,
            redelivered: attempts > 0,
            delivery_count: attempts,
            death: message.death,
            receipt: Receipt::new(seq.cast_unsigned(), Arc::clone(&self.origin)),
        }
    }

    fn give_back(&self, seq: i64) {
        let op = Op::Settle {
            queue: self.queue,
            seq,
            settlement: Settlement::Requeue,
        };
        // A closed broker delivers it again after the next start.
        drop(self.broker.shared.inbox.push(op));
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What `logferry check --connect` does with an embedded broker: opens what there is, or tells that the folder
/// can be made.
pub(crate) fn check(dir: &Path) -> Result<String, ConnectError> {
    let lock = match lock(dir) {
        Err(ConnectError::InUse { .. }) => {
            return Ok(format!("embedded broker in {}, in use now", dir.display()));
        }
        lock => lock?,
    };
    let mut database = Database::open(dir)?;
    let queues = database.queues().map_err(|error| ConnectError::Database {
        path: database::file_of(dir),
        problem: error.to_string(),
    })?;
    let messages: u64 = queues.iter().map(|queue| queue.messages).sum();
    drop(database);
    drop(lock);
    Ok(format!(
        "embedded broker in {}, {} queues, {messages} messages",
        dir.display(),
        queues.len()
    ))
}

/// Makes the folder if need be, and takes it for this process.
fn lock(dir: &Path) -> Result<File, ConnectError> {
    let folder = |source| ConnectError::Folder {
        dir: dir.to_owned(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(folder)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("queues.lock"))
        .map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ConnectError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(folder(source)),
    }
}
