//! The life of a process: arguments, tracing, metrics and health endpoint, signals, drain.
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

mod context;
mod counters;
mod health;
mod http;
mod metrics;

pub use crate::{
    context::Context,
    counters::StageCounters,
    health::{Component, Health},
    http::HttpEndpoint,
    metrics::Metrics,
};
