//! `route("name")`: where the event goes.

use vrl::{compiler::prelude::*, value::Value};

use super::{
    Declared, ROUTE,
    action::Act,
    name::{NAME_RULE, constant, is_name},
};

/// The function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route;

impl Act for Route {
    const NAME: &'static str = "route";
    const SUMMARY: &'static str = "send the event by a route";
    const USAGE: &'static str =
        "Sends the event by the named route instead of `default`. The last call wins.";
    const PARAMETERS: &'static [Parameter] = &[Parameter::required("name", kind::BYTES, "The route.")];

    fn compile(state: &TypeState, ctx: &mut FunctionCompileContext, arguments: &ArgumentList) -> Compiled {
        let name = arguments.required("name");
        let constant = constant("name", name.as_ref(), state, is_name, NAME_RULE)?;
        if let Some(name) = constant.as_ref().and_then(Value::to_str_lossy)
            && let Some(declared) = ctx.get_external_context_mut::<Declared>()
        {
            declared.routes.insert(name.into_owned());
        }
        Ok(RouteFn { name, constant }.as_expr())
    }
}

#[derive(Debug, Clone)]
struct RouteFn {
    name: Box<dyn Expression>,
    constant: Option<Value>,
}

impl FunctionExpression for RouteFn {
    fn resolve(&self, ctx: &mut Context<'_>) -> Resolved {
        let name = match &self.constant {
            Some(name) => name.clone(),
            None => {
                let name = self.name.resolve(ctx)?;
                if !name.as_bytes().is_some_and(|name| is_name(name)) {
                    return Err(format!("a route is {NAME_RULE}").into());
                }
                name
            }
        };
        ctx.target_mut().target_insert(&ROUTE, name)?;
        Ok(Value::Null)
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        TypeDef::null().impure().maybe_fallible(self.constant.is_none())
    }
}
