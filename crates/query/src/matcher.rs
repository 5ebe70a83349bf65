//! A query's test of events in memory: the tail's filter, and the measure that both stores are held to.

use event::{Event, Timestamp, Value};
use regex::{Regex as Engine, RegexBuilder};

use crate::{
    field::{Field, TimeField, WordField},
    read::{custom, items, scalar_text, word},
    tree::{Expr, Facilities, Query, Severities, Term, TextMatch, ValueMatch},
    value::{address::Network, duration::DurationRange, number::NumberRange},
};

/// A query that is ready to test events.
#[derive(Debug)]
pub struct Matcher(Test);

impl Query {
    /// The query's test, with relative times counted from `now`.
    #[must_use]
    pub fn matcher(&self, now: Timestamp) -> Matcher {
        Matcher(Test::of(self.expr(), now))
    }
}

impl Matcher {
    /// Whether `event` is one that the query asks for.
    #[must_use]
    pub fn matches(&self, event: &Event<'_>) -> bool {
        self.0.holds(event)
    }
}

#[derive(Debug)]
enum Test {
    Every,
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Text(Engine),
    Message(Vec<Engine>),
    Time(TimeField, Option<Timestamp>, Option<Timestamp>),
    Word(WordField, Vec<Engine>),
    Tag(Vec<Engine>),
    StructuredData(String, String, Vec<Engine>),
    Custom(Vec<String>, Vec<Engine>),
    Number(Vec<String>, NumberRange),
    Lag(DurationRange),
    Severity(Severities),
    Facility(Facilities),
    PeerAddr(Vec<Network>),
    Exists(Field),
}

impl Test {
    fn of(expr: &Expr, now: Timestamp) -> Self {
        let all = |parts: &[Expr]| parts.iter().map(|part| Self::of(part, now)).collect();
        match expr {
            Expr::Every => Self::Every,
            Expr::And(parts) => Self::All(all(parts)),
            Expr::Or(parts) => Self::Any(all(parts)),
            Expr::Not(inner) => Self::Not(Box::new(Self::of(inner, now))),
            Expr::Term(term) => Self::of_term(term, now),
        }
    }

    fn of_term(term: &Term, now: Timestamp) -> Self {
        let values = |any: &[ValueMatch]| any.iter().map(whole).collect();
        match term {
            Term::Text(text) => Self::Text(inside(text)),
            Term::Message(any) => Self::Message(any.iter().map(inside).collect()),
            Term::Time(clock, range) => {
                let (from, to) = range.resolve(now);
                Self::Time(*clock, from, to)
            }
            Term::Word(field, any) => Self::Word(*field, values(any)),
            Term::Tag(any) => Self::Tag(values(any)),
            Term::StructuredData { id, param, any } => {
                Self::StructuredData(id.clone(), param.clone(), values(any))
            }
            Term::Custom(path, any) => Self::Custom(path.clone(), values(any)),
            Term::Number(path, range) => Self::Number(path.clone(), *range),
            Term::Lag(range) => Self::Lag(*range),
            Term::Severity(severities) => Self::Severity(*severities),
            Term::Facility(facilities) => Self::Facility(*facilities),
            Term::PeerAddr(any) => Self::PeerAddr(any.clone()),
            Term::Exists(field) => Self::Exists(field.clone()),
        }
    }

    fn holds(&self, event: &Event<'_>) -> bool {
        match self {
            Self::Every => true,
            Self::All(tests) => tests.iter().all(|test| test.holds(event)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(event)),
            Self::Not(test) => !test.holds(event),
            Self::Text(engine) => [&event.message, &event.hostname, &event.app_name]
                .into_iter()
                .flatten()
                .any(|text| engine.is_match(text)),
            Self::Message(any) => is_one(any, event.message.as_deref()),
            Self::Time(clock, from, to) => {
                let at = time(event, *clock);
                from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
            }
            Self::Word(field, any) => is_one(any, word(event, *field).as_deref()),
            Self::Tag(any) => event.tags.iter().any(|tag| is_one(any, Some(tag))),
            Self::StructuredData(id, param, any) => event
                .structured_data
                .iter()
                .filter(|element| element.id == *id)
                .flat_map(|element| &element.params)
                .any(|found| found.name == *param && is_one(any, Some(&found.value))),
            Self::Custom(path, any) => custom(event, path)
                .is_some_and(|value| items(value).any(|item| is_one(any, scalar_text(item).as_deref()))),
            Self::Number(path, range) => {
                custom(event, path).is_some_and(|value| items(value).any(|item| is_number_in(range, item)))
            }
            Self::Lag(range) => event.timestamp.is_some_and(|time| {
                let (ours, theirs) = (event.received_at.as_micros(), time.at.as_micros());
                range.contains(ours.saturating_sub(theirs))
            }),
            Self::Severity(set) => event.severity.is_some_and(|severity| set.contains(severity)),
            Self::Facility(set) => event.facility.is_some_and(|facility| set.contains(facility)),
            Self::PeerAddr(any) => any.iter().any(|network| network.contains_peer(&event.peer_addr)),
            Self::Exists(field) => exists(field, event),
        }
    }
}

fn is_one(any: &[Engine], text: Option<&str>) -> bool {
    text.is_some_and(|text| any.iter().any(|engine| engine.is_match(text)))
}

/// Somewhere in the text.
fn inside(text: &TextMatch) -> Engine {
    match text {
        TextMatch::Contains(pattern) => engine(&pattern.to_regex()),
        TextMatch::Regex(regex) => regex.engine().clone(),
    }
}

/// The text as a whole.
fn whole(value: &ValueMatch) -> Engine {
    match value {
        ValueMatch::Equals(pattern) => engine(&format!("^(?:{})$", pattern.to_regex())),
        ValueMatch::Regex(regex) => regex.engine().clone(),
    }
}

fn engine(source: &str) -> Engine {
    RegexBuilder::new(source)
        .case_insensitive(true)
        .dot_matches_new_line(true)
        // A query's 4,096 characters in any case take about a quarter of this.
        .size_limit(16 << 20)
        .build()
        .expect("a pattern is escaped text and wildcards, and a query's length bounds it")
}

/// The sender's clock where it named a time.
fn time(event: &Event<'_>, clock: TimeField) -> Timestamp {
    match clock {
        TimeField::ReceivedAt => event.received_at,
        TimeField::Timestamp => event.timestamp.map_or(event.received_at, |time| time.at),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers are compared as JSON's are, in double precision"
)]
fn is_number_in(range: &NumberRange, value: &Value<'_>) -> bool {
    match value {
        Value::Integer(value) => range.contains(*value as f64),
        Value::Unsigned(value) => range.contains(*value as f64),
        Value::Float(value) => range.contains(*value),
        Value::String(_) | Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn exists(field: &Field, event: &Event<'_>) -> bool {
    match field {
        Field::Message => event.message.is_some(),
        Field::Time(TimeField::Timestamp) | Field::Lag => event.timestamp.is_some(),
        Field::Time(TimeField::ReceivedAt) | Field::PeerAddr => true,
        Field::Severity => event.severity.is_some(),
        Field::Facility => event.facility.is_some(),
        Field::Word(field) => word(event, *field).is_some(),
        Field::Tags => !event.tags.is_empty(),
        Field::StructuredData { id, param } => event
            .structured_data
            .iter()
            .filter(|element| element.id == *id)
            .any(|element| {
                param
                    .as_ref()
                    .is_none_or(|param| element.params.iter().any(|found| found.name == *param))
            }),
        Field::Custom(path) => custom(event, path).is_some_and(|value| *value != Value::Null),
    }
}

#[cfg(test)]
mod tests;
