//! A letter of parsed events as the lines that they came from, so that the parser takes them by the rules of today.
//!
//! Parsed again they are a new batch, whose id follows from the letter's: sent twice they are stored once. But no store
//! knows them as what it may have of the letter already. So only letters go this way whose events their queue's shipper
//! did certainly not take, and they go to that queue alone.

use broker::{Exchange, Letter, Message, QueueName, RoutingKey};
use event::{BatchId, Compression, Defects, EventBatch, EventId, FrameDefects, PayloadKind, RawBatchBuilder};
use uuid::Uuid;

use crate::contents::BATCH_BYTES_MAX;

/// The routing key of lines that go to whoever takes their route.
const ROUTING_KEY: &str = "dead.reparsed";

/// How a letter goes to the parser.
#[derive(Debug)]
pub(crate) enum Again {
    /// It was never parsed, so that it meets the rules of today in any case.
    AsItIs,
    /// As its lines.
    Lines(Box<Message>),
}

/// Why a letter cannot be parsed again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoReparse {
    #[error("where it came from is not known; export it, and drop it")]
    Unknown,
    #[error("it is no batch, so that there are no lines in it to parse")]
    NoBatch,
    #[error(
        "{without} of its {events} events have no raw bytes to parse again (parser.raw says which are kept); it can go back as it is"
    )]
    NotKept { without: usize, events: usize },
    #[error(
        "other destinations of shipper-fs have its event, and parsed again it would stand there twice; it can go back as it is"
    )]
    Elsewhere,
    #[error(
        "some of its events may be stored behind queue {queue}, and parsed again they would be stored twice; it can go back as it is"
    )]
    MayBeStored { queue: String },
}

/// How `letter` goes to the parser.
pub(crate) fn again(letter: &Letter) -> Result<Again, NoReparse> {
    let death = letter.death.as_ref().ok_or(NoReparse::Unknown)?;
    match death.exchange {
        Exchange::Dead => return Err(NoReparse::Unknown),
        Exchange::Received => return Ok(Again::AsItIs),
        Exchange::Parsed => {}
    }
    let id = letter.id.ok_or(NoReparse::Unknown)?;
    match (&*death.stage, &*death.reason) {
        // The parser found no queue for them, or not this one.
        ("parser", "unroutable") => {}
        // A row that PostgreSQL refused, alone.
        ("shipper-pgsql", "refused") if death.position.is_some() => {}
        ("shipper-fs", "path_refused") => return Err(NoReparse::Elsewhere),
        _ => {
            let queue = death.queue.clone();
            return Err(NoReparse::MayBeStored { queue });
        }
    }
    let queue = QueueName::new(&death.queue).map_err(|_no_name| NoReparse::Unknown)?;
    let routing_key = if queue == QueueName::parser() {
        RoutingKey::new(ROUTING_KEY)
    } else {
        RoutingKey::only_to(&queue)
    };
    let routing_key = routing_key.map_err(|_too_long| NoReparse::Unknown)?;
    lines(id, &queue, routing_key, &letter.body).map(|message| Again::Lines(Box::new(message)))
}

/// The lines of an event batch, as a raw batch.
fn lines(
    letter: Uuid,
    queue: &QueueName,
    routing_key: RoutingKey,
    body: &[u8],
) -> Result<Message, NoReparse> {
    let mut scratch = Vec::new();
    let no_batch = |_: event::DecodeError| NoReparse::NoBatch;
    let mut events = EventBatch::decode(body, &mut scratch, BATCH_BYTES_MAX).map_err(no_batch)?;
    let fits = u32::try_from(events.len()).is_ok_and(|count| count <= EventId::POSITIONS_MAX);
    if events.is_empty() || !fits {
        return Err(NoReparse::NoBatch);
    }
    let id = BatchId::from_uuid(letter).derive(&format!("reparsed for {queue}"));
    let mut raw = RawBatchBuilder::new(id, events.listener());
    let mut without = 0;
    while let Some(event) = events.next_event().map_err(no_batch)? {
        let Some(bytes) = event.raw.as_deref() else {
            without += 1;
            continue;
        };
        let mut defects = FrameDefects::empty();
        defects.set(
            FrameDefects::TRUNCATED,
            event.defects.contains(Defects::TRUNCATED),
        );
        defects.set(
            FrameDefects::UNTERMINATED,
            event.defects.contains(Defects::UNTERMINATED),
        );
        raw.push(
            event.received_at,
            &event.peer_addr,
            event.tls_peer.as_deref(),
            defects,
            bytes,
        );
    }
    if without > 0 {
        let events = events.len();
        return Err(NoReparse::NotKept { without, events });
    }
    Ok(Message {
        id: id.as_uuid(),
        exchange: Exchange::Received,
        routing_key,
        content_type: PayloadKind::Raw.content_type(),
        body: raw.finish(Compression::Lz4).into(),
        death: None,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use broker::Death;
    use event::{Event, EventBatchBuilder, RawBatch, Timestamp};

    use super::*;

    const AT: Timestamp = Timestamp::from_micros(1_795_254_199_000_000);

    fn event(source: BatchId, raw: Option<&'static [u8]>) -> Event<'static> {
        let mut event = Event::received(EventId::derive(source, 7, AT), 7, AT, "192.0.2.1:514", "tcp");
        event.raw = raw.map(Cow::Borrowed);
        event.tls_peer = Some("web01".into());
        event.defects = Defects::TRUNCATED | Defects::NO_PRIORITY;
        event
    }

    fn letter(stage: &str, queue: &str, reason: &str, raws: &[Option<&'static [u8]>]) -> Letter {
        let source = BatchId::mint();
        let id = source.derive("odd");
        let mut batch = EventBatchBuilder::new(id, source, "tcp", "odd");
        for raw in raws {
            batch.push(&event(source, *raw));
        }
        Letter {
            id: Some(id.as_uuid()),
            content_type: None,
            routing_key: format!("{stage}.{reason}"),
            body: batch.finish(Compression::Lz4).into(),
            death: Some(Death {
                stage: stage.to_owned(),
                queue: queue.to_owned(),
                batch: None,
                position: Some(7),
                reason: reason.to_owned(),
                text: String::new(),
                at_micros: 1,
                attempts: 1,
                exchange: Exchange::Parsed,
                routing_key: "odd".to_owned(),
            }),
            headers: serde_json::Map::new(),
        }
    }

    fn message(letter: &Letter) -> Message {
        match again(letter) {
            Ok(Again::Lines(message)) => *message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn events_become_the_lines_that_they_were() {
        let unroutable = letter(
            "parser",
            "parser",
            "unroutable",
            &[Some(b"<13>one"), Some(b"\xfftwo")],
        );
        let sent = message(&unroutable);
        assert_eq!(sent.routing_key.as_str(), "dead.reparsed");
        assert_eq!(sent.exchange, Exchange::Received);
        let mut scratch = Vec::new();
        let mut batch = RawBatch::decode(&sent.body, &mut scratch, 1 << 20).unwrap();
        assert_eq!((batch.id().as_uuid(), batch.listener()), (sent.id, "tcp"));
        let frame = batch.next_frame().unwrap().unwrap();
        assert_eq!(
            (frame.bytes, frame.received_at, frame.peer_addr, frame.tls_peer),
            (&b"<13>one"[..], AT, "192.0.2.1:514", Some("web01"))
        );
        assert_eq!(frame.defects, FrameDefects::TRUNCATED);
        assert_eq!(batch.next_frame().unwrap().unwrap().bytes, b"\xfftwo");
        assert!(batch.next_frame().unwrap().is_none());

        // Sent again it is the same batch, and not the one that it was.
        assert_eq!(message(&unroutable).id, sent.id);
        assert_ne!(Some(sent.id), unroutable.id);

        let refused = letter("shipper-pgsql", "pg", "refused", &[Some(b"<13>one")]);
        let sent = message(&refused);
        let only = QueueName::only_of(sent.routing_key.as_str()).unwrap();
        assert_eq!(only.as_str(), "pg", "and no other queue gets it");
    }

    #[test]
    fn what_never_was_parsed_goes_as_it_is() {
        let mut raw = letter("parser", "parser", "panic", &[]);
        raw.death.as_mut().unwrap().exchange = Exchange::Received;
        assert!(matches!(again(&raw), Ok(Again::AsItIs)));
    }

    #[test]
    fn what_could_be_stored_twice_is_refused() {
        let line: &[Option<&[u8]>] = &[Some(b"<13>one")];
        let may_be_stored = |queue: &str| NoReparse::MayBeStored {
            queue: queue.to_owned(),
        };
        let mut batch = letter("shipper-pgsql", "pg", "refused", line);
        batch.death.as_mut().unwrap().position = None;
        let mut dead_before = letter("parser", "parser", "unroutable", line);
        dead_before.death.as_mut().unwrap().exchange = Exchange::Dead;
        for (letter, why) in [
            (batch, may_be_stored("pg")),
            (
                letter("broker", "pg", "delivery_limit", line),
                may_be_stored("pg"),
            ),
            (
                letter("shipper-fs", "fs", "path_refused", line),
                NoReparse::Elsewhere,
            ),
            (dead_before, NoReparse::Unknown),
            (letter("parser", "parser", "unroutable", &[]), NoReparse::NoBatch),
            (
                letter("parser", "parser", "unroutable", &[Some(b"x"), None]),
                NoReparse::NotKept {
                    without: 1,
                    events: 2,
                },
            ),
            (
                Letter {
                    id: None,
                    ..letter("parser", "parser", "unroutable", line)
                },
                NoReparse::Unknown,
            ),
            (
                Letter {
                    body: (&b"LFE0 no batch"[..]).into(),
                    ..letter("parser", "parser", "unroutable", line)
                },
                NoReparse::NoBatch,
            ),
        ] {
            assert_eq!(again(&letter).err(), Some(why));
        }
    }
}
