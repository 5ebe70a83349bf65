//! A query as a tree: what it means, with every value checked.

use event::{Facility, Severity};

use crate::{
    field::{Field, TimeField, WordField},
    pattern::Pattern,
    regex::Regex,
    value::{address::Network, duration::DurationRange, number::NumberRange, time::TimeRange},
};

/// A parsed query. Two are equal when they mean the same by their shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    expr: Expr,
}

impl Query {
    pub(crate) const fn new(expr: Expr) -> Self {
        Self { expr }
    }

    /// Every event in the range.
    #[must_use]
    pub const fn every() -> Self {
        Self::new(Expr::Every)
    }

    /// What the query asks.
    #[must_use]
    pub const fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Both queries at once: a token's own query in front of what is asked with it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(Expr::and([self.expr, other.expr]))
    }
}

impl Query {
    /// The complement.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::new(self.expr.negated())
    }
}

impl From<Term> for Query {
    /// One term alone.
    fn from(term: Term) -> Self {
        Self::new(Expr::Term(term))
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// No condition.
    Every,
    /// All must hold; at least two, none of them an `And` or [`Expr::Every`].
    And(Vec<Expr>),
    /// One must hold; at least two, none of them an `Or`.
    Or(Vec<Expr>),
    /// The complement: an event that lacks the field is in it. Never of another `Not`.
    Not(Box<Expr>),
    /// One term.
    Term(Term),
}

impl Expr {
    /// All of `parts`, flat.
    #[must_use]
    pub fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            match part {
                Self::Every => {}
                Self::And(parts) => all.extend(parts),
                part @ (Self::Or(_) | Self::Not(_) | Self::Term(_)) => all.push(part),
            }
        }
        if all.len() > 1 {
            return Self::And(all);
        }
        all.pop().unwrap_or(Self::Every)
    }

    /// One of `parts`, flat; of none, [`Expr::Every`].
    #[must_use]
    pub fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut any = Vec::new();
        for part in parts {
            match part {
                Self::Every => return Self::Every,
                Self::Or(parts) => any.extend(parts),
                part @ (Self::And(_) | Self::Not(_) | Self::Term(_)) => any.push(part),
            }
        }
        if any.len() > 1 {
            return Self::Or(any);
        }
        any.pop().unwrap_or(Self::Every)
    }

    /// The complement.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other @ (Self::Every | Self::And(_) | Self::Or(_) | Self::Term(_)) => Self::Not(Box::new(other)),
        }
    }
}

/// One condition on one thing. Where there is a list, one of its items must fit.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// The line as shown has the text: its message, hostname or application name.
    Text(TextMatch),
    /// The message has the text.
    Message(Vec<TextMatch>),
    /// A clock's time.
    Time(TimeField, TimeRange),
    /// `received_at` − `timestamp`; events without a timestamp have none.
    Lag(DurationRange),
    /// One of these severities.
    Severity(Severities),
    /// One of these facilities.
    Facility(Facilities),
    /// A field that holds one text.
    Word(WordField, Vec<ValueMatch>),
    /// The sender's address.
    PeerAddr(Vec<Network>),
    /// A tag.
    Tag(Vec<ValueMatch>),
    /// A parameter of structured data.
    StructuredData {
        /// `SD-ID`.
        id: String,
        /// `PARAM-NAME`.
        param: String,
        /// What one of its values must be.
        any: Vec<ValueMatch>,
    },
    /// A custom field, by its path: its value as text, or one item of its list.
    Custom(Vec<String>, Vec<ValueMatch>),
    /// A custom field, by its path: its value as a number, or one item of its list. What is no number does not fit.
    Number(Vec<String>, NumberRange),
    /// The event has the field.
    Exists(Field),
}

/// What a text must have in it.
#[derive(Debug, Clone, PartialEq)]
pub enum TextMatch {
    /// The pattern, somewhere.
    Contains(Pattern),
    /// A match of the expression, somewhere.
    Regex(Regex),
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueMatch {
    /// The pattern, as a whole.
    Equals(Pattern),
    /// A match of the expression, somewhere.
    Regex(Regex),
}

/// A set of severities, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Severities(u8);

impl Severities {
    /// Those of the codes 0 to 7 for which `is_in` holds; `None` when there are none.
    pub(crate) fn of(is_in: impl Fn(u8) -> bool) -> Option<Self> {
        let bits = (0..8)
            .filter(|code| is_in(*code))
            .fold(0, |bits, code| bits | 1 << code);
        (bits != 0).then_some(Self(bits))
    }

    /// Whether `severity` is one of them.
    #[must_use]
    pub fn contains(self, severity: Severity) -> bool {
        self.codes().any(|code| code == severity.code())
    }

    /// Their codes (RFC 5424 section 6.2.1, 0 is the worst), rising.
    pub fn codes(self) -> impl Iterator<Item = u8> + Clone {
        (0..8).filter(move |code| self.0 & (1 << code) != 0)
    }
}

/// A set of facilities, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facilities(u32);

impl Facilities {
    /// Of codes from 0 to 23; `None` when there are none.
    pub(crate) fn of(codes: impl IntoIterator<Item = u8>) -> Option<Self> {
        let bits = codes
            .into_iter()
            .filter(|code| *code < 24)
            .fold(0, |bits, code| bits | 1 << code);
        (bits != 0).then_some(Self(bits))
    }

    /// Whether `facility` is one of them.
    #[must_use]
    pub fn contains(self, facility: Facility) -> bool {
        self.codes().any(|code| code == facility.code())
    }

    /// Their codes (RFC 5424 section 6.2.1), rising.
    pub fn codes(self) -> impl Iterator<Item = u8> + Clone {
        (0..24).filter(move |code| self.0 & (1 << code) != 0)
    }
}
