//! Live tail: what parser publishes, as it is published, before it is stored; filtered for each viewer, with an honest
//! account of what was not shown.
//!
//! One [`Feed`] a process listens to the broker while anybody watches. Each viewer has a [`Watch`] with its own filter,
//! which looks at everything and shows at most four batches a second; what is more is counted. Nobody who reads slowly
//! holds up anybody.

mod feed;
mod page;
mod stream;
mod watch;

use axum::{Router, routing::get};

pub(crate) use self::{feed::Feed, stream::asked};
use crate::state::State;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/tail", get(page::page))
        .route("/api/v1/tail", get(stream::stream))
}
