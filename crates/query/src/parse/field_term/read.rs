//! Values of one kind from their text, and what is said when they are not of that kind.

use event::{Facility, Severity};

use super::{Named, Value};
use crate::{
    field::nearest,
    parse::Parser,
    problem::{Code, Problem},
    tree::ValueMatch,
    value::{
        address::Network,
        number,
        time::{self, Literal},
    },
};

impl Parser<'_> {
    /// The text of a value where neither wildcards nor expressions mean anything.
    pub(super) fn plain<'v>(&self, named: &Named, value: &'v Value) -> Result<&'v str, Problem> {
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

    pub(super) fn network(&self, named: &Named, value: &Value) -> Result<Network, Problem> {
        let text = self.plain(named, value)?;
        Network::parse(text).ok_or_else(|| {
            let message = format!("{text} is not an address or network, like 10.0.0.1 or 10.0.0.0/8.");
            value.problem(Code::BadAddress, message)
        })
    }

    pub(super) fn number(&self, named: &Named, value: &Value) -> Result<f64, Problem> {
        let text = self.plain(named, value)?;
        number::number(text).ok_or_else(|| {
            value.problem(
                Code::BadNumber,
                format!("{text} is not a number, like 500 or -1.5."),
            )
        })
    }

    pub(super) fn severity(&self, named: &Named, value: &Value) -> Result<Severity, Problem> {
        let text = self.plain(named, value)?;
        text.parse().ok().ok_or_else(|| bad_severity(value, text))
    }

    pub(super) fn facility(&self, named: &Named, value: &Value) -> Result<Facility, Problem> {
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

    pub(super) fn time(&self, named: &Named, value: &Value) -> Result<Literal, Problem> {
        let text = self.plain(named, value)?;
        self.literal(text).ok_or_else(|| bad_time(value, text))
    }

    fn literal(&self, text: &str) -> Option<Literal> {
        time::literal(text, &self.here)
            .filter(|literal| time::is_writable(literal.start()) && time::is_writable(literal.end()))
    }
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

pub(super) fn bad_duration(value: &Value, text: &str) -> Problem {
    value.problem(
        Code::BadDuration,
        format!("{text} is not a duration; like 500ms, 90s, 5m."),
    )
}
