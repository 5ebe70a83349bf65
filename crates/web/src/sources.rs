//! Who sends, how much, and who stopped: the store's catalogue with its hourly figures, what the newest events tell, and
//! what is connected. A source is judged by its own rhythm; what cannot be judged is said to be unknown.

mod api;
mod clock;
mod find;
mod gaps;
mod judge;
mod lately;
mod mix;
mod one;
mod page;
mod rhythm;
mod via;
mod watch;
mod watch_api;
mod watch_page;

use axum::{
    Router,
    routing::{get, post},
};

use crate::state::State;

/// What was read of sources and is kept for all who look.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    weeks: find::Weeks,
    lately: lately::Cache,
}

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/sources", get(page::list))
        .route(
            "/sources/expected",
            get(watch_page::page).post(watch_page::expect),
        )
        .route("/sources/{hostname}", get(one::source))
        .route("/sources/{hostname}/mute", post(watch_page::mute))
        .route("/sources/{hostname}/unmute", post(watch_page::unmute))
        .route("/sources/{hostname}/expect", post(watch_page::expect_one))
        .route("/sources/{hostname}/unexpect", post(watch_page::unexpect))
        .route("/api/v1/sources", get(api::sources))
        .route(
            "/api/v1/sources/expected",
            get(watch_api::expected).put(watch_api::expect),
        )
        .route("/api/v1/sources/{hostname}", get(api::source))
        .route(
            "/api/v1/sources/{hostname}/mute",
            post(watch_api::mute).delete(watch_api::unmute),
        )
}
