//! The binary as people and scripts run it: what it prints, how it ends, and what it leaves behind.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong ends by a panic"
)]

mod commands;
mod dead;
mod fixture;
mod harvest;
mod health;
mod monitoring;
mod run;
mod sending;
mod status;
