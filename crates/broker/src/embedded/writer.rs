//! The one thread that writes the queue file. Everything that waits is done in one transaction: publishes,
//! dispositions, and the choice of what is handed out next. Only when it is committed do publishers get their
//! confirms and consumers their deliveries, so that nobody acts on what a power cut could undo.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    browser::Fill,
    counters::Counters,
    delivery::Settlement,
    embedded::{
        audience::Audience,
        database::{Database, EntryRow},
        inbox::Inbox,
        queue::{QueueState, Ready},
        reader::ReadRequest,
    },
    error::{ConsumeError, DeclareError, PublishError},
    message::Envelope,
    name::{Exchange, NameError, QueueName},
    publisher::PublishRequest,
    state::BrokerState,
    topology::Topology,
};

mod apply;
mod hand_out;

/// What one transaction takes in. More would not be faster and would have to be kept in memory.
const TRANSACTION_BYTES_MAX: usize = 16 << 20;
/// After a failed transaction it is tried again this often.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Empty pages that stay in the file for the next messages (64 MiB).
const SLACK_PAGES: i64 = 4096;
/// Empty pages given back to the file system in one transaction (4 MiB).
const SHRINK_PAGES: i64 = 256;

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Op {
    Publish(Box<PublishRequest>),
    Settle {
        queue: i64,
        seq: i64,
        settlement: Settlement,
    },
    DeadLetter {
        queue: i64,
        seq: i64,
        message: Box<Envelope>,
        reply: oneshot::Sender<Result<(), PublishError>>,
    },
    Declare {
        topology: Topology,
        reply: oneshot::Sender<Result<(), DeclareError>>,
    },
    Consume {
        request: Subscription,
        reply: oneshot::Sender<Result<i64, ConsumeError>>,
    },
    Cancel {
        consumer: u64,
    },
    Fill {
        queue: QueueName,
        reply: oneshot::Sender<Option<Fill>>,
    },
    /// Takes a message out of a queue, wherever it is in it, unless it is handed out.
    Remove {
        queue: QueueName,
        seq: i64,
        reply: oneshot::Sender<()>,
    },
}

/// A wish to consume.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) consumer: u64,
    pub(crate) queue: QueueName,
    pub(crate) prefetch: usize,
    pub(crate) slots: mpsc::Sender<Slot>,
}

/// A message handed out.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) seq: i64,
    /// How often it was handed out before.
    pub(crate) attempts: u32,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Here(Arc<Envelope>),
    Coming(oneshot::Receiver<Option<Envelope>>),
}

/// Limits of every queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) queue_bytes_max: u64,
    pub(crate) delivery_limit: u32,
}

pub(crate) struct Writer {
    database: Database,
    limits: Limits,
    inbox: Arc<Inbox<Op>>,
    reads: Arc<Inbox<ReadRequest>>,
    state: watch::Sender<BrokerState>,
    counters: Arc<Counters>,
    audience: Arc<Audience>,
    queues: Vec<QueueState>,
    routes: HashMap<(Exchange, Box<str>), Arc<[usize]>>,
    consumers: VecDeque<ConsumerState>,
    /// What is handed out and not settled, by queue and sequence number.
    flights: HashMap<(i64, i64), Flight>,
    next_seq: i64,
    /// `queues` must be read again from the file: a transaction that changed them failed.
    is_stale: bool,
    /// Taken from the inbox and not committed yet.
    ops: Vec<Op>,
    outcomes: Vec<Outcome>,
    changes: Changes,
}

#[derive(Debug)]
struct ConsumerState {
    id: u64,
    queue: i64,
    prefetch: usize,
    in_flight: usize,
    slots: mpsc::Sender<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    consumer: u64,
    entry: EntryRow,
}

/// How an op ended, told when it is committed.
enum Outcome {
    Done,
    Published(Result<(), PublishError>),
    Declared(Result<(), DeclareError>),
    Consumed(Result<i64, ConsumeError>),
    Filled(Option<Fill>),
}

/// What this transaction changed in memory, to be completed after the commit or undone without one.
#[derive(Default)]
struct Changes {
    handed_out: Vec<(u64, i64, Ready)>,
    settled: Vec<(i64, Flight)>,
    subscribed: Vec<u64>,
    totals: Vec<usize>,
}

impl Writer {
    pub(crate) fn new(
        mut database: Database,
        limits: Limits,
        inbox: Arc<Inbox<Op>>,
        reads: Arc<Inbox<ReadRequest>>,
        state: watch::Sender<BrokerState>,
        counters: Arc<Counters>,
        audience: Arc<Audience>,
    ) -> Result<Self, LoadError> {
        let queues = load_queues(&mut database)?;
        let next_seq = database.last_seq()? + 1;
        Ok(Self {
            database,
            limits,
            inbox,
            reads,
            state,
            counters,
            audience,
            queues,
            routes: HashMap::new(),
            consumers: VecDeque::new(),
            flights: HashMap::new(),
            next_seq,
            is_stale: false,
            ops: Vec::new(),
            outcomes: Vec::new(),
            changes: Changes::default(),
        })
    }

    /// Works until the inbox is closed and empty.
    pub(crate) fn run(mut self) {
        let mut can_shrink = true;
        loop {
            if self.ops.is_empty() {
                let is_open = if can_shrink {
                    self.inbox.try_take(&mut self.ops, weight, TRANSACTION_BYTES_MAX)
                } else {
                    self.inbox.take(&mut self.ops, weight, TRANSACTION_BYTES_MAX)
                };
                if !is_open {
                    return;
                }
            }
            match self.transact() {
                Ok(more) => {
                    can_shrink = more;
                    self.complete();
                }
                Err(error) => {
                    self.undo(&error);
                    if self.inbox.wait_closed(RETRY_PAUSE) {
                        tracing::error!(
                            unwritten = self.ops.len(),
                            "closing without having written everything"
                        );
                        return;
                    }
                }
            }
        }
    }

    /// Returns whether the file can shrink further.
    fn transact(&mut self) -> Result<bool, LoadError> {
        self.database.execute("BEGIN IMMEDIATE")?;
        if self.is_stale {
            self.queues = load_queues(&mut self.database)?;
            self.is_stale = false;
        }
        let ops = std::mem::take(&mut self.ops);
        let applied = self.apply_all(&ops);
        self.ops = ops;
        applied?;
        self.hand_out()?;
        self.changes.totals.sort_unstable();
        self.changes.totals.dedup();
        for &index in &self.changes.totals {
            if let Some(queue) = self.queues.get(index) {
                self.database
                    .update_totals(queue.id, queue.messages, queue.bytes)?;
            }
        }
        let can_shrink = self.database.shrink(SLACK_PAGES, SHRINK_PAGES)?;
        self.database.execute("COMMIT")?;
        Ok(can_shrink)
    }

    /// After the commit: tells everybody.
    fn complete(&mut self) {
        self.set_state(BrokerState::Ready);
        for (op, outcome) in self.ops.drain(..).zip(self.outcomes.drain(..)) {
            if let (Op::Publish(request), Outcome::Published(Ok(()))) = (&op, &outcome) {
                self.audience.published(&request.message);
            }
            answer(op, outcome);
        }
        let changes = std::mem::take(&mut self.changes);
        for (consumer, queue, ready) in changes.handed_out {
            let content = match ready.message {
                Some(message) => Content::Here(message),
                None => {
                    let (reply, coming) = oneshot::channel();
                    // The reader's inbox is closed after ours; a lost request gives the message back.
                    drop(self.reads.push(ReadRequest::Body {
                        seq: ready.entry.seq,
                        reply,
                    }));
                    Content::Coming(coming)
                }
            };
            let slot = Slot {
                seq: ready.entry.seq,
                attempts: ready.entry.attempts,
                content,
            };
            let consumer = self.consumers.iter().find(|state| state.id == consumer);
            // There is room for `prefetch` slots, so this fails only when the consumer is gone.
            if consumer.is_none_or(|consumer| consumer.slots.try_send(slot).is_err()) {
                let seq = ready.entry.seq;
                drop(self.inbox.push(Op::Settle {
                    queue,
                    seq,
                    settlement: Settlement::Requeue,
                }));
            }
        }
        self.consumers
            .retain(|consumer| consumer.prefetch > 0 || consumer.in_flight > 0);
    }

    /// After a failure: memory goes back to what the file says, and the ops are kept for another try.
    fn undo(&mut self, error: &LoadError) {
        let since = Instant::now();
        tracing::error!(%error, "the queue file cannot be written, publishers wait");
        self.set_state(BrokerState::Blocked {
            since,
            reason: error.to_string(),
        });
        if self.database.is_in_transaction()
            && let Err(error) = self.database.execute("ROLLBACK")
        {
            tracing::error!(%error, "rollback failed");
        }
        self.outcomes.clear();
        let changes = std::mem::take(&mut self.changes);
        for (_, queue, ready) in changes.handed_out {
            self.flights.remove(&(queue, ready.entry.seq));
        }
        for (queue, flight) in changes.settled {
            self.flights.insert((queue, flight.entry.seq), flight);
        }
        self.consumers
            .retain(|consumer| !changes.subscribed.contains(&consumer.id));
        for consumer in &mut self.consumers {
            consumer.in_flight = self
                .flights
                .values()
                .filter(|flight| flight.consumer == consumer.id)
                .count();
        }
        self.routes.clear();
        self.is_stale = true;
    }

    fn set_state(&self, new: BrokerState) {
        self.state.send_if_modified(|state| match (&*state, &new) {
            (BrokerState::Ready, BrokerState::Ready) | (BrokerState::Closed, _) => false,
            (BrokerState::Blocked { .. }, BrokerState::Blocked { .. }) => false,
            (BrokerState::Blocked { since, .. }, _) => {
                self.counters.blocked_for(since.elapsed());
                *state = new;
                true
            }
            _ => {
                *state = new;
                true
            }
        });
    }
}

fn load_queues(database: &mut Database) -> Result<Vec<QueueState>, LoadError> {
    database
        .queues()?
        .into_iter()
        .map(|row| QueueState::new(row).map_err(LoadError::from))
        .collect()
}

fn weight(op: &Op) -> usize {
    let body = match op {
        Op::Publish(request) => request.message.body.len(),
        Op::DeadLetter { message, .. } => message.body.len(),
        Op::Settle { .. }
        | Op::Declare { .. }
        | Op::Consume { .. }
        | Op::Cancel { .. }
        | Op::Fill { .. }
        | Op::Remove { .. } => 0,
    };
    body + 512
}

/// Whoever asked may have stopped waiting; that is no loss.
fn answer(op: Op, outcome: Outcome) {
    match (op, outcome) {
        (Op::Publish(request), Outcome::Published(result)) => request.verdict.resolve(result),
        (Op::DeadLetter { reply, .. }, Outcome::Published(result)) => drop(reply.send(result)),
        (Op::Declare { reply, .. }, Outcome::Declared(result)) => drop(reply.send(result)),
        (Op::Fill { reply, .. }, Outcome::Filled(fill)) => drop(reply.send(fill)),
        (Op::Remove { reply, .. }, Outcome::Done) => drop(reply.send(())),
        (Op::Consume { reply, .. }, Outcome::Consumed(result)) => drop(reply.send(result)),
        _ => {}
    }
}

/// What stops a transaction.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Name(#[from] NameError),
}
