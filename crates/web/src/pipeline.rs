//! The pipeline in one look: what comes in, what waits where, what goes out, what acks mean, and who is connected. It
//! is made from heartbeats, the broker's queues and the settings of this process; what is not known is said to be
//! unknown.

mod api;
mod charts;
mod durability;
mod fills;
mod health;
mod links;
mod management;
mod map;
mod page;
mod panel;
mod picture;
mod stages;
mod window;
mod words;

use axum::{Router, routing::get};

pub(crate) use self::{fills::Fills, health::Health, management::Managed};
use crate::state::State;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/pipeline", get(page::page))
        .route("/pipeline/clients", get(page::clients))
        .route("/api/v1/pipeline", get(api::pipeline))
        .route("/api/v1/pipeline/stream", get(api::stream))
        .route("/api/v1/durability", get(api::durability))
        .route("/api/v1/clients", get(api::clients))
}
