//! The task behind a publisher: one channel with confirms, on whatever connection there is now.
//!
//! Only this task publishes on its channel, and one message after the other: lapin numbers a publish and queues
//! its frames in two steps, so that two tasks could get each other's confirms.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use lapin::{
    Channel, Confirmation, PublisherConfirm,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    amqp::{
        endpoint::{Session, describe},
        headers,
        ledger::{Ending, Identity, Ledger, Reply},
        link::Link,
    },
    backoff::Backoff,
    error::PublishError,
    name::Exchange,
    publisher::{PublishRequest, Verdict},
};

/// A channel on which the broker refused a message is replaced after so long. A channel of RabbitMQ whose first message
/// to a quorum queue came when its leader had just died refuses all others, too, though the queue has a new leader:
/// it asks the old one, for as long as the channel lives (RabbitMQ 3.10, `rabbit_fifo_client:enqueue/3`).
const REFUSING_CHANNEL_AGE: Duration = Duration::from_secs(1);

/// Publishes what comes in, until all senders are gone or `stop` says so and everything has its verdict.
pub(crate) async fn run(
    mut requests: mpsc::Receiver<Box<PublishRequest>>,
    mut link: Link,
    mut backoff: Backoff,
    stop: CancellationToken,
) {
    loop {
        // Cancel-safe: waiting for a connection takes nothing.
        let session = tokio::select! {
            session = link.up() => session,
            () = stop.cancelled() => None,
        };
        let Some(session) = session else { break };
        match open(&session).await {
            Ok(channel) => {
                backoff.reset();
                let mut task = Task {
                    channel,
                    session,
                    book: Ledger::new(),
                    sending: None,
                    replacement: None,
                };
                let over = task.publish(&mut requests, &mut link, &stop).await;
                task.end();
                match over {
                    Over::Done => break,
                    Over::Failed(problem) => tracing::debug!(problem, "publisher's channel ended"),
                }
            }
            Err(error) => tracing::debug!(%error, "publisher's channel could not be opened"),
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {}
            () = stop.cancelled() => {}
        }
    }
    requests.close();
    while let Some(request) = requests.recv().await {
        request.verdict.resolve(Err(PublishError::Closed));
    }
}

async fn open(session: &Session) -> lapin::Result<Channel> {
    let channel = session.open_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Why a channel is not used any more.
enum Over {
    /// It failed, or its connection did.
    Failed(String),
    /// There is nothing more to publish.
    Done,
}

/// One channel and what is under way on it.
struct Task {
    channel: Channel,
    session: Arc<Session>,
    book: Ledger<AmqpReply, Published>,
    /// Being written to the socket.
    sending: Option<Sending>,
    /// When this channel, on which something was refused, is to be replaced.
    replacement: Option<Pin<Box<Sleep>>>,
}

struct Sending {
    sent: Pin<Box<dyn Future<Output = lapin::Result<PublisherConfirm>> + Send>>,
    identity: Identity,
    published: Published,
}

/// What belongs to a publish.
struct Published {
    verdict: Verdict,
    bytes: u64,
}

impl Task {
    async fn publish(
        &mut self,
        requests: &mut mpsc::Receiver<Box<PublishRequest>>,
        link: &mut Link,
        stop: &CancellationToken,
    ) -> Over {
        let session = Arc::clone(&self.session);
        let mut lost = pin!(link.lost(&session));
        let mut stopped = pin!(stop.cancelled());
        let mut is_stopped = false;
        poll_fn(|cx| {
            if lost.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Over::Failed("the connection was lost".into()));
            }
            if !is_stopped && stopped.as_mut().poll(cx).is_ready() {
                is_stopped = true;
                requests.close();
            }
            self.poll(cx, requests)
        })
        .await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        requests: &mut mpsc::Receiver<Box<PublishRequest>>,
    ) -> Poll<Over> {
        loop {
            let Self {
                book,
                sending,
                session,
                replacement,
                ..
            } = self;
            // In this order: what was sent is in the book before the book is looked at, so that its reply wakes us.
            let mut problem = take_sent(sending, book, session, cx);
            book.poll(
                cx,
                |book, cx| problem = problem.take().or_else(|| take_sent(sending, book, session, cx)),
                |identity, published, ending| {
                    if ending == Ending::Nacked && replacement.is_none() {
                        let due = Instant::now() + REFUSING_CHANNEL_AGE;
                        *replacement = Some(Box::pin(sleep_until(due)));
                    }
                    tell(session, &identity, published, ending);
                },
            );
            if let Some(problem) = problem {
                return Poll::Ready(Over::Failed(problem));
            }
            if !self.channel.status().connected() {
                return Poll::Ready(Over::Failed("the channel was closed".into()));
            }
            if self.sending.is_some() {
                return Poll::Pending;
            }
            let is_due = |replacement: &mut Pin<Box<Sleep>>| replacement.as_mut().poll(cx).is_ready();
            if self.replacement.as_mut().is_some_and(is_due) {
                // What is under way has its verdict first; nothing is published meanwhile.
                return if self.book.is_empty() {
                    Poll::Ready(Over::Failed("the broker refused messages on it".into()))
                } else {
                    Poll::Pending
                };
            }
            match requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => self.send(*request),
                Poll::Ready(None) if self.book.is_empty() => return Poll::Ready(Over::Done),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn send(&mut self, request: PublishRequest) {
        let PublishRequest { message, verdict } = request;
        let bytes = message.body.len() as u64;
        if let Some(bytes_max) = self.session.body_bytes_max().filter(|max| bytes > *max) {
            return verdict.resolve(Err(PublishError::TooLarge { bytes, bytes_max }));
        }
        // The exchange without a name routes to the queue that the key names.
        let (exchange, routing_key) = match &message.queue {
            Some(queue) => ("", queue.to_string()),
            None => (message.exchange.name(), message.routing_key.clone()),
        };
        let identity = Identity {
            id: message.id,
            exchange,
            routing_key: routing_key.clone(),
        };
        let channel = self.channel.clone();
        let sent = Box::pin(async move {
            let options = BasicPublishOptions {
                mandatory: true,
                immediate: false,
            };
            let properties = headers::properties(&message);
            channel
                .basic_publish(
                    exchange.into(),
                    routing_key.into(),
                    options,
                    &message.body,
                    properties,
                )
                .await
        });
        self.sending = Some(Sending {
            sent,
            identity,
            published: Published { verdict, bytes },
        });
    }

    /// The channel is over: everything gets a verdict, and what was being sent is lost.
    fn end(self) {
        let session = self.session;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.book
            .finish(&mut cx, "the channel ended", |identity, published, ending| {
                tell(&session, &identity, published, ending);
            });
    }
}

/// Moves what has been written to the socket into the book. Returns what went wrong.
fn take_sent(
    sending: &mut Option<Sending>,
    book: &mut Ledger<AmqpReply, Published>,
    session: &Session,
    cx: &mut Context<'_>,
) -> Option<String> {
    let Poll::Ready(sent) = sending.as_mut()?.sent.as_mut().poll(cx) else {
        return None;
    };
    let Sending {
        identity, published, ..
    } = sending.take()?;
    match sent {
        Ok(confirm) => {
            book.add(identity, AmqpReply(confirm), published);
            None
        }
        Err(error) => {
            let problem = describe(&error);
            tell(session, &identity, published, Ending::Lost(problem.clone()));
            Some(problem)
        }
    }
}

fn tell(session: &Session, identity: &Identity, published: Published, ending: Ending) {
    let Published { verdict, bytes } = published;
    verdict.resolve(match ending {
        Ending::Confirmed => Ok(()),
        Ending::Nacked => Err(PublishError::Nacked),
        Ending::Returned => Err(PublishError::Unroutable {
            exchange: identity.exchange,
            routing_key: identity.routing_key.clone(),
        }),
        // The broker closes the channel on a body that is too large, and takes everything else on it along.
        Ending::Lost(problem) => match size_and_max(&problem) {
            Some((size, bytes_max)) => {
                session.learn_body_bytes_max(bytes_max);
                if bytes == size {
                    Err(PublishError::TooLarge { bytes, bytes_max })
                } else {
                    Err(PublishError::ConnectionLost)
                }
            }
            None => Err(PublishError::ConnectionLost),
        },
    });
}

/// From `message size 200 is larger than configured max size 100` (RabbitMQ 3.10), `message size 200 larger than
/// max size 100` (3.8) and `message size 200 is larger than max size 100` (4.x).
fn size_and_max(problem: &str) -> Option<(u64, u64)> {
    let number_after = |words: &str| {
        let (_, rest) = problem.split_once(words)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    Some((number_after("message size ")?, number_after("max size ")?))
}

/// lapin's answer to a publish, in the words of the ledger.
struct AmqpReply(PublisherConfirm);

impl Future for AmqpReply {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        Pin::new(&mut self.0).poll(cx).map(|reply| match reply {
            Ok(Confirmation::Ack(returned)) => Reply::Ack {
                returned: returned.as_ref().map(identity_of),
            },
            Ok(Confirmation::Nack(returned)) => Reply::Nack {
                returned: returned.as_ref().map(identity_of),
            },
            Ok(Confirmation::NotRequested) => Reply::Lost("confirms are off on this channel".into()),
            Err(error) => Reply::Lost(describe(&error)),
        })
    }
}

fn identity_of(returned: &BasicReturnMessage) -> Identity {
    Identity {
        id: headers::id(&returned.properties),
        exchange: Exchange::from_name(returned.exchange.as_str()).map_or("", Exchange::name),
        routing_key: returned.routing_key.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_every_version_of_the_message() {
        for text in [
            "PRECONDITION_FAILED - message size 200 is larger than configured max size 100",
            "PRECONDITION_FAILED - message size 200 larger than max size 100",
            "PRECONDITION_FAILED - message size 200 is larger than max size 100",
        ] {
            assert_eq!(size_and_max(text), Some((200, 100)), "{text}");
        }
        assert_eq!(size_and_max("PRECONDITION_FAILED - message size x"), None);
        assert_eq!(size_and_max("CONNECTION_FORCED"), None);
    }
}
