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
    hold::Holds,
};
use crate::{html::Html, problem::Problem, shell::Shell, state::State};

/// Bytes of a line that can be mended on a page.
const LINE_BYTES_MAX: usize = 16 << 10;
/// The largest batch that is unpacked for it.
const BATCH_BYTES_MAX: usize = 16 << 20;
const WHY_BYTES_MAX: usize = 400;

/// The one line of a letter, with what is known of how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    listener: String,
    received_at: Timestamp,
    peer_addr: String,
    tls_peer: Option<String>,
}

impl Line {
    /// `None` for a letter of several lines, of none, or of one that is no text or too long.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let mut scratch = Vec::new();
        let line = match PayloadKind::of(body).ok()? {
            PayloadKind::Raw => {
                let mut batch = RawBatch::decode(body, &mut scratch, BATCH_BYTES_MAX).ok()?;
                let frame = batch.next_frame().ok()?.filter(|_| batch.len() == 1)?;
                Self {
                    text: str::from_utf8(frame.bytes).ok()?.to_owned(),
                    listener: batch.listener().to_owned(),
                    received_at: frame.received_at,
                    peer_addr: frame.peer_addr.to_owned(),
                    tls_peer: frame.tls_peer.map(str::to_owned),
                }
            }
            PayloadKind::Events => {
                let mut batch = EventBatch::decode(body, &mut scratch, BATCH_BYTES_MAX).ok()?;
                let event = batch.next_event().ok()?.filter(|_| batch.len() == 1)?;
                Self {
                    text: str::from_utf8(event.raw.as_deref()?).ok()?.to_owned(),
                    listener: event.listener.to_string(),
                    received_at: event.received_at,
                    peer_addr: event.peer_addr.to_string(),
                    tls_peer: event.tls_peer.as_deref().map(str::to_owned),
                }
            }
        };
        (line.text.len() <= LINE_BYTES_MAX).then_some(line)
    }

    /// What goes to the parser. The same text sent twice has the same id, and is stored once.
    fn message(&self, letter: uuid::Uuid, text: &str) -> Result<Message, Problem> {
        let digest = Sha256::digest(text.as_bytes());
        let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let id = BatchId::from_uuid(letter).derive(&format!("edited {digest}"));
        let mut batch = RawBatchBuilder::new(id, &self.listener);
        batch.push(
            self.received_at,
            &self.peer_addr,
            self.tls_peer.as_deref(),
            FrameDefects::default(),
            text.as_bytes(),
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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Order {
    id: String,
    line: String,
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
    let body = record.body().map_err(Problem::internal)?;
    let line = Line::of(&body).ok_or_else(|| {
        Problem::bad_request(
            "not_one_line",
            "Only a letter of one line of text can be mended here. Export it, mend the file, and import it.",
        )
    })?;
    Ok((record, line))
}

/// Shows what would change, and with `step=go` does it.
pub(super) async fn edit(
    Extract(state): Extract<State>,
    shell: Shell,
    Form(order): Form<Order>,
) -> Result<Page<String>, Problem> {
    let (record, line) = found(&state, &order.id).await?;
    // Browsers send line ends in their own way; a line of syslog has none.
    let text = order.line.trim_end_matches(['\r', '\n']);
    let why = order.why.trim();
    if text.is_empty() || text.len() > LINE_BYTES_MAX || why.len() > WHY_BYTES_MAX {
        return Err(Problem::bad_request(
            "bad_line",
            format!(
                "The line must have 1 to {LINE_BYTES_MAX} bytes, and the reason at most {WHY_BYTES_MAX}."
            ),
        ));
    }
    let mut view = View {
        before: Html::block(&line.text),
        after: Html::block(text),
        is_done: false,
        is_listed: true,
        order: &order,
        shell: &shell.clone().titled("Mend – Dead letters", "/dead-letters"),
    };
    if order.step == "go" {
        send(&state, &record, &line, text).await?;
        view.is_done = true;
        view.is_listed = discard(&state, &shell, &record, &line, &order).await?;
    }
    Ok(Page(view.render().map_err(Problem::internal)?))
}

/// Until the broker has it.
async fn send(state: &State, record: &Record, line: &Line, text: &str) -> Result<(), Problem> {
    let letter = record
        .id
        .ok_or_else(|| Problem::internal("a letter without id was found by it"))?;
    let message = line.message(letter, text)?;
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
        before: line.text.clone(),
        after: order.line.clone(),
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
    fn one_line_of_text_can_be_mended() {
        let line = Line::of(&raw(&[b"<13>hello"])).unwrap();
        assert_eq!(
            (&*line.text, &*line.listener, &*line.peer_addr),
            ("<13>hello", "tcp", "192.0.2.1:514")
        );
        let letter = uuid::Uuid::from_u128(7);
        let message = line.message(letter, "<13>hullo").unwrap();
        let mended = Line::of(&message.body).unwrap();
        assert_eq!(
            mended,
            Line {
                text: "<13>hullo".to_owned(),
                ..line.clone()
            }
        );
        assert_eq!(
            line.message(letter, "<13>hullo").unwrap().id,
            message.id,
            "the same twice"
        );
        assert_ne!(line.message(letter, "<13>other").unwrap().id, message.id);
        for body in [
            raw(&[b"a", b"b"]),
            raw(&[]),
            raw(&[b"\xff"]),
            b"no batch".to_vec(),
            raw(&[&[b'x'; LINE_BYTES_MAX + 1]]),
        ] {
            assert_eq!(Line::of(&body), None);
        }
    }
}
