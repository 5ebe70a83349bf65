//! The same for programs, and the changes as a stream.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::{Query, State as Extract},
    http::header,
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::Client;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    durability::inputs,
    picture::{Curves, Picture},
    window::Window,
    words::{self, Texts},
};
use crate::{
    hub::Known,
    problem::Problem,
    state::State,
    stream::{Out, written_by},
};

const EVERY: Duration = Duration::from_secs(2);
const CLIENTS_MAX: usize = 1000;

/// Bytes of one patch; what changes beyond that comes as another.
const PATCH_BYTES_MAX: usize = 4000;

impl State {
    /// The pipeline at this moment, with rates and trends over `window`.
    pub(super) async fn picture(&self, window: Window) -> Picture {
        let fills = self.fills.get().await;
        let (known, depths, now) = (self.hub.all(), self.fills.depths(), Instant::now());
        Picture::new(&self.all, &known, &fills, window, now)
            .with_rabbit(&self.all, &self.managed.told())
            .with_trends(Curves {
                known: &known,
                depths: &depths,
                grid: window.grid(now),
            })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Over {
    window: String,
}

pub(super) async fn pipeline(
    Extract(state): Extract<State>,
    Query(over): Query<Over>,
) -> Result<Json<Picture>, Problem> {
    Ok(Json(state.picture(Window::read(&over.window)?).await))
}

/// What changed, every two seconds; at first everything.
pub(super) async fn stream(
    Extract(state): Extract<State>,
    Query(over): Query<Over>,
) -> Result<impl IntoResponse, Problem> {
    let window = Window::read(&over.window)?;
    let body = written_by(move |out| async move {
        let stop = state.stop.clone();
        stop.run_until_cancelled(changes(state, window, out)).await;
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, body))
}

async fn changes(state: State, window: Window, out: Out) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = Texts::new();
    loop {
        ticks.tick().await;
        let texts = words::texts(&state.picture(window).await);
        for patch in patches(&shown, &texts) {
            out.push(format!("event: patch\ndata: {patch}\n\n")).await;
        }
        shown = texts;
    }
}

/// What is not as it was, as JSON objects of few bytes.
fn patches(before: &Texts, now: &Texts) -> Vec<String> {
    let changed = now.iter().filter(|(name, text)| before.get(*name) != Some(*text));
    let mut patches = vec![String::new()];
    for (name, text) in changed {
        let entry = format!("{}:{}", json!(name), json!(text));
        match patches.last_mut() {
            Some(last) if last.is_empty() => last.push_str(&entry),
            Some(last) if last.len() + entry.len() < PATCH_BYTES_MAX => {
                last.push(',');
                last.push_str(&entry);
            }
            Some(_) | None => patches.push(entry),
        }
    }
    patches.iter().map(|entries| format!("{{{entries}}}")).collect()
}

pub(super) async fn durability(Extract(state): Extract<State>) -> Json<Value> {
    let inputs = inputs(&state.all, &state.hub.all(), Instant::now());
    Json(json!({ "inputs": inputs, "heard_since": state.hub.began }))
}

/// A sender, and the process that it is connected to.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Connected {
    pub(super) instance: String,
    #[serde(flatten)]
    pub(super) client: Client,
}

/// Who is connected, by address, and how many are.
pub(super) fn connected(known: &[Known], now: Instant) -> (Vec<Connected>, u64) {
    let mut clients = Vec::new();
    let mut total = 0;
    for known in known.iter().filter(|known| !known.is_silent(now)) {
        total += known.beat.clients_total;
        clients.extend(known.beat.clients.iter().map(|client| Connected {
            instance: known.beat.instance.clone(),
            client: client.clone(),
        }));
    }
    clients.sort_by_cached_key(Connected::place);
    (clients, total)
}

impl Connected {
    /// Where it stands in the list. One address may be connected to several listeners and processes.
    fn place(&self) -> String {
        let Client {
            peer_addr, listener, ..
        } = &self.client;
        format!("{peer_addr} {} {listener}", self.instance)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    /// Where the answer before ended.
    cursor: String,
    limit: String,
}

pub(super) async fn clients(
    Extract(state): Extract<State>,
    Query(params): Query<Params>,
) -> Result<Json<Value>, Problem> {
    let limit = match &*params.limit {
        "" => 100,
        text => text
            .parse()
            .ok()
            .filter(|limit| (1..=CLIENTS_MAX).contains(limit))
            .ok_or_else(|| {
                let detail = format!("limit must be a number from 1 to {CLIENTS_MAX}.");
                Problem::bad_request("bad_parameter", detail)
            })?,
    };
    let (clients, total) = connected(&state.hub.all(), Instant::now());
    let begin = clients.partition_point(|one| one.place() <= params.cursor);
    let page: Vec<_> = clients.iter().skip(begin).take(limit).collect();
    let more = clients.len() > begin + page.len();
    let next = page.last().filter(|_| more).map(|last| last.place());
    let complete = clients.len() as u64 == total;
    Ok(Json(
        json!({ "total": total, "clients": page, "next": next, "complete": complete }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::words::Text;

    fn texts(texts: &[(&str, &str)]) -> Texts {
        let text = |t: &str| Text {
            t: t.to_owned(),
            c: "",
        };
        texts
            .iter()
            .map(|(name, t)| ((*name).to_owned(), text(t)))
            .collect()
    }

    #[test]
    fn a_patch_has_what_changed_and_says_so_when_nothing_did() {
        let before = texts(&[("a", "1"), ("b", "2")]);
        assert_eq!(patches(&before, &before), ["{}"]);
        let now = texts(&[("a", "1"), ("b", "3"), ("c", "\"")]);
        assert_eq!(patches(&before, &now), [r#"{"b":{"t":"3"},"c":{"t":"\""}}"#]);
    }

    #[test]
    fn a_patch_stays_small_whatever_changes() {
        let long = "x".repeat(600);
        let names: Vec<_> = (0..100)
            .map(|number| format!("queue:parser-{number}/state"))
            .collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), long.as_str())).collect();
        let patches = patches(&Texts::new(), &texts(&all));
        assert!(patches.len() > 10, "{}", patches.len());
        assert!(patches.iter().all(|patch| patch.len() <= 4096));
        let entries: usize = patches
            .iter()
            .map(|patch| {
                serde_json::from_str::<serde_json::Map<_, _>>(patch)
                    .unwrap()
                    .len()
            })
            .sum();
        assert_eq!(entries, names.len());
    }
}
