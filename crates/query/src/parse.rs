//! Text to tree: terms, negation, `AND`, `OR` and parentheses.

mod field_term;
mod word;

use event::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::{
    DEPTH_MAX, LENGTH_MAX, TERMS_MAX,
    field::FieldNames,
    print,
    problem::{Code, Problem, Span, utf16},
    tree::{Expr, Query, Term, TextMatch},
    value::time::Here,
};

/// What the text is read with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Custom fields that exist, which may be named without `fields.`.
    pub fields: FieldNames,
    /// The zone of times without one.
    pub zone: TimeZone,
    /// What `10:00` is today's, and by what a range is checked.
    pub now: Timestamp,
}

impl Default for Options {
    /// No custom fields, UTC, our clock.
    fn default() -> Self {
        Self {
            fields: FieldNames::default(),
            zone: TimeZone::UTC,
            now: Timestamp::now(),
        }
    }
}

/// A query that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The tree.
    pub query: Query,
    /// What is worth saying about it.
    pub notices: Vec<Problem>,
    /// The conditions that all must hold, as a person takes them away one by one.
    pub chips: Vec<Chip>,
}

/// One of the conditions that all must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chip {
    /// Where it stands.
    #[serde(flatten)]
    pub span: Span,
    /// What to write on it.
    pub label: String,
}

/// Reads `text`. Empty text is every event.
///
/// # Errors
///
/// The first problem, with its place in `text`, one sentence and, where it is known, the change that mends it.
pub fn parse(text: &str, options: &Options) -> Result<Parsed, Problem> {
    if text.chars().count() > LENGTH_MAX {
        let message = format!("A query may have {LENGTH_MAX} characters at most.");
        return Err(Problem::at(0, text.len(), Code::TooLong, message).in_utf16(text));
    }
    let mut parser = Parser {
        text,
        at: 0,
        open: 0,
        depth: 0,
        terms: 0,
        notices: Vec::new(),
        top: Vec::new(),
        fields: &options.fields,
        here: Here {
            zone: &options.zone,
            now: options.now,
        },
    };
    let expr = parser.query().map_err(|problem| problem.in_utf16(text))?;
    let is_one_and = !matches!(expr, Expr::Or(_));
    let chips = if is_one_and { parser.top } else { Vec::new() };
    Ok(Parsed {
        query: Query::new(expr),
        notices: parser
            .notices
            .into_iter()
            .map(|notice| notice.in_utf16(text))
            .collect(),
        chips: chips
            .into_iter()
            .map(|(start, end, label)| Chip {
                span: utf16(text, start, end),
                label,
            })
            .collect(),
    })
}

/// The text, and how far it is read.
struct Parser<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    /// Groups and lists that are open, so that `)` closes one.
    open: usize,
    depth: usize,
    terms: usize,
    notices: Vec<Problem>,
    /// Terms outside of groups: bytes and label.
    top: Vec<(usize, usize, String)>,
    fields: &'a FieldNames,
    here: Here<'a>,
}

impl<'a> Parser<'a> {
    fn query(&mut self) -> Result<Expr, Problem> {
        self.space();
        if self.rest().is_empty() {
            return Ok(Expr::Every);
        }
        // `)` closes nothing at the top, so that all is read.
        self.or()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Reads `token` if it is next.
    fn eat(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Whether a term cannot go on here.
    fn is_end(&self) -> bool {
        match self.peek() {
            None => true,
            Some(')') => self.open > 0,
            Some(char) => char.is_whitespace(),
        }
    }

    /// Whether the word `operator` stands here by itself.
    fn is_operator(&self, operator: &str) -> bool {
        self.rest().strip_prefix(operator).is_some_and(|rest| {
            rest.chars()
                .next()
                .is_none_or(|char| char.is_whitespace() || char == '(' || char == ')' && self.open > 0)
        })
    }

    /// Goes a level down, and up again when `inner` is done.
    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Result<Expr, Problem>) -> Result<Expr, Problem> {
        if self.depth == DEPTH_MAX {
            let message = format!("A query may be {DEPTH_MAX} levels deep at most.");
            return Err(Problem::at(self.at, self.text.len(), Code::TooDeep, message));
        }
        self.depth += 1;
        let expr = inner(self)?;
        self.depth -= 1;
        Ok(expr)
    }

    fn or(&mut self) -> Result<Expr, Problem> {
        let mut parts = vec![self.and()?];
        loop {
            self.space();
            let start = self.at;
            if !self.is_operator("OR") {
                return Ok(Expr::or(parts));
            }
            self.at += "OR".len();
            self.operand("OR", start)?;
            parts.push(self.and()?);
        }
    }

    fn and(&mut self) -> Result<Expr, Problem> {
        let mut parts = vec![self.not()?];
        loop {
            self.space();
            let start = self.at;
            if self.rest().is_empty() || self.peek() == Some(')') && self.open > 0 || self.is_operator("OR") {
                return Ok(Expr::and(parts));
            }
            if self.is_operator("AND") {
                self.at += "AND".len();
                self.operand("AND", start)?;
            }
            parts.push(self.not()?);
        }
    }

    /// What an operator that began at `start` stands before.
    fn operand(&mut self, operator: &str, start: usize) -> Result<(), Problem> {
        let end = self.at;
        self.space();
        let is_missing = self.rest().is_empty()
            || self.peek() == Some(')') && self.open > 0
            || operator != "NOT" && (self.is_operator("OR") || self.is_operator("AND"));
        if !is_missing {
            return Ok(());
        }
        let message = format!("{operator} needs a term on its right.");
        Err(Problem::at(start, end, Code::DanglingOperator, message))
    }

    fn not(&mut self) -> Result<Expr, Problem> {
        let start = self.at;
        for operator in ["AND", "OR"] {
            if self.is_operator(operator) {
                let message = format!("{operator} needs a term on its left.");
                let hint = format!("To find the word, write \"{operator}\".");
                return Err(
                    Problem::at(start, start + operator.len(), Code::DanglingOperator, message).hint(hint),
                );
            }
        }
        let outermost = self.depth == 0;
        let expr = if self.is_operator("NOT") {
            self.at += "NOT".len();
            self.operand("NOT", start)?;
            self.deeper(Self::not)?.negated()
        } else if self.is_minus() {
            self.at += 1;
            self.deeper(Self::primary)?.negated()
        } else {
            self.primary()?
        };
        if outermost {
            self.top.push((start, self.at, print::label(&expr)));
        }
        Ok(expr)
    }

    /// A `-` that negates: not a lone one, and not `--force`.
    fn is_minus(&self) -> bool {
        self.rest().strip_prefix('-').is_some_and(|rest| {
            rest.chars()
                .next()
                .is_some_and(|char| char != '-' && !char.is_whitespace() && !(char == ')' && self.open > 0))
        })
    }

    fn primary(&mut self) -> Result<Expr, Problem> {
        if self.peek() == Some('(') {
            return self.deeper(Self::group);
        }
        let start = self.at;
        if let Some(term) = self.field_term()? {
            return self.term(start, term);
        }
        let text = match self.quoted()? {
            Some(pattern) => TextMatch::Contains(pattern),
            None => match self.regex()? {
                Some(regex) => TextMatch::Regex(regex),
                None => TextMatch::Contains(self.bare_word()),
            },
        };
        self.note_short(start, &text);
        self.term(start, Term::Text(text))
    }

    fn group(&mut self) -> Result<Expr, Problem> {
        let start = self.at;
        self.at += 1;
        self.open += 1;
        self.space();
        if self.peek() == Some(')') {
            let message = "There is nothing between these parentheses.";
            return Err(Problem::at(start, self.at + 1, Code::EmptyGroup, message));
        }
        let unclosed = |parser: &Self| {
            Problem::at(start, start + 1, Code::UnclosedGroup, "This ( is never closed.").fix(
                parser.text.len(),
                parser.text.len(),
                ")",
            )
        };
        if self.rest().is_empty() {
            return Err(unclosed(self));
        }
        let expr = self.or()?;
        self.space();
        if !self.eat(")") {
            return Err(unclosed(self));
        }
        self.open -= 1;
        Ok(expr)
    }

    /// Counts a term that began at `start`.
    fn term(&mut self, start: usize, term: Term) -> Result<Expr, Problem> {
        self.count(start)?;
        Ok(Expr::Term(term))
    }

    fn count(&mut self, start: usize) -> Result<(), Problem> {
        self.terms += 1;
        if self.terms > TERMS_MAX {
            let message = format!("A query may have {TERMS_MAX} terms at most.");
            return Err(Problem::at(start, self.at, Code::TooManyTerms, message));
        }
        Ok(())
    }

    /// Text that no index of trigrams can find has to be looked for line by line.
    fn note_short(&mut self, start: usize, text: &TextMatch) {
        if let TextMatch::Contains(pattern) = text
            && pattern.longest_word() < 3
        {
            let message = "This text has no three letters or digits in a row, so every line is looked at.";
            self.notices
                .push(Problem::at(start, self.at, Code::ShortText, message));
        }
    }
}

#[cfg(test)]
mod tests;
