//! `/api/v1/tail`: server-sent events `rows`, `gap`, `stat` and `source`.

use std::time::Duration;

use axum::{
    extract::{Query, State as Extract},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use event::{Event, Timestamp, format::json};
use serde::Deserialize;
use serde_json::json;
use store::{Clock, Cursor, Order, SearchRequest, Selection, StoredEvent};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use super::{
    feed::Seat,
    watch::{Gap, ROWS_MAX, Watch},
};
use crate::{
    problem::Problem,
    search::{Ask, Asked, Drawing, Reading, field_names, read_cursor, write_cursor},
    shell::Shell,
    state::State,
    stream::{Out, written_by},
};

/// Between two batches of rows.
const BATCH_EVERY: Duration = Duration::from_millis(250);
/// Between two looks into the store, while the broker is away.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// So that nobody between takes the connection for dead.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// How long the broker may take before it counts as away.
const LIVE_PATIENCE: Duration = Duration::from_secs(3);
const BACKFILL: usize = 100;

/// The parameters of the stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    q: String,
    /// Rows from the store at the beginning.
    backfill: Option<usize>,
    /// Go on behind this row, as `Last-Event-ID` says it.
    after: String,
    /// `1`: rows as HTML, for our page.
    html: String,
}

pub(super) async fn stream(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(params): Query<Params>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = asked(&state, &shell, params.q).await?;
    let after = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .unwrap_or(&params.after);
    let after = match after {
        "" => None,
        text => Some(read_cursor(text).ok_or_else(|| {
            Problem::bad_request(
                "bad_parameter",
                "after must be the id of an event of this stream.",
            )
        })?),
    };
    let seat = state.feed.sit().ok_or_else(|| {
        let max = state.feed.viewers_max();
        Problem::too_many(
            format!("{max} live tails are open, which is as many as web.tails_max allows."),
            10,
        )
    })?;
    let viewer = Viewer {
        watch: Watch::new(asked.request.selection.query.matcher(Timestamp::now())),
        drawing: (params.html == "1").then(|| Drawing::new(&asked)),
        backfill: params.backfill.unwrap_or(BACKFILL).min(ROWS_MAX),
        asked,
        seat,
        after,
        state,
        mode: "",
    };
    let body = written_by(move |out| viewer.run(out));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, body).into_response())
}

/// The query of a tail, within what the visitor may see.
pub(crate) async fn asked(state: &State, shell: &Shell, q: String) -> Result<Asked, Problem> {
    let ask = Ask::default().with_query(q).last("1h");
    let fields = field_names(state).await;
    ask.read(&Reading::new(&state.settings, shell, fields))
}

/// The newest matches, the oldest of them first, and whether there are more before them.
pub(super) async fn newest(state: &State, asked: &Asked, limit: usize) -> Result<Vec<StoredEvent>, Problem> {
    let request = SearchRequest {
        selection: Selection {
            clock: Clock::Arrival,
            ..asked.request.selection.clone()
        },
        order: Order::NewestFirst,
        after: None,
        limit,
        budget: POLL_EVERY,
    };
    let mut rows = state.store.page(request).await?.rows;
    rows.reverse();
    Ok(rows)
}

/// One open stream.
struct Viewer {
    state: State,
    asked: Asked,
    drawing: Option<Drawing>,
    seat: Seat,
    watch: Watch,
    backfill: usize,
    /// The newest row that was sent.
    after: Option<Cursor>,
    mode: &'static str,
}

impl Viewer {
    async fn run(mut self, out: Out) {
        let stop = self.state.stop.clone();
        // Whoever reads slowly is not polled, and misses portions, which is counted.
        stop.run_until_cancelled(self.serve(&out)).await;
    }

    async fn serve(&mut self, out: &Out) {
        // Proxies and browsers know now that it works.
        out.push(": logferry\n\nretry: 2000\n\n").await;
        let live = self.seat.is_live.wait_for(|is_live| *is_live);
        // Then the store is asked.
        let _is_live = timeout(LIVE_PATIENCE, live).await.is_ok();
        self.tell_mode(out).await;
        self.catch_up(out).await;
        let mut batch = every(BATCH_EVERY);
        let mut second = every(Duration::from_secs(1));
        let mut comment = every(COMMENT_EVERY);
        let mut poll = every(POLL_EVERY);
        loop {
            let has_news = self.watch.has_news();
            let is_live = *self.seat.is_live.borrow_and_update();
            // Cancel-safe, all of them.
            tokio::select! {
                portion = self.seat.portions.recv() => match portion {
                    Ok(portion) => self.watch.see(&portion),
                    // The next portion says how many events these were.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                _ = batch.tick(), if has_news => self.show(out).await,
                _ = second.tick() => {
                    let stat = self.watch.stat(Timestamp::now());
                    send(out, "stat", None, &json!(stat).to_string()).await;
                }
                _ = poll.tick(), if !is_live => self.poll(out).await,
                _ = comment.tick() => out.push(": \n\n").await,
                Ok(()) = self.seat.is_live.changed() => self.tell_mode(out).await,
            }
        }
    }

    async fn tell_mode(&mut self, out: &Out) {
        let mode = if *self.seat.is_live.borrow_and_update() {
            "broker"
        } else {
            "store"
        };
        if self.mode != mode {
            self.mode = mode;
            send(out, "source", None, &json!({ "mode": mode }).to_string()).await;
        }
    }

    /// What the store has: after a reconnect what came since, else the newest rows.
    async fn catch_up(&mut self, out: &Out) {
        if self.after.is_some() {
            return self.poll(out).await;
        }
        if self.backfill == 0 {
            return;
        }
        // Without the store the tail is empty until something comes.
        if let Ok(rows) = newest(&self.state, &self.asked, self.backfill).await {
            self.send_rows(out, &rows).await;
        }
    }

    /// Rows that are in the store and were not sent.
    async fn poll(&mut self, out: &Out) {
        let now = Timestamp::now();
        let Some(after) = self.after else {
            // From here on.
            self.after = Some(Cursor {
                time: now,
                id: event::EventId::from_uuid(uuid::Uuid::nil()),
            });
            return;
        };
        let request = SearchRequest {
            selection: Selection {
                clock: Clock::Arrival,
                from: Some(after.time),
                to: None,
                now,
                ..self.asked.request.selection.clone()
            },
            order: Order::OldestFirst,
            after: Some(after),
            limit: ROWS_MAX,
            budget: POLL_EVERY,
        };
        let Ok(page) = self.state.store.page(request).await else {
            return send(out, "source", None, &json!({ "mode": "none" }).to_string()).await;
        };
        self.send_rows(out, &page.rows).await;
        if page.end.next.is_some() || !page.end.complete {
            let from = page.rows.last().map_or(after.time, |row| row.event.received_at);
            let gap = json!({ "n": null, "unseen": null, "from": from.to_string(), "to": now.to_string() });
            send(out, "gap", None, &gap.to_string()).await;
            self.after = Some(Cursor { time: now, ..after });
        }
    }

    async fn show(&mut self, out: &Out) {
        let (events, gap) = self.watch.take();
        let rows: Vec<_> = events
            .into_iter()
            .map(|event| StoredEvent {
                event,
                route: "".into(),
            })
            .collect();
        self.send_rows(out, &rows).await;
        if let Some(gap) = gap {
            self.send_gap(out, gap).await;
        }
    }

    async fn send_gap(&self, out: &Out, gap: Gap) {
        send(out, "gap", None, &json!(gap).to_string()).await;
    }

    async fn send_rows(&mut self, out: &Out, rows: &[StoredEvent]) {
        let Some(last) = rows.last() else { return };
        let cursor = last.cursor(Clock::Arrival);
        self.after = Some(self.after.map_or(cursor, |after| after.max(cursor)));
        let data = match &self.drawing {
            Some(drawing) => match drawing.rows(rows, None) {
                Ok(html) => json!({ "html": html }).to_string(),
                Err(error) => return tracing::error!(%error, "cannot draw rows"),
            },
            None => as_json(rows.iter().map(|row| &row.event)),
        };
        let id = self.after.map(write_cursor);
        send(out, "rows", id.as_deref(), &data).await;
    }
}

fn as_json<'a>(events: impl Iterator<Item = &'a Event<'static>>) -> String {
    let mut data = b"{\"rows\":[".to_vec();
    for (number, event) in events.enumerate() {
        if number > 0 {
            data.push(b',');
        }
        json::write_event(event, &mut data);
    }
    data.extend_from_slice(b"]}");
    String::from_utf8_lossy(&data).into_owned()
}

/// `data` has no line breaks: it is JSON.
async fn send(out: &Out, event: &str, id: Option<&str>, data: &str) {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    out.push(format!("event: {event}\n{id}data: {data}\n\n")).await;
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
