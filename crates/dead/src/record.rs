//! A dead letter as `logferry dead` writes it: one JSON object a line, which holds all that is needed to bring the
//! letter back.

use base64::{Engine, prelude::BASE64_STANDARD};
use broker::{Death, Exchange, Letter, RoutingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{contents, error::RecordError};

/// What is known about one dead letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Its batch id; `None` for what is not from us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Why it died; `None` when nobody has said so in a way that we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub death: Option<DeathRecord>,
    /// The routing key in `logferry.dead`.
    pub routing_key: String,
    /// What the body says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What is in it, for people; not read back.
    #[serde(default)]
    pub bytes: usize,
    /// Lines or events in it, where it is a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<usize>,
    /// The beginning of the first of them.
    #[serde(default)]
    pub preview: String,
    /// The body, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// With the body: properties and headers as the broker has them, for people; not read back.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
}

/// Why it died, and where it came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeathRecord {
    /// A short code.
    pub reason: String,
    /// The same for people.
    pub text: String,
    /// The stage that gave up.
    pub stage: String,
    /// The queue it came from.
    pub queue: String,
    /// The batch in which it came from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Uuid>,
    /// The place of a single event in its raw batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// When.
    pub at: Timestamp,
    /// How many times it was delivered.
    pub attempts: u32,
    /// The exchange it was published to at first.
    pub exchange: String,
    /// With which key.
    pub routing_key: String,
}

impl Record {
    /// A record of `letter`.
    #[must_use]
    pub fn of(letter: &Letter, with_body: bool) -> Self {
        let summary = contents::summary(&letter.body);
        Self {
            id: letter.id,
            death: letter.death.as_ref().map(DeathRecord::of),
            routing_key: letter.routing_key.clone(),
            content_type: letter.content_type.clone(),
            bytes: letter.body.len(),
            events: summary.events,
            preview: summary.preview,
            body_base64: with_body.then(|| BASE64_STANDARD.encode(&letter.body)),
            headers: if with_body {
                letter.headers.clone()
            } else {
                Map::new()
            },
        }
    }

    /// The body.
    ///
    /// # Errors
    /// There is none in it, or it is no base64.
    pub fn body(&self) -> Result<Vec<u8>, RecordError> {
        let body = self.body_base64.as_ref().ok_or(RecordError::NoBody)?;
        Ok(BASE64_STANDARD.decode(body)?)
    }

    /// The letter that it was made from.
    ///
    /// # Errors
    /// Something in it is not as an export writes it.
    pub fn letter(&self) -> Result<Letter, RecordError> {
        check_key("routing_key", &self.routing_key)?;
        let death = self.death.as_ref().map(DeathRecord::death).transpose()?;
        Ok(Letter {
            id: self.id,
            content_type: self.content_type.clone(),
            routing_key: self.routing_key.clone(),
            body: self.body()?.into(),
            death,
            headers: Map::new(),
        })
    }

    /// A word that names it in messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.id
            .map_or_else(|| "one without id".to_owned(), |id| id.to_string())
    }
}

impl DeathRecord {
    fn of(death: &Death) -> Self {
        Self {
            reason: death.reason.clone(),
            text: death.text.clone(),
            stage: death.stage.clone(),
            queue: death.queue.clone(),
            batch: death.batch,
            position: death.position,
            at: Timestamp::from_microsecond(death.at_micros).unwrap_or(Timestamp::UNIX_EPOCH),
            attempts: death.attempts,
            exchange: death.exchange.name().to_owned(),
            routing_key: death.routing_key.clone(),
        }
    }

    fn death(&self) -> Result<Death, RecordError> {
        let exchange = Exchange::from_name(&self.exchange)
            .ok_or_else(|| RecordError::Exchange(self.exchange.clone()))?;
        check_key("death.routing_key", &self.routing_key)?;
        Ok(Death {
            stage: self.stage.clone(),
            queue: self.queue.clone(),
            batch: self.batch,
            position: self.position,
            reason: self.reason.clone(),
            text: self.text.clone(),
            at_micros: self.at.as_microsecond(),
            attempts: self.attempts,
            exchange,
            routing_key: self.routing_key.clone(),
        })
    }
}

fn check_key(field: &'static str, key: &str) -> Result<(), RecordError> {
    match RoutingKey::new(key) {
        Ok(_) => Ok(()),
        Err(source) => Err(RecordError::RoutingKey { field, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_survives_the_way_through_a_file() {
        let letter = Letter {
            id: Some(Uuid::from_u128(7)),
            content_type: Some("application/vnd.logferry.raw-batch".to_owned()),
            routing_key: "parser.undecodable".to_owned(),
            body: (&b"\x00\xffnot a batch"[..]).into(),
            death: Some(Death {
                stage: "parser".to_owned(),
                queue: "parser".to_owned(),
                batch: Some(Uuid::from_u128(8)),
                position: Some(3),
                reason: "undecodable".to_owned(),
                text: "größer".to_owned(),
                at_micros: 1_795_255_200_123_456,
                attempts: 2,
                exchange: Exchange::Received,
                routing_key: "syslog.tcp".to_owned(),
            }),
            headers: Map::new(),
        };
        let line = serde_json::to_string(&Record::of(&letter, true)).expect("is JSON");
        let record: Record = serde_json::from_str(&line).expect("is a record");
        assert_eq!(record.letter().expect("is whole"), letter);

        let strange = Letter {
            id: None,
            content_type: None,
            death: None,
            ..letter
        };
        let line = serde_json::to_string(&Record::of(&strange, true)).expect("is JSON");
        let record: Record = serde_json::from_str(&line).expect("is a record");
        assert_eq!(record.letter().expect("is whole"), strange);
        let listed = Record::of(&strange, false);
        assert!(format!("{:#}", listed.letter().expect_err("has no body")).contains("logferry dead export"));
    }
}
