//! Phrases, expressions and bare words.

use super::Parser;
use crate::{
    field::is_ident_char,
    pattern::Pattern,
    print::is_escapable,
    problem::{Code, Problem},
    regex::Regex,
};

/// What ends a word besides white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// The `)` of an open group.
    Group,
    /// Also a comma, in a list.
    List,
}

impl Parser<'_> {
    /// `"…"` or `'…'`, if one begins here.
    pub(super) fn quoted(&mut self) -> Result<Option<Pattern>, Problem> {
        let Some(quote) = self.peek().filter(|char| matches!(char, '"' | '\'')) else {
            return Ok(None);
        };
        let text = self.quoted_text(quote)?;
        if text.is_empty() {
            let message = "There is nothing between these quotes.";
            return Err(Problem::at(self.at - 2, self.at, Code::EmptyPhrase, message));
        }
        Ok(Some(Pattern::literal(&text)))
    }

    /// What stands between this quote and the next one.
    pub(super) fn quoted_text(&mut self, quote: char) -> Result<String, Problem> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => match chars.next_if(|(_, next)| matches!(next, '"' | '\'' | '\\')) {
                    Some((_, escaped)) => text.push(escaped),
                    None => text.push('\\'),
                },
                char if char == quote => {
                    self.at += at + 1;
                    return Ok(text);
                }
                char => text.push(char),
            }
        }
        let end = self.text.len();
        Err(Problem::at(
            start,
            start + 1,
            Code::UnclosedQuote,
            "This quote is never closed.",
        )
        .fix(end, end, quote.to_string()))
    }

    /// `/…/` or `/…/i`, if one begins here and ends the term; `/var/log/syslog` does not.
    pub(super) fn regex(&mut self) -> Result<Option<Regex>, Problem> {
        let start = self.at;
        let Some(body) = self.rest().strip_prefix('/') else {
            return Ok(None);
        };
        let mut source = String::new();
        let mut chars = body.char_indices();
        let close = loop {
            match chars.next() {
                None => return Ok(None),
                Some((_, '\\')) => match chars.next() {
                    None => return Ok(None),
                    Some((_, '/')) => source.push('/'),
                    Some((_, next)) => source.extend(['\\', next]),
                },
                Some((at, '/')) => break at,
                Some((_, char)) => source.push(char),
            }
        };
        let before = self.at;
        self.at += 1 + close + 1;
        let ignore_case = self.eat("i");
        if !(self.is_end() || self.peek() == Some(',') && self.open > 0) {
            self.at = before;
            return Ok(None);
        }
        if source.is_empty() {
            let message = "There is nothing between these slashes.";
            return Err(Problem::at(start, self.at, Code::EmptyRegex, message));
        }
        // The places inside are those of the source, which differ from the text's behind a `\/`.
        let regex = Regex::new(&source, ignore_case, start + 1).map_err(|mut problem| {
            problem.span.end = problem.span.end.min(self.at);
            problem.span.start = self.boundary(problem.span.start.min(problem.span.end));
            problem.span.end = self.boundary(problem.span.end);
            problem
        })?;
        if source.chars().all(|char| is_ident_char(char) || char == '.') {
            let message = format!("/{source}/ was read as a regular expression.");
            let text = self.text.get(start..self.at).unwrap_or_default();
            self.notices.push(
                Problem::at(start, self.at, Code::ReadAsRegex, message)
                    .hint("To find the text with its slashes, put it in quotes.")
                    .fix(start, self.at, format!("\"{text}\"")),
            );
        }
        Ok(Some(regex))
    }

    /// The next place from `at` on that is not inside a character.
    fn boundary(&self, at: usize) -> usize {
        (at..=self.text.len())
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(self.text.len())
    }

    /// A word among terms, with what may be worth saying about it.
    pub(super) fn bare_word(&mut self) -> Pattern {
        let start = self.at;
        let (pattern, unmatched) = self.word(Ends::Group);
        let text = self.text.get(start..self.at).unwrap_or_default();
        if let Some(at) = unmatched {
            let message = "This ) closes nothing and was searched as text.";
            self.notices
                .push(Problem::at(at, at + 1, Code::UnmatchedClose, message).fix(at, at + 1, ""));
        }
        let is_between = start > 0 && self.rest().trim_start() != "";
        if is_between && matches!(text, "or" | "and" | "not") {
            let capitals = text.to_uppercase();
            let message = format!("{text} was searched as a word; {capitals} is the operator.");
            let (end, code) = (self.at, Code::LowerCaseOperator);
            self.notices
                .push(Problem::at(start, end, code, message).fix(start, end, capitals));
        }
        self.note_unknown_field(start, text);
        pattern
    }

    /// `foo:bar` where no field is called foo.
    fn note_unknown_field(&mut self, start: usize, text: &str) {
        let Some((name, value)) = text.split_once(':') else {
            return;
        };
        let is_name = name.chars().count() > 1
            && name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
            && name.chars().all(|char| is_ident_char(char) || char == '.');
        // `http://…`, `foo::bar` and `ee:db:65` are no fields of anyone.
        if !is_name || value.is_empty() || value.starts_with("//") || value.contains(':') {
            return;
        }
        let message = format!("{name} is not a known field, so “{text}” was searched as text.");
        let mut notice = Problem::at(start, start + name.len(), Code::UnknownField, message);
        if let Some(nearest) = self.fields.nearest(name) {
            notice = notice
                .hint(format!("Did you mean {nearest}?"))
                .fix(start, start + name.len(), nearest);
        }
        self.notices.push(notice);
    }

    /// Up to the end of the term. A parenthesis that the word itself opened does not end it. Returns where a `)` stood
    /// that closes nothing.
    pub(super) fn word(&mut self, ends: Ends) -> (Pattern, Option<usize>) {
        let mut pattern = Pattern::empty();
        let (mut own, mut unmatched) = (0_usize, None);
        let start = self.at;
        let mut chars = self.rest().char_indices().peekable();
        while let Some((at, char)) = chars.peek().copied() {
            match char {
                char if char.is_whitespace() => break,
                ',' if ends == Ends::List && own == 0 => break,
                ')' if own == 0 && self.open > 0 => break,
                '(' => own += 1,
                ')' if own > 0 => own -= 1,
                ')' => unmatched = unmatched.or(Some(start + at)),
                _ => {}
            }
            chars.next();
            self.at = start + at + char.len_utf8();
            match char {
                '*' => pattern.push_any_run(),
                '?' => pattern.push_any_one(),
                '\\' => match chars.next_if(|(_, next)| is_escapable(*next)) {
                    Some((at, escaped)) => {
                        self.at = start + at + escaped.len_utf8();
                        pattern.push_char(escaped);
                    }
                    None => pattern.push_char('\\'),
                },
                char => pattern.push_char(char),
            }
        }
        (pattern, unmatched)
    }
}
