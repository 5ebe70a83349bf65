//! `set(value, path, data)`: VRL's function of that name, with bounds. A path may come from the event here, and
//! VRL's own `set` makes an array of a billion nulls of the index 1000000000.

use vrl::{
    compiler::{Category, prelude::*},
    path::{OwnedSegment, OwnedValuePath},
};

/// Parts of a path; fields of an event go no deeper.
const PARTS_MAX: usize = event::Value::DEPTH_MAX;

/// An index, from either end.
const INDEX_MAX: usize = 1000;

const PARAMETERS: &[Parameter] = &[
    Parameter::required("value", kind::OBJECT | kind::ARRAY, "Where to set it."),
    Parameter::required("path", kind::ARRAY, "The names and indexes that lead there."),
    Parameter::required("data", kind::ANY, "What to set."),
];

/// The function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set;

impl Function for Set {
    fn identifier(&self) -> &'static str {
        "set"
    }

    fn summary(&self) -> &'static str {
        "set a value at a path that is worked out"
    }

    fn usage(&self) -> &'static str {
        "Returns the object or array with the data at the path, which may have 32 parts and indexes up to 1000."
    }

    fn category(&self) -> &'static str {
        Category::Path.as_ref()
    }

    fn return_kind(&self) -> u16 {
        kind::OBJECT | kind::ARRAY
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        Ok(SetFn {
            value: arguments.required("value"),
            path: arguments.required("path"),
            data: arguments.required("data"),
        }
        .as_expr())
    }
}

#[derive(Debug, Clone)]
struct SetFn {
    value: Box<dyn Expression>,
    path: Box<dyn Expression>,
    data: Box<dyn Expression>,
}

impl FunctionExpression for SetFn {
    fn resolve(&self, ctx: &mut Context<'_>) -> Resolved {
        let path = self.path.resolve(ctx)?.try_array()?;
        if path.len() > PARTS_MAX {
            return Err(format!("a path has at most {PARTS_MAX} parts").into());
        }
        let path = OwnedValuePath::try_from(path)?;
        let is_far = |segment: &OwnedSegment| match segment {
            OwnedSegment::Index(index) => index.unsigned_abs() > INDEX_MAX,
            OwnedSegment::Field(_) => false,
        };
        if path.segments.iter().any(is_far) {
            return Err(format!("an index is at most {INDEX_MAX}").into());
        }
        let mut value = self.value.resolve(ctx)?;
        value.insert(&path, self.data.resolve(ctx)?);
        Ok(value)
    }

    fn type_def(&self, state: &TypeState) -> TypeDef {
        let given = self.value.type_def(state);
        let mut returned = TypeDef::from(Kind::never()).fallible();
        if given.contains_array() {
            returned = returned.or_array(Collection::any());
        }
        if given.contains_object() {
            returned = returned.or_object(Collection::any());
        }
        returned
    }
}
