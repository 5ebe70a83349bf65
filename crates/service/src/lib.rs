//! The life of a process: arguments, tracing, metrics and health endpoint, signals, drain, heartbeat.
//!
//! `main` of a service is [`run_main`] with a [`ServiceSpec`] and a body; `examples/idle.rs` is the least one.
//!
//! A service takes a [`Context`] and runs until its `stop` is cancelled. Tests make their own:
//!
//! ```
//! use std::time::Duration;
//!
//! let ctx = service::Context::new(Duration::from_secs(5));
//! let counters = service::StageCounters::new(&ctx.metrics, "parser");
//! counters.received(3);
//! assert!(ctx.metrics.encode().contains("logferry_events_received_total{stage=\"parser\"} 3"));
//! ```

mod ages;
mod args;
mod clients;
mod context;
pub mod control;
mod counters;
mod crash_point;
mod data_dir;
mod durability;
pub mod exit;
mod health;
pub mod heartbeat;
mod http;
pub mod logging;
mod manager;
mod metrics;
mod privileges;
mod probe;
mod reload;
mod reloads;
mod run;
mod supervise;
mod troubles;

pub use crate::{
    ages::Holding,
    args::{Loaded, ProcessArgs, SettingsArgs},
    clients::{Client, Clients},
    context::Context,
    counters::{StageCounters, describe_metrics},
    crash_point::crash_point,
    data_dir::{DataDir, InUse},
    durability::{Custody, Durability, DurabilityInForce},
    health::{Component, Health},
    heartbeat::{Heartbeat, Pulse},
    http::HttpEndpoint,
    metrics::Metrics,
    probe::{Answer, probe},
    reload::{ReloadReport, Reloader, Wish},
    reloads::TakeOver,
    run::{ServiceSpec, run_main},
    supervise::supervise,
};
