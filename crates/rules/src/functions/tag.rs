//! `tag("a")`, `tag(["a", "b"])`: gives the event labels.

use vrl::{compiler::prelude::*, value::Value};

use super::{
    TAGS,
    action::Act,
    name::{TAG_RULE, constant, is_tag},
};

/// The function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag;

impl Act for Tag {
    const NAME: &'static str = "tag";
    const SUMMARY: &'static str = "give the event a tag";
    const USAGE: &'static str =
        "Adds a tag, or a list of tags, to `.tags`. A tag that is there already is not added again.";
    const PARAMETERS: &'static [Parameter] =
        &[
            Parameter::required("tag", kind::BYTES | kind::ARRAY, "A tag or a list of tags.")
                .with_element_kind(kind::BYTES),
        ];

    fn compile(state: &TypeState, _: &mut FunctionCompileContext, arguments: &ArgumentList) -> Compiled {
        let tag = arguments.required("tag");
        let constant = constant("tag", tag.as_ref(), state, is_tag, TAG_RULE)?;
        Ok(TagFn { tag, constant }.as_expr())
    }
}

#[derive(Debug, Clone)]
struct TagFn {
    tag: Box<dyn Expression>,
    constant: Option<Value>,
}

impl FunctionExpression for TagFn {
    fn resolve(&self, ctx: &mut Context<'_>) -> Resolved {
        match &self.constant {
            Some(tags) => add_all(ctx, tags.clone()),
            None => {
                let tags = self.tag.resolve(ctx)?;
                add_all(ctx, tags)
            }
        }
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        TypeDef::null().impure().maybe_fallible(self.constant.is_none())
    }
}

fn add_all(ctx: &mut Context<'_>, tags: Value) -> Resolved {
    match tags {
        Value::Array(tags) => tags.into_iter().try_for_each(|tag| add(ctx, tag))?,
        tag => add(ctx, tag)?,
    }
    Ok(Value::Null)
}

fn add(ctx: &mut Context<'_>, tag: Value) -> ExpressionResult<()> {
    if !tag.as_bytes().is_some_and(|tag| is_tag(tag)) {
        return Err(format!("a tag is {TAG_RULE}").into());
    }
    let target = ctx.target_mut();
    if let Some(Value::Array(tags)) = target.target_get(&TAGS)?
        && tags.contains(&tag)
    {
        return Ok(());
    }
    match target.target_get_mut(&TAGS)? {
        Some(Value::Array(tags)) => tags.push(tag),
        // The program put something else there; what it leaves is checked at its end.
        _ => target.target_insert(&TAGS, Value::Array(vec![tag]))?,
    }
    Ok(())
}
