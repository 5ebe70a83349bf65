//! Intake: syslog by RELP, TCP, TLS and UDP into raw batches; no syslog grammar.
//!
//! Frames of all connections of a listener go into one open batch. It is published when it is full or old
//! enough, or at once when nothing else of the listener awaits the broker. A batch keeps its id until the broker
//! has confirmed it, however often it is published; then the RELP sessions that have frames in it answer. While the
//! broker is away, blocks or refuses, batches go to the first rescue queue that takes them, ids unchanged: one that
//! the broker has got all the same is there twice with one id, which is harmless. While as many batches as allowed
//! are unconfirmed, or nobody takes them, sockets are not read.

mod batch;
mod batcher;
mod clients;
mod failover;
mod metrics;
mod publish;
mod server;

pub use crate::server::{Listening, Server};
pub use transport::Inherited;

/// Registers every metric of this service, with a sample of each set of labels, for `docs/metrics.md`.
pub fn describe_metrics(metrics: &service::Metrics) {
    metrics::describe(metrics);
    failover::describe(metrics);
}

/// Its heartbeat.
pub const PULSE: service::Pulse = service::Pulse {
    service: metrics::STAGE,
    version: env!("CARGO_PKG_VERSION"),
    measures: &["logferry_intake_"],
};

/// What `main` and the manual need to know of it.
pub const SPEC: service::ServiceSpec = service::ServiceSpec {
    name: "syslog-server",
    about: "Takes syslog by RELP, TCP, TLS and UDP and publishes it as raw batches",
    examples: "  syslog-server --config /etc/logferry/logferry.toml
      Run with this settings file
  syslog-server --check --config logferry.toml
      Tell every mistake in the settings, and exit
  LOGFERRY_BROKER__URL=amqp://logferry:secret@rabbit.example/logs syslog-server
      Take the broker from the environment",
    version: env!("CARGO_PKG_VERSION"),
    check: |_| Ok(()),
    reads: &["syslog_server.", "rescue.", "parser.queues"],
};
