//! A query that cannot be read, or reads otherwise than its writer may think: where, why, and the change that mends it.

use query::{Problem, Span};

use super::ask::Ask;

/// Drawn as the query with a mark under the wrong part.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) before: String,
    pub(crate) wrong: String,
    pub(crate) after: String,
    pub(crate) message: String,
    pub(crate) hint: String,
    pub(crate) fix: Option<Fix>,
}

/// A link to the mended query.
#[derive(Debug)]
pub(crate) struct Fix {
    pub(crate) label: String,
    pub(crate) href: String,
}

impl Mistake {
    /// Of a problem or a notice in the query of `ask`.
    pub(crate) fn new(problem: &Problem, ask: &Ask) -> Self {
        let (before, wrong, after) = cut(&ask.q, problem.span);
        let fix = problem.fix.as_ref().map(|fix| {
            let span = Span {
                start: fix.start,
                end: fix.end,
            };
            let (before, gone, after) = cut(&ask.q, span);
            let label = match (gone.is_empty(), fix.text.is_empty()) {
                (true, _) => format!("Insert {}", fix.text),
                (false, true) => format!("Remove {gone}"),
                (false, false) => format!("Use {}", fix.text),
            };
            Fix {
                label,
                href: ask.with_query(format!("{before}{}{after}", fix.text)).href(),
            }
        });
        Self {
            before,
            wrong,
            after,
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            fix,
        }
    }
}

/// `text` before, in and after a span of UTF-16 units.
pub(super) fn cut(text: &str, span: Span) -> (String, String, String) {
    let units: Vec<u16> = text.encode_utf16().collect();
    let end = span.end.min(units.len());
    let start = span.start.min(end);
    let part = |range: std::ops::Range<usize>| String::from_utf16_lossy(units.get(range).unwrap_or_default());
    (part(0..start), part(start..end), part(end..units.len()))
}

/// `q` without what a chip stands for.
pub(super) fn without(q: &str, span: Span) -> String {
    let (before, _, after) = cut(q, span);
    let (before, after) = (before.trim_end(), after.trim_start());
    // An operator that has lost a side goes too.
    let before = before.strip_suffix(" AND").unwrap_or(before);
    let after = if before.is_empty() {
        after.strip_prefix("AND ").unwrap_or(after)
    } else {
        after
    };
    format!("{before} {after}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_as_a_text_field_counts() {
        let span = Span { start: 2, end: 4 };
        assert_eq!(
            cut("é😀x", Span { start: 1, end: 3 }),
            ("é".into(), "😀".into(), "x".into())
        );
        assert_eq!(cut("abcdef", span), ("ab".into(), "cd".into(), "ef".into()));
        assert_eq!(
            cut("ab", Span { start: 9, end: 12 }),
            ("ab".into(), String::new(), String::new())
        );
    }

    #[test]
    fn a_fix_becomes_a_link() {
        let ask = Ask {
            q: "severity:wrn x".to_owned(),
            ..Ask::default()
        };
        let problem = query::parse(&ask.q, &query::Options::default()).unwrap_err();
        let mistake = Mistake::new(&problem, &ask);
        assert_eq!((&*mistake.before, &*mistake.wrong), ("severity:", "wrn"));
        let fix = mistake.fix.unwrap();
        assert_eq!(
            (&*fix.label, &*fix.href),
            ("Use warn", "/search?q=severity%3Awarn+x")
        );
    }

    #[test]
    fn a_chip_is_taken_away_with_its_operator() {
        for (q, (start, end), expected) in [
            ("a b c", (2, 3), "a c"),
            ("a AND b", (6, 7), "a"),
            ("a AND b", (0, 1), "b"),
            ("a", (0, 1), ""),
        ] {
            assert_eq!(without(q, Span { start, end }), expected, "{q}");
        }
    }
}
