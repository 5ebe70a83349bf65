//! Where heartbeats come from: the broker, or a running `logferry run` that has embedded queues and passes on what it
//! hears through its socket.

use anyhow::{Context, bail};
use broker::{Backlog, Broker, QueueName, Topology};
use serde::{Deserialize, Serialize};
use service::{Heartbeat, heartbeat::PERIOD};
use settings::{BrokerSettings, Settings};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{command, dead::socket};

/// What may wait here: heartbeats with a thousand clients are about 200 kB.
const BACKLOG: Backlog = Backlog {
    messages: 2000,
    bytes: 32 << 20,
};
/// Between the task that listens and what shows it.
const CHANNEL: usize = 64;

/// One thing that was heard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// Of one service.
    Heartbeat(Box<Heartbeat>),
    /// Of all queues of the settings.
    Queues(Vec<QueueState>),
}

/// How full a queue is, or why that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueState {
    pub(crate) queue: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) messages: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) consumers: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// The queues that these settings know.
pub(super) fn queues(settings: &Settings) -> anyhow::Result<Vec<QueueName>> {
    let topology = Topology::of(settings)?;
    Ok(topology.queues().iter().map(|queue| queue.name.clone()).collect())
}

/// Tells what is heard, and now and then how full `queues` are, until nobody listens any more.
pub(crate) async fn tell(broker: &Broker, queues: &[QueueName], told: mpsc::Sender<Told>) {
    let mut listening = broker.listen_to_status(BACKLOG);
    let mut looks = interval(PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = tokio::select! {
            heard = listening.next() => match heard {
                Some(heard) => match serde_json::from_slice(&heard.body) {
                    Ok(beat) => Told::Heartbeat(Box::new(beat)),
                    Err(error) => {
                        // Another version may say more than we know.
                        tracing::debug!(%error, key = heard.routing_key, "a heartbeat cannot be read");
                        continue;
                    }
                },
                None => return,
            },
            _ = looks.tick() => Told::Queues(look(broker, queues).await),
            () = told.closed() => return,
        };
        if told.send(now).await.is_err() {
            return;
        }
    }
}

async fn look(broker: &Broker, queues: &[QueueName]) -> Vec<QueueState> {
    let mut states = Vec::new();
    for queue in queues {
        let fill = broker.fill(queue).await;
        states.push(QueueState {
            queue: queue.to_string(),
            messages: fill.as_ref().ok().map(|fill| fill.ready),
            consumers: fill.as_ref().ok().map(|fill| fill.consumers),
            problem: fill.err().map(|error| error.to_string()),
        });
    }
    states
}

/// Hears.
pub(super) struct Source {
    told: mpsc::Receiver<Told>,
    listening: AbortOnDropHandle<anyhow::Result<()>>,
}

impl Source {
    pub(super) async fn open(settings: &Settings, queues: Vec<QueueName>) -> anyhow::Result<Self> {
        let (told_in, told) = mpsc::channel(CHANNEL);
        let listening = match &settings.broker {
            BrokerSettings::Embedded { dir, .. } => {
                command::expect_data(settings, dir)?;
                let Some(stream) = socket::reach(&settings.data_dir).await else {
                    bail!(
                        "no `logferry run` answers on the socket in {}: it does not run, or name its folder with --data DIR (broker.url is \"embedded\")",
                        settings.data_dir.display()
                    );
                };
                tokio::spawn(socket::hear(stream, told_in))
            }
            BrokerSettings::Amqp(amqp) => {
                let broker = Broker::connect(&settings.broker, "logferry status")
                    .await
                    .context("connect to the broker (broker.url)")?;
                broker
                    .wait_ready(amqp.connect_timeout)
                    .await
                    .context("connect to the broker (broker.url)")?;
                tokio::spawn(async move {
                    tell(&broker, &queues, told_in).await;
                    anyhow::Ok(())
                })
            }
        };
        Ok(Self {
            told,
            listening: AbortOnDropHandle::new(listening),
        })
    }

    /// The next thing. Cancel-safe until it fails.
    pub(super) async fn next(&mut self) -> anyhow::Result<Told> {
        match self.told.recv().await {
            Some(told) => Ok(told),
            None => {
                (&mut self.listening).await.context("listen")??;
                bail!("whoever told how the processes are went away")
            }
        }
    }
}
