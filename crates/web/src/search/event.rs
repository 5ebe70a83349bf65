//! One event with all that is known of it, and what stood around it.

use askama::Template;
use axum::{
    extract::{self, Path, Query},
    response::Html,
};
use event::{EventId, Timestamp};
use serde::Deserialize;
use store::{Scope, StoredEvent};

use super::{
    ask::{Ask, Asked, Reading, with_bound},
    field_names,
    narrow::Narrowing,
    row::{Details, Drawing, Length, Opened, severity_word},
};
use crate::{accounts::Visitor, problem::Problem, shell::Shell, state::State};

/// Lines before and after, and as many as may be asked for.
const AROUND: usize = 20;
const AROUND_MAX: usize = 500;

/// Not there, or not for this visitor, which must look alike.
pub(crate) fn not_there() -> Problem {
    Problem::not_found("There is no event with this id: it was never stored, or its time to be kept is over.")
}

/// The event, if the visitor may see it.
pub(crate) async fn find(state: &State, visitor: &Visitor, id: EventId) -> Result<StoredEvent, Problem> {
    let stored = state.store.event(id).await?.ok_or_else(not_there)?;
    if may_see(visitor, &stored)? {
        Ok(stored)
    } else {
        Err(not_there())
    }
}

/// Whether an event is within what a visitor may see.
pub(crate) fn may_see(visitor: &Visitor, stored: &StoredEvent) -> Result<bool, Problem> {
    if visitor.bound_query().is_none() {
        return Ok(true);
    }
    let bound = with_bound(query::Query::every(), visitor)?;
    Ok(bound.matcher(Timestamp::now()).matches(&stored.event))
}

pub(crate) fn id(text: &str) -> Result<EventId, Problem> {
    text.parse().map_err(|_no_id| not_there())
}

/// For the table.
pub(super) fn opened(stored: &StoredEvent, asked: &Asked) -> Opened {
    Opened {
        id: stored.event.id.to_string(),
        details: Details::new(stored, &asked.zone, &Narrowing::new(asked), Length::Short),
    }
}

#[derive(Template)]
#[template(path = "search/event.html")]
struct Page {
    shell: Shell,
    word: &'static str,
    heading: crate::html::Html,
    details: Details,
    /// Back to the search.
    back: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    /// Only what the table shows when a row is opened.
    fragment: String,
}

/// What the address says of the search that the event was found by; nothing, when that cannot be read any more.
async fn asked(state: &State, shell: &Shell, ask: Ask) -> Result<Asked, Problem> {
    let fields = field_names(state).await;
    let reading = Reading::new(&state.settings, shell, fields);
    match ask.read(&reading) {
        Ok(asked) => Ok(asked),
        Err(_) => Ask::default().read(&reading),
    }
}

pub(super) async fn page(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(text): Path<String>,
    Query(ask): Query<Ask>,
    Query(form): Query<Form>,
) -> Result<Html<String>, Problem> {
    let stored = find(&state, &shell.visitor, id(&text)?).await?;
    let asked = asked(&state, &shell, ask).await?;
    if !form.fragment.is_empty() {
        let details = opened(&stored, &asked).details;
        return Ok(Html(details.render().map_err(Problem::internal)?));
    }
    let event = &stored.event;
    let heading = [&event.hostname, &event.app_name]
        .into_iter()
        .flatten()
        .map(|name| &**name);
    let heading = heading.collect::<Vec<_>>().join(" ");
    let page = Page {
        word: severity_word(&stored),
        heading: crate::html::Html::line(&heading),
        details: Details::new(&stored, &asked.zone, &Narrowing::new(&asked), Length::Whole),
        back: asked.ask.href(),
        shell: shell.titled("Event", "/search"),
    };
    Ok(Html(page.render().map_err(Problem::internal)?))
}

#[derive(Template)]
#[template(path = "search/context.html")]
struct ContextPage {
    shell: Shell,
    id: String,
    scope: &'static str,
    n: usize,
    more: usize,
    rows: String,
    lines: usize,
}

/// Which lines belong to the surroundings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Around {
    n: String,
    pub(crate) before: String,
    pub(crate) after: String,
    scope: String,
}

impl Around {
    /// The word and what it means.
    pub(crate) fn scope(&self) -> Result<(&'static str, Scope), Problem> {
        match &*self.scope {
            "" | "host" => Ok(("host", Scope::Host)),
            "host_app" => Ok(("host_app", Scope::HostApp)),
            "peer" => Ok(("peer", Scope::Peer)),
            _ => Err(Problem::bad_request(
                "bad_parameter",
                "scope must be host, host_app or peer.",
            )),
        }
    }

    pub(crate) fn count(text: &str) -> Result<usize, Problem> {
        let count = if text.is_empty() {
            Some(AROUND)
        } else {
            text.parse().ok()
        };
        count.filter(|count| *count <= AROUND_MAX).ok_or_else(|| {
            let allowed = format!("The number of lines must be 0 to {AROUND_MAX}.");
            Problem::bad_request("bad_parameter", allowed)
        })
    }
}

pub(super) async fn context(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(text): Path<String>,
    Query(around): Query<Around>,
) -> Result<Html<String>, Problem> {
    let (scope, wanted) = around.scope()?;
    let n = Around::count(&around.n)?;
    let id = id(&text)?;
    find(&state, &shell.visitor, id).await?;
    let found = state
        .store
        .context(id, wanted, n, n)
        .await?
        .ok_or_else(not_there)?;
    let mut rows = found.before;
    rows.push(found.event);
    rows.extend(found.after);
    let mut visible = Vec::with_capacity(rows.len());
    for row in rows {
        if may_see(&shell.visitor, &row)? {
            visible.push(row);
        }
    }
    let asked = asked(&state, &shell, Ask::default()).await?;
    let page = ContextPage {
        id: id.to_string(),
        scope,
        n,
        more: (n * 5).clamp(1, AROUND_MAX),
        lines: visible.len(),
        rows: Drawing::new(&asked)
            .around(id)
            .rows(&visible, None)
            .map_err(Problem::internal)?,
        shell: shell.titled("Context", "/search"),
    };
    Ok(Html(page.render().map_err(Problem::internal)?))
}
