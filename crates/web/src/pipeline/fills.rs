//! How full the queues are, asked once for all who look, and how full they were.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use broker::{Broker, BrokerState, Fill, QueueName, Topology};
use parking_lot::Mutex as SyncMutex;
use tokio::{
    sync::Mutex,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::hub::Past;

/// What is not older than this is not asked again.
const FRESH: Duration = Duration::from_secs(2);
/// All queues must have answered within this; those that have not are unknown.
const PATIENCE: Duration = Duration::from_secs(2);
/// When nobody looks, it is asked so often all the same: charts show the last hour.
const UNWATCHED: Duration = Duration::from_secs(30);
/// Answers that come faster are not kept.
const KEPT: Duration = Duration::from_secs(4);

/// Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Fills(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broker: Broker,
    queues: Vec<QueueName>,
    last: Mutex<Option<(Instant, Answers)>>,
    depths: SyncMutex<Depths>,
}

/// By queue; `Err` says why it is unknown.
pub(crate) type Answers = Arc<BTreeMap<String, Result<Fill, String>>>;

/// Batches that waited in each queue in the last hour.
pub(crate) type Depths = BTreeMap<String, Past<u64>>;

impl Fills {
    pub(crate) fn new(broker: Broker, topology: &Topology) -> Self {
        let queues = topology.queues().iter().map(|queue| queue.name.clone());
        Self(Arc::new(Inner {
            broker,
            queues: queues.collect(),
            last: Mutex::default(),
            depths: SyncMutex::default(),
        }))
    }

    /// Asks now and then until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(UNWATCHED);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            stop.run_until_cancelled(self.get()).await;
        }
    }

    pub(crate) async fn get(&self) -> Answers {
        let mut last = self.0.last.lock().await;
        // That the broker is away is known without asking.
        if let Some((at, answers)) = &*last
            && at.elapsed() < FRESH
            && self.away().is_none()
        {
            return Arc::clone(answers);
        }
        let answers = Arc::new(self.ask().await);
        let now = Instant::now();
        self.keep(&answers, now);
        *last = Some((now, Arc::clone(&answers)));
        answers
    }

    /// How full they were.
    pub(crate) fn depths(&self) -> Depths {
        self.0.depths.lock().clone()
    }

    fn keep(&self, answers: &Answers, now: Instant) {
        let mut depths = self.0.depths.lock();
        for (queue, answer) in answers.iter() {
            let Ok(fill) = answer else { continue };
            let past = depths.entry(queue.clone()).or_default();
            let is_due = past.last().is_none_or(|(at, _)| now - at >= KEPT);
            if is_due {
                past.push(now, fill.ready);
            }
        }
    }

    /// Why the broker does not answer.
    fn away(&self) -> Option<String> {
        match &*self.0.broker.state().borrow() {
            // It answers questions while it blocks publishers.
            BrokerState::Ready | BrokerState::Blocked { .. } => None,
            state @ (BrokerState::Connecting { .. } | BrokerState::Closed) => Some(state.to_string()),
        }
    }

    async fn ask(&self) -> BTreeMap<String, Result<Fill, String>> {
        let away = self.away();
        let deadline = Instant::now() + PATIENCE;
        let mut answers = BTreeMap::new();
        for queue in &self.0.queues {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = match &away {
                Some(why) => Err(why.clone()),
                None => match timeout(left, self.0.broker.fill(queue)).await {
                    Ok(answer) => answer.map_err(|error| error.to_string()),
                    Err(_elapsed) => Err("the broker does not answer in time".to_owned()),
                },
            };
            answers.insert(queue.to_string(), answer);
        }
        answers
    }
}
