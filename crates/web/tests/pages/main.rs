//! The pages as a browser and as a program see them: a server on a port of its own, with the embedded store and broker.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test that goes wrong ends by a panic"
)]

mod accounts;
mod api;
mod browser;
mod chromium;
mod data;
mod dead;
mod dead_back;
mod frame;
mod hostile;
mod pipeline;
mod running;
mod saved;
mod search;
mod sources;
mod stream;
mod tail;
