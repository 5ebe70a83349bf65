//! The task behind a listener: an exclusive, transient queue of its own, on whatever connection there is now.
//!
//! A queue that is bound to `logferry.parsed` makes its messages routable. So it is bound only with keys of queues
//! that are there and take the same messages durably: to a publisher it makes no difference whether anybody listens.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::{
    Channel, Consumer,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    amqp::{
        endpoint::{Session, describe},
        headers,
        link::Link,
        look::Looker,
    },
    backoff::Backoff,
    error::BrowseError,
    listening::{Backlog, Ear, Heard, STATUS},
    name::{BindingKey, Exchange},
    topology::Queue,
};

/// What a listener's task works with.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) link: Link,
    pub(crate) looker: Arc<Looker>,
    pub(crate) wanted: Wanted,
    pub(crate) backlog: Backlog,
    pub(crate) ear: Arc<Ear>,
    pub(crate) live: watch::Sender<bool>,
    pub(crate) backoff: Backoff,
    /// The whole broker is closed.
    pub(crate) stop: CancellationToken,
    /// Nobody listens any more.
    pub(crate) gone: CancellationToken,
}

/// What is listened to.
#[derive(Debug)]
pub(crate) enum Wanted {
    Status,
    /// What these queues of shippers take.
    Parsed(Vec<Queue>),
}

impl Task {
    /// Listens until nobody wants it any more.
    pub(crate) async fn run(mut self) {
        let (stop, gone) = (self.stop.clone(), self.gone.clone());
        let mut open = None;
        tokio::select! {
            () = self.listen(&mut open) => {}
            () = stop.cancelled() => {}
            () = gone.cancelled() => {}
        }
        self.live.send_replace(false);
        self.ear.end();
        // The queue goes with its only consumer.
        if let Some(channel) = open
            && let Err(error) = channel.close(200, "done".into()).await
        {
            tracing::debug!(%error, "channel was closed already");
        }
    }

    /// Ends when there will be no connection any more. Leaves the channel that it uses in `open`.
    async fn listen(&mut self, open: &mut Option<Channel>) {
        let mut last_problem = None;
        while let Some(session) = self.link.up().await {
            let problem = match self.subscribe(&session).await {
                Ok((channel, consumer)) => {
                    *open = Some(channel);
                    self.backoff.reset();
                    self.live.send_replace(true);
                    let problem = self.serve(&session, consumer).await;
                    self.live.send_replace(false);
                    *open = None;
                    problem
                }
                Err(problem) => problem,
            };
            if last_problem.as_ref() != Some(&problem) {
                tracing::info!(
                    problem,
                    "listening to transient messages was interrupted, trying again"
                );
                last_problem = Some(problem);
            }
            tokio::time::sleep(self.backoff.pause()).await;
        }
    }

    async fn subscribe(&self, session: &Session) -> Result<(Channel, Consumer), String> {
        let keys = match &self.wanted {
            Wanted::Status => vec![BindingKey::all()],
            Wanted::Parsed(queues) => {
                let keys = keys_of_those_there(&self.looker, queues).await;
                let keys = keys.map_err(|error| error.to_string())?;
                if keys.is_empty() {
                    return Err("there is no queue of a shipper".to_owned());
                }
                keys
            }
        };
        self.open(session, &keys).await.map_err(|error| describe(&error))
    }

    async fn open(&self, session: &Session, keys: &[BindingKey]) -> lapin::Result<(Channel, Consumer)> {
        let channel = session.open_channel().await?;
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare("".into(), options, arguments(self.backlog))
            .await?;
        let exchange = match self.wanted {
            Wanted::Status => STATUS,
            Wanted::Parsed(_) => Exchange::Parsed.name(),
        };
        for key in keys {
            channel
                .queue_bind(
                    queue.name().clone(),
                    exchange.into(),
                    key.as_str().into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await?;
        }
        let options = BasicConsumeOptions {
            no_ack: true,
            exclusive: true,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(queue.name().clone(), "".into(), options, FieldTable::default())
            .await?;
        Ok((channel, consumer))
    }

    /// Passes on what comes, at once, so that nothing piles up in the connection. Returns what went wrong.
    async fn serve(&self, session: &Arc<Session>, mut consumer: Consumer) -> String {
        let mut link = self.link.clone();
        let mut lost = pin!(link.lost(session));
        loop {
            let next = tokio::select! {
                next = consumer.next() => next,
                () = &mut lost => return "the connection was lost".to_owned(),
            };
            match next {
                Some(Ok(delivery)) => self.ear.hear(Heard {
                    id: headers::id(&delivery.properties),
                    routing_key: delivery.routing_key.to_string(),
                    body: Bytes::from(delivery.data),
                    missed: 0,
                }),
                Some(Err(error)) => return describe(&error),
                None => return "the broker cancelled the consumer".to_owned(),
            }
        }
    }
}

/// The keys of those queues that are there, each once.
async fn keys_of_those_there(looker: &Looker, queues: &[Queue]) -> Result<Vec<BindingKey>, BrowseError> {
    let mut keys: Vec<BindingKey> = Vec::new();
    for queue in queues {
        match looker.fill(&queue.name).await {
            Ok(_) => {}
            Err(error @ BrowseError::NoSuchQueue { .. }) => {
                tracing::debug!(%error, "its messages are not listened to");
                continue;
            }
            Err(error) => return Err(error),
        }
        // Those of a queue that the parser publishes to by its name, which takes the same messages.
        for key in queue.binding_keys.iter().chain(&queue.unbound_keys) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    Ok(keys)
}

/// Fewer would be dropped before they are written to a socket that takes them, and nobody would have counted.
const QUEUE_MESSAGES_MIN: usize = 1000;

/// The newest stay. What waits in the queue is what this process did not read from its socket.
pub(crate) fn arguments(backlog: Backlog) -> FieldTable {
    let number = |number: usize| AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX));
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-max-length".into(),
        number(backlog.messages.max(QUEUE_MESSAGES_MIN)),
    );
    arguments.insert("x-max-length-bytes".into(), number(backlog.bytes));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    arguments
}
