//! Exchanges, queues and bindings on RabbitMQ.

use lapin::{
    Channel, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::{
    amqp::endpoint::{Session, describe},
    error::{Conflict, DeclareError},
    listening::STATUS,
    message::Death,
    name::Exchange,
    topology::{Queue, Topology},
};

/// Limits of every queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) queue_bytes_max: u64,
    pub(crate) delivery_limit: u32,
}

/// Differences of one queue that are found at most: a queue has half as many arguments.
const DIFFERENCES_MAX: usize = 16;

/// Declares everything, one after the other. What is there and the same stays as it is; what is different too, and
/// all of it is told.
pub(crate) async fn declare(
    session: &Session,
    topology: &Topology,
    limits: Limits,
) -> Result<(), DeclareError> {
    let mut declarer = Declarer {
        session,
        channel: open(session).await?,
        conflicts: Vec::new(),
    };
    for exchange in Exchange::ALL.map(Exchange::name).into_iter().chain([STATUS]) {
        declarer.exchange(exchange).await?;
    }
    for queue in topology.queues() {
        if declarer.queue(queue, limits).await? {
            declarer.bind(queue).await?;
        }
    }
    if let Err(error) = declarer.channel.close(200, "done".into()).await {
        tracing::debug!(%error, "channel was closed already");
    }
    if declarer.conflicts.is_empty() {
        Ok(())
    } else {
        Err(DeclareError::Conflicts(declarer.conflicts))
    }
}

async fn open(session: &Session) -> Result<Channel, DeclareError> {
    session
        .open_channel()
        .await
        .map_err(|error| DeclareError::Unavailable {
            problem: describe(&error),
        })
}

struct Declarer<'a> {
    session: &'a Session,
    channel: Channel,
    conflicts: Vec<Conflict>,
}

impl Declarer<'_> {
    async fn exchange(&mut self, name: &'static str) -> Result<(), DeclareError> {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let declared = self
            .channel
            .exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default())
            .await;
        match declared {
            Ok(()) => Ok(()),
            Err(error) => self.differs("exchange", name, &error).await.map(drop),
        }
    }

    /// Whether the queue is there as it is wanted.
    ///
    /// RabbitMQ tells one difference at a time. So the queue is declared again with that argument as it is there,
    /// which changes nothing, until no difference is left.
    async fn queue(&mut self, queue: &Queue, limits: Limits) -> Result<bool, DeclareError> {
        let name = queue.name.as_str();
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = queue_arguments(queue, limits);
        let mut is_same = true;
        for _ in 0..DIFFERENCES_MAX {
            let declared = self
                .channel
                .queue_declare(name.into(), options, arguments.clone())
                .await;
            let Err(error) = declared else {
                return Ok(is_same);
            };
            let difference = match self.differs("queue", name, &error).await {
                Ok(difference) => difference,
                // A queue that is quite different does not know our other arguments; enough of it is told.
                Err(DeclareError::Refused { .. }) if !is_same => return Ok(false),
                Err(error) => return Err(error),
            };
            is_same = false;
            if !difference.adopt(&mut arguments) {
                break;
            }
        }
        Ok(false)
    }

    async fn bind(&mut self, queue: &Queue) -> Result<(), DeclareError> {
        let name = queue.name.as_str();
        for key in &queue.binding_keys {
            let (exchange, key) = (queue.exchange.name().into(), key.as_str().into());
            self.channel
                .queue_bind(
                    name.into(),
                    exchange,
                    key,
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .map_err(|error| refusal("binding of queue", name, &error))?;
        }
        for key in &queue.unbound_keys {
            let (exchange, key) = (queue.exchange.name().into(), key.as_str().into());
            self.channel
                .queue_unbind(name.into(), exchange, key, FieldTable::default())
                .await
                .map_err(|error| refusal("binding of queue", name, &error))?;
        }
        Ok(())
    }

    /// Notes the difference that `error` tells of. Such an error ends the channel, so there is a new one.
    async fn differs(
        &mut self,
        kind: &'static str,
        name: &str,
        error: &lapin::Error,
    ) -> Result<Difference, DeclareError> {
        let difference = match error.kind() {
            ErrorKind::ProtocolError(protocol) if protocol.get_id() == 406 => {
                Difference::read(&describe(error))
            }
            _ => None,
        };
        let refused = refusal(kind, name, error);
        // The queue may be refused for good, and others are declared still.
        self.channel = open(self.session).await?;
        let difference = difference.ok_or(refused)?;
        self.conflicts.push(Conflict {
            kind,
            name: name.into(),
            argument: difference.argument.clone(),
            existing: difference.existing.clone(),
            wanted: difference.wanted.clone(),
        });
        Ok(difference)
    }
}

/// Quorum queues that refuse what does not fit. Poison is dead-lettered at least once, which needs
/// `reject-publish`; dead letters themselves are never poison, because looking at them counts as delivering.
pub(crate) fn queue_arguments(queue: &Queue, limits: Limits) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let number = |number: u64| AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX));
    let mut arguments = FieldTable::default();
    let mut set = |name: &'static str, value| {
        arguments.insert(name.into(), value);
    };
    set("x-queue-type", text("quorum"));
    set("x-overflow", text("reject-publish"));
    set("x-max-length-bytes", number(limits.queue_bytes_max));
    if queue.exchange == Exchange::Dead {
        // RabbitMQ 4 has a limit of 20 where none is set, and 3.10 does not know -1 for none.
        set("x-delivery-limit", number(i32::MAX.unsigned_abs().into()));
    } else {
        set("x-delivery-limit", number(limits.delivery_limit.into()));
        set("x-dead-letter-exchange", text(Exchange::Dead.name()));
        set(
            "x-dead-letter-routing-key",
            text(&format!("{}.{}", queue.name, Death::DELIVERY_LIMIT)),
        );
        set("x-dead-letter-strategy", text("at-least-once"));
    }
    arguments
}

fn refusal(kind: &'static str, name: &str, error: &lapin::Error) -> DeclareError {
    let problem = describe(error);
    match error.kind() {
        ErrorKind::ProtocolError(_) => DeclareError::Refused {
            kind,
            name: name.into(),
            problem,
        },
        _ => DeclareError::Unavailable { problem },
    }
}

/// An argument that is not as it is wanted, in RabbitMQ's words.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    argument: String,
    existing: String,
    wanted: String,
}

impl Difference {
    /// From `inequivalent arg 'x-overflow' for queue 'parser' in vhost '/': received 'reject-publish' but current is
    /// 'drop-head'`, where a value may also be `the value '10' of type 'long'` or `none`.
    fn read(problem: &str) -> Option<Self> {
        let (_, rest) = problem.split_once("inequivalent arg '")?;
        let (argument, rest) = rest.split_once('\'')?;
        let (_, rest) = rest.split_once("received ")?;
        let (wanted, existing) = rest.split_once(" but current is ")?;
        let plain = |value: &str| {
            let value = value.trim_start_matches("the value ");
            let value = value.split_once(" of type ").map_or(value, |(value, _)| value);
            value.trim_matches('\'').to_owned()
        };
        Some(Self {
            argument: argument.into(),
            existing: plain(existing),
            wanted: plain(wanted),
        })
    }

    /// Makes the argument what it is there; false when that is not known.
    fn adopt(&self, arguments: &mut FieldTable) -> bool {
        let mut as_it_is = arguments.inner().clone();
        let Some(value) = as_it_is.get_mut(self.argument.as_str()) else {
            return false;
        };
        match (&*value, self.existing.parse()) {
            (_, Err(_)) if self.existing == "none" => drop(as_it_is.remove(self.argument.as_str())),
            (AMQPValue::LongLongInt(wanted), Ok(number)) if *wanted != number => {
                *value = AMQPValue::LongLongInt(number);
            }
            (AMQPValue::LongString(_), _) if self.existing != self.wanted => {
                *value = AMQPValue::LongString(self.existing.as_str().into());
            }
            // It differs in its type only, or is nothing of ours.
            _ => return false,
        }
        *arguments = as_it_is.into();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(argument: &str, existing: &str, wanted: &str) -> Difference {
        Difference {
            argument: argument.into(),
            existing: existing.into(),
            wanted: wanted.into(),
        }
    }

    #[test]
    fn differences_are_read_from_the_brokers_words() {
        for (problem, expected) in [
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-overflow' for queue 'parser' in vhost '/': received \
                 'reject-publish' but current is 'drop-head'",
                Some(difference("x-overflow", "drop-head", "reject-publish")),
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'parser' in vhost '/': received \
                 the value '20' of type 'long' but current is none",
                Some(difference("x-delivery-limit", "none", "20")),
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'parser' in vhost '/': received \
                 the value '20' of type 'long' but current is the value '3' of type 'long'",
                Some(difference("x-delivery-limit", "3", "20")),
            ),
            ("PRECONDITION_FAILED - something else", None),
        ] {
            assert_eq!(Difference::read(problem), expected);
        }
    }

    #[test]
    fn only_arguments_of_ours_are_adopted() {
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-overflow".into(),
            AMQPValue::LongString("reject-publish".into()),
        );
        assert!(!difference("durable", "false", "true").adopt(&mut arguments));
        assert!(!difference("x-overflow", "reject-publish", "reject-publish").adopt(&mut arguments));
        assert!(difference("x-overflow", "drop-head", "reject-publish").adopt(&mut arguments));
        let expected = AMQPValue::LongString("drop-head".into());
        assert_eq!(arguments.inner().get("x-overflow"), Some(&expected));
        assert_eq!(arguments.inner().len(), 1);
    }
}
