//! Properties and headers of a message as RabbitMQ has them, for people who look at it. Nothing is decided by them.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::{Map, Value, json};

/// Tables and lists that stand inside each other deeper than this are not shown.
const DEPTH_MAX: usize = 8;

/// `properties` and `headers`.
pub(crate) fn all(properties: &BasicProperties) -> Map<String, Value> {
    let headers = properties.headers().as_ref();
    let headers = headers.map_or_else(Map::new, |headers| table(headers, 0));
    Map::from_iter([
        ("properties".to_owned(), Value::Object(own(properties))),
        ("headers".to_owned(), Value::Object(headers)),
    ])
}

fn own(properties: &BasicProperties) -> Map<String, Value> {
    let texts = [
        ("content_type", properties.content_type()),
        ("content_encoding", properties.content_encoding()),
        ("correlation_id", properties.correlation_id()),
        ("reply_to", properties.reply_to()),
        ("expiration", properties.expiration()),
        ("message_id", properties.message_id()),
        ("type", properties.kind()),
        ("user_id", properties.user_id()),
        ("app_id", properties.app_id()),
        ("cluster_id", properties.cluster_id()),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, json!(text.as_ref()?.as_str()))));
    let numbers = [
        ("delivery_mode", properties.delivery_mode().map(u64::from)),
        ("priority", properties.priority().map(u64::from)),
        ("timestamp", *properties.timestamp()),
    ];
    let numbers = numbers
        .into_iter()
        .filter_map(|(name, number)| Some((name, json!(number?))));
    texts
        .chain(numbers)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn table(table: &FieldTable, depth: usize) -> Map<String, Value> {
    let entries = table.inner().iter();
    entries
        .map(|(name, value)| (name.to_string(), shown(value, depth + 1)))
        .collect()
}

fn shown(value: &AMQPValue, depth: usize) -> Value {
    match value {
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) if depth > DEPTH_MAX => json!("…"),
        AMQPValue::FieldArray(list) => list
            .as_slice()
            .iter()
            .map(|value| shown(value, depth + 1))
            .collect(),
        AMQPValue::FieldTable(inner) => Value::Object(table(inner, depth)),
        AMQPValue::Boolean(value) => json!(value),
        AMQPValue::ShortShortInt(n) => json!(n),
        AMQPValue::ShortShortUInt(n) => json!(n),
        AMQPValue::ShortInt(n) => json!(n),
        AMQPValue::ShortUInt(n) => json!(n),
        AMQPValue::LongInt(n) => json!(n),
        AMQPValue::LongUInt(n) => json!(n),
        AMQPValue::LongLongInt(n) => json!(n),
        AMQPValue::Float(n) => json!(n),
        AMQPValue::Double(n) => json!(n),
        AMQPValue::DecimalValue(n) => json!({ "scale": n.scale, "value": n.value }),
        AMQPValue::Timestamp(seconds) => json!(seconds),
        AMQPValue::ShortString(text) => json!(text.as_str()),
        AMQPValue::LongString(text) => json!(String::from_utf8_lossy(text.as_bytes())),
        AMQPValue::ByteArray(bytes) => json!(String::from_utf8_lossy(bytes.as_slice())),
        AMQPValue::Void => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_shown_as_they_are() {
        let mut death = FieldTable::default();
        death.insert("queue".into(), AMQPValue::LongString("store".into()));
        death.insert("count".into(), AMQPValue::LongLongInt(1));
        let mut headers = FieldTable::default();
        headers.insert(
            "x-death".into(),
            AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into()),
        );
        let mut deep = AMQPValue::Void;
        for _ in 0..1000 {
            deep = AMQPValue::FieldArray(vec![deep].into());
        }
        headers.insert("deep".into(), deep);
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_message_id("7".into())
            .with_timestamp(12);
        let shown = all(&properties);
        assert_eq!(
            shown.get("properties"),
            Some(&json!({ "message_id": "7", "timestamp": 12 }))
        );
        let headers = shown.get("headers").expect("are there");
        assert_eq!(
            headers.get("x-death"),
            Some(&json!([{ "queue": "store", "count": 1 }]))
        );
        let deep = headers.get("deep").expect("is there").to_string();
        assert!(deep.ends_with("[\"…\"]]]]]]]]") && deep.len() < 50, "{deep}");
    }
}
