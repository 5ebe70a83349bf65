//! Private RabbitMQ, Redis and PostgreSQL for tests, and the tools that whole-system tests share.
//!
//! The servers are the machine's own programs, started on free loopback ports with throw-away
//! folders; an installed instance that already runs is never touched. Tests share one server of each
//! kind and keep apart by vhost, database and key prefix:
//!
//! ```no_run
//! let vhost = testkit::rabbitmq();      // a fresh vhost, deleted on drop
//! let database = testkit::postgres();   // a fresh database, deleted on drop
//! let keys = testkit::redis();          // a fresh key prefix, its keys deleted on drop
//! println!("{} {} {} {}", vhost.url(), database.url(), keys.url(), keys.prefix());
//! ```
//!
//! Shared servers start on first use, one set per test process. `testkit run -- cargo test` starts them
//! once for everything that it runs. A test that stops, kills or alarms its server starts its own with
//! [`RabbitMq::start_private`], [`Postgres::start_private`] or [`Redis::start_private`].
//!
//! Whatever happens to the test process, SIGKILL included, a guard process ([`guard`]) notices, kills
//! the servers and removes their folder. A server program that is not installed fails the test with
//! the name of the package to install; nothing is skipped.
//!
//! This crate is for tests and tools only and ships in no binary of the product.

pub mod binaries;
pub mod certificates;
pub mod eventually;
pub mod guard;
pub mod pipeline;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rabbitmq;
pub mod redis;
pub mod relp;
pub mod rsyslog;
pub mod supervisord;

mod http;
mod programs;
mod server;
mod shared;

pub use certificates::{Authority, Issued};
pub use eventually::{Probe, eventually};
pub use pipeline::{Another, Pipeline, Service};
pub use ports::free_port;
pub use postgres::{Database, Postgres};
pub use process::Process;
pub use rabbitmq::{RabbitCluster, RabbitMq, RabbitVhost};
pub use redis::{KeyPrefix, Redis};
pub use relp::{Pace, RelpLoad};
pub use rsyslog::Rsyslog;
pub use supervisord::Supervisord;

/// Environment variables through which `testkit run` tells tests of servers that already run.
pub mod env {
    /// AMQP address of the shared RabbitMQ, without a vhost.
    pub const RABBITMQ_URL: &str = "LOGFERRY_TEST_RABBITMQ_URL";
    /// Address of the management API of the shared RabbitMQ.
    pub const RABBITMQ_API: &str = "LOGFERRY_TEST_RABBITMQ_API";
    /// Address of the shared PostgreSQL, without a database.
    pub const POSTGRES_URL: &str = "LOGFERRY_TEST_POSTGRES_URL";
    /// Address of the shared Redis.
    pub const REDIS_URL: &str = "LOGFERRY_TEST_REDIS_URL";
    /// Folder below which servers keep their data, instead of memory or the temporary folder.
    pub const DIR: &str = "LOGFERRY_TEST_DIR";
}

/// A fresh vhost on the shared RabbitMQ, which is started on first use.
///
/// # Panics
/// If RabbitMQ is not installed or does not start: the test must fail.
#[must_use]
pub fn rabbitmq() -> RabbitVhost {
    server::or_fail(rabbitmq::shared_vhost())
}

/// A fresh database on the shared PostgreSQL, which is started on first use.
///
/// # Panics
/// If PostgreSQL is not installed or does not start: the test must fail.
#[must_use]
pub fn postgres() -> Database {
    server::or_fail(postgres::shared_database())
}

/// A fresh key prefix on the shared Redis, which is started on first use.
///
/// # Panics
/// If Redis is not installed or does not start: the test must fail.
#[must_use]
pub fn redis() -> KeyPrefix {
    server::or_fail(redis::shared_prefix())
}
