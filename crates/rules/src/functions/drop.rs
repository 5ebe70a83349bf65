//! `drop("reason")`: the end of the event.

use vrl::{compiler::prelude::*, value::Value};

use super::{
    DROP, Declared,
    action::Act,
    name::{NAME_RULE, constant, is_name},
};

/// The function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drop;

impl Act for Drop {
    const NAME: &'static str = "drop";
    const SUMMARY: &'static str = "drop the event and count it";
    const USAGE: &'static str =
        "Drops the event, counted under the reason. Neither the rest of the program nor later programs run.";
    const PARAMETERS: &'static [Parameter] = &[Parameter::required(
        "reason",
        kind::BYTES,
        "What the drop is counted under; a constant.",
    )];

    fn compile(state: &TypeState, ctx: &mut FunctionCompileContext, arguments: &ArgumentList) -> Compiled {
        let reason = arguments.required("reason");
        let Some(reason) = constant("reason", reason.as_ref(), state, is_name, NAME_RULE)? else {
            return Err(function::Error::ExpectedStaticExpression {
                keyword: "reason",
                expr: Box::new(arguments.required_expr("reason")),
            }
            .into());
        };
        if let Some(text) = reason.to_str_lossy()
            && let Some(declared) = ctx.get_external_context_mut::<Declared>()
        {
            declared.reasons.insert(text.into_owned());
        }
        Ok(DropFn { reason }.as_expr())
    }
}

#[derive(Debug, Clone)]
struct DropFn {
    reason: Value,
}

impl FunctionExpression for DropFn {
    fn resolve(&self, ctx: &mut Context<'_>) -> Resolved {
        ctx.target_mut().target_insert(&DROP, self.reason.clone())?;
        // The one way to stop that `??` and `ok, err =` do not catch.
        Err(ExpressionError::Interrupted)
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        TypeDef::never().impure()
    }
}
