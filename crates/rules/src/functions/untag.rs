//! `untag("a")`, `untag(["a", "b"])`: takes labels away.

use vrl::{compiler::prelude::*, value::Value};

use super::{TAGS, action::Act};

/// The function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Untag;

impl Act for Untag {
    const NAME: &'static str = "untag";
    const SUMMARY: &'static str = "take a tag away";
    const USAGE: &'static str =
        "Removes a tag, or a list of tags, from `.tags`. A tag that is not there is no error.";
    const PARAMETERS: &'static [Parameter] =
        &[
            Parameter::required("tag", kind::BYTES | kind::ARRAY, "A tag or a list of tags.")
                .with_element_kind(kind::BYTES),
        ];

    fn compile(_: &TypeState, _: &mut FunctionCompileContext, arguments: &ArgumentList) -> Compiled {
        Ok(UntagFn {
            tag: arguments.required("tag"),
        }
        .as_expr())
    }
}

#[derive(Debug, Clone)]
struct UntagFn {
    tag: Box<dyn Expression>,
}

impl FunctionExpression for UntagFn {
    fn resolve(&self, ctx: &mut Context<'_>) -> Resolved {
        let unwanted = self.tag.resolve(ctx)?;
        let is_unwanted = |tag: &Value| match &unwanted {
            Value::Array(unwanted) => unwanted.contains(tag),
            unwanted => unwanted == tag,
        };
        let target = ctx.target_mut();
        let Some(Value::Array(tags)) = target.target_get(&TAGS)? else {
            return Ok(Value::Null);
        };
        if tags.iter().any(is_unwanted)
            && let Some(Value::Array(tags)) = target.target_get_mut(&TAGS)?
        {
            tags.retain(|tag| !is_unwanted(tag));
        }
        Ok(Value::Null)
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        TypeDef::null().impure()
    }
}
