//! Searches that are kept: by a name, for oneself or for everybody, and by a short link. What is kept is an address of the
//! search page; opening it is a search like any other, so that everybody sees what they may.

mod api;
mod link;
mod page;

use axum::{
    Router,
    http::StatusCode,
    routing::{get, patch, post},
};
use event::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Note, Subject};
use uuid::Uuid;

use crate::{
    accounts::{Needed, Scope, Visitor},
    problem::Problem,
    search::{Ask, Asked, Reading, field_names},
    shell::Shell,
    state::State,
};

/// Of everybody.
const SAVED_MAX: usize = 1000;
const NAME_CHARS_MAX: usize = 80;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/saved", get(page::page).post(page::save))
        .route("/saved/{id}/remove", post(page::remove))
        .route("/saved/{id}/share", post(page::share))
        .route("/links", post(link::make_by_form))
        .route("/s/{key}", get(link::open))
        .route("/api/v1/saved", get(api::list).post(api::save))
        .route("/api/v1/saved/{id}", patch(api::change).delete(api::remove))
        .route("/api/v1/links", post(link::make_by_api))
}

/// What of an address is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    q: String,
    range: String,
    from: String,
    to: String,
    by: String,
    sort: String,
    cols: String,
    /// The event to open; of links only.
    #[serde(skip_serializing_if = "String::is_empty")]
    at: String,
}

impl From<Ask> for Kept {
    fn from(ask: Ask) -> Self {
        Self {
            q: ask.q,
            range: ask.range,
            from: ask.from,
            to: ask.to,
            by: ask.by,
            sort: ask.sort,
            cols: ask.cols,
            at: ask.at,
        }
    }
}

impl From<Kept> for Ask {
    fn from(kept: Kept) -> Self {
        Self {
            q: kept.q,
            range: kept.range,
            from: kept.from,
            to: kept.to,
            by: kept.by,
            sort: kept.sort,
            cols: kept.cols,
            at: kept.at,
            ..Self::default()
        }
    }
}

/// What stands in the note of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    name: String,
    /// Everybody sees it.
    is_shared: bool,
    /// The query as Logferry writes it.
    canonical: String,
    search: Kept,
}

/// A search with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saved {
    id: String,
    author: String,
    at: Timestamp,
    body: Body,
}

impl Saved {
    /// `None` for what another version wrote.
    fn of(note: Note) -> Option<Self> {
        let body = serde_json::from_str(&note.body)
            .inspect_err(|error| tracing::debug!(%error, key = note.key, "a saved search cannot be read"))
            .ok()?;
        Some(Self {
            id: note.key,
            author: note.author,
            at: note.at,
            body,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.body.name
    }

    pub(crate) fn query(&self) -> &str {
        &self.body.canonical
    }

    fn note(&self) -> Result<Note, Problem> {
        Ok(Note {
            subject: Subject::Search,
            key: self.id.clone(),
            author: self.author.clone(),
            at: self.at,
            body: serde_json::to_string(&self.body).map_err(Problem::internal)?,
        })
    }

    fn href(&self) -> String {
        Ask::from(self.body.search.clone()).href()
    }

    fn is_seen_by(&self, visitor: &Visitor) -> bool {
        self.body.is_shared || self.is_changed_by(visitor)
    }

    fn is_changed_by(&self, visitor: &Visitor) -> bool {
        self.author == visitor.author() || visitor.may(Needed::Scope(Scope::Admin))
    }
}

/// A token that sees only some events has no business with what others look for.
fn expect_unbound(visitor: &Visitor) -> Result<(), Problem> {
    match visitor.bound_query() {
        None => Ok(()),
        Some(_) => Err(Problem::forbidden(
            "bound_token",
            "A token with a query of its own has no saved searches and no links.",
        )),
    }
}

/// The search that an address asks for, so that nothing is kept that cannot run.
async fn asked(state: &State, shell: &Shell, ask: Ask) -> Result<Asked, Problem> {
    expect_unbound(&shell.visitor)?;
    let fields = field_names(state).await;
    ask.whole().read(&Reading::new(&state.settings, shell, fields))
}

/// Those that a visitor may see, by name.
pub(crate) async fn visible(state: &State, visitor: &Visitor) -> Result<Vec<Saved>, Problem> {
    expect_unbound(visitor)?;
    let notes = state
        .store
        .notes()
        .newest(Subject::Search, None, SAVED_MAX)
        .await?;
    let mut saved: Vec<_> = notes
        .into_iter()
        .filter_map(Saved::of)
        .filter(|saved| saved.is_seen_by(visitor))
        .collect();
    saved.sort_by_cached_key(|saved| (saved.body.name.to_lowercase(), saved.id.clone()));
    Ok(saved)
}

/// One that a visitor may change.
async fn changeable(state: &State, visitor: &Visitor, id: &str) -> Result<Saved, Problem> {
    expect_unbound(visitor)?;
    let missing = || Problem::not_found("There is no such saved search.");
    let id = id.parse::<Uuid>().map_err(|_no_id| missing())?.to_string();
    let note = state.store.notes().get(Subject::Search, &id).await?;
    let saved = note
        .and_then(Saved::of)
        .filter(|saved| saved.is_seen_by(visitor))
        .ok_or_else(missing)?;
    if saved.is_changed_by(visitor) {
        Ok(saved)
    } else {
        Err(Problem::forbidden(
            "not_yours",
            format!("Only {} and administrators may change this.", saved.author),
        ))
    }
}

fn named(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad_name",
            format!("A saved search needs a name of up to {NAME_CHARS_MAX} characters."),
        ));
    }
    Ok(name.to_owned())
}

async fn save(state: &State, shell: &Shell, name: &str, is_shared: bool, ask: Ask) -> Result<Saved, Problem> {
    let name = named(name)?;
    let asked = asked(state, shell, ask).await?;
    let notes = state.store.notes();
    if notes.count(Subject::Search).await? >= SAVED_MAX as u64 {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "too_many",
            format!("There are {SAVED_MAX} saved searches: remove some first."),
        ));
    }
    let saved = Saved {
        id: Uuid::now_v7().to_string(),
        author: shell.visitor.author(),
        at: Timestamp::now(),
        body: Body {
            name,
            is_shared,
            canonical: asked.parsed.query.canonical(),
            search: asked.ask.into(),
        },
    };
    notes.put(&saved.note()?).await?;
    Ok(saved)
}

async fn remove(state: &State, visitor: &Visitor, id: &str) -> Result<(), Problem> {
    let saved = changeable(state, visitor, id).await?;
    state.store.notes().remove(Subject::Search, &saved.id).await?;
    Ok(())
}
