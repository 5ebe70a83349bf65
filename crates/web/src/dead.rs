//! Dead letters: groups, single letters, and what people do with them. All of it goes through the crate `dead`, as
//! `logferry dead` does: letters are looked at where they are, put back to where they came from, and recorded when they
//! are discarded.

mod act;
mod api;
mod audit;
mod desk;
mod diff;
mod edit;
mod form;
mod group;
mod hold;
mod key;
mod order;
mod page;
mod progress;
mod sent;
mod trial;

use axum::{
    Router,
    routing::{get, post},
};

pub(crate) use self::desk::Desk;
use crate::state::State;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/dead-letters", get(page::list))
        .route("/dead-letters/audit", get(audit::page))
        .route("/dead-letters/{id}", get(page::letter))
        .route("/dead-letters/edit", post(edit::edit))
        .route("/dead-letters/hold", post(form::hold))
        .route("/dead-letters/release", post(form::release))
        .route("/dead-letters/requeue", post(form::requeue))
        .route("/dead-letters/discard", post(form::discard))
        .route("/api/v1/dead-letters", get(api::letters))
        .route("/api/v1/dead-letters/groups", get(api::groups))
        .route("/api/v1/dead-letters/export", get(api::export))
        .route("/api/v1/dead-letters/requeue", post(act::requeue))
        .route("/api/v1/dead-letters/discard", post(act::discard))
        .route("/api/v1/dead-letters/audit", get(audit::api))
        .route("/api/v1/dead-letters/hold", post(act::hold))
        .route("/api/v1/dead-letters/release", post(act::release))
        .route("/api/v1/dead-letters/{id}", get(api::letter))
}
