//! What is wrong with a query, where, and what would mend it; and notices, which have the same shape and stop nothing.

use serde::Serialize;

/// A part of the query's text, in UTF-16 code units as a browser's text field counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first unit.
    pub start: usize,
    /// Behind the last unit.
    pub end: usize,
}

/// What kind of problem; the wire name is the variant's name in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the names say it, and each has its sentence where it is made"
)]
pub enum Code {
    UnclosedQuote,
    UnclosedGroup,
    UnclosedList,
    EmptyGroup,
    EmptyPhrase,
    EmptyItem,
    EmptyRegex,
    DanglingOperator,
    MissingValue,
    BadSeverity,
    BadFacility,
    BadTime,
    BadDuration,
    BadNumber,
    BadAddress,
    NoOrder,
    NeverTrue,
    WildcardNotHere,
    RegexNotHere,
    ListSeparator,
    LuceneRange,
    BadRegex,
    RegexNotSupported,
    TooLong,
    TooManyTerms,
    TooDeep,
    // Notices.
    UnknownField,
    LowerCaseOperator,
    UnmatchedClose,
    ShortText,
    ReadAsRegex,
}

/// A change of the text that mends the problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// The first unit to replace.
    pub start: usize,
    /// Behind the last unit to replace.
    pub end: usize,
    /// What comes there.
    pub text: String,
}

/// An error or a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// Where; in UTF-16 code units.
    #[serde(flatten)]
    pub span: Span,
    /// One plain sentence.
    pub message: String,
    /// A further sentence that helps; may be empty.
    pub hint: String,
    /// What would mend it, where that is known.
    pub fix: Option<Fix>,
}

impl Problem {
    /// At the bytes `start..end`; [`Problem::in_utf16`] makes units of them.
    pub(crate) fn at(start: usize, end: usize, code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            span: Span { start, end },
            message: message.into(),
            hint: String::new(),
            fix: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Replace the bytes `start..end` with `text`.
    pub(crate) fn fix(mut self, start: usize, end: usize, text: impl Into<String>) -> Self {
        self.fix = Some(Fix {
            start,
            end,
            text: text.into(),
        });
        self
    }

    /// The same problem with its byte offsets in `text` as UTF-16 offsets.
    pub(crate) fn in_utf16(mut self, text: &str) -> Self {
        self.span = utf16(text, self.span.start, self.span.end);
        if let Some(fix) = &mut self.fix {
            let span = utf16(text, fix.start, fix.end);
            (fix.start, fix.end) = (span.start, span.end);
        }
        self
    }
}

/// The span of the bytes `start..end` of `text`.
pub(crate) fn utf16(text: &str, start: usize, end: usize) -> Span {
    let units = |to: usize| {
        text.char_indices()
            .take_while(|(at, _)| *at < to)
            .map(|(_, char)| char.len_utf16())
            .sum()
    };
    Span {
        start: units(start),
        end: units(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_a_text_field() {
        let text = "é😀x";
        assert_eq!(utf16(text, 0, 2), Span { start: 0, end: 1 });
        assert_eq!(utf16(text, 2, 6), Span { start: 1, end: 3 });
        assert_eq!(utf16(text, 6, 7), Span { start: 3, end: 4 });
    }

    #[test]
    fn is_written_flat() {
        let problem = Problem::at(1, 2, Code::EmptyGroup, "Nothing.").fix(1, 1, "x");
        assert_eq!(
            serde_json::to_value(problem).unwrap(),
            serde_json::json!({
                "code": "empty_group", "start": 1, "end": 2, "message": "Nothing.", "hint": "",
                "fix": {"start": 1, "end": 1, "text": "x"},
            })
        );
    }
}
