//! A query's tree as an SQL condition. The shape is the same for every database; a [`Dialect`] binds values and
//! compares columns.

use std::ops::Range;

use event::Timestamp;
use query::{DurationRange, Expr, Term, TimeField, WordField};

use super::names::{Names, column_of, word_column};

/// What databases do differently. Texts of users go into bound parameters.
pub(crate) trait Dialect {
    /// The names that are known.
    fn names(&self) -> &Names;

    /// How many values are bound.
    fn bound(&self) -> usize;

    /// Leaves the first `count` of them.
    fn unbind(&mut self, count: usize);

    /// The expression of a clock's time.
    fn clock(&self, clock: TimeField) -> String;

    /// Binds an instant.
    fn instant(&mut self, at: Timestamp) -> String;

    /// Whether the column is one of the values.
    fn is_one(&mut self, column: &str, values: Vec<String>) -> String;

    /// Whether the column fits the term.
    fn fits(&mut self, column: &str, term: &Term) -> String;

    /// Whether `received_at` − `timestamp` is in the range.
    fn lag(&mut self, range: &DurationRange) -> String;

    /// Whether the sender's address, or what is in JSON, fits the term.
    fn inside(&mut self, term: &Term) -> String;
}

const TRUE: &str = "true";
/// The condition that no row fits.
pub(crate) const FALSE: &str = "false";

/// The expression as a condition. It is unknown for some rows that do not fit, never for rows that do.
pub(crate) fn condition(expr: &Expr, dialect: &mut impl Dialect, now: Timestamp) -> String {
    let bound = dialect.bound();
    let condition = of_expr(expr, dialect, now);
    if condition == TRUE || condition == FALSE {
        // A database takes no values but those that stand in the text.
        dialect.unbind(bound);
    }
    condition
}

fn of_expr(expr: &Expr, dialect: &mut impl Dialect, now: Timestamp) -> String {
    match expr {
        Expr::Every => TRUE.to_owned(),
        Expr::And(parts) => joined(parts, dialect, now, " AND ", FALSE, TRUE),
        Expr::Or(parts) => joined(parts, dialect, now, " OR ", TRUE, FALSE),
        Expr::Not(inner) => match condition(inner, dialect, now).as_str() {
            TRUE => FALSE.to_owned(),
            FALSE => TRUE.to_owned(),
            // The complement: what is unknown does not fit, and so is in it.
            inner => format!("({inner}) IS NOT TRUE"),
        },
        Expr::Term(term) => of_term(term, dialect, now),
    }
}

/// The parts with `joint` between them; `decides` decides alone, and `nothing` says nothing.
fn joined(
    parts: &[Expr],
    dialect: &mut impl Dialect,
    now: Timestamp,
    joint: &str,
    decides: &str,
    nothing: &str,
) -> String {
    let mut conditions = Vec::new();
    for part in parts {
        let part = condition(part, dialect, now);
        if part == decides {
            return part;
        }
        if part != nothing {
            conditions.push(part);
        }
    }
    match conditions.as_slice() {
        [] => nothing.to_owned(),
        [one] => one.clone(),
        _ => format!("({})", conditions.join(joint)),
    }
}

fn of_term(term: &Term, dialect: &mut impl Dialect, now: Timestamp) -> String {
    match term {
        Term::Text(_) => {
            let mut places = vec![dialect.fits("message", term)];
            places.extend(named(WordField::Hostname, term, dialect));
            places.extend(named(WordField::AppName, term, dialect));
            match places.as_slice() {
                [one] => one.clone(),
                _ => format!("({})", places.join(" OR ")),
            }
        }
        Term::Word(word @ (WordField::Hostname | WordField::AppName), _) => {
            named(*word, term, dialect).unwrap_or_else(|| FALSE.to_owned())
        }
        Term::Message(_) | Term::Word(..) => dialect.fits(
            match term {
                Term::Word(word, _) => word_column(*word),
                _ => "message",
            },
            term,
        ),
        Term::Time(clock, range) => {
            let (from, to) = range.resolve(now);
            in_time(*clock, from, to, dialect)
        }
        Term::Lag(range) => dialect.lag(range),
        Term::Severity(set) => is_code("severity", set.codes()),
        Term::Facility(set) => is_code("facility", set.codes()),
        Term::Exists(field) => match column_of(field) {
            Some(column) => format!("{column} IS NOT NULL"),
            None => match field {
                query::Field::Time(_) => TRUE.to_owned(),
                _ => dialect.inside(term),
            },
        },
        Term::PeerAddr(_)
        | Term::Tag(_)
        | Term::StructuredData { .. }
        | Term::Custom(..)
        | Term::Number(..) => dialect.inside(term),
    }
}

/// The rows of the names that fit; `None` where there are none.
fn named(word: WordField, term: &Term, dialect: &mut impl Dialect) -> Option<String> {
    let column = word_column(word);
    match dialect.names().of(word, term) {
        Some(names) if names.is_empty() => None,
        Some(names) => Some(dialect.is_one(column, names)),
        None => Some(dialect.fits(column, term)),
    }
}

/// Codes are our own numbers, so they stand in the text, where a planner sees them.
fn is_code(column: &str, codes: impl Iterator<Item = u8>) -> String {
    let codes: Vec<_> = codes.map(|code| code.to_string()).collect();
    format!("{column} IN ({})", codes.join(", "))
}

/// Whether a clock's time is in the range.
pub(crate) fn in_time(
    clock: TimeField,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    dialect: &mut impl Dialect,
) -> String {
    let time = dialect.clock(clock);
    let from = from.map(|from| format!("{time} >= {}", dialect.instant(from)));
    let to = to.map(|to| format!("{time} < {}", dialect.instant(to)));
    let bounds: Vec<_> = from.into_iter().chain(to).collect();
    if bounds.is_empty() {
        return TRUE.to_owned();
    }
    format!("({})", bounds.join(" AND "))
}

/// Whether a clock's time is in the range of microseconds; its ends may be far out.
pub(crate) fn in_range(clock: TimeField, range: Range<i64>, dialect: &mut impl Dialect) -> String {
    let from = (range.start != i64::MIN).then(|| Timestamp::from_micros(range.start));
    let to = (range.end != i64::MAX).then(|| Timestamp::from_micros(range.end));
    in_time(clock, from, to, dialect)
}
