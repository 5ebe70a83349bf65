//! The pages on which events are found: the search, one event, and what stood around it.

mod ask;
mod chart;
mod columns;
mod empty;
mod event;
mod export;
mod facets;
mod fields;
mod hits;
mod mend;
mod narrow;
mod page;
mod row;
mod status;

use axum::{Router, routing::get};
use query::FieldNames;
use store::SearchError;

use crate::{problem::Problem, state::State};

pub(crate) use self::{
    ask::{Ask, Asked, Reading, read_cursor, write_cursor},
    columns::named,
    event::{Around, find, id, may_see, not_there},
    export::export,
    narrow::{Narrowing, quoted},
    row::{Drawing, prefix, word as severity_word_of},
};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/search", get(page::page))
        .route("/search/fields", get(fields::page))
        .route("/event/{id}", get(event::page))
        .route("/event/{id}/context", get(event::context))
        .merge(export::routes())
}

/// Custom fields that queries may name without `fields.`; none while the store is away, which the search itself tells.
pub(crate) async fn field_names(state: &State) -> FieldNames {
    state.store.field_names().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "names of fields");
        FieldNames::default()
    })
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Store(error) => error.into(),
            SearchError::Busy(_) => Self::too_many(
                "As many searches run as may (store.searches_max). Try again in a moment.",
                1,
            ),
            SearchError::Limit(_) => Self::bad_request("bad_parameter", error.to_string()),
        }
    }
}
