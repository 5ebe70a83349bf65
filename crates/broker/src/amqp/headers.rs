//! Messages as AMQP carries them: properties and headers, in both directions.

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};
use uuid::Uuid;

use crate::{
    delivery::now_micros,
    message::{Death, Envelope},
    name::Exchange,
};

/// The headers of a dead letter.
pub(crate) const STAGE: &str = "logferry-dead-stage";
pub(crate) const QUEUE: &str = "logferry-dead-queue";
pub(crate) const REASON: &str = "logferry-dead-reason";
pub(crate) const TEXT: &str = "logferry-dead-text";
pub(crate) const AT_MICROS: &str = "logferry-dead-at-micros";
pub(crate) const ATTEMPTS: &str = "logferry-dead-attempts";
pub(crate) const EXCHANGE: &str = "logferry-dead-exchange";
pub(crate) const ROUTING_KEY: &str = "logferry-dead-routing-key";
pub(crate) const BATCH: &str = "logferry-dead-batch";
pub(crate) const POSITION: &str = "logferry-dead-position";
/// The headers of a message that was published straight to a queue: where it would have been published otherwise.
pub(crate) const ORIGIN_EXCHANGE: &str = "logferry-exchange";
pub(crate) const ORIGIN_ROUTING_KEY: &str = "logferry-routing-key";

/// Who published it.
pub(crate) const APP_ID: &str = "logferry";
/// The message is written to disk.
const PERSISTENT: u8 = 2;

pub(crate) fn properties(message: &Envelope) -> BasicProperties {
    let seconds = u64::try_from(now_micros() / 1_000_000).unwrap_or(0);
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_app_id(APP_ID.into())
        .with_timestamp(seconds);
    if let Some(id) = message.id {
        properties = properties.with_message_id(id.to_string().into());
    }
    if let Some(content_type) = &message.content_type {
        properties = properties.with_content_type(content_type.as_str().into());
    }
    let mut headers = FieldTable::default();
    if let Some(death) = &message.death {
        add_death(&mut headers, death);
    }
    if message.queue.is_some() {
        let mut text = |name: &'static str, value: &str| {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        };
        text(ORIGIN_EXCHANGE, message.exchange.name());
        text(ORIGIN_ROUTING_KEY, &message.routing_key);
    }
    if headers.inner().is_empty() {
        properties
    } else {
        properties.with_headers(headers)
    }
}

fn add_death(headers: &mut FieldTable, death: &Death) {
    let mut text = |name: &'static str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    text(STAGE, &death.stage);
    text(QUEUE, &death.queue);
    text(REASON, &death.reason);
    text(TEXT, Death::bounded_text(&death.text));
    text(EXCHANGE, death.exchange.name());
    text(ROUTING_KEY, &death.routing_key);
    if let Some(batch) = death.batch {
        text(BATCH, &batch.to_string());
    }
    headers.insert(AT_MICROS.into(), AMQPValue::LongLongInt(death.at_micros));
    headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(death.attempts.into()));
    if let Some(position) = death.position {
        headers.insert(POSITION.into(), AMQPValue::LongLongInt(position.into()));
    }
}

/// Where `delivery` was published last; `None` for an exchange that is not ours.
pub(crate) fn published_to(delivery: &Delivery) -> (Option<Exchange>, String) {
    match origin(&delivery.properties) {
        Some((exchange, routing_key)) if delivery.exchange.as_str().is_empty() => {
            (Some(exchange), routing_key)
        }
        _ => (
            Exchange::from_name(delivery.exchange.as_str()),
            delivery.routing_key.to_string(),
        ),
    }
}

/// Exchange and routing key of a message that was published straight to a queue.
pub(crate) fn origin(properties: &BasicProperties) -> Option<(Exchange, String)> {
    let exchange = header(properties, ORIGIN_EXCHANGE).and_then(text)?;
    let routing_key = header(properties, ORIGIN_ROUTING_KEY).and_then(text)?;
    Some((Exchange::from_name(&exchange)?, routing_key))
}

/// The message id, if it is one of ours.
pub(crate) fn id(properties: &BasicProperties) -> Option<Uuid> {
    properties.message_id().as_ref()?.as_str().parse().ok()
}

/// How often the message was delivered before without an ack, as quorum queues tell it.
pub(crate) fn delivery_count(properties: &BasicProperties) -> u32 {
    let count = header(properties, "x-delivery-count")
        .and_then(integer)
        .unwrap_or(0);
    u32::try_from(count).unwrap_or(if count < 0 { 0 } else { u32::MAX })
}

/// Why it is a dead letter: what a stage of ours said, or what the broker said. The broker does not say how often
/// it delivered poison; `delivery_limit`, as our queues have it, does.
pub(crate) fn death(properties: &BasicProperties, delivery_limit: u32) -> Option<Death> {
    death_of_ours(properties).or_else(|| death_of_the_broker(properties, delivery_limit))
}

fn death_of_ours(properties: &BasicProperties) -> Option<Death> {
    let own = |name| header(properties, name).and_then(text);
    Some(Death {
        stage: own(STAGE)?,
        queue: own(QUEUE)?,
        reason: own(REASON)?,
        text: own(TEXT)?,
        at_micros: header(properties, AT_MICROS).and_then(integer)?,
        attempts: u32::try_from(header(properties, ATTEMPTS).and_then(integer)?).ok()?,
        exchange: Exchange::from_name(&own(EXCHANGE)?)?,
        routing_key: own(ROUTING_KEY)?,
        batch: own(BATCH).and_then(|batch| batch.parse().ok()),
        position: header(properties, POSITION)
            .and_then(integer)
            .and_then(|position| position.try_into().ok()),
    })
}

/// From the `x-death` header, the last death first.
fn death_of_the_broker(properties: &BasicProperties, delivery_limit: u32) -> Option<Death> {
    let AMQPValue::FieldArray(deaths) = header(properties, "x-death")? else {
        return None;
    };
    let AMQPValue::FieldTable(last) = deaths.as_slice().first()? else {
        return None;
    };
    let field = |name: &str| last.inner().get(name);
    let (exchange, routing_key) = origin(properties).or_else(|| {
        let Some(AMQPValue::FieldArray(keys)) = field("routing-keys") else {
            return None;
        };
        let exchange = Exchange::from_name(&field("exchange").and_then(text)?)?;
        Some((exchange, keys.as_slice().first().and_then(text)?))
    })?;
    let at = match field("time") {
        Some(AMQPValue::Timestamp(seconds)) => i64::try_from(*seconds).unwrap_or(0),
        _ => 0,
    };
    let (queue, reason) = (field("queue").and_then(text)?, field("reason").and_then(text)?);
    let (attempts, text) = if reason == Death::DELIVERY_LIMIT {
        let attempts = delivery_limit.saturating_add(1);
        (attempts, Death::poison_text(&queue, attempts))
    } else {
        (1, format!("dead-lettered by the broker: {reason}"))
    };
    Some(Death {
        stage: Death::BROKER_STAGE.into(),
        queue,
        batch: id(properties),
        position: None,
        reason,
        text,
        at_micros: at.saturating_mul(1_000_000),
        attempts,
        exchange,
        routing_key,
    })
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(ShortString::to_string(text)),
        _ => None,
    }
}

fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortShortUInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortUInt(n) => Some(i64::from(*n)),
        AMQPValue::LongInt(n) => Some(i64::from(*n)),
        AMQPValue::LongUInt(n) => Some(i64::from(*n)),
        AMQPValue::LongLongInt(n) => Some(*n),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_death_makes_the_round_trip() {
        let death = Death {
            stage: "parser".into(),
            queue: "parser".into(),
            reason: "undecodable".into(),
            text: "größer als erlaubt".into(),
            at_micros: 1_700_000_000_000_001,
            attempts: 3,
            exchange: Exchange::Received,
            routing_key: "syslog.tcp".into(),
            batch: Some(Uuid::from_u128(6)),
            position: Some(11),
        };
        let message = Envelope {
            id: Some(Uuid::from_u128(7)),
            queue: None,
            exchange: Exchange::Dead,
            routing_key: "parser.undecodable".into(),
            content_type: Some("text/plain".into()),
            body: Bytes::new(),
            death: Some(death.clone()),
        };
        let properties = properties(&message);
        assert_eq!(super::death(&properties, 3), Some(death));
        assert_eq!(id(&properties), message.id);
        assert_eq!(properties.delivery_mode(), &Some(PERSISTENT));
        assert_eq!(delivery_count(&properties), 0);
    }

    #[test]
    fn strange_headers_are_no_death() {
        let mut headers = FieldTable::default();
        headers.insert("x-death".into(), AMQPValue::Void);
        headers.insert("x-delivery-count".into(), AMQPValue::LongLongInt(-5));
        headers.insert(STAGE.into(), AMQPValue::Boolean(true));
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_message_id("x".into());
        assert_eq!(death(&properties, 3), None);
        assert_eq!(delivery_count(&properties), 0);
        assert_eq!(id(&properties), None);
    }
}
