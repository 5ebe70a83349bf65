//! The functions that programs may call: VRL's, without a few that do not fit, and ours, a module for each.

mod action;
mod drop;
mod name;
mod route;
mod set;
mod tag;
mod untag;

use std::{collections::BTreeSet, sync::LazyLock};

use vrl::{
    compiler::Function,
    path::{OwnedTargetPath, OwnedValuePath},
};

use self::action::Action;

/// Functions of VRL that rules do not have, and why.
const LEFT_OUT: [&str; 12] = [
    // Writes event content to our log at a level that the program chooses.
    "log",
    // Makes several events of one; a frame is one event here.
    "unnest",
    // A few bytes from a sender would become gigabytes: these have no bound on what they unpack.
    "decode_gzip",
    "decode_lz4",
    "decode_snappy",
    "decode_zlib",
    "decode_zstd",
    // They backtrack: measured, one line of 64 KiB held up a thread for minutes.
    "parse_grok",
    "parse_groks",
    // They go as deep as the sender likes; measured, one line of 64 KiB overflowed a stack of 32 MiB.
    "parse_ruby_hash",
    "unflatten",
    // Ours has bounds.
    "set",
];

/// Every function that a program may call.
pub(crate) fn all() -> Vec<Box<dyn Function>> {
    let mut functions = vrl::stdlib::all();
    functions.retain(|function| !LEFT_OUT.contains(&function.identifier()));
    functions.extend([
        Box::new(Action(tag::Tag)) as Box<dyn Function>,
        Box::new(Action(untag::Untag)),
        Box::new(Action(route::Route)),
        Box::new(Action(drop::Drop)),
        Box::new(set::Set),
    ]);
    functions
}

/// The names that a program writes down as constants, gathered while it compiles, so that what is counted by
/// them has a known, bounded set of labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) routes: BTreeSet<String>,
    pub(crate) reasons: BTreeSet<String>,
}

/// `.tags`.
static TAGS: LazyLock<OwnedTargetPath> =
    LazyLock::new(|| OwnedTargetPath::event(OwnedValuePath::single_field("tags")));

/// Where the target takes orders from our functions. Programs cannot name these places: `%` is refused in them.
pub(crate) static ROUTE: LazyLock<OwnedTargetPath> =
    LazyLock::new(|| OwnedTargetPath::metadata(OwnedValuePath::single_field("route")));
pub(crate) static DROP: LazyLock<OwnedTargetPath> =
    LazyLock::new(|| OwnedTargetPath::metadata(OwnedValuePath::single_field("drop")));
