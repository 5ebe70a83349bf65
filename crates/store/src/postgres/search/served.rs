//! Which index serves a search where one covers the time.

use crate::{
    postgres::catalogue::Lookup,
    search::{
        names::Names,
        plan::{Plan, Texts},
    },
};

/// Rows that are looked through before an index of texts is used: a text that is common is found in them, and an index
/// would find far more of it than is asked for.
const WALK_FIRST: u64 = if cfg!(test) { 20 } else { 50_000 };

/// What is looked up in an index where one covers the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    Text,
    Value,
    /// One host, whose rows the index has in the order of time.
    Host,
    /// Some hosts, whose rows must be sorted.
    Hosts,
}

impl Served {
    pub(super) fn of(plan: &Plan, names: &Names) -> Option<Self> {
        if Texts::of(&plan.rest, names).is_some() {
            Some(Self::Text)
        } else if let Some(hosts) = plan.hosts(names) {
            Some(if hosts == 1 { Self::Host } else { Self::Hosts })
        } else {
            plan.has_value().then_some(Self::Value)
        }
    }

    pub(super) const fn lookup(self) -> Lookup {
        match self {
            Self::Text | Self::Host | Self::Hosts => Lookup::Hours,
            Self::Value => Lookup::Sealed,
        }
    }

    /// Rows that are looked through before.
    pub(super) const fn walk_first(self) -> u64 {
        match self {
            Self::Text | Self::Value | Self::Hosts => WALK_FIRST,
            // However many rows there are, only those are read that are asked for.
            Self::Host => 0,
        }
    }
}
