//! The searches that run in this process: who runs them, how far they are, and their end by somebody else's hand.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    Json, Router,
    extract::{Path, State as Extract},
    http::StatusCode,
    routing::{delete, get},
};
use event::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use store::{Found, Search, SearchRequest};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{accounts::Visitor, problem::Problem, search::Asked, shell::Shell, state::State};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/api/v1/searches", get(list))
        .route("/api/v1/searches/{id}", delete(end))
}

/// All of them. Cheap to clone; every clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Searches(Arc<Mutex<BTreeMap<Uuid, Arc<Entry>>>>);

#[derive(Debug)]
struct Entry {
    /// What asked: a page, or an endpoint of the API.
    kind: &'static str,
    who: String,
    q: String,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    since: Timestamp,
    begun: Instant,
    far: Mutex<Far>,
    cancel: CancellationToken,
    ended_by: OnceLock<String>,
}

/// How far a search is.
#[derive(Debug, Clone, Copy, Default)]
struct Far {
    matched: u64,
    scanned_to: Option<Timestamp>,
}

/// A search that is in the list for as long as this lives.
#[derive(Debug)]
pub(crate) struct Running {
    id: Uuid,
    entry: Arc<Entry>,
    searches: Searches,
}

/// The rows of a search that somebody may end.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    running: &'a Running,
    /// `None` when it was ended.
    search: Option<Search>,
}

impl Searches {
    pub(crate) fn begin(&self, kind: &'static str, shell: &Shell, asked: &Asked) -> Running {
        let selection = &asked.request.selection;
        let entry = Arc::new(Entry {
            kind,
            who: shell.visitor.author(),
            q: asked.parsed.query.canonical(),
            from: selection.from,
            to: selection.to,
            since: Timestamp::now(),
            begun: Instant::now(),
            far: Mutex::default(),
            cancel: CancellationToken::new(),
            ended_by: OnceLock::new(),
        });
        let id = Uuid::new_v4();
        self.0.lock().insert(id, Arc::clone(&entry));
        let searches = self.clone();
        Running { id, entry, searches }
    }

    /// Those that `visitor` may see, the oldest first.
    fn seen_by(&self, visitor: &Visitor) -> Vec<(Uuid, Arc<Entry>)> {
        let all = self.0.lock();
        let seen = all.iter().filter(|(_, entry)| entry.is_for(visitor));
        let mut seen: Vec<_> = seen.map(|(id, entry)| (*id, Arc::clone(entry))).collect();
        seen.sort_by_key(|(_, entry)| entry.begun);
        seen
    }
}

impl Entry {
    /// One's own; all for administrators.
    fn is_for(&self, visitor: &Visitor) -> bool {
        self.who == visitor.author() || visitor.may_do("admin")
    }

    fn to_json(&self, id: Uuid) -> Value {
        let far = *self.far.lock();
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        json!({
            "id": id,
            "kind": self.kind,
            "who": self.who,
            "q": self.q,
            "from": text(self.from),
            "to": text(self.to),
            "since": self.since.to_string(),
            "running_ms": u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "matched": far.matched,
            "scanned_to": text(far.scanned_to),
        })
    }
}

impl Running {
    /// `work`, unless somebody ends the search first.
    ///
    /// # Errors
    /// Those of `work`, or that the search was ended.
    pub(crate) async fn until_ended<T, E: Into<Problem>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Problem> {
        tokio::select! {
            biased;
            () = self.entry.cancel.cancelled() => Err(self.ended()),
            done = work => done.map_err(Into::into),
        }
    }

    pub(crate) fn rows(&self, state: &State, request: SearchRequest) -> Rows<'_> {
        Rows {
            running: self,
            search: Some(state.store.search(request)),
        }
    }

    fn ended(&self) -> Problem {
        let who = self.entry.ended_by.get().map_or("Somebody", String::as_str);
        Problem::new(
            StatusCode::CONFLICT,
            "cancelled",
            format!("{who} ended this search."),
        )
    }

    fn note(&self, found: &Found) {
        let mut far = self.entry.far.lock();
        match found {
            Found::Rows(rows) => far.matched += rows.len() as u64,
            Found::Progress { scanned_to, .. } => far.scanned_to = Some(*scanned_to),
            Found::End(_) => {}
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.searches.0.lock().remove(&self.id);
    }
}

impl Rows<'_> {
    /// What is found next; an error and then nothing when somebody ends the search. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Found, Problem>> {
        let search = self.search.as_mut()?;
        let found = tokio::select! {
            biased;
            () = self.running.entry.cancel.cancelled() => {
                // Dropping it ends the statement in the database.
                self.search = None;
                return Some(Err(self.running.ended()));
            }
            found = search.next() => found?,
        };
        if let Ok(found) = &found {
            self.running.note(found);
        }
        Some(found.map_err(Problem::from))
    }
}

async fn list(Extract(state): Extract<State>, shell: Shell) -> Json<Value> {
    let seen = state.searches.seen_by(&shell.visitor);
    let searches: Vec<_> = seen.iter().map(|(id, entry)| entry.to_json(*id)).collect();
    Json(json!({ "searches": searches }))
}

async fn end(
    Extract(state): Extract<State>,
    shell: Shell,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let seen = state.searches.seen_by(&shell.visitor);
    let found = seen.into_iter().find(|(of, _)| of.to_string() == id);
    let (_, entry) = found.ok_or_else(|| {
        Problem::not_found(
            "No search with this id runs here. It may have ended, or run in another web process.",
        )
    })?;
    // Whoever is first is told.
    entry.ended_by.get_or_init(|| shell.visitor.author());
    entry.cancel.cancel();
    tracing::info!(
        by = shell.visitor.author(),
        of = entry.who,
        q = entry.q,
        "a search was ended"
    );
    Ok(StatusCode::NO_CONTENT)
}
