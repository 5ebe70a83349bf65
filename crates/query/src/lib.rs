//! The search language: what people type to find events, as a tree.
//!
//! The language is a filter and nothing else: no pipes, no sorting, no limits. Terms stand side by side and all must
//! hold; `OR`, `NOT`, `-` and parentheses do what they say. Case never matters, except inside `/…/` without `i`.
//!
//! This crate is pure: [`parse`] turns text into a [`Query`] or a [`Problem`] with a span and a fix;
//! [`Query::canonical`] writes it back; [`Query::matcher`] tests events in memory. Stores translate [`Query::expr`]
//! with bound parameters; no text of a user becomes SQL.
//!
//! ```
//! use query::{Options, parse};
//!
//! let parsed = parse("host:web* severity>=warning -app:cron", &Options::default()).unwrap();
//! assert_eq!(parsed.query.canonical(), "hostname:web* severity>=warning -app_name:cron");
//!
//! let problem = parse("severity:wrn", &Options::default()).unwrap_err();
//! assert_eq!(problem.message, "wrn is not a severity.");
//! assert_eq!(problem.fix.unwrap().text, "warn");
//! ```

mod field;
mod fold;
mod matcher;
mod parse;
mod pattern;
mod print;
mod problem;
mod read;
mod regex;
mod tree;
mod value;

pub use self::{
    field::{Field, FieldNames, TimeField, WordField},
    matcher::Matcher,
    parse::{Chip, Options, Parsed, parse},
    pattern::{Pattern, Piece},
    problem::{Code, Fix, Problem, Span},
    regex::Regex,
    tree::{Expr, Facilities, Query, Severities, Term, TextMatch, ValueMatch},
    value::{
        address::Network,
        duration::DurationRange,
        number::{Bound, NumberRange},
        time::{Instant, TimeRange},
    },
};

/// Characters of a query at most.
pub const LENGTH_MAX: usize = 4096;
/// Terms of a query at most; each item of a list is one.
pub const TERMS_MAX: usize = 64;
/// Parentheses and negations inside each other at most.
pub const DEPTH_MAX: usize = 32;
