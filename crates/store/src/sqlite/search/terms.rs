//! Terms of a query in SQLite's words.

use event::Timestamp;
use query::{DurationRange, Piece, Term, TimeField};
use rusqlite::types::Value;

use crate::{
    search::{names::Names, plan::Texts, sql::Dialect},
    sqlite::{file::Day, functions::Test, writer::SEQ_BITS},
};

/// A condition in the making.
pub(in crate::sqlite) struct Terms<'n> {
    names: &'n Names,
    day: Day,
    params: Vec<Value>,
    tests: Vec<Test>,
}

impl<'n> Terms<'n> {
    pub(in crate::sqlite) const fn new(names: &'n Names, day: Day) -> Self {
        Self {
            names,
            day,
            params: Vec::new(),
            tests: Vec::new(),
        }
    }

    /// Binds a value; returns its name in the statement.
    pub(in crate::sqlite) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.params.push(value.into());
        format!("?{}", self.params.len())
    }

    /// The values in the order of their names, and the tests by their numbers.
    pub(in crate::sqlite) fn into_parts(self) -> (Vec<Value>, Vec<Test>) {
        (self.params, self.tests)
    }

    fn holds(&mut self, column: &str, term: &Term) -> String {
        self.tests.push(Test::new(term));
        format!("holds({}, {column})", self.tests.len() - 1)
    }
}

impl Dialect for Terms<'_> {
    fn names(&self) -> &Names {
        self.names
    }

    fn bound(&self) -> usize {
        self.params.len()
    }

    fn unbind(&mut self, count: usize) {
        self.params.truncate(count);
    }

    fn clock(&self, clock: TimeField) -> String {
        let received_at = format!("({} + (seq >> {SEQ_BITS}))", self.day.start());
        match clock {
            TimeField::ReceivedAt => received_at,
            TimeField::Timestamp => format!("coalesce(timestamp, {received_at})"),
        }
    }

    fn instant(&mut self, at: Timestamp) -> String {
        self.bind(at.as_micros())
    }

    fn is_one(&mut self, column: &str, values: Vec<String>) -> String {
        if let [value] = values.as_slice() {
            return format!("{column} = {}", self.bind(value.clone()));
        }
        let values = self.bind(serde_json::Value::from(values).to_string());
        format!("{column} IN (SELECT value FROM json_each({values}))")
    }

    fn fits(&mut self, column: &str, term: &Term) -> String {
        self.holds(column, term)
    }

    fn lag(&mut self, range: &DurationRange) -> String {
        let lag = format!("{} - timestamp", self.clock(TimeField::ReceivedAt));
        let min = range.min.map(|min| format!("{lag} >= {}", self.bind(min)));
        let end = range.end.map(|end| format!("{lag} < {}", self.bind(end)));
        let bounds: Vec<_> = min.into_iter().chain(end).collect();
        format!("({})", bounds.join(" AND "))
    }

    fn inside(&mut self, term: &Term) -> String {
        let column = match term {
            Term::PeerAddr(_) => "peer_addr",
            Term::Tag(_) => "tags",
            Term::StructuredData { .. } | Term::Exists(query::Field::StructuredData { .. }) => {
                "structured_data"
            }
            _ => "fields",
        };
        self.holds(column, term)
    }
}

/// What the full-text index of trigrams is asked, to find all rows that can hold the texts and some more; `None`
/// where there is nothing to ask.
pub(super) fn full_text(texts: &Texts<'_>) -> Option<String> {
    match texts {
        Texts::One(pattern) => {
            let literals = pattern.pieces().iter().filter_map(|piece| match piece {
                Piece::Literal(text) => Some(text),
                Piece::AnyRun | Piece::AnyOne => None,
            });
            // Without details the index knows no phrase, so all trigrams are asked for. What other letters are the
            // same without case is the index's own opinion.
            let trigrams: Vec<_> = literals
                .flat_map(|text| {
                    let chars: Vec<char> = text.chars().collect();
                    chars.windows(3).map(<[char]>::to_vec).collect::<Vec<_>>()
                })
                .filter(|trigram| trigram.iter().all(|char| char.is_ascii() && *char != '\0'))
                .map(|trigram| format!("\"{}\"", String::from_iter(trigram).replace('"', "\"\"")))
                .collect();
            (!trigrams.is_empty()).then(|| format!("({})", trigrams.join(" AND ")))
        }
        Texts::All(parts) => {
            let parts: Vec<_> = parts.iter().filter_map(full_text).collect();
            (!parts.is_empty()).then(|| format!("({})", parts.join(" AND ")))
        }
        Texts::Any(parts) => {
            let parts: Option<Vec<_>> = parts.iter().map(full_text).collect();
            parts.map(|parts| format!("({})", parts.join(" OR ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use query::Pattern;

    use super::*;

    #[test]
    fn the_index_is_asked_for_trigrams() {
        let (one, two) = (Pattern::literal("a\"bc"), Pattern::literal("xyzé"));
        let (one, two) = (Texts::One(&one), Texts::One(&two));
        assert_eq!(full_text(&one).unwrap(), "(\"a\"\"b\" AND \"\"\"bc\")");
        let both = Texts::Any(vec![one.clone(), two.clone()]);
        assert_eq!(
            full_text(&both).unwrap(),
            "((\"a\"\"b\" AND \"\"\"bc\") OR (\"xyz\"))"
        );
        let accents = Pattern::literal("éàè");
        let accents = Texts::One(&accents);
        assert_eq!(full_text(&Texts::Any(vec![one.clone(), accents.clone()])), None);
        assert_eq!(full_text(&Texts::All(vec![two, accents])).unwrap(), "((\"xyz\"))");
    }
}
