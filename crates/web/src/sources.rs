//! Who sends, how much, and who stopped: the store's catalogue with its hourly figures, and what is connected. A source
//! is judged by its own rhythm; what cannot be judged is said to be unknown.

mod api;
mod clock;
mod judge;
mod page;

use axum::{Router, routing::get};

use crate::state::State;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/sources", get(page::list))
        .route("/sources/{hostname}", get(page::source))
        .route("/api/v1/sources", get(api::sources))
        .route("/api/v1/sources/{hostname}", get(api::source))
}
