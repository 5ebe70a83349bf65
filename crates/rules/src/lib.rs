//! The rule chain: VRL programs, run in order on each event, with functions of ours; knows no broker.
//!
//! [`RuleChain::compile`] takes the programs of the settings and reports all their errors at once. Each thread
//! makes its own [`Runner`] of the chain and gives it event after event. A runner turns into VRL values only
//! what the programs read or write while they run, once for all programs, and turns back only what they wrote.
//!
//! `docs/rules.md` describes the language for users.
//!
//! ```
//! use event::{BatchId, Event, EventId, Severity, Timestamp};
//! use rules::{ProgramSource, RuleChain, Verdict};
//!
//! let chain = RuleChain::compile(&[ProgramSource {
//!     name: "noise",
//!     origin: "noise.vrl",
//!     source: r#"
//!         if .severity == "debug" { drop("debug") }
//!         .fields.site = "north"
//!     "#,
//! }])?;
//! let mut runner = chain.runner();
//!
//! let received_at = Timestamp::now();
//! let id = EventId::derive(BatchId::mint(), 0, received_at);
//! let mut event = Event::received(id, 0, received_at, "192.0.2.1:514", "udp");
//! event.severity = Severity::new(6);
//!
//! let verdict = runner.apply(&mut event);
//! assert_eq!(verdict, Verdict::Keep { route: "default" });
//! assert_eq!(event.fields[0].0, "site");
//! # Ok::<(), rules::CompileErrors>(())
//! ```

mod chain;
mod convert;
mod error;
mod functions;
mod runner;
mod schema;
mod shape;
mod slots;
mod target;

pub use crate::chain::{DEFAULT_ROUTE, ProgramSource, RuleChain};
pub use crate::error::{CompileErrors, ProgramError};
pub use crate::runner::{ProgramFailures, Runner, STACK_BYTES, Verdict};
