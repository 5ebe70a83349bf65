//! Exchanges, queues and bindings on RabbitMQ.

use lapin::{
    Channel, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::{
    amqp::endpoint::{Session, describe},
    error::DeclareError,
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

/// Declares everything, one after the other. What is there and the same stays as it is.
pub(crate) async fn declare(
    session: &Session,
    topology: &Topology,
    limits: Limits,
) -> Result<(), DeclareError> {
    let channel = session
        .connection
        .create_channel()
        .await
        .map_err(|error| DeclareError::Unavailable {
            problem: describe(&error),
        })?;
    for exchange in Exchange::ALL {
        declare_exchange(&channel, exchange).await?;
    }
    for queue in topology.queues() {
        declare_queue(&channel, queue, limits).await?;
    }
    if let Err(error) = channel.close(200, "done".into()).await {
        tracing::debug!(%error, "channel was closed already");
    }
    Ok(())
}

async fn declare_exchange(channel: &Channel, exchange: Exchange) -> Result<(), DeclareError> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(
            exchange.name().into(),
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        )
        .await
        .map_err(|error| refusal("exchange", exchange.name(), &error))
}

async fn declare_queue(channel: &Channel, queue: &Queue, limits: Limits) -> Result<(), DeclareError> {
    let name = queue.name.as_str();
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(name.into(), options, queue_arguments(queue, limits))
        .await
        .map_err(|error| refusal("queue", name, &error))?;
    for key in &queue.binding_keys {
        let (exchange, key) = (queue.exchange.name().into(), key.as_str().into());
        channel
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
    Ok(())
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
        ErrorKind::ProtocolError(protocol) if protocol.get_id() == 406 => conflict(kind, name, &problem)
            .unwrap_or_else(|| DeclareError::Refused {
                kind,
                name: name.into(),
                problem,
            }),
        ErrorKind::ProtocolError(_) => DeclareError::Refused {
            kind,
            name: name.into(),
            problem,
        },
        _ => DeclareError::Unavailable { problem },
    }
}

/// From `inequivalent arg 'x-overflow' for queue 'parser' in vhost '/': received 'reject-publish' but current is
/// 'drop-head'`, where a value may also be `the value '10' of type 'long'` or `none`.
fn conflict(kind: &'static str, name: &str, problem: &str) -> Option<DeclareError> {
    let (_, rest) = problem.split_once("inequivalent arg '")?;
    let (argument, rest) = rest.split_once('\'')?;
    let (_, rest) = rest.split_once("received ")?;
    let (wanted, existing) = rest.split_once(" but current is ")?;
    let plain = |value: &str| {
        let value = value.trim_start_matches("the value ");
        let value = value.split_once(" of type ").map_or(value, |(value, _)| value);
        value.trim_matches('\'').to_owned()
    };
    Some(DeclareError::Conflict {
        kind,
        name: name.into(),
        argument: argument.into(),
        existing: plain(existing),
        wanted: plain(wanted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_read_from_the_brokers_words() {
        for (problem, argument, existing, wanted) in [
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-overflow' for queue 'parser' in vhost '/': received \
                 'reject-publish' but current is 'drop-head'",
                "x-overflow",
                "drop-head",
                "reject-publish",
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'parser' in vhost '/': received \
                 the value '20' of type 'long' but current is none",
                "x-delivery-limit",
                "none",
                "20",
            ),
        ] {
            let expected = DeclareError::Conflict {
                kind: "queue",
                name: "parser".into(),
                argument: argument.into(),
                existing: existing.into(),
                wanted: wanted.into(),
            };
            assert_eq!(conflict("queue", "parser", problem), Some(expected));
        }
        assert_eq!(
            conflict("queue", "parser", "PRECONDITION_FAILED - something else"),
            None
        );
    }
}
