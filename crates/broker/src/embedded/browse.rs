//! Looking at the messages of a queue in its file, and taking out those that were chosen.

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::{Embedded, reader::ReadRequest, writer::Op};
use crate::{
    browser::{Fill, Place},
    error::BrowseError,
    message::{Envelope, Letter},
    name::QueueName,
};

#[derive(Debug)]
pub(crate) struct Browser {
    broker: Embedded,
    queue: QueueName,
    last_seq: i64,
}

impl Embedded {
    pub(crate) async fn fill(&self, queue: &QueueName) -> Result<Fill, BrowseError> {
        let (reply, filled) = oneshot::channel();
        let queue = queue.clone();
        self.push(Op::Fill {
            queue: queue.clone(),
            reply,
        })?;
        let fill = filled.await.map_err(|_closed| BrowseError::Closed)?;
        fill.ok_or(BrowseError::NoSuchQueue { queue })
    }

    pub(crate) fn browse(&self, queue: &QueueName) -> Browser {
        Browser {
            broker: self.clone(),
            queue: queue.clone(),
            last_seq: 0,
        }
    }

    fn push(&self, op: Op) -> Result<(), BrowseError> {
        self.shared.inbox.push(op).map_err(|_closed| BrowseError::Closed)
    }
}

impl Browser {
    pub(crate) async fn next(&mut self) -> Result<Option<(Place, Letter)>, BrowseError> {
        let (reply, found) = oneshot::channel();
        let request = ReadRequest::Next {
            queue: self.queue.clone(),
            after: self.last_seq,
            reply,
        };
        let asked = self.broker.shared.reads.push(request);
        asked.map_err(|_closed| BrowseError::Closed)?;
        let found = found.await.map_err(|_closed| BrowseError::Closed)?;
        let problem = |error: rusqlite::Error| BrowseError::Lost {
            problem: error.to_string(),
        };
        let Some((seq, message)) = found.map_err(problem)? else {
            return Ok(None);
        };
        self.last_seq = seq;
        let letter = Letter {
            headers: properties(&message),
            id: message.id,
            content_type: message.content_type,
            routing_key: message.routing_key,
            body: message.body,
            death: message.death,
        };
        Ok(Some((Place(seq.cast_unsigned()), letter)))
    }

    pub(crate) async fn remove(&self, places: &[Place]) -> Result<(), BrowseError> {
        let mut replies = Vec::with_capacity(places.len());
        for place in places {
            let (reply, removed) = oneshot::channel();
            self.broker.push(Op::Remove {
                queue: self.queue.clone(),
                seq: place.0.cast_signed(),
                reply,
            })?;
            replies.push(removed);
        }
        for removed in replies {
            removed.await.map_err(|_closed| BrowseError::Closed)?;
        }
        Ok(())
    }
}

/// All that the file has beside the body and the death, by the names that AMQP has for it.
fn properties(message: &Envelope) -> Map<String, Value> {
    let mut properties = Map::new();
    if let Some(content_type) = &message.content_type {
        properties.insert("content_type".to_owned(), json!(content_type));
    }
    if let Some(id) = message.id {
        properties.insert("message_id".to_owned(), json!(id.to_string()));
    }
    Map::from_iter([("properties".to_owned(), Value::Object(properties))])
}
