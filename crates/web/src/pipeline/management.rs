//! What RabbitMQ's management API tells, asked in the background at the pace of heartbeats. No page waits for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use broker::{Management, QueueName, Report, Topology};
use jiff::Timestamp;
use parking_lot::Mutex;
use service::heartbeat::PERIOD;
use settings::BrokerSettings;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What was refused is asked for again after this; RabbitMQ logs each time.
const REFUSED: Duration = Duration::from_secs(60);

/// Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Managed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queues: Vec<QueueName>,
    management: Option<Management>,
    told: Mutex<Told>,
}

/// What is known at one moment.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// The broker is the embedded one: there is nothing to ask.
    Embedded,
    /// Nobody asks, or nothing came yet, and why.
    Nothing(String),
    /// What was told, and when.
    Report(Timestamp, Arc<Report>),
}

impl Managed {
    pub(crate) fn new(settings: &BrokerSettings, topology: &Topology) -> Self {
        let (management, told) = match (settings, Management::new(settings)) {
            (BrokerSettings::Embedded { .. }, _) => (None, Told::Embedded),
            (BrokerSettings::Amqp(_), Ok(None)) => {
                let why = "broker.management_url is \"off\"".to_owned();
                (None, Told::Nothing(why))
            }
            (BrokerSettings::Amqp(_), Ok(Some(management))) => {
                let why = format!("{} has not answered yet", management.address());
                (Some(management), Told::Nothing(why))
            }
            (BrokerSettings::Amqp(_), Err(error)) => {
                tracing::warn!(%error, "RabbitMQ's management API is not asked");
                (None, Told::Nothing(error.to_string()))
            }
        };
        let queues = topology.queues().iter().map(|queue| queue.name.clone());
        Self(Arc::new(Inner {
            queues: queues.collect(),
            management,
            told: Mutex::new(told),
        }))
    }

    pub(crate) fn told(&self) -> Told {
        self.0.told.lock().clone()
    }

    /// Asks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        if let Some(management) = &self.0.management {
            stop.run_until_cancelled(Box::pin(self.ask(management))).await;
        }
    }

    async fn ask(&self, management: &Management) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut all_asked_at, mut before): (_, Option<Arc<Report>>) = (Instant::now(), None);
        loop {
            ticks.tick().await;
            if all_asked_at.elapsed() >= REFUSED {
                (all_asked_at, before) = (Instant::now(), None);
            }
            let report = Arc::new(management.ask(&self.0.queues, before.as_deref()).await);
            *self.0.told.lock() = Told::Report(Timestamp::now(), Arc::clone(&report));
            before = Some(report);
        }
    }
}
