//! What values and comparisons mean, by the kind of their field.

use event::{Facility, Severity};

use super::{
    Comparison::{self, Above, AtLeast, AtMost, Below},
    Named, Value, has_order,
    read::bad_duration,
};
use crate::{
    field::{Field, TimeField},
    parse::{Parser, word::Ends},
    problem::{Code, Problem},
    tree::{Facilities, Severities, Term, TextMatch, ValueMatch},
    value::{
        duration::{self, DurationRange},
        number::{Bound, NumberRange},
        time::{self, Literal, TimeRange},
    },
};

impl Parser<'_> {
    /// The field is one of `values`.
    pub(super) fn one_of(&self, named: &Named, values: Vec<Value>) -> Result<Term, Problem> {
        let whats = |values: Vec<Value>| values.into_iter().map(|value| value.what).collect();
        Ok(match &named.field {
            Field::Message => {
                let texts = values.into_iter().map(|value| match value.what {
                    ValueMatch::Equals(pattern) => TextMatch::Contains(pattern),
                    ValueMatch::Regex(regex) => TextMatch::Regex(regex),
                });
                Term::Message(texts.collect())
            }
            Field::Word(word) => Term::Word(*word, whats(values)),
            Field::Tags => Term::Tag(whats(values)),
            Field::StructuredData { id, param } => Term::StructuredData {
                id: id.clone(),
                param: param.clone().unwrap_or_default(),
                any: whats(values),
            },
            Field::Custom(path) => Term::Custom(path.clone(), whats(values)),
            Field::PeerAddr => {
                let networks = values.iter().map(|value| self.network(named, value));
                Term::PeerAddr(networks.collect::<Result<_, _>>()?)
            }
            Field::Severity => {
                let codes = values
                    .iter()
                    .map(|value| self.severity(named, value).map(Severity::code))
                    .collect::<Result<Vec<_>, _>>()?;
                let severities = Severities::of(|code| codes.contains(&code));
                Term::Severity(severities.ok_or_else(|| self.never(named))?)
            }
            Field::Facility => {
                let codes = values
                    .iter()
                    .map(|value| self.facility(named, value).map(Facility::code))
                    .collect::<Result<Vec<_>, _>>()?;
                Term::Facility(Facilities::of(codes).ok_or_else(|| self.never(named))?)
            }
            Field::Time(clock) => self.at_time(named, *clock, self.only(named, &values)?)?,
            Field::Lag => return Err(self.exact_lag(named, self.only(named, &values)?)),
        })
    }

    /// `time:10:15`, the whole minute.
    fn at_time(&self, named: &Named, clock: TimeField, value: &Value) -> Result<Term, Problem> {
        match self.time(named, value)? {
            span @ Literal::Span(..) => self.time_term(named, clock, Some(span.start()), Some(span.end())),
            Literal::Relative(_) => {
                let name = self.written(named);
                let message = format!("{} is an instant; compare with it.", value.text);
                Err(value
                    .problem(Code::BadTime, message)
                    .hint(format!("{name}>={} is since then.", value.text))
                    .fix(named.name_end, value.start, ">="))
            }
        }
    }

    /// `lag:5m`, which nobody can mean.
    fn exact_lag(&self, named: &Named, value: &Value) -> Problem {
        let text = match self.plain(named, value) {
            Ok(text) => text,
            Err(problem) => return problem,
        };
        if duration::duration(text).is_none() {
            return bad_duration(value, text);
        }
        let message = "A lag is compared, since it is hardly ever exactly this.";
        value
            .problem(Code::NoOrder, message)
            .hint(format!("lag>{text} finds what came later than that."))
            .fix(named.name_end, value.start, ">")
    }

    fn only<'v>(&self, named: &Named, values: &'v [Value]) -> Result<&'v Value, Problem> {
        match values {
            [value] => Ok(value),
            _ => {
                let message = format!("{} takes one value or a range.", self.written(named));
                Err(Problem::at(named.start, self.at, Code::ListSeparator, message))
            }
        }
    }

    pub(super) fn time_term(
        &self,
        named: &Named,
        clock: crate::field::TimeField,
        from: Option<time::Instant>,
        to: Option<time::Instant>,
    ) -> Result<Term, Problem> {
        let range = TimeRange { from, to };
        if time::is_empty(&range, self.here.now) {
            return Err(self.never(named));
        }
        Ok(Term::Time(clock, range))
    }

    pub(super) fn never(&self, named: &Named) -> Problem {
        let message = "No event can fit this: the range is empty.";
        Problem::at(named.start, self.at, Code::NeverTrue, message)
    }

    /// `name>=value` and its like.
    pub(super) fn compared(&mut self, named: &Named, comparison: Comparison) -> Result<Term, Problem> {
        if self.is_end() {
            return Err(self.missing(named));
        }
        if !has_order(&named.field) {
            let sign = self.text.get(named.name_end..self.at).unwrap_or_default();
            let message = format!(
                "{} cannot be compared with {}.",
                self.written(named),
                sign.trim_start_matches(':')
            );
            return Err(Problem::at(named.start, self.at, Code::NoOrder, message));
        }
        let value = self.value(Ends::Group)?;
        let text = self.plain(named, &value)?;
        match &named.field {
            Field::Time(clock) => {
                let literal = self.time(named, &value)?;
                let (from, to) = match comparison {
                    AtLeast => (Some(literal.start()), None),
                    Above => (Some(literal.end()), None),
                    AtMost => (None, Some(literal.end())),
                    Below => (None, Some(literal.start())),
                };
                self.time_term(named, *clock, from, to)
            }
            Field::Lag => {
                let micros = duration::duration(text).ok_or_else(|| bad_duration(&value, text))?;
                Ok(Term::Lag(durations(comparison, micros)))
            }
            Field::Severity => {
                let written = self.severity(named, &value)?.code();
                let by_number = text.bytes().all(|byte| byte.is_ascii_digit());
                let severities = severities(comparison, written, by_number);
                Ok(Term::Severity(severities.ok_or_else(|| self.never(named))?))
            }
            Field::Custom(path) => {
                let number = self.number(named, &value)?;
                Ok(Term::Number(path.clone(), numbers(comparison, number)))
            }
            Field::Message
            | Field::Facility
            | Field::Word(_)
            | Field::PeerAddr
            | Field::Tags
            | Field::StructuredData { .. } => Err(self.never(named)),
        }
    }
}

fn durations(comparison: Comparison, micros: i64) -> DurationRange {
    let next = micros.saturating_add(1);
    let (min, end) = match comparison {
        AtLeast => (Some(micros), None),
        Above => (Some(next), None),
        AtMost => (None, Some(next)),
        Below => (None, Some(micros)),
    };
    DurationRange { min, end }
}

/// By name worse is greater; by number it is as RFC 5424 counts, 0 the worst.
fn severities(comparison: Comparison, written: u8, by_number: bool) -> Option<Severities> {
    Severities::of(|code| match (comparison, by_number) {
        (AtLeast, false) | (AtMost, true) => code <= written,
        (AtMost, false) | (AtLeast, true) => code >= written,
        (Above, false) | (Below, true) => code < written,
        (Below, false) | (Above, true) => code > written,
    })
}

const fn numbers(comparison: Comparison, value: f64) -> NumberRange {
    let bound = Some(Bound {
        value,
        is_inside: matches!(comparison, AtLeast | AtMost),
    });
    match comparison {
        AtLeast | Above => NumberRange {
            min: bound,
            max: None,
        },
        AtMost | Below => NumberRange {
            min: None,
            max: bound,
        },
    }
}
