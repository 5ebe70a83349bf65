//! What the functions that do something to the event and return nothing have in common.

use std::fmt;

use vrl::compiler::{Category, prelude::*};

/// What is a function's own.
pub(super) trait Act: fmt::Debug + Send + Sync {
    /// What programs call it by.
    const NAME: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// What it does, in full.
    const USAGE: &'static str;
    const PARAMETERS: &'static [Parameter];

    /// Makes a call of it.
    fn compile(state: &TypeState, ctx: &mut FunctionCompileContext, arguments: &ArgumentList) -> Compiled;
}

/// The function of VRL's kind.
#[derive(Debug)]
pub(super) struct Action<A>(pub(super) A);

impl<A: Act> Function for Action<A> {
    fn identifier(&self) -> &'static str {
        A::NAME
    }

    fn summary(&self) -> &'static str {
        A::SUMMARY
    }

    fn usage(&self) -> &'static str {
        A::USAGE
    }

    fn category(&self) -> &'static str {
        Category::System.as_ref()
    }

    fn return_kind(&self) -> u16 {
        kind::NULL
    }

    fn pure(&self) -> bool {
        false
    }

    fn parameters(&self) -> &'static [Parameter] {
        A::PARAMETERS
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn compile(
        &self,
        state: &TypeState,
        ctx: &mut FunctionCompileContext,
        arguments: ArgumentList,
    ) -> Compiled {
        A::compile(state, ctx, &arguments)
    }
}
