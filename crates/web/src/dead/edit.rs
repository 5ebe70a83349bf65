//! A letter whose line is mended: it goes to the parser as a new line of the same sender and time, and when the broker has
//! it, the letter is discarded, with the old line and the new one in the list of acts.

use ::dead::{Record, Selection};
use askama::Template;
use axum::{
    extract::{Form, State as Extract},
    response::Html as Page,
};
use broker::{Exchange, Message, QueueName, RoutingKey};
use event::{
    BatchId, Compression, EventBatch, FrameDefects, PayloadKind, RawBatch, RawBatchBuilder, Timestamp,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    api::checked,
    audit::{self, Act},
    diff,
    hold::Holds,
    progress::Progress,
    sent::Sent,
};
use crate::{html::Html, problem::Problem, shell::Shell, state::State};

mod escape;

/// Bytes of a line that can be mended on a page.
const LINE_BYTES_MAX: usize = 16 << 10;
/// The largest batch that is unpacked for it.
const BATCH_BYTES_MAX: usize = 16 << 20;
const WHY_BYTES_MAX: usize = 400;

/// The one line of a letter, with what is known of how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    bytes: Vec<u8>,
    listener: String,
    received_at: Timestamp,
    peer_addr: String,
    tls_peer: Option<String>,
}

/// Why there is no line of a letter to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoLine {
    #[error(
        "Nothing of this letter can be mended here: it is no batch, so that nothing tells who sent it and when."
    )]
    NoBatch,
    #[error(
        "The {0} lines of this letter cannot be mended here: sent again they would be a new batch, and those that are stored already would stand there twice. Put back as it is, it keeps its id and is stored once."
    )]
    Several(usize),
    #[error("The line cannot be mended here: its bytes were not kept when it was parsed.")]
    NotKept,
    #[error("The line cannot be mended here: it has {0} bytes, more than {LINE_BYTES_MAX}.")]
    TooLong(usize),
}

impl Line {
    pub(super) fn of(body: &[u8]) -> Result<Self, NoLine> {
        let mut scratch = Vec::new();
        let line = match PayloadKind::of(body).map_err(|_no_batch| NoLine::NoBatch)? {
            PayloadKind::Raw => {
                let mut batch = RawBatch::decode(body, &mut scratch, BATCH_BYTES_MAX)
                    .map_err(|_no_batch| NoLine::NoBatch)?;
                expect_one(batch.len())?;
                let frame = batch.next_frame().ok().flatten().ok_or(NoLine::NoBatch)?;
                Self {
                    bytes: frame.bytes.to_owned(),
                    listener: batch.listener().to_owned(),
                    received_at: frame.received_at,
                    peer_addr: frame.peer_addr.to_owned(),
                    tls_peer: frame.tls_peer.map(str::to_owned),
                }
            }
            PayloadKind::Events => {
                let mut batch = EventBatch::decode(body, &mut scratch, BATCH_BYTES_MAX)
                    .map_err(|_no_batch| NoLine::NoBatch)?;
                expect_one(batch.len())?;
                let event = batch.next_event().ok().flatten().ok_or(NoLine::NoBatch)?;
                Self {
                    bytes: event.raw.as_deref().ok_or(NoLine::NotKept)?.to_owned(),
                    listener: event.listener.to_string(),
                    received_at: event.received_at,
                    peer_addr: event.peer_addr.to_string(),
                    tls_peer: event.tls_peer.as_deref().map(str::to_owned),
                }
            }
        };
        match line.bytes.len() {
            long if long > LINE_BYTES_MAX => Err(NoLine::TooLong(long)),
            _ => Ok(line),
        }
    }

    /// Whether it has what a field does not hold.
    pub(super) fn is_escaped(&self) -> bool {
        escape::is_needed(&self.bytes)
    }

    /// As it stands in a field.
    pub(super) fn text(&self) -> String {
        if self.is_escaped() {
            escape::escaped(&self.bytes)
        } else {
            String::from_utf8_lossy(&self.bytes).into_owned()
        }
    }

    /// What goes to the parser. The same text sent twice has the same id, and is stored once.
    fn message(&self, letter: uuid::Uuid, bytes: &[u8]) -> Result<Message, Problem> {
        let digest = Sha256::digest(bytes);
        let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let id = BatchId::from_uuid(letter).derive(&format!("edited {digest}"));
        let mut batch = RawBatchBuilder::new(id, &self.listener);
        batch.push(
            self.received_at,
            &self.peer_addr,
            self.tls_peer.as_deref(),
            FrameDefects::default(),
            bytes,
        );
        Ok(Message {
            id: id.as_uuid(),
            exchange: Exchange::Received,
            routing_key: RoutingKey::new("dead.edited").map_err(Problem::internal)?,
            content_type: PayloadKind::Raw.content_type(),
            body: batch.finish(Compression::Lz4).into(),
            death: None,
        })
    }
}

const fn expect_one(lines: usize) -> Result<(), NoLine> {
    match lines {
        0 => Err(NoLine::NoBatch),
        1 => Ok(()),
        several => Err(NoLine::Several(several)),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Order {
    id: String,
    line: String,
    /// `1`: bytes that no field holds are written as `\xff`.
    escaped: String,
    why: String,
    step: String,
}

#[derive(Template)]
#[template(path = "dead/edit.html")]
struct View<'a> {
    shell: &'a Shell,
    order: &'a Order,
    /// As it was, and as it is to be.
    before: Html,
    after: Html,
    is_done: bool,
    is_listed: bool,
}

/// What can be mended of a letter that nobody holds.
async fn found(state: &State, id: &str) -> Result<(Record, Line), Problem> {
    let record = state.desk.letter(&checked(id.to_owned())?).await?;
    if let Some(held) = Holds::load(state).await?.of(&record) {
        return Err(Problem::new(
            axum::http::StatusCode::CONFLICT,
            "held",
            format!("Held by {}: {}. Release it first.", held.author, held.why),
        ));
    }
    Sent::load(state)
        .await?
        .check(&record)
        .map_err(|why| Problem::new(axum::http::StatusCode::CONFLICT, "sent", format!("{why}.")))?;
    let body = record.body().map_err(Problem::internal)?;
    let line = Line::of(&body).map_err(|why| Problem::bad_request("not_one_line", why.to_string()))?;
    Ok((record, line))
}

/// Shows what would change, and with `step=go` does it.
pub(super) async fn edit(
    Extract(state): Extract<State>,
    shell: Shell,
    Form(order): Form<Order>,
) -> Result<Page<String>, Problem> {
    let (record, line) = found(&state, &order.id).await?;
    // Browsers send line ends in their own way; those at the end are not meant.
    let text = order.line.replace("\r\n", "\n");
    let text = text.trim_end_matches('\n');
    let why = order.why.trim();
    let bytes = if order.escaped.is_empty() {
        text.as_bytes().to_owned()
    } else {
        escape::unescaped(text).ok_or_else(|| {
            Problem::bad_request(
                "bad_line",
                "Behind a backslash must stand another one, or x and two hexadecimal digits: \\\\ or \\xff.",
            )
        })?
    };
    if bytes.is_empty() || bytes.len() > LINE_BYTES_MAX || why.len() > WHY_BYTES_MAX {
        return Err(Problem::bad_request(
            "bad_line",
            format!(
                "The line must have 1 to {LINE_BYTES_MAX} bytes, and the reason at most {WHY_BYTES_MAX}."
            ),
        ));
    }
    let (before, after) = diff::marked(&line.text(), text);
    let mut view = View {
        before,
        after,
        is_done: false,
        is_listed: true,
        order: &order,
        shell: &shell.clone().titled("Mend – Dead letters", "/dead-letters"),
    };
    if order.step == "go" {
        send(&state, &record, &line, &bytes).await?;
        view.is_done = true;
        view.is_listed = discard(&state, &shell, &record, &line, &order).await?;
    }
    Ok(Page(view.render().map_err(Problem::internal)?))
}

/// Until the broker has it.
async fn send(state: &State, record: &Record, line: &Line, bytes: &[u8]) -> Result<(), Problem> {
    let letter = record
        .id
        .ok_or_else(|| Problem::internal("a letter without id was found by it"))?;
    let message = line.message(letter, bytes)?;
    let failed = |error: broker::PublishError| {
        Problem::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "broker_unavailable",
            format!("The broker did not take the line ({error}). The letter is as it was."),
        )
    };
    let publisher = state.desk.broker().publisher(1);
    let confirm = publisher
        .publish_to(&QueueName::parser(), &message)
        .await
        .map_err(failed)?;
    confirm.await.map_err(failed)
}

/// The letter has done its service; what it held is in the list of acts, and that it was discarded in the record of drops.
async fn discard(
    state: &State,
    shell: &Shell,
    record: &Record,
    line: &Line,
    order: &Order,
) -> Result<bool, Problem> {
    let author = shell.visitor.author();
    let death = record.death.as_ref();
    let act = Act {
        what: "edit".to_owned(),
        done: 1,
        failed: 0,
        stage: death.map(|death| death.stage.clone()).unwrap_or_default(),
        reason: death.map(|death| death.reason.clone()).unwrap_or_default(),
        why: order.why.trim().to_owned(),
        ids: vec![record.name()],
        before: line.text(),
        after: order.line.replace("\r\n", "\n"),
    };
    // First the old line must be safe.
    let is_listed = audit::note(state, &author, act).await;
    if !is_listed {
        return Ok(false);
    }
    let selection = Selection {
        ids: vec![record.name()],
        ..Selection::default()
    };
    state
        .desk
        .discard(
            selection,
            format!("{author} (web)"),
            "edited and sent again".to_owned(),
            1,
            &Progress::unheard(),
        )
        .await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(lines: &[&[u8]]) -> Vec<u8> {
        let mut batch = RawBatchBuilder::new(BatchId::mint(), "tcp");
        for line in lines {
            let at = Timestamp::from_micros(1_795_254_199_000_000);
            batch.push(at, "192.0.2.1:514", None, FrameDefects::default(), line);
        }
        batch.finish(Compression::Lz4)
    }

    #[test]
    fn one_line_can_be_mended() {
        let line = Line::of(&raw(&[b"<13>hello"])).unwrap();
        assert_eq!(
            (&*line.text(), &*line.listener, &*line.peer_addr),
            ("<13>hello", "tcp", "192.0.2.1:514")
        );
        let letter = uuid::Uuid::from_u128(7);
        let message = line.message(letter, b"<13>hullo").unwrap();
        let mended = Line::of(&message.body).unwrap();
        assert_eq!(
            mended,
            Line {
                bytes: b"<13>hullo".to_vec(),
                ..line.clone()
            }
        );
        assert_eq!(
            line.message(letter, b"<13>hullo").unwrap().id,
            message.id,
            "the same twice"
        );
        assert_ne!(line.message(letter, b"<13>other").unwrap().id, message.id);
        assert_eq!(Line::of(&raw(&[b"\xff"])).unwrap().text(), "\\xff");
        for (body, why) in [
            (raw(&[b"a", b"b"]), NoLine::Several(2)),
            (raw(&[]), NoLine::NoBatch),
            (b"no batch".to_vec(), NoLine::NoBatch),
            (
                raw(&[&[b'x'; LINE_BYTES_MAX + 1]]),
                NoLine::TooLong(LINE_BYTES_MAX + 1),
            ),
        ] {
            assert_eq!(Line::of(&body), Err(why));
        }
    }
}
