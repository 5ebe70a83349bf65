//! `a..b`.

use super::{Named, Value, has_order, read::bad_duration};
use crate::{
    field::Field,
    parse::Parser,
    problem::{Code, Problem},
    tree::{Severities, Term, ValueMatch},
    value::{
        duration::{self, DurationRange},
        number::{self, Bound, NumberRange},
        time::Literal,
    },
};

/// `a..b`, on fields that have an order; on custom fields only between numbers.
pub(super) fn range(parser: &Parser<'_>, named: &Named, value: &Value) -> Result<Option<Term>, Problem> {
    if !has_order(&named.field) || !matches!(value.what, ValueMatch::Equals(_)) {
        return Ok(None);
    }
    let Some((from, to)) = value.text.split_once("..") else {
        return Ok(None);
    };
    let bound = |text: &str, at: usize| (!text.is_empty()).then(|| value.part(text, at));
    let (from, to) = (bound(from, 0), bound(to, value.text.len() - to.len()));
    if let Field::Custom(path) = &named.field {
        return Ok(number_range(path, from.as_ref(), to.as_ref()));
    }
    if from.is_none() && to.is_none() {
        return Err(parser.missing(named));
    }
    match &named.field {
        Field::Time(clock) => {
            let literal =
                |value: &Option<Value>| value.as_ref().map(|value| parser.time(named, value)).transpose();
            let (from, to) = (
                literal(&from)?.map(Literal::start),
                literal(&to)?.map(Literal::end),
            );
            parser.time_term(named, *clock, from, to).map(Some)
        }
        Field::Lag => {
            let micros = |value: &Option<Value>| {
                value
                    .as_ref()
                    .map(|value| {
                        duration::duration(&value.text).ok_or_else(|| bad_duration(value, &value.text))
                    })
                    .transpose()
            };
            let (min, max) = (micros(&from)?, micros(&to)?);
            let range = DurationRange {
                min,
                end: max.map(|max| max.saturating_add(1)),
            };
            let is_empty = matches!((min, max), (Some(min), Some(max)) if min > max);
            if is_empty {
                Err(parser.never(named))
            } else {
                Ok(Some(Term::Lag(range)))
            }
        }
        Field::Severity => {
            let (Some(from), Some(to)) = (&from, &to) else {
                let message = "A range of severities needs both ends.";
                let example = "severity>=warning is warning or worse.";
                return Err(value.problem(Code::MissingValue, message).hint(example));
            };
            let (from, to) = (
                parser.severity(named, from)?.code(),
                parser.severity(named, to)?.code(),
            );
            let (worst, mildest) = (from.min(to), from.max(to));
            Ok(Severities::of(|code| (worst..=mildest).contains(&code)).map(Term::Severity))
        }
        Field::Message
        | Field::Facility
        | Field::Word(_)
        | Field::PeerAddr
        | Field::Tags
        | Field::StructuredData { .. }
        | Field::Custom(_) => Ok(None),
    }
}

/// `None` where a bound is no number, or both are missing: then it is text.
fn number_range(path: &[String], from: Option<&Value>, to: Option<&Value>) -> Option<Term> {
    let bound = |value: Option<&Value>| match value {
        None => Some(None),
        Some(value) => number::number(&value.text).map(|value| {
            Some(Bound {
                value,
                is_inside: true,
            })
        }),
    };
    let (min, max) = (bound(from)?, bound(to)?);
    match (min, max) {
        (None, None) => None,
        (min, max) => Some(Term::Number(path.to_vec(), NumberRange { min, max })),
    }
}
