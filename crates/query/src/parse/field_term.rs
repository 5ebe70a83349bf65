//! `name:value`, `name>=value`, lists and ranges, each by the kind of its field.

use event::{Facility, Severity};

use super::{Parser, word::Ends};
use crate::{
    field::{Field, is_ident_char, nearest},
    pattern::Pattern,
    problem::{Code, Problem},
    tree::{Facilities, Severities, Term, TextMatch, ValueMatch},
    value::{
        address::Network,
        duration::{self, DurationRange},
        number::{self, Bound, NumberRange},
        time::{self, Literal, TimeRange},
    },
};

/// How a value is compared.
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
            && let Some(term) = range(self, named, &value)?
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

    /// The field is one of `values`.
    fn one_of(&self, named: &Named, values: Vec<Value>) -> Result<Term, Problem> {
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
                let networks = values.iter().map(|value| {
                    let text = self.plain(named, value)?;
                    Network::parse(text).ok_or_else(|| {
                        let message =
                            format!("{text} is not an address or network, like 10.0.0.1 or 10.0.0.0/8.");
                        value.problem(Code::BadAddress, message)
                    })
                });
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
            Field::Time(clock) => {
                let value = self.only(named, &values)?;
                match self.time(named, value)? {
                    span @ Literal::Span(..) => {
                        self.time_term(named, *clock, Some(span.start()), Some(span.end()))?
                    }
                    Literal::Relative(_) => {
                        let name = self.written(named);
                        let message = format!("{} is an instant; compare with it.", value.text);
                        return Err(value
                            .problem(Code::BadTime, message)
                            .hint(format!("{name}>={} is since then.", value.text))
                            .fix(named.name_end, value.start, ">="));
                    }
                }
            }
            Field::Lag => {
                let value = self.only(named, &values)?;
                let text = self.plain(named, value)?;
                if duration::duration(text).is_none() {
                    return Err(bad_duration(value, text));
                }
                let message = "A lag is compared, since it is hardly ever exactly this.";
                return Err(value
                    .problem(Code::NoOrder, message)
                    .hint(format!("lag>{text} finds what came later than that."))
                    .fix(named.name_end, value.start, ">"));
            }
        })
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

    /// The text of a value where neither wildcards nor expressions mean anything.
    fn plain<'v>(&self, named: &Named, value: &'v Value) -> Result<&'v str, Problem> {
        let name = self.written(named);
        match &value.what {
            ValueMatch::Regex(_) => {
                let message = format!("{name} cannot be searched with an expression.");
                Err(value.problem(Code::RegexNotHere, message))
            }
            ValueMatch::Equals(pattern) if !value.is_quoted && pattern.as_literal().is_none() => {
                let message = format!("{name} cannot be searched with * or ?.");
                Err(value.problem(Code::WildcardNotHere, message))
            }
            ValueMatch::Equals(_) => Ok(&value.text),
        }
    }

    fn severity(&self, named: &Named, value: &Value) -> Result<Severity, Problem> {
        let text = self.plain(named, value)?;
        severity(text).ok_or_else(|| bad_severity(value, text))
    }

    fn facility(&self, named: &Named, value: &Value) -> Result<Facility, Problem> {
        let text = self.plain(named, value)?;
        // The name of facility 14 differs between systems.
        let known = if text.eq_ignore_ascii_case("console") {
            "14"
        } else {
            text
        };
        known.parse().ok().ok_or_else(|| {
            let names = (0..24)
                .filter_map(Facility::new)
                .map(|facility| facility.name().to_owned());
            bad_name(value, text, "facility", Code::BadFacility, names)
        })
    }

    fn time(&self, named: &Named, value: &Value) -> Result<Literal, Problem> {
        let text = self.plain(named, value)?;
        self.literal(text).ok_or_else(|| bad_time(value, text))
    }

    fn literal(&self, text: &str) -> Option<Literal> {
        time::literal(text, &self.here)
            .filter(|literal| time::is_writable(literal.start()) && time::is_writable(literal.end()))
    }

    fn time_term(
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

    fn never(&self, named: &Named) -> Problem {
        let message = "No event can fit this: the range is empty.";
        Problem::at(named.start, self.at, Code::NeverTrue, message)
    }

    /// `name>=value` and its like.
    fn compared(&mut self, named: &Named, comparison: Comparison) -> Result<Term, Problem> {
        use Comparison::{Above, AtLeast, AtMost, Below};
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
                let next = micros.saturating_add(1);
                let (min, end) = match comparison {
                    AtLeast => (Some(micros), None),
                    Above => (Some(next), None),
                    AtMost => (None, Some(next)),
                    Below => (None, Some(micros)),
                };
                Ok(Term::Lag(DurationRange { min, end }))
            }
            Field::Severity => {
                let written = self.severity(named, &value)?.code();
                // By name worse is greater; by number it is as RFC 5424 counts.
                let by_number = text.bytes().all(|byte| byte.is_ascii_digit());
                let severities = Severities::of(|code| match (comparison, by_number) {
                    (AtLeast, false) | (AtMost, true) => code <= written,
                    (AtMost, false) | (AtLeast, true) => code >= written,
                    (Above, false) | (Below, true) => code < written,
                    (Below, false) | (Above, true) => code > written,
                });
                Ok(Term::Severity(severities.ok_or_else(|| self.never(named))?))
            }
            Field::Custom(path) => {
                let value = number::number(text).ok_or_else(|| {
                    let message = format!("{text} is not a number, like 500 or -1.5.");
                    value.problem(Code::BadNumber, message)
                })?;
                let bound = Some(Bound {
                    value,
                    is_inside: matches!(comparison, AtLeast | AtMost),
                });
                let range = match comparison {
                    AtLeast | Above => NumberRange {
                        min: bound,
                        max: None,
                    },
                    AtMost | Below => NumberRange {
                        min: None,
                        max: bound,
                    },
                };
                Ok(Term::Number(path.clone(), range))
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

/// `a..b`, on fields that have an order; on custom fields only between numbers.
fn range(parser: &Parser<'_>, named: &Named, value: &Value) -> Result<Option<Term>, Problem> {
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

/// A name, another name for it, or a number.
fn severity(text: &str) -> Option<Severity> {
    text.parse().ok()
}

fn bad_severity(value: &Value, text: &str) -> Problem {
    let names = [
        "emerg",
        "emergency",
        "panic",
        "alert",
        "crit",
        "critical",
        "fatal",
        "err",
        "error",
        "warn",
        "warning",
        "notice",
        "info",
        "debug",
        "trace",
    ];
    bad_name(
        value,
        text,
        "severity",
        Code::BadSeverity,
        names.into_iter().map(str::to_owned),
    )
}

fn bad_name(
    value: &Value,
    text: &str,
    kind: &str,
    code: Code,
    names: impl Iterator<Item = String>,
) -> Problem {
    let problem = value.problem(code, format!("{text} is not a {kind}."));
    match nearest(text, names) {
        Some(name) => problem
            .hint(format!("Did you mean {name}?"))
            .fix(value.start, value.end, name),
        None => problem,
    }
}

fn bad_time(value: &Value, text: &str) -> Problem {
    let message = format!("{text} is not a time, like 10:15, 2026-11-21, 2026-11-21T10:15Z, now or -15m.");
    value.problem(Code::BadTime, message)
}

fn bad_duration(value: &Value, text: &str) -> Problem {
    value.problem(
        Code::BadDuration,
        format!("{text} is not a duration; like 500ms, 90s, 5m."),
    )
}
