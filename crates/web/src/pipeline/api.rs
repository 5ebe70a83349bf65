//! The same for programs, and the changes as a stream.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::{Query, State as Extract},
    http::header,
    response::IntoResponse,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Client, heartbeat::InForce};
use settings::{BrokerSettings, Protocol, Settings};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    picture::Picture,
    words::{self, Text, Texts},
};
use crate::{
    hub::Known,
    problem::Problem,
    state::State,
    stream::{Out, written_by},
};

const EVERY: Duration = Duration::from_secs(2);
const CLIENTS_MAX: usize = 1000;

impl State {
    /// The pipeline at this moment.
    pub(super) async fn picture(&self) -> Picture {
        let fills = self.fills.get().await;
        Picture::new(&self.all, &self.hub.all(), &fills, Instant::now())
            .with_rabbit(&self.all, &self.managed.told())
    }
}

pub(super) async fn pipeline(Extract(state): Extract<State>) -> Json<Picture> {
    Json(state.picture().await)
}

/// What changed, every two seconds; at first everything.
pub(super) async fn stream(Extract(state): Extract<State>) -> impl IntoResponse {
    let body = written_by(move |out| async move {
        let stop = state.stop.clone();
        stop.run_until_cancelled(changes(state, out)).await;
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body)
}

async fn changes(state: State, out: Out) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = Texts::new();
    loop {
        ticks.tick().await;
        let texts = words::texts(&state.picture().await);
        let changed: std::collections::BTreeMap<&String, &Text> = texts
            .iter()
            .filter(|(name, text)| shown.get(*name) != Some(*text))
            .collect();
        out.push(format!("event: patch\ndata: {}\n\n", json!(changed)))
            .await;
        shown = texts;
    }
}

/// What the answers of one input mean.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) protocol: &'static str,
    pub(super) configured: &'static str,
    /// What each intake process says.
    pub(super) processes: Vec<Process>,
}

impl Input {
    pub(super) fn has_acks(&self) -> bool {
        self.protocol == "relp"
    }
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Process {
    pub(super) instance: String,
    /// `unknown` when it was not heard of late.
    pub(super) in_force: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weaker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) is_as_configured: bool,
}

/// What acks mean, for each listener of the settings.
pub(super) fn inputs(settings: &Settings, known: &[Known], now: Instant) -> Vec<Input> {
    let configured = match settings.broker {
        BrokerSettings::Amqp(_) => "quorum",
        BrokerSettings::Embedded { .. } => "embedded",
    };
    let processes: Vec<_> = known
        .iter()
        .filter(|known| known.beat.service == "syslog-server")
        .map(|known| process(known, configured, now))
        .collect();
    let listeners = settings.syslog_server.listeners.iter();
    listeners
        .map(|listener| Input {
            name: listener.name.clone(),
            protocol: match listener.protocol {
                Protocol::Relp => "relp",
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            },
            configured,
            processes: processes.clone(),
        })
        .collect()
}

fn process(known: &Known, configured: &str, now: Instant) -> Process {
    let instance = known.beat.instance.clone();
    match &known.beat.durability {
        Some(InForce {
            in_force,
            weaker,
            since,
            why,
        }) if !known.is_silent(now) => Process {
            instance,
            is_as_configured: in_force == configured && weaker.is_none(),
            in_force: in_force.clone(),
            weaker: weaker.clone(),
            since: Some(*since),
            reason: Some(why.clone()),
        },
        _ => Process {
            instance,
            in_force: "unknown".to_owned(),
            weaker: None,
            since: None,
            reason: None,
            is_as_configured: false,
        },
    }
}

pub(super) async fn durability(Extract(state): Extract<State>) -> Json<Value> {
    let inputs = inputs(&state.all, &state.hub.all(), Instant::now());
    Json(json!({ "inputs": inputs }))
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
    clients.sort_by(|a, b| {
        let key = |one: &Connected| (one.client.peer_addr.clone(), one.instance.clone());
        key(a).cmp(&key(b))
    });
    (clients, total)
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
    let begin = clients.partition_point(|one| one.client.peer_addr <= params.cursor);
    let page: Vec<_> = clients.iter().skip(begin).take(limit).collect();
    let more = clients.len() > begin + page.len();
    let next = page
        .last()
        .filter(|_| more)
        .map(|last| last.client.peer_addr.clone());
    Ok(Json(json!({ "total": total, "clients": page, "next": next })))
}
