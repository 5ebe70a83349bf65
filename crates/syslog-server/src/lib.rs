//! Intake: syslog by RELP, TCP, TLS and UDP into raw batches; no syslog grammar.
//!
//! Frames of all connections of a listener go into one open batch. It is published when it is full or old
//! enough, or at once when nothing else of the listener awaits the broker. A batch keeps its id until the broker
//! has confirmed it, however often it is published; then the RELP sessions that have frames in it answer. While
//! as many batches as allowed are unconfirmed, or the broker takes none, sockets are not read.

mod batch;
mod batcher;
mod metrics;
mod publish;
mod server;

pub use crate::server::{Listening, Server};
