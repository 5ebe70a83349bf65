//! From a value on a page to a query with it, or without it.

use event::Timestamp;
use query::Expr;

use super::{
    ask::{Ask, Asked},
    columns,
};

/// The links beside a value.
#[derive(Debug, Clone)]
pub(crate) struct Narrow {
    pub(crate) only: String,
    pub(crate) not: String,
    /// To a column for the field, unless it has one.
    pub(crate) column: Option<String>,
}

/// Makes those links.
#[derive(Debug, Clone)]
pub(crate) struct Narrowing {
    ask: Ask,
    /// What stands before the new term.
    base: String,
}

impl Narrowing {
    pub(crate) fn new(asked: &Asked) -> Self {
        let q = asked.ask.q.trim();
        let base = match asked.parsed.query.expr() {
            Expr::Or(_) => format!("({q}) "),
            _ if q.is_empty() => String::new(),
            _ => format!("{q} "),
        };
        Self {
            ask: asked.ask.clone(),
            base,
        }
    }

    /// For the value of a field, by the name that queries use.
    pub(crate) fn by(&self, field: &str, value: &str) -> Narrow {
        let value = quoted(value);
        Narrow {
            only: self
                .ask
                .with_query(format!("{}{field}:{value}", self.base))
                .href(),
            not: self
                .ask
                .with_query(format!("{}-{field}:{value}", self.base))
                .href(),
            column: self.column(field),
        }
    }

    /// To a column for a field, unless it has one.
    pub(crate) fn column(&self, field: &str) -> Option<String> {
        let cols = columns::with(&self.ask.cols, field)?;
        Some(self.ask.with_columns(cols).href())
    }

    /// For every event that came within half a minute of an instant.
    pub(crate) fn everything_at(at: Timestamp) -> String {
        const AROUND_MICROS: i64 = 30_000_000;
        let from = Timestamp::from_micros(at.as_micros().saturating_sub(AROUND_MICROS));
        let to = Timestamp::from_micros(at.as_micros().saturating_add(AROUND_MICROS));
        Ask::default().between(from, to).href()
    }

    /// With further terms.
    pub(crate) fn with(&self, terms: &str) -> String {
        self.ask.with_query(format!("{}{terms}", self.base)).href()
    }

    /// For events that have a field.
    pub(crate) fn having(&self, field: &str) -> String {
        self.ask.with_query(format!("{}{field}:*", self.base)).href()
    }
}

/// `value` as a query takes it for itself.
pub(crate) fn quoted(value: &str) -> String {
    let is_plain = value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !value.contains("..")
        && !matches!(value, "AND" | "OR" | "NOT");
    if is_plain {
        return value.to_owned();
    }
    let mut phrase = "\"".to_owned();
    for char in value.chars() {
        if matches!(char, '"' | '\\') {
            phrase.push('\\');
        }
        phrase.push(char);
    }
    phrase.push('"');
    phrase
}

#[cfg(test)]
mod tests {
    use query::{Options, parse};

    use super::*;

    #[test]
    fn every_value_is_found_by_its_term() {
        for value in [
            "web01",
            "a b",
            "x\"y\\z",
            "*",
            "..",
            "-x",
            "OR",
            "(",
            "CORP\\alice",
            "ü",
            "a:b",
        ] {
            let text = format!("hostname:{}", quoted(value));
            let query = parse(&text, &Options::default())
                .unwrap_or_else(|problem| panic!("{text}: {problem}"))
                .query;
            let id = event::EventId::from_uuid(uuid::Uuid::nil());
            let now = event::Timestamp::from_micros(0);
            let mut event = event::Event::received(id, 0, now, "", "");
            event.hostname = Some(value.into());
            let matcher = query.matcher(now);
            assert!(matcher.matches(&event), "{text}");
            event.hostname = Some(format!("{value}x").into());
            assert!(!matcher.matches(&event), "{text}");
        }
    }
}
