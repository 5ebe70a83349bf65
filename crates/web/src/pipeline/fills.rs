//! How full the queues are, asked once for all who look.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use broker::{Broker, BrokerState, Fill, QueueName, Topology};
use tokio::{sync::Mutex, time::timeout};

/// What is not older than this is not asked again.
const FRESH: Duration = Duration::from_secs(2);
/// All queues must have answered within this; those that have not are unknown.
const PATIENCE: Duration = Duration::from_secs(2);

/// Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Fills(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broker: Broker,
    queues: Vec<QueueName>,
    last: Mutex<Option<(Instant, Answers)>>,
}

/// By queue; `Err` says why it is unknown.
pub(crate) type Answers = Arc<BTreeMap<String, Result<Fill, String>>>;

impl Fills {
    pub(crate) fn new(broker: Broker, topology: &Topology) -> Self {
        let queues = topology.queues().iter().map(|queue| queue.name.clone());
        Self(Arc::new(Inner {
            broker,
            queues: queues.collect(),
            last: Mutex::default(),
        }))
    }

    pub(crate) async fn get(&self) -> Answers {
        let mut last = self.0.last.lock().await;
        if let Some((at, answers)) = &*last
            && at.elapsed() < FRESH
        {
            return Arc::clone(answers);
        }
        let answers = Arc::new(self.ask().await);
        *last = Some((Instant::now(), Arc::clone(&answers)));
        answers
    }

    async fn ask(&self) -> BTreeMap<String, Result<Fill, String>> {
        let away = match &*self.0.broker.state().borrow() {
            // It answers questions while it blocks publishers.
            BrokerState::Ready | BrokerState::Blocked { .. } => None,
            state @ (BrokerState::Connecting { .. } | BrokerState::Closed) => Some(state.to_string()),
        };
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
