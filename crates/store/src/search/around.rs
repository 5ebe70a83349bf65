//! One event by its id, and what came from the same source before and after it. Made of searches, so that both stores
//! agree.

use std::time::Duration;

use event::{Event, EventId};
use query::{Field, Options, Pattern, Query, Term, ValueMatch, WordField, parse};

use super::{Clock, LIMIT_MAX, Order, Page, SearchError, SearchRequest, Selection, StoredEvent};
use crate::{Store, summary::host_of};

/// How long to look for an event.
const EVENT_TIME: Duration = Duration::from_secs(5);
/// How long to look for each side of its surroundings: a source that seldom says anything is far from itself.
const SIDE_TIME: Duration = Duration::from_secs(2);

/// What counts as the same source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// The same hostname.
    #[default]
    Host,
    /// The same hostname and application.
    HostApp,
    /// The same address.
    Peer,
}

/// An event among its neighbours from the same source, in the order of arrival.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings {
    /// What came before it, the oldest first.
    pub before: Vec<StoredEvent>,
    /// The event.
    pub event: StoredEvent,
    /// What came after it, the oldest first.
    pub after: Vec<StoredEvent>,
    /// False when the time was up before all of the neighbours were found.
    pub complete: bool,
}

impl Store {
    /// The event with this id.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn event(&self, id: EventId) -> Result<Option<StoredEvent>, SearchError> {
        let page = self
            .at_once(SearchRequest {
                selection: Selection {
                    query: is(WordField::Id, &id.to_string()),
                    ..Selection::default()
                },
                limit: 1,
                budget: EVENT_TIME,
                ..SearchRequest::default()
            })
            .await?;
        Ok(page.rows.into_iter().next())
    }

    /// The event with this id, and up to so many from the same source before and after it.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn context(
        &self,
        id: EventId,
        scope: Scope,
        before: usize,
        after: usize,
    ) -> Result<Option<Surroundings>, SearchError> {
        let Some(event) = self.event(id).await? else {
            return Ok(None);
        };
        let query = same_source(&event.event, scope);
        let (mut earlier, later) = tokio::try_join!(
            self.side(&event, &query, Order::NewestFirst, before),
            self.side(&event, &query, Order::OldestFirst, after)
        )?;
        earlier.rows.reverse();
        Ok(Some(Surroundings {
            complete: earlier.end.complete && later.end.complete,
            before: earlier.rows,
            event,
            after: later.rows,
        }))
    }

    async fn side(
        &self,
        event: &StoredEvent,
        query: &Query,
        order: Order,
        count: usize,
    ) -> Result<Page, SearchError> {
        self.at_once(SearchRequest {
            selection: Selection {
                query: query.clone(),
                ..Selection::default()
            },
            order,
            after: Some(event.cursor(Clock::Arrival)),
            limit: count.clamp(1, LIMIT_MAX),
            budget: SIDE_TIME,
        })
        .await
        .map(|mut page| {
            page.rows.truncate(count);
            page
        })
    }
}

/// Events whose field is this text.
fn is(word: WordField, text: &str) -> Query {
    Query::from(Term::Word(word, vec![ValueMatch::Equals(Pattern::literal(text))]))
}

/// Events whose field is the same, or absent too.
fn same(word: WordField, text: Option<&str>) -> Query {
    match text {
        Some(text) => is(word, text),
        None => Query::from(Term::Exists(Field::Word(word))).negated(),
    }
}

fn same_source(event: &Event<'_>, scope: Scope) -> Query {
    let host = same(WordField::Hostname, event.hostname.as_deref());
    match scope {
        Scope::Host if event.hostname.is_some() => host,
        Scope::HostApp => host.and(same(WordField::AppName, event.app_name.as_deref())),
        // Who names no host is known by its address; where that is a path, by its listener.
        Scope::Host | Scope::Peer => {
            let peer = format!("peer_addr:{}", host_of(&event.peer_addr));
            let by_listener = || is(WordField::Listener, &event.listener);
            let peer =
                parse(&peer, &Options::default()).map_or_else(|_| by_listener(), |parsed| parsed.query);
            if scope == Scope::Peer {
                peer
            } else {
                host.and(peer)
            }
        }
    }
}
