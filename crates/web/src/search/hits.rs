//! Where a text has what was searched for.

use query::{Expr, Pattern, Piece, Query, Term, TextMatch};

/// Enough to see why a line was found.
const NEEDLES_MAX: usize = 16;
const HITS_MAX: usize = 64;

/// The texts that a query looks for, in any case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Needles(Vec<String>);

impl Needles {
    pub(crate) fn of(query: &Query) -> Self {
        let mut needles = Vec::new();
        collect(query.expr(), &mut needles);
        needles.truncate(NEEDLES_MAX);
        Self(needles)
    }

    /// Byte ranges of `text`, in order and apart.
    pub(crate) fn in_text(&self, text: &str) -> Vec<(usize, usize)> {
        let mut hits = Vec::new();
        for needle in &self.0 {
            let (needle, text) = (needle.as_bytes(), text.as_bytes());
            let mut at = 0;
            while let Some(window) = text.get(at..at + needle.len()) {
                if window.eq_ignore_ascii_case(needle) {
                    hits.push((at, at + needle.len()));
                    at += needle.len();
                } else {
                    at += 1;
                }
                if hits.len() >= HITS_MAX {
                    break;
                }
            }
        }
        hits.sort_unstable();
        let mut apart: Vec<(usize, usize)> = Vec::new();
        for (start, end) in hits {
            match apart.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => apart.push((start, end)),
            }
        }
        apart
    }
}

fn collect(expr: &Expr, needles: &mut Vec<String>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| collect(part, needles)),
        Expr::Term(Term::Text(text)) => collect_text(text, needles),
        Expr::Term(Term::Message(texts)) => texts.iter().for_each(|text| collect_text(text, needles)),
        // What must not be there is not there.
        Expr::Every | Expr::Not(_) | Expr::Term(_) => {}
    }
}

fn collect_text(text: &TextMatch, needles: &mut Vec<String>) {
    if let TextMatch::Contains(pattern) = text {
        needles.extend(
            literals(pattern)
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
        );
    }
}

fn literals(pattern: &Pattern) -> impl Iterator<Item = &str> {
    pattern.pieces().iter().filter_map(|piece| match piece {
        Piece::Literal(text) => Some(text.as_str()),
        Piece::AnyRun | Piece::AnyOne => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, text: &str, expected: &[(usize, usize)]) {
        let query = query::parse(query, &query::Options::default()).unwrap().query;
        assert_eq!(Needles::of(&query).in_text(text), expected);
    }

    #[test]
    fn hits_are_in_order_and_apart() {
        check("fail", "Failed to FAIL", &[(0, 4), (10, 14)]);
        check("abc OR bcd", "xabcdx", &[(1, 5)]);
        check("a*c", "a-c", &[(0, 1), (2, 3)]);
        check("-fail host:fail", "fail", &[]);
        check("message:\"é\"", "aé", &[(1, 3)]);
        check("", "anything", &[]);
        check("longer", "long", &[]);
    }
}
