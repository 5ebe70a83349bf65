//! What is asked: the words of the command line as one query, and what is wrong with it, drawn.

use event::{Severity, Timestamp};
use jiff::tz::TimeZone;
use query::{Code, FieldNames, Options, Problem, Query, parse};

use crate::terminal::push_visible;

/// A query that can run.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) query: Query,
    /// What relative times in it are counted from.
    pub(super) now: Timestamp,
    /// What is worth saying about it.
    pub(super) notices: Vec<String>,
    /// A term may name a custom field without `fields.` before it; the store knows which there are.
    pub(super) wants_names: bool,
}

impl Question {
    /// Reads `words`, joined, and `severity` or worse besides; `fields` may be named without `fields.`. The error is for
    /// people.
    pub(super) fn read(
        words: &[String],
        severity: Option<Severity>,
        fields: FieldNames,
    ) -> Result<Self, String> {
        let text = words.join(" ");
        let options = Options {
            fields,
            zone: TimeZone::system(),
            ..Options::default()
        };
        let parsed = parse(&text, &options).map_err(|problem| drawn(&text, &problem))?;
        let mut query = parsed.query;
        if let Some(severity) = severity {
            let worse = format!("severity>={}", severity.name());
            let worse = parse(&worse, &options).map_err(|problem| drawn(&worse, &problem))?;
            query = query.and(worse.query);
        }
        Ok(Self {
            query,
            now: options.now,
            wants_names: parsed
                .notices
                .iter()
                .any(|notice| notice.code == Code::UnknownField),
            notices: parsed.notices.iter().map(|notice| said(&text, notice)).collect(),
        })
    }
}

/// The sentences of a problem, and the query that would be right.
fn said(text: &str, problem: &Problem) -> String {
    let mut said = String::new();
    push_visible(&mut said, &problem.message);
    if !problem.hint.is_empty() {
        said.push(' ');
        push_visible(&mut said, &problem.hint);
    }
    if let Some(fix) = &problem.fix {
        let units: Vec<u16> = text.encode_utf16().collect();
        let part =
            |range: std::ops::Range<usize>| String::from_utf16_lossy(units.get(range).unwrap_or_default());
        let fixed = [&part(0..fix.start), &fix.text, &part(fix.end..units.len())]
            .map(String::as_str)
            .concat();
        said.push_str(" Try: ");
        push_visible(&mut said, &fixed);
    }
    said
}

/// The query, a line of carets under what is wrong, and the sentences.
fn drawn(text: &str, problem: &Problem) -> String {
    let (mut line, mut carets) = (String::new(), String::new());
    let mut at = 0;
    for char in text.chars() {
        let mut visible = String::new();
        push_visible(&mut visible, char.encode_utf8(&mut [0; 4]));
        let is_wrong = problem.span.start <= at && at < problem.span.end;
        let mark = if is_wrong { '^' } else { ' ' };
        carets.extend(std::iter::repeat_n(mark, visible.chars().count()));
        line.push_str(&visible);
        at += char.len_utf16();
    }
    if !carets.contains('^') {
        carets.push('^');
    }
    format!(
        "the query has a mistake\n  {line}\n  {}\n{}",
        carets.trim_end(),
        said(text, problem)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> String {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Question::read(&words, None, FieldNames::default()).expect_err("is a mistake")
    }

    #[test]
    fn carets_stand_under_what_is_wrong() {
        assert_eq!(
            told(&["\u{1f980}", "severity:wrn", "x"]),
            "the query has a mistake\n  \u{1f980} severity:wrn x\n             ^^^\n\
             wrn is not a severity. Did you mean warn? Try: \u{1f980} severity:warn x"
        );
        assert!(
            told(&["a", "OR"]).contains("  a OR\n    ^^\n"),
            "{}",
            told(&["a", "OR"])
        );
        let shown = told(&["\u{1b}[31m", "severity:wrn"]);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        assert!(shown.contains("\n                    ^^^\n"), "{shown:?}");
    }

    #[test]
    fn what_may_be_a_mistake_is_told() {
        let words = ["long or hostnme:b status:500".to_owned()];
        let question = Question::read(&words, None, FieldNames::default()).expect("can run");
        assert!(question.wants_names);
        let told = question.notices.join("\n");
        assert!(told.contains("Try: long OR hostnme:b"), "{told}");
        assert!(told.contains("Try: long or hostname:b"), "{told}");
        assert!(told.contains("status"), "{told}");
        let question = Question::read(&words, None, FieldNames::new(["status"])).expect("can run");
        assert!(question.query.canonical().contains("fields.status:500"));
    }
}
