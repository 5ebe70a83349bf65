//! All listeners of the settings, from their sockets to the broker.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use broker::{Broker, QueueName, RoutingKey};
use event::Compression;
use service::{Context, TakeOver};
use settings::{BrokerSettings, IntakeSettings, ListenerSettings, Protocol, RescueSettings};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use transport::{BindError, DatagramListener, Inherited, ListenerLimits, Meters, StreamListener, Throttle};

use crate::{
    batcher::{Batcher, Limits},
    clients::Connected,
    failover::Failover,
    metrics::{ListenerMetrics, STAGE},
    publish::Publishing,
};

/// Listeners that are bound and not run yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    limits: Limits,
    compression: Compression,
    failover: Failover,
    /// Of raw batches.
    queues: usize,
}

#[derive(Debug)]
struct Listener {
    listening: Listening,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Stream(StreamListener),
    Datagram(DatagramListener),
}

/// What a listener listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// Its name in the settings.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// Where; the port is the real one.
    pub addr: SocketAddr,
}

impl Socket {
    fn limits(&self) -> watch::Sender<ListenerLimits> {
        match self {
            Self::Stream(socket) => socket.limits(),
            Self::Datagram(socket) => socket.limits(),
        }
    }

    fn bind(settings: &ListenerSettings, inherited: &mut Inherited) -> Result<(Self, SocketAddr), BindError> {
        match settings.protocol {
            Protocol::Relp | Protocol::Tcp => {
                let socket = StreamListener::bind(settings, inherited)?;
                let addr = socket.local_addr();
                Ok((Self::Stream(socket), addr))
            }
            Protocol::Udp => {
                let socket = DatagramListener::bind(settings, inherited)?;
                let addr = socket.local_addr();
                Ok((Self::Datagram(socket), addr))
            }
        }
    }
}

impl Server {
    /// Binds all listeners; nothing is accepted or read yet.
    ///
    /// # Errors
    /// The first listener that cannot be bound: the text names it, its address and the setting.
    pub fn bind(settings: &IntakeSettings) -> anyhow::Result<Self> {
        Self::bind_or_inherit(settings, Inherited::none())
    }

    /// [`Self::bind`], where sockets that were handed over to this process take the place of those with their address.
    ///
    /// # Errors
    /// As [`Self::bind`], or a socket that no listener wants.
    pub fn bind_or_inherit(settings: &IntakeSettings, mut inherited: Inherited) -> anyhow::Result<Self> {
        let bind = |settings: &ListenerSettings| {
            let (socket, addr) = Socket::bind(settings, &mut inherited)?;
            let listening = Listening {
                name: settings.name.clone(),
                protocol: settings.protocol,
                is_tls: settings.tls.is_some(),
                addr,
            };
            Ok(Listener { listening, socket })
        };
        let listeners = settings
            .listeners
            .iter()
            .map(bind)
            .collect::<Result<_, BindError>>()?;
        inherited.expect_taken()?;
        Ok(Self {
            listeners,
            limits: Limits::from(settings),
            compression: match settings.compression {
                settings::Compression::None => Compression::None,
                settings::Compression::Lz4 => Compression::Lz4,
            },
            failover: Failover::none(),
            queues: 1,
        })
    }

    /// Spreads what stream listeners take over so many queues, which are declared as [`broker::Topology::spread`] says.
    #[must_use]
    pub fn over_queues(mut self, queues: usize) -> Self {
        self.queues = queues.max(1);
        self
    }

    /// Uses the rescue queues of these settings while RabbitMQ does not take batches. The embedded broker has none.
    /// To be called within a runtime, whose tasks keep the connections.
    ///
    /// # Errors
    /// A rescue queue that can never work.
    pub fn with_rescue(mut self, broker: &BrokerSettings, rescue: &RescueSettings) -> anyhow::Result<Self> {
        self.failover = Failover::open(broker, rescue).context("open the rescue queues")?;
        Ok(self)
    }

    /// What the listeners listen on, in the order of the settings.
    #[must_use]
    pub fn addrs(&self) -> Vec<Listening> {
        let listening = self.listeners.iter().map(|listener| listener.listening.clone());
        listening.collect()
    }

    /// Where the listener of this name listens.
    #[must_use]
    pub fn addr(&self, name: &str) -> Option<SocketAddr> {
        let mut listeners = self.listeners.iter();
        let listener = listeners.find(|listener| listener.listening.name == name)?;
        Some(listener.listening.addr)
    }

    /// Takes frames and publishes them until `ctx.stop` is cancelled, and then what was taken.
    ///
    /// # Errors
    /// The broker was closed, or a task ended by a bug.
    pub async fn run(self, broker: Broker, ctx: Context) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        let failover = Arc::new(self.failover);
        let mut connected = Connected::default();
        let mut limits = HashMap::new();
        for Listener { listening, socket } in self.listeners {
            let name = &listening.name;
            limits.insert(name.clone(), socket.limits());
            let metrics = ListenerMetrics::new(&ctx.metrics, name);
            connected.add(&listening, metrics.meters.roster.clone());
            let routing_key = RoutingKey::new(&format!("syslog.{name}"));
            let routing_key =
                routing_key.with_context(|| format!("make a routing key of listener \"{name}\""))?;
            // Datagrams of all senders come by one socket, and so into one batch.
            let queues = match socket {
                Socket::Stream(_) => self.queues,
                Socket::Datagram(_) => 1,
            };
            let share = Limits {
                unconfirmed_max: self.limits.unconfirmed_max.div_ceil(queues),
                ..self.limits
            };
            let lanes = QueueName::of_parser(queues).map(|queue| {
                let publishing = Publishing {
                    publisher: broker.publisher(share.unconfirmed_max),
                    broker_state: broker.state(),
                    routing_key: routing_key.clone(),
                    // To the first the exchange routes by itself.
                    queue: Some(queue).filter(|queue| *queue != QueueName::parser()),
                    compression: self.compression,
                    throttle: Throttle::default(),
                    failover: Arc::clone(&failover),
                };
                let batcher = Batcher::new(name, share, metrics.clone());
                (Arc::new(batcher), publishing)
            });
            let lanes = lanes.collect();
            tracing::info!(listener = name, addr = %listening.addr, protocol = ?listening.protocol,
                tls = listening.is_tls, "listening");
            let span = tracing::info_span!("listener", service = "syslog-server", listener = name);
            tasks.spawn(listen(socket, lanes, metrics.meters.clone(), ctx.stop.clone()).instrument(span));
        }
        ctx.clients().provide(STAGE, move |max| connected.list(max));
        ctx.on_reload(move |settings| Ok(new_limits(&limits, &settings.syslog_server)))?;
        let ended = tokio::select! {
            ended = all(&mut tasks) => ended,
            // It never ends.
            () = failover.watch(broker.state(), ctx.clone()) => Ok(()),
        };
        failover.close().await;
        ended
    }
}

/// Gives the listeners the limits of new settings.
fn new_limits(
    listeners: &HashMap<String, watch::Sender<ListenerLimits>>,
    settings: &IntakeSettings,
) -> TakeOver {
    let new = settings.listeners.iter().filter_map(|listener| {
        let limits = listeners.get(&listener.name)?.clone();
        Some((limits, ListenerLimits::from(listener)))
    });
    let new: Vec<_> = new.collect();
    Box::new(move || {
        for (limits, new) in new {
            limits.send_replace(new);
        }
    })
}

async fn all(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.context("run listener")??;
    }
    Ok(())
}

/// Runs one listener and the publishing of its batches, by queue; ends when all have.
async fn listen(
    socket: Socket,
    lanes: Vec<(Arc<Batcher>, Publishing)>,
    meters: Meters,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let no_more_frames = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let mut batchers = Vec::new();
    for (batcher, publishing) in lanes {
        batchers.push(Arc::clone(&batcher));
        let no_more_frames = no_more_frames.clone();
        let publish = async move { publishing.run(&batcher, no_more_frames).await.map_err(Into::into) };
        tasks.spawn(publish.in_current_span());
    }
    tasks.spawn({
        let take = async move {
            match socket {
                Socket::Stream(socket) => socket.run(batchers, meters, stop).await,
                Socket::Datagram(socket) => {
                    if let Some(batcher) = batchers.pop() {
                        socket.run(batcher, meters, stop).await;
                    }
                }
            }
            no_more_frames.cancel();
            Ok(())
        };
        take.in_current_span()
    });
    all(&mut tasks).await
}
