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
    counters::Counters,
    delivery::{Settlement, now_micros},
    embedded::{
        database::{Database, EntryRow},
        inbox::Inbox,
        queue::{QueueState, Ready},
        reader::ReadRequest,
    },
    error::{ConsumeError, DeclareError, PublishError},
    message::{Death, Envelope},
    name::{Exchange, NameError, QueueName},
    publisher::PublishRequest,
    state::BrokerState,
    topology::Topology,
};

/// What one transaction takes in. More would not be faster and would have to be kept in memory.
const TRANSACTION_BYTES_MAX: usize = 16 << 20;
/// After a failed transaction it is tried again this often.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Entries read from the file at a time, when none is ready.
const LOAD_MAX: i64 = 1024;
/// Routing keys whose queues are remembered.
const ROUTES_MAX: usize = 1024;
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

    fn apply_all(&mut self, ops: &[Op]) -> Result<(), LoadError> {
        for op in ops {
            let outcome = match op {
                Op::Publish(request) => Outcome::Published(self.store(&Arc::new(request.message.clone()))?),
                Op::Settle {
                    queue,
                    seq,
                    settlement,
                } => {
                    self.settle(*queue, *seq, *settlement)?;
                    Outcome::Done
                }
                Op::DeadLetter {
                    queue, seq, message, ..
                } => {
                    let published = self.store(&Arc::new(Envelope::clone(message)))?;
                    if published.is_ok() {
                        self.settle(*queue, *seq, Settlement::Ack)?;
                    }
                    Outcome::Published(published)
                }
                Op::Declare { topology, .. } => Outcome::Declared(self.declare(topology)?),
                Op::Consume { request, .. } => Outcome::Consumed(self.subscribe(request)),
                Op::Cancel { consumer } => {
                    // Kept while it has deliveries, so that they can be settled; it gets no more.
                    if let Some(state) = self.consumers.iter_mut().find(|state| state.id == *consumer) {
                        state.prefetch = 0;
                    }
                    Outcome::Done
                }
            };
            self.outcomes.push(outcome);
        }
        Ok(())
    }

    /// Writes a message and an entry for each queue that takes it; all of them or none.
    fn store(&mut self, message: &Arc<Envelope>) -> rusqlite::Result<Result<(), PublishError>> {
        let bytes = message.body.len() as u64;
        let targets = self.route(message.exchange, &message.routing_key);
        if targets.is_empty() {
            let exchange = message.exchange.name();
            return Ok(Err(PublishError::Unroutable {
                exchange,
                routing_key: message.routing_key.clone(),
            }));
        }
        let bytes_max = self.limits.queue_bytes_max;
        if bytes > bytes_max {
            return Ok(Err(PublishError::TooLarge { bytes, bytes_max }));
        }
        if !self.have_room(&targets, bytes) {
            return Ok(Err(PublishError::Nacked));
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.database.insert_message(seq, message)?;
        self.enter(
            &targets,
            EntryRow {
                seq,
                attempts: 0,
                bytes,
            },
            Some(message),
        )?;
        Ok(Ok(()))
    }

    fn enter(
        &mut self,
        targets: &[usize],
        entry: EntryRow,
        message: Option<&Arc<Envelope>>,
    ) -> rusqlite::Result<()> {
        for &index in targets {
            let Some(queue) = self.queues.get_mut(index) else {
                continue;
            };
            self.database.insert_entry(queue.id, entry)?;
            queue.published(entry, message);
            self.changes.totals.push(index);
        }
        Ok(())
    }

    fn have_room(&self, targets: &[usize], bytes: u64) -> bool {
        let mut queues = targets.iter().filter_map(|&index| self.queues.get(index));
        queues.all(|queue| queue.bytes + bytes <= self.limits.queue_bytes_max)
    }

    fn route(&mut self, exchange: Exchange, routing_key: &str) -> Arc<[usize]> {
        let key = (exchange, Box::from(routing_key));
        if let Some(targets) = self.routes.get(&key) {
            return Arc::clone(targets);
        }
        let queues = self.queues.iter().enumerate();
        let targets: Arc<[usize]> = queues
            .filter(|(_, queue)| queue.takes(exchange, routing_key))
            .map(|(index, _)| index)
            .collect();
        if self.routes.len() >= ROUTES_MAX {
            self.routes.clear();
        }
        self.routes.insert(key, Arc::clone(&targets));
        targets
    }

    fn settle(&mut self, queue: i64, seq: i64, settlement: Settlement) -> rusqlite::Result<()> {
        let Some(flight) = self.flights.remove(&(queue, seq)) else {
            return Ok(());
        };
        self.changes.settled.push((queue, flight));
        if let Some(consumer) = self
            .consumers
            .iter_mut()
            .find(|consumer| consumer.id == flight.consumer)
        {
            consumer.in_flight = consumer.in_flight.saturating_sub(1);
        }
        let Some(index) = self.queues.iter().position(|state| state.id == queue) else {
            return Ok(());
        };
        match settlement {
            Settlement::Ack => self.remove(index, flight.entry)?,
            Settlement::Requeue => {
                if let Some(queue) = self.queues.get_mut(index) {
                    queue.give_back(flight.entry);
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, index: usize, entry: EntryRow) -> rusqlite::Result<()> {
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok(());
        };
        self.database
            .delete_entry(queue.id, entry.seq, queue.exchange == Exchange::Dead)?;
        queue.removed(entry.bytes);
        self.changes.totals.push(index);
        Ok(())
    }

    fn declare(&mut self, topology: &Topology) -> Result<Result<(), DeclareError>, LoadError> {
        for wanted in topology.queues() {
            let existing = self.queues.iter().find(|queue| queue.name == wanted.name);
            if let Some(existing) = existing.filter(|existing| existing.exchange != wanted.exchange) {
                return Ok(Err(DeclareError::Conflict {
                    kind: "queue",
                    name: wanted.name.to_string(),
                    argument: "exchange".into(),
                    existing: existing.exchange.to_string(),
                    wanted: wanted.exchange.to_string(),
                }));
            }
        }
        self.routes.clear();
        for wanted in topology.queues() {
            let existing = self.queues.iter_mut().find(|queue| queue.name == wanted.name);
            let id = match existing {
                Some(queue) => {
                    queue.binding_keys.clone_from(&wanted.binding_keys);
                    queue.id
                }
                None => self
                    .database
                    .insert_queue(wanted.name.as_str(), wanted.exchange)?,
            };
            self.database.bind(id, &wanted.binding_keys)?;
        }
        // Nothing else can use this file, so a queue that the settings no longer name would only fill up.
        let wanted = |name: &QueueName| topology.queues().iter().any(|queue| queue.name == *name);
        for queue in self.queues.iter_mut().filter(|queue| !wanted(&queue.name)) {
            queue.binding_keys.clear();
            self.database.bind(queue.id, &[])?;
            if queue.messages > 0 {
                let (queue, messages) = (&queue.name, queue.messages);
                tracing::warn!(%queue, messages, "a queue that the settings no longer name still holds messages");
            }
        }
        for row in self.database.queues()? {
            if !self.queues.iter().any(|queue| queue.id == row.id) {
                self.queues.push(QueueState::new(row)?);
            }
        }
        Ok(Ok(()))
    }

    fn subscribe(&mut self, request: &Subscription) -> Result<i64, ConsumeError> {
        let queue = self.queues.iter().find(|queue| queue.name == request.queue);
        let queue = queue
            .ok_or_else(|| ConsumeError::NoSuchQueue {
                queue: request.queue.clone(),
            })?
            .id;
        self.changes.subscribed.push(request.consumer);
        self.consumers.push_back(ConsumerState {
            id: request.consumer,
            queue,
            prefetch: request.prefetch,
            in_flight: 0,
            slots: request.slots.clone(),
        });
        Ok(queue)
    }

    /// Chooses what goes to which consumer, and notes it in the file: after a crash it counts as delivered.
    fn hand_out(&mut self) -> rusqlite::Result<()> {
        for index in 0..self.queues.len() {
            self.bury_parked(index)?;
            let Some((id, exchange)) = self.queues.get(index).map(|queue| (queue.id, queue.exchange)) else {
                continue;
            };
            while let Some((ready, at)) = self.next(index)? {
                if exchange != Exchange::Dead && ready.entry.attempts > self.limits.delivery_limit {
                    self.bury(index, ready)?;
                    continue;
                }
                let entry = EntryRow {
                    attempts: ready.entry.attempts.saturating_add(1),
                    ..ready.entry
                };
                self.database.update_attempts(id, entry.seq, entry.attempts)?;
                // Whoever got one goes to the end of the line.
                let Some(mut consumer) = self.consumers.remove(at) else {
                    break;
                };
                consumer.in_flight += 1;
                self.flights.insert(
                    (id, entry.seq),
                    Flight {
                        consumer: consumer.id,
                        entry,
                    },
                );
                self.changes.handed_out.push((consumer.id, id, ready));
                self.consumers.push_back(consumer);
            }
        }
        Ok(())
    }

    /// The next ready message of a queue and the place of the consumer whose turn it is.
    fn next(&mut self, index: usize) -> rusqlite::Result<Option<(Ready, usize)>> {
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok(None);
        };
        let has_turn =
            |consumer: &ConsumerState| consumer.queue == queue.id && consumer.in_flight < consumer.prefetch;
        let Some(at) = self.consumers.iter().position(has_turn) else {
            return Ok(None);
        };
        while let Some(from) = queue.load_from() {
            let rows = self.database.entries_after(queue.id, from, LOAD_MAX)?;
            let (id, flights) = (queue.id, &self.flights);
            queue.load(&rows, |seq| flights.contains_key(&(id, seq)));
        }
        Ok(queue.pop().map(|ready| (ready, at)))
    }

    fn bury_parked(&mut self, index: usize) -> rusqlite::Result<()> {
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok(());
        };
        for ready in std::mem::take(&mut queue.parked) {
            self.bury(index, ready)?;
        }
        Ok(())
    }

    /// Dead-letters what was delivered too often.
    fn bury(&mut self, index: usize, ready: Ready) -> rusqlite::Result<()> {
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok(());
        };
        let (name, entry) = (queue.name.clone(), ready.entry);
        let Some((exchange, routing_key)) = self.database.origin_of(entry.seq)? else {
            tracing::error!(queue = %name, seq = entry.seq, "a message is missing from the queue file");
            return self.remove(index, entry);
        };
        let key = format!("{name}.{}", Death::DELIVERY_LIMIT);
        let targets = self.route(Exchange::Dead, &key);
        if targets.is_empty() || !self.have_room(&targets, entry.bytes) {
            if let Some(queue) = self.queues.get_mut(index) {
                queue.parked.push(ready);
            }
            return Ok(());
        }
        let death = Death {
            stage: Death::BROKER_STAGE.into(),
            queue: name.to_string(),
            reason: Death::DELIVERY_LIMIT.into(),
            text: format!("delivered {} times without an ack", entry.attempts),
            at_micros: now_micros(),
            attempts: entry.attempts,
            exchange,
            routing_key,
        };
        let seq = self.next_seq;
        self.next_seq += 1;
        if self.database.copy_dead(entry.seq, seq, &key, &death)? {
            self.enter(
                &targets,
                EntryRow {
                    seq,
                    attempts: 0,
                    bytes: entry.bytes,
                },
                None,
            )?;
        }
        tracing::warn!(queue = %name, attempts = entry.attempts, "message delivered too often, dead-lettered");
        self.remove(index, entry)
    }

    /// After the commit: tells everybody.
    fn complete(&mut self) {
        self.set_state(BrokerState::Ready);
        for (op, outcome) in self.ops.drain(..).zip(self.outcomes.drain(..)) {
            answer(op, outcome);
        }
        let changes = std::mem::take(&mut self.changes);
        for (consumer, queue, ready) in changes.handed_out {
            let content = match ready.message {
                Some(message) => Content::Here(message),
                None => {
                    let (reply, coming) = oneshot::channel();
                    // The reader's inbox is closed after ours; a lost request gives the message back.
                    drop(self.reads.push(ReadRequest {
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
        Op::Settle { .. } | Op::Declare { .. } | Op::Consume { .. } | Op::Cancel { .. } => 0,
    };
    body + 512
}

/// Whoever asked may have stopped waiting; that is no loss.
fn answer(op: Op, outcome: Outcome) {
    match (op, outcome) {
        (Op::Publish(request), Outcome::Published(result)) => request.verdict.resolve(result),
        (Op::DeadLetter { reply, .. }, Outcome::Published(result)) => drop(reply.send(result)),
        (Op::Declare { reply, .. }, Outcome::Declared(result)) => drop(reply.send(result)),
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
