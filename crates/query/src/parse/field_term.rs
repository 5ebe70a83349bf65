//! `name:value`, `name>=value`, lists and ranges: how they are written. What they mean, by the kind of the field, is in
//! `meaning` and `range`.

mod meaning;
mod range;
mod read;

use super::{Parser, word::Ends};
use crate::{
    field::{Field, is_ident_char},
    pattern::Pattern,
    problem::{Code, Problem},
    tree::{Term, ValueMatch},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    AtMost,
    Above,
    Below,
}

/// One value as it stands there.
#[derive(Debug)]
struct Value {
    start: usize,
    end: usize,
    /// The text between quotes, or the word with its backslashes.
    text: String,
    is_quoted: bool,
    what: ValueMatch,
}

/// A field, and where its name and the whole term begin.
struct Named {
    field: Field,
    start: usize,
    name_end: usize,
}

impl Parser<'_> {
    /// A term on a field, if a field's name and an operator stand here.
    pub(super) fn field_term(&mut self) -> Result<Option<Term>, Problem> {
        let start = self.at;
        let Some((field, name_end)) = self.field_name() else {
            self.at = start;
            return Ok(None);
        };
        self.at = name_end;
        let named = Named {
            field,
            start,
            name_end,
        };
        let colon = self.eat(":");
        if colon && self.rest().starts_with("//") {
            self.at = start;
            return Ok(None);
        }
        let comparison = [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            (">", Comparison::Above),
            ("<", Comparison::Below),
        ]
        .into_iter()
        .find_map(|(token, comparison)| self.eat(token).then_some(comparison));
        match (colon, comparison) {
            (_, Some(comparison)) => self.compared(&named, comparison).map(Some),
            (true, None) => self.valued(&named).map(Some),
            (false, None) => {
                self.at = start;
                Ok(None)
            }
        }
    }

    /// A field's name that begins here, and where it ends; the longest one that exists.
    fn field_name(&mut self) -> Option<(Field, usize)> {
        let mut parts = Vec::new();
        loop {
            let rest = self.rest();
            if rest.starts_with('"') && !parts.is_empty() {
                // A quote that is never closed is no part of a name.
                parts.push(self.quoted_text('"').ok()?);
            } else {
                let length = rest.find(|char| !is_ident_char(char)).unwrap_or(rest.len());
                let ident = rest.get(..length).filter(|ident| !ident.is_empty())?;
                parts.push(ident.to_owned());
                self.at += length;
            }
            if !self.eat(".") {
                break;
            }
        }
        let field = self.fields.resolve(&parts)?;
        Some((field, self.at))
    }

    /// What stands behind `name:`.
    fn valued(&mut self, named: &Named) -> Result<Term, Problem> {
        if self.is_end() {
            return Err(self.missing(named));
        }
        if self.eat_alone("*") {
            return Ok(Term::Exists(named.field.clone()));
        }
        if let Field::StructuredData { id, param: None } = &named.field {
            let message = format!(
                "{} needs a parameter, as in sd.{id}.name:value.",
                named.field.name()
            );
            return Err(Problem::at(
                named.start,
                named.name_end,
                Code::MissingValue,
                message,
            ));
        }
        if let Some(problem) = self.lucene_range(named) {
            return Err(problem);
        }
        if self.peek() == Some('(') {
            return self.list(named);
        }
        let value = self.value(Ends::Group)?;
        if !value.is_quoted
            && let Some(term) = range::range(self, named, &value)?
        {
            return Ok(term);
        }
        self.one_of(named, vec![value])
    }

    fn eat_alone(&mut self, token: &str) -> bool {
        let before = self.at;
        if self.eat(token) && self.is_end() {
            return true;
        }
        self.at = before;
        false
    }

    fn missing(&self, named: &Named) -> Problem {
        let name = self.written(named);
        let message = format!("{name} needs a value. {name}:* finds events that have it.");
        Problem::at(named.start, self.at, Code::MissingValue, message).fix(named.name_end, self.at, ":*")
    }

    /// The name as it stands in the text.
    fn written(&self, named: &Named) -> &str {
        self.text.get(named.start..named.name_end).unwrap_or_default()
    }

    /// `[400 TO 500]`, with our way of writing it.
    fn lucene_range(&self, named: &Named) -> Option<Problem> {
        let body = self.rest().strip_prefix(['[', '{'])?;
        let close = body.find([']', '}'])?;
        let (from, to) = body.get(..close)?.split_once(" TO ")?;
        let end = self.at + 1 + close + 1;
        let bound = |text: &str| match text.trim() {
            "*" => String::new(),
            text => text.to_owned(),
        };
        let ours = format!("{}..{}", bound(from), bound(to));
        let hint = format!("Use {}:{ours}", self.written(named));
        Some(
            Problem::at(
                self.at,
                end,
                Code::LuceneRange,
                "Ranges are written with two dots.",
            )
            .hint(hint)
            .fix(self.at, end, ours),
        )
    }

    /// A phrase, an expression or a word.
    fn value(&mut self, ends: Ends) -> Result<Value, Problem> {
        let start = self.at;
        let quote = self.peek().filter(|char| matches!(char, '"' | '\''));
        let (text, what) = if let Some(quote) = quote {
            let text = self.quoted_text(quote)?;
            let pattern = Pattern::literal(&text);
            (text, ValueMatch::Equals(pattern))
        } else if let Some(regex) = self.regex()? {
            (String::new(), ValueMatch::Regex(regex))
        } else {
            let (pattern, _) = self.word(ends);
            let text = self.text.get(start..self.at).unwrap_or_default();
            (text.to_owned(), ValueMatch::Equals(pattern))
        };
        Ok(Value {
            start,
            end: self.at,
            text,
            is_quoted: quote.is_some(),
            what,
        })
    }

    /// `(a, b)` or `(a OR b)`.
    fn list(&mut self, named: &Named) -> Result<Term, Problem> {
        let start = self.at;
        self.at += 1;
        self.open += 1;
        let mut values = Vec::new();
        loop {
            self.space();
            match self.peek() {
                None => {
                    let end = self.text.len();
                    let message = "This ( is never closed.";
                    return Err(Problem::at(start, start + 1, Code::UnclosedList, message).fix(end, end, ")"));
                }
                Some(')' | ',') => {
                    let message = "There is nothing at this place of the list.";
                    return Err(Problem::at(self.at, self.at + 1, Code::EmptyItem, message));
                }
                Some(_) => {}
            }
            let value = self.value(Ends::List)?;
            if !values.is_empty() {
                self.count(value.start)?;
            }
            let gap = self.at;
            values.push(value);
            self.space();
            if self.eat(")") {
                self.open -= 1;
                return self.one_of(named, values);
            }
            if self.eat(",") {
                continue;
            }
            if self.is_operator("OR") {
                self.at += "OR".len();
                continue;
            }
            if !self.rest().is_empty() {
                let message = "Values in a list are separated by commas.";
                return Err(
                    Problem::at(gap, self.at.max(gap + 1), Code::ListSeparator, message)
                        .hint("Insert ,")
                        .fix(gap, gap, ","),
                );
            }
        }
    }
}

impl Value {
    fn problem(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::at(self.start, self.end, code, message)
    }

    /// This value, of which only `text` between its bytes `from..to` counts.
    fn part(&self, text: &str, from: usize) -> Self {
        Self {
            start: self.start + from,
            end: self.start + from + text.len(),
            text: text.to_owned(),
            is_quoted: false,
            what: ValueMatch::Equals(Pattern::literal(text)),
        }
    }
}

const fn has_order(field: &Field) -> bool {
    matches!(
        field,
        Field::Time(_) | Field::Lag | Field::Severity | Field::Custom(_)
    )
}
