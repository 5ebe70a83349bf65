//! Who takes custody when the broker does not, and what that means for the durability in force.

mod judge;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::{BrokerState, PublishError};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
};
use rescue::{NotRescued, Queue, Rescue};
use service::{Context, Custody, Metrics};
use settings::{BrokerSettings, RescueKind, RescueSettings};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use self::judge::{Broker, Verdict, judge};

/// How long the broker counts as refusing after it has refused a batch: without another refusal for this long it is
/// trusted again. So the durability in force does not change with every batch.
const REFUSAL_MEMORY: Duration = Duration::from_secs(3);

/// What intake does when the broker does not take a batch. One for all listeners of a process.
#[derive(Debug)]
pub(crate) struct Failover {
    /// `None` with the embedded broker, whose queues are on the same disk as a rescue file would be.
    rescue: Option<Rescue>,
    patience: Duration,
    refusal: Mutex<Option<Refusal>>,
    /// Tells the watcher of a refusal.
    refused: Notify,
    custody: watch::Sender<Option<Custody>>,
}

#[derive(Debug)]
struct Refusal {
    at: Instant,
    why: String,
}

impl Failover {
    /// Without rescue queues.
    pub(crate) fn none() -> Self {
        Self::new(None, Duration::ZERO)
    }

    /// With the rescue queues of the settings, unless the broker is embedded.
    pub(crate) fn open(
        broker: &BrokerSettings,
        settings: &RescueSettings,
    ) -> Result<Self, rescue::RescueError> {
        match broker {
            BrokerSettings::Amqp(_) => Ok(Self::new(Some(Rescue::open(settings)?), settings.patience)),
            BrokerSettings::Embedded { .. } => Ok(Self::none()),
        }
    }

    fn new(rescue: Option<Rescue>, patience: Duration) -> Self {
        Self {
            rescue,
            patience,
            refusal: Mutex::new(None),
            refused: Notify::new(),
            custody: watch::channel(None).0,
        }
    }

    /// Who takes custody at present; `None` before that is known.
    pub(crate) fn custody(&self) -> watch::Receiver<Option<Custody>> {
        self.custody.subscribe()
    }

    /// Whether there is anybody but the broker.
    pub(crate) fn has_queues(&self) -> bool {
        !self.queues().is_empty()
    }

    /// How long a connection that was lost is given to come back.
    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits until the broker has been away, or has blocked, for longer than our patience. Cancel-safe.
    pub(crate) async fn away(&self, mut state: watch::Receiver<BrokerState>) {
        loop {
            let since = not_ready_since(&state.borrow_and_update());
            let changed = match since {
                Some(since) => {
                    let left = self.patience.saturating_sub(since.elapsed());
                    match timeout(left, state.changed()).await {
                        Err(_elapsed) => return,
                        Ok(changed) => changed,
                    }
                }
                None => state.changed().await,
            };
            if changed.is_err() {
                // The broker is closed; the publish finds out.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The broker was there and did not take a batch.
    pub(crate) fn refused(&self, error: &PublishError) {
        *self.refusal.lock() = Some(Refusal {
            at: Instant::now(),
            why: error.to_string(),
        });
        self.refused.notify_one();
    }

    /// Gives a batch to the first rescue queue that takes it, and returns its name.
    pub(crate) async fn push(&self, batch: &rescue::Batch) -> Result<&'static str, NotRescued> {
        let Some(rescue) = &self.rescue else {
            return Err(NotRescued { problems: Vec::new() });
        };
        Ok(match rescue.push(batch).await?.queue {
            RescueKind::Redis => "redis",
            RescueKind::File => "file",
        })
    }

    /// Ends the connections to the rescue queues.
    pub(crate) async fn close(&self) {
        if let Some(rescue) = self.rescue.clone() {
            rescue.close().await;
        }
    }

    /// Finds out again and again who takes custody, and tells it: to the listeners, `/readyz`, `/metrics`, the log
    /// and the context. Never ends.
    pub(crate) async fn watch(&self, mut broker: watch::Receiver<BrokerState>, ctx: Context) {
        let component = ctx.health.component("syslog-server");
        let teller = Teller::new(&ctx);
        let is_embedded = self.rescue.is_none();
        let mut states: Vec<_> = self.queues().iter().map(Queue::state).collect();
        loop {
            let broker_state = broker.borrow_and_update().clone();
            let queues: Vec<_> = self
                .queues()
                .iter()
                .zip(&mut states)
                .map(|(queue, state)| (queue.kind(), state.borrow_and_update().clone()))
                .collect();
            let (standing, again_in) = self.standing(&broker_state);
            if let Some(verdict) = judge(&standing, &queues, is_embedded) {
                teller.tell(&verdict);
                if verdict.custody == Custody::Refusing {
                    component.not_ready(verdict.why.clone());
                } else {
                    component.ready();
                }
                self.custody.send_if_modified(|custody| {
                    let is_new = *custody != Some(verdict.custody);
                    *custody = Some(verdict.custody);
                    is_new
                });
            } else if let Broker::Hiccup = standing {
                component.not_ready(format!("broker: {broker_state}"));
            }
            let queue_changed = async {
                let changes = states.iter_mut().map(|state| Box::pin(state.changed()));
                let changes: Vec<_> = changes.collect();
                if changes.is_empty() {
                    return std::future::pending().await;
                }
                if futures_util::future::select_all(changes).await.0.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let later = async {
                match again_in {
                    Some(time) => sleep(time).await,
                    None => std::future::pending().await,
                }
            };
            // All branches are cancel-safe.
            tokio::select! {
                changed = broker.changed() => if changed.is_err() {
                    // Nobody knows more about the broker; the listeners find out what that means.
                    std::future::pending::<()>().await;
                },
                () = queue_changed => {}
                () = self.refused.notified() => {}
                () = later => {}
            }
        }
    }

    /// How the broker stands, and when to look again though nothing changes.
    fn standing(&self, state: &BrokerState) -> (Broker, Option<Duration>) {
        if let Some(since) = not_ready_since(state) {
            let left = self.patience.saturating_sub(since.elapsed());
            if self.has_queues() && !left.is_zero() {
                return (Broker::Hiccup, Some(left));
            }
            return (Broker::Away(format!("broker: {state}")), None);
        }
        let mut refusal = self.refusal.lock();
        let left = refusal
            .as_ref()
            .map(|refusal| REFUSAL_MEMORY.saturating_sub(refusal.at.elapsed()));
        match (&*refusal, left) {
            (Some(Refusal { why, .. }), Some(left)) if !left.is_zero() => {
                (Broker::Away(why.clone()), Some(left))
            }
            _ => {
                *refusal = None;
                (Broker::Takes, None)
            }
        }
    }

    fn queues(&self) -> &[Queue] {
        self.rescue.as_ref().map_or(&[], Rescue::queues)
    }
}

fn not_ready_since(state: &BrokerState) -> Option<Instant> {
    match state {
        BrokerState::Connecting { since, .. } | BrokerState::Blocked { since, .. } => Some(*since),
        BrokerState::Ready | BrokerState::Closed => None,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurabilityLabel {
    durability: &'static str,
}

/// Tells the durability in force to the context, the log and the metrics.
struct Teller {
    ctx: Context,
    in_force: Family<DurabilityLabel, Gauge>,
    since: Gauge,
}

fn register(metrics: &Metrics) -> (Family<DurabilityLabel, Gauge>, Gauge) {
    let in_force = metrics.register(
        "logferry_durability",
        "1 for the durability in force of what intake takes, 0 for the others",
        Family::default(),
    );
    let since = metrics.register(
        "logferry_durability_since_seconds",
        "When the durability in force began, in seconds since 1970",
        Gauge::default(),
    );
    (in_force, since)
}

/// Registers them for `docs/metrics.md`.
pub(crate) fn describe(metrics: &Metrics) {
    let (in_force, _) = register(metrics);
    drop(in_force.get_or_create(&DurabilityLabel { durability: "" }));
}

impl Teller {
    fn new(ctx: &Context) -> Self {
        let (in_force, since) = register(&ctx.metrics);
        Self {
            ctx: ctx.clone(),
            in_force,
            since,
        }
    }

    fn tell(&self, verdict: &Verdict) {
        let Verdict { custody, weaker, why } = verdict;
        if !self.ctx.durability.set(*custody, weaker.clone(), why) {
            return;
        }
        for other in Custody::ALL {
            let label = DurabilityLabel {
                durability: other.name(),
            };
            self.in_force
                .get_or_create(&label)
                .set(i64::from(other == *custody));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.since.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let durability = custody.name();
        let weaker = weaker.as_deref();
        match custody {
            Custody::Embedded | Custody::Quorum => {
                tracing::info!(durability, why, "durability in force");
            }
            Custody::RescueRedis | Custody::RescueFile => {
                tracing::warn!(durability, weaker, why, "durability in force");
            }
            Custody::Refusing => {
                tracing::error!(
                    durability,
                    why,
                    "durability in force: nobody takes batches, senders must keep theirs"
                );
            }
        }
    }
}
