//! Whole-system tests: the product's own programs as processes, on real RabbitMQ and PostgreSQL, fed by a
//! real rsyslogd or by a RELP sender that resends what was not answered.
//!
//! They look only at what a user sees: rows, files, exit codes, metrics and logs. `make test` runs them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod away;
mod cluster;
mod dead;
mod embedded;
mod harvest;
mod hostile;
mod import;
mod kill;
mod many;
mod queues;
mod recovery;
mod reload;
mod rescue;
mod rsyslog;
mod rules;
mod signals;
mod supervisord;
mod support;
mod tls;
mod units;
mod upgrade;
