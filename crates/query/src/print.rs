//! Writes a query back as text that parses to the same tree.

use std::fmt::Write as _;

use event::{Facility, Severity};

use crate::{
    field::Field,
    pattern::{Pattern, Piece},
    regex::Regex,
    tree::{Expr, Facilities, Query, Severities, Term, TextMatch, ValueMatch},
    value::{
        duration,
        number::{Bound, NumberRange},
        time::{self, TimeRange},
    },
};

impl Query {
    /// The same query in one fixed spelling: full names, absolute times in UTC, no needless parentheses. It parses to
    /// the same tree in every time zone and whatever custom fields are known.
    #[must_use]
    pub fn canonical(&self) -> String {
        Style::Canonical.query(self)
    }

    /// How the query was understood, with every `AND`, `NOT` and parenthesis written out. It is a query too.
    #[must_use]
    pub fn reading(&self) -> String {
        Style::Reading.query(self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Canonical,
    Reading,
}

impl Style {
    fn query(self, query: &Query) -> String {
        match query.expr() {
            Expr::Every => String::new(),
            expr @ (Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Term(_)) => self.expr(expr, Place::Top),
        }
    }

    fn expr(self, expr: &Expr, place: Place) -> String {
        match expr {
            // `-()` cannot be written, and no query asks it.
            Expr::Every => "\"\"".to_owned(),
            Expr::Term(term) => write_term(term),
            Expr::Not(inner) => {
                let sign = match self {
                    Self::Canonical => "-",
                    Self::Reading => "NOT ",
                };
                format!("{sign}{}", self.expr(inner, Place::Not))
            }
            Expr::And(parts) => {
                let joint = match self {
                    Self::Canonical => " ",
                    Self::Reading => " AND ",
                };
                let is_inside = place == Place::Not || place == Place::Or && self == Self::Reading;
                self.joined(parts, joint, Place::And, is_inside)
            }
            Expr::Or(parts) => self.joined(parts, " OR ", Place::Or, place != Place::Top),
        }
    }

    fn joined(self, parts: &[Expr], joint: &str, place: Place, in_parentheses: bool) -> String {
        let parts: Vec<_> = parts.iter().map(|part| self.expr(part, place)).collect();
        let text = parts.join(joint);
        if in_parentheses { format!("({text})") } else { text }
    }
}

/// What an expression stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    And,
    Or,
    Not,
}

/// One term as it stands in a canonical query.
pub(crate) fn write_term(term: &Term) -> String {
    match term {
        Term::Text(text) => text_match(text),
        Term::Message(any) => field(&Field::Message, any.iter().map(text_match_in_list)),
        Term::Time(clock, range) => time_range(&Field::Time(*clock).name(), range),
        Term::Lag(range) => {
            let name = Field::Lag.name();
            let less = |micros: i64| duration::write(micros.saturating_sub(1));
            match (range.min, range.end) {
                (Some(min), Some(end)) => format!("{name}:{}..{}", duration::write(min), less(end)),
                (Some(min), None) => {
                    let is_above = coarse(min.saturating_sub(1)) > coarse(min);
                    if is_above {
                        format!("{name}>{}", less(min))
                    } else {
                        format!("{name}>={}", duration::write(min))
                    }
                }
                (None, end) => {
                    let end = end.unwrap_or(i64::MAX);
                    if coarse(end) >= coarse(end.saturating_sub(1)) {
                        format!("{name}<{}", duration::write(end))
                    } else {
                        format!("{name}<={}", less(end))
                    }
                }
            }
        }
        Term::Severity(severities) => severity(*severities),
        Term::Facility(facilities) => facility(*facilities),
        Term::Word(word, any) => field(&Field::Word(*word), any.iter().map(value_match)),
        Term::PeerAddr(any) => field(&Field::PeerAddr, any.iter().map(ToString::to_string)),
        Term::Tag(any) => field(&Field::Tags, any.iter().map(value_match)),
        Term::StructuredData { id, param, any } => {
            let name = Field::StructuredData {
                id: id.clone(),
                param: Some(param.clone()),
            };
            field(&name, any.iter().map(value_match))
        }
        Term::Custom(path, any) => field(&Field::Custom(path.clone()), any.iter().map(value_match)),
        Term::Number(path, range) => number_range(&Field::Custom(path.clone()).name(), range),
        Term::Exists(name) => format!("{}:*", name.name()),
    }
}

/// How round a number of microseconds is.
fn coarse(micros: i64) -> u32 {
    let zeros = [1000, 1_000_000, 60_000_000, 3_600_000_000];
    zeros.into_iter().map(|unit| u32::from(micros % unit == 0)).sum()
}

fn field(name: &Field, items: impl ExactSizeIterator<Item = String>) -> String {
    let is_list = items.len() != 1;
    let items: Vec<_> = items.collect();
    let items = items.join(", ");
    if is_list {
        format!("{}:({items})", name.name())
    } else {
        format!("{}:{items}", name.name())
    }
}

fn time_range(name: &str, range: &TimeRange) -> String {
    match (range.from, range.to) {
        (Some(from), Some(to)) => format!("{name}:{}..{}", time::write_start(from), time::write_end(to)),
        (Some(from), None) => format!("{name}>={}", time::write_start(from)),
        (None, Some(to)) => format!("{name}<{}", time::write_start(to)),
        (None, None) => format!("{name}:*"),
    }
}

fn number_range(name: &str, range: &NumberRange) -> String {
    match (range.min, range.max) {
        (Some(min), Some(max)) => format!("{name}:{}..{}", min.value, max.value),
        (Some(Bound { value, is_inside }), None) => {
            format!("{name}>{}{value}", if is_inside { "=" } else { "" })
        }
        (None, Some(Bound { value, is_inside })) => {
            format!("{name}<{}{value}", if is_inside { "=" } else { "" })
        }
        (None, None) => format!("{name}:*"),
    }
}

fn severity(severities: Severities) -> String {
    let name = |code: u8| Severity::new(code).map_or("debug", Severity::name);
    let codes: Vec<u8> = severities.codes().collect();
    let (Some(worst), Some(mildest)) = (codes.first().copied(), codes.last().copied()) else {
        return String::new();
    };
    let is_run = usize::from(mildest - worst) + 1 == codes.len();
    match (worst, mildest) {
        _ if codes.len() == 1 => format!("severity:{}", name(worst)),
        (1.., ..7) if codes.len() == 2 => format!("severity:({}, {})", name(worst), name(mildest)),
        (0, _) if is_run => format!("severity>={}", name(mildest)),
        (_, 7) if is_run => format!("severity<={}", name(worst)),
        _ if is_run => format!("severity:{}..{}", name(mildest), name(worst)),
        _ => {
            let names: Vec<_> = codes.into_iter().map(name).collect();
            format!("severity:({})", names.join(", "))
        }
    }
}

fn facility(facilities: Facilities) -> String {
    let names = facilities
        .codes()
        .filter_map(Facility::new)
        .map(|facility| facility.name().to_owned())
        .collect::<Vec<_>>();
    field(&Field::Facility, names.into_iter())
}

fn text_match(text: &TextMatch) -> String {
    match text {
        TextMatch::Contains(pattern) => write_pattern(pattern, Among::Terms),
        TextMatch::Regex(regex) => write_regex(regex),
    }
}

fn text_match_in_list(text: &TextMatch) -> String {
    match text {
        TextMatch::Contains(pattern) => write_pattern(pattern, Among::Values),
        TextMatch::Regex(regex) => write_regex(regex),
    }
}

fn value_match(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Equals(pattern) => write_pattern(pattern, Among::Values),
        ValueMatch::Regex(regex) => write_regex(regex),
    }
}

fn write_regex(regex: &Regex) -> String {
    let mut text = "/".to_owned();
    let mut chars = regex.source().chars();
    while let Some(char) = chars.next() {
        match char {
            '/' => text.push_str("\\/"),
            '\\' => {
                text.push('\\');
                text.extend(chars.next());
            }
            other => text.push(other),
        }
    }
    text.push('/');
    if regex.ignores_case() {
        text.push('i');
    }
    text
}

/// Where a pattern stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Among {
    Terms,
    Values,
}

fn write_pattern(pattern: &Pattern, among: Among) -> String {
    if let Some(text) = pattern.as_literal() {
        return if is_plain(text) {
            text.to_owned()
        } else {
            phrase(text)
        };
    }
    // White space cannot be in a word, and only words have wildcards.
    let mut word = String::new();
    for piece in pattern.pieces() {
        match piece {
            Piece::AnyRun => word.push('*'),
            Piece::AnyOne => word.push('?'),
            Piece::Literal(text) => {
                for char in text.chars() {
                    // Quotes, slashes and minus mean something at a word's start only, but a backslash before them
                    // would be taken for theirs.
                    let is_plain_inside = matches!(char, '"' | '\'' | '/' | '-');
                    let is_inside = !word.is_empty() && !word.ends_with('\\');
                    // Behind a dot a quote would begin a part of a field's name.
                    let is_in_name = matches!(char, '"' | '\'') && word.ends_with('.');
                    if is_escapable(char) && (is_in_name || !(is_plain_inside && is_inside)) {
                        word.push('\\');
                    }
                    word.push(char);
                }
            }
        }
    }
    if among == Among::Values && word == "*" {
        // `*` alone asks whether the field is there; two are one run.
        word.push('*');
    }
    word
}

/// A word that means itself wherever it stands.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !matches!(text, "AND" | "OR" | "NOT")
        && !text.contains("..")
        && text.starts_with(|char: char| char.is_alphanumeric() || char == '_')
        && text.chars().all(|char| {
            char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '=' | '@' | '%' | '+' | '~' | '#')
        })
}

/// Characters that a backslash makes plain.
pub(crate) const fn is_escapable(char: char) -> bool {
    matches!(
        char,
        '*' | '?' | '"' | '\'' | '(' | ')' | ':' | '<' | '>' | ',' | '/' | '-'
    )
}

/// `text` in double quotes.
pub(crate) fn phrase(text: &str) -> String {
    let mut phrase = String::with_capacity(text.len() + 2);
    phrase.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            phrase.push('\\');
        }
        phrase.push(char);
    }
    phrase.push('"');
    phrase
}

/// A chip's label: what a person reads on it.
pub(crate) fn label(expr: &Expr) -> String {
    let mut label = String::new();
    let text = Style::Canonical.expr(expr, Place::Top);
    match text.strip_prefix('-') {
        Some(rest) => write!(label, "not {rest}"),
        None => write!(label, "{text}"),
    }
    .expect("a string takes all text");
    label
}
