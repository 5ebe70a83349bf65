//! The same for programs.

use std::{collections::BTreeSet, time::Instant};

use axum::{
    Json,
    extract::{Path, Query, State as Extract},
};
use event::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{SourceRow, SourcesRequest};

use super::{
    clock::last,
    judge::{Condition, Judged},
    watch::Watch,
};
use crate::{hub::Known, problem::Problem, state::State};

/// Sources that are judged at once; of more, the first by name.
pub(super) const SOURCES_MAX: usize = 5000;
/// Sources of a page.
pub(super) const PAGE: usize = 200;

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    /// Part of the name.
    pub(super) q: String,
    /// Only those: silent, unknown, muted, ok.
    pub(super) state: String,
    /// Sources to pass over.
    pub(super) cursor: String,
}

/// All sources that are meant, the silent ones first, and whether they are all that there are.
pub(super) struct Listed {
    pub(super) sources: Vec<Judged>,
    pub(super) silent: usize,
    pub(super) is_whole: bool,
}

impl Params {
    pub(super) fn begin(&self) -> Result<usize, Problem> {
        match &*self.cursor {
            "" => Ok(0),
            text => text
                .parse()
                .ok()
                .filter(|begin| *begin <= SOURCES_MAX)
                .ok_or_else(|| {
                    Problem::bad_request("bad_parameter", "cursor must be one that an answer had.")
                }),
        }
    }
}

pub(super) async fn list(state: &State, params: &Params) -> Result<Listed, Problem> {
    let wanted = match &*params.state {
        "" => None,
        word => Some(Condition::of(word).ok_or_else(|| {
            Problem::bad_request("bad_parameter", "state must be silent, unknown, muted or ok.")
        })?),
    };
    let now = Timestamp::now();
    let request = SourcesRequest {
        containing: params.q.clone(),
        after: None,
        limit: SOURCES_MAX,
        now,
    };
    let rows = state.store.sources(&request).await?;
    let is_whole = rows.len() < SOURCES_MAX;
    let watch = Watch::load(state).await?;
    let missing = missing(state, &watch, params, &rows, now).await?;
    let mut sources: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let mut source = Judged::new(row, now.as_micros());
            watch.apply(&mut source, now);
            source
        })
        .chain(missing)
        .collect();
    let silent = sources
        .iter()
        .filter(|source| source.condition == Condition::Silent)
        .count();
    sources.retain(|source| wanted.is_none_or(|wanted| source.condition == wanted));
    // By name they are already.
    sources.sort_by_key(|source| source.condition);
    Ok(Listed {
        sources,
        silent,
        is_whole,
    })
}

/// Those that are expected and never sent, as far as they are meant. With a filter `rows` are not all who ever sent.
async fn missing(
    state: &State,
    watch: &Watch,
    params: &Params,
    rows: &[SourceRow],
    now: Timestamp,
) -> Result<Vec<Judged>, Problem> {
    if watch.expected.is_empty() {
        return Ok(Vec::new());
    }
    let all;
    let rows = if params.q.is_empty() {
        rows
    } else {
        let request = SourcesRequest {
            containing: String::new(),
            after: None,
            limit: SOURCES_MAX,
            now,
        };
        all = state.store.sources(&request).await?;
        &all
    };
    let mut missing = watch.missing(rows.iter().map(|row| &*row.hostname), now);
    let wanted = params.q.to_lowercase();
    missing.retain(|source| source.row.hostname.to_lowercase().contains(&wanted));
    Ok(missing)
}

/// A connection of a source, or an address without one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Via {
    pub(super) peer_addr: String,
    /// Null when it is not connected: datagrams have no connection.
    pub(super) input: Option<String>,
    pub(super) tls_name: Option<String>,
}

/// Where a source comes from.
pub(super) fn via(source: &Judged, known: &[Known], now: Instant) -> Vec<Via> {
    let mut all = BTreeSet::new();
    let live = known.iter().filter(|known| !known.is_silent(now));
    let clients: Vec<_> = live.flat_map(|known| &known.beat.clients).collect();
    for peer in &source.row.peers {
        let of_peer = clients.iter().filter(|client| address(&client.peer_addr) == peer);
        let mut is_connected = false;
        for client in of_peer {
            is_connected = true;
            all.insert(Via {
                peer_addr: peer.clone(),
                input: Some(client.listener.clone()),
                tls_name: client.tls_name.clone(),
            });
        }
        if !is_connected {
            all.insert(Via {
                peer_addr: peer.clone(),
                input: None,
                tls_name: None,
            });
        }
    }
    all.into_iter().collect()
}

/// Without the port.
fn address(peer_addr: &str) -> &str {
    let address = peer_addr
        .rsplit_once(':')
        .map_or(peer_addr, |(address, _)| address);
    address
        .strip_prefix('[')
        .and_then(|address| address.strip_suffix(']'))
        .unwrap_or(address)
}

/// Datagrams that the kernel dropped, by listener, since each intake was started.
pub(super) fn kernel_drops(known: &[Known], now: Instant) -> Vec<(String, f64)> {
    const NAME: &str = "logferry_intake_kernel_drops_total{";
    let live = known.iter().filter(|known| !known.is_silent(now));
    live.flat_map(|known| &known.beat.measures)
        .filter(|(name, count)| name.starts_with(NAME) && **count > 0.0)
        .map(|(name, count)| {
            let listener = name.split('"').nth(1).unwrap_or_default();
            (listener.to_owned(), *count)
        })
        .collect()
}

fn as_json(source: &Judged, via: &[Via]) -> Value {
    let [.., before, _this_hour] = source.row.hours;
    json!({
        "hostname": source.row.hostname,
        "state": [source.condition],
        "why": source.why,
        "via": via,
        "last_hour": before,
        "spark": source.row.hours.as_slice(),
        "first_seen": source.is_seen.then(|| source.row.first_seen.to_string()),
        "last_seen": source.is_seen.then(|| source.row.last_seen.to_string()),
        "usual_gap_ms": source.usual_gap_micros.map(|micros| micros / 1000),
        "apps": source.row.apps,
    })
}

pub(super) async fn sources(
    Extract(state): Extract<State>,
    Query(params): Query<Params>,
) -> Result<Json<Value>, Problem> {
    let begin = params.begin()?;
    let listed = list(&state, &params).await?;
    let (known, now) = (state.hub.all(), Instant::now());
    let page: Vec<_> = listed
        .sources
        .iter()
        .skip(begin)
        .take(PAGE)
        .map(|source| as_json(source, &via(source, &known, now)))
        .collect();
    let end = begin + page.len();
    let drops = kernel_drops(&known, now).into_iter();
    Ok(Json(json!({
        "sources": page,
        "n": listed.sources.len(),
        "silent": listed.silent,
        "next": (end < listed.sources.len()).then(|| end.to_string()),
        "complete": listed.is_whole,
        "kernel_drops": drops.map(|(input, n)| json!({ "input": input, "n": n })).collect::<Vec<_>>(),
    })))
}

/// One source by its whole name.
pub(super) async fn one(state: &State, hostname: &str) -> Result<Judged, Problem> {
    let now = Timestamp::now();
    // Names that hold it begin with it at the earliest.
    let request = SourcesRequest {
        containing: hostname.to_owned(),
        after: None,
        limit: SOURCES_MAX,
        now,
    };
    let rows = state.store.sources(&request).await?;
    let found = rows.into_iter().find(|row| row.hostname == hostname);
    let row = found.ok_or_else(|| Problem::not_found(format!("No source has the name {hostname:?}.")))?;
    let mut source = Judged::new(row, now.as_micros());
    Watch::load(state).await?.apply(&mut source, now);
    Ok(source)
}

pub(super) async fn source(
    Extract(state): Extract<State>,
    Path(hostname): Path<String>,
) -> Result<Json<Value>, Problem> {
    let source = one(&state, &hostname).await?;
    let last = last(&state, &hostname).await?;
    let mut all = as_json(&source, &via(&source, &state.hub.all(), Instant::now()));
    if let (Value::Object(all), Ok(Value::Object(last))) = (&mut all, serde_json::to_value(&last)) {
        all.extend(last);
    }
    Ok(Json(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_ports() {
        for (peer, expected) in [
            ("192.0.2.1:1000", "192.0.2.1"),
            ("[2001:db8::1]:1000", "2001:db8::1"),
            ("/run/log", "/run/log"),
        ] {
            assert_eq!(address(peer), expected);
        }
    }
}
