//! Literal text with wildcards: `*` for any run of characters, `?` for one.

use crate::fold;

/// What a word or a phrase says. Case does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These characters; never empty, and never beside another literal.
    Literal(String),
    /// Any characters, none too; never beside another run.
    AnyRun,
    /// One character.
    AnyOne,
}

impl Pattern {
    /// Exactly `text`.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        let mut pattern = Self(Vec::new());
        text.chars().for_each(|char| pattern.push_char(char));
        pattern
    }

    pub(crate) const fn empty() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push_char(&mut self, char: char) {
        match self.0.last_mut() {
            Some(Piece::Literal(text)) => text.push(char),
            Some(Piece::AnyRun | Piece::AnyOne) | None => self.0.push(Piece::Literal(char.to_string())),
        }
    }

    pub(crate) fn push_any_run(&mut self) {
        if self.0.last() != Some(&Piece::AnyRun) {
            self.0.push(Piece::AnyRun);
        }
    }

    pub(crate) fn push_any_one(&mut self) {
        self.0.push(Piece::AnyOne);
    }

    /// The parts, in order; none for the empty text.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The text, if there is no wildcard in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            [Piece::AnyRun | Piece::AnyOne] | [_, _, ..] => None,
        }
    }

    /// Whether it is `*` alone, which everything fits.
    #[must_use]
    pub fn is_any(&self) -> bool {
        matches!(self.0.as_slice(), [Piece::AnyRun])
    }

    /// The longest run of letters and digits: what an index of trigrams can look up when it has three or more.
    #[must_use]
    pub fn longest_word(&self) -> usize {
        self.0
            .iter()
            .filter_map(|piece| match piece {
                Piece::Literal(text) => Some(text),
                Piece::AnyRun | Piece::AnyOne => None,
            })
            .flat_map(|text| text.split(|char: char| !char.is_alphanumeric()))
            .map(|word| word.chars().count())
            .max()
            .unwrap_or(0)
    }

    /// Whether a letter beyond ASCII has another case, which `ILIKE` knows in some locales only.
    #[must_use]
    pub fn is_cased_beyond_ascii(&self) -> bool {
        self.0.iter().any(|piece| match piece {
            Piece::Literal(text) => text.chars().any(fold::is_cased_beyond_ascii),
            Piece::AnyRun | Piece::AnyOne => false,
        })
    }

    /// An expression for PostgreSQL's operator `~*` that means the same in every locale: letters beyond ASCII stand
    /// there in all their cases. It matches somewhere; for the whole, put it between `^(?:` and `)$`.
    #[must_use]
    pub fn to_postgres(&self) -> String {
        let mut source = String::new();
        for piece in &self.0 {
            match piece {
                Piece::AnyRun => source.push_str(".*"),
                Piece::AnyOne => source.push('.'),
                Piece::Literal(text) => text.chars().for_each(|char| push_cases(&mut source, char)),
            }
        }
        source
    }

    /// The pattern of SQL's `LIKE` with `\` as the escape character, to be matched as a whole and without regard to
    /// case. For a search inside a text, put `%` on both sides.
    #[must_use]
    pub fn to_like(&self) -> String {
        let mut like = String::new();
        for piece in &self.0 {
            match piece {
                Piece::AnyRun => like.push('%'),
                Piece::AnyOne => like.push('_'),
                Piece::Literal(text) => {
                    for char in text.chars() {
                        if matches!(char, '%' | '_' | '\\') {
                            like.push('\\');
                        }
                        like.push(char);
                    }
                }
            }
        }
        like
    }

    /// The source of an expression of the crate `regex` that means the same.
    pub(crate) fn to_regex(&self) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::AnyRun => ".*".to_owned(),
                Piece::AnyOne => ".".to_owned(),
                Piece::Literal(text) => regex::escape(text),
            })
            .collect()
    }
}

/// Appends an expression for `char` in any case, to be used with `~*`.
fn push_cases(source: &mut String, char: char) {
    if fold::is_cased_beyond_ascii(char) {
        source.push('[');
        for (first, last) in fold::cases(char, char) {
            source.extend(first..=last);
        }
        source.push(']');
    } else {
        if char.is_ascii_punctuation() && char != '_' {
            source.push('\\');
        }
        source.push(char);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern() -> Pattern {
        let mut pattern = Pattern::literal("100%_a\\");
        pattern.push_any_run();
        pattern.push_any_run();
        pattern.push_char('z');
        pattern.push_any_one();
        pattern
    }

    #[test]
    fn like_escapes_what_like_knows() {
        assert_eq!(pattern().to_like(), "100\\%\\_a\\\\%z_");
    }

    #[test]
    fn expressions_name_all_cases() {
        assert_eq!(pattern().to_postgres(), "100\\%_a\\\\.*z.");
        assert_eq!(Pattern::literal("caf\u{e9}").to_postgres(), "caf[\u{c9}\u{e9}]");
        assert!(Pattern::literal("caf\u{e9}").is_cased_beyond_ascii());
        assert!(!pattern().is_cased_beyond_ascii());
    }

    #[test]
    fn knows_what_an_index_can_use() {
        assert_eq!(pattern().longest_word(), 3);
        assert_eq!(Pattern::literal("a-b").longest_word(), 1);
        assert_eq!(Pattern::empty().longest_word(), 0);
    }

    #[test]
    fn a_literal_is_known_as_one() {
        assert_eq!(Pattern::literal("ab").as_literal(), Some("ab"));
        assert_eq!(Pattern::empty().as_literal(), Some(""));
        assert_eq!(pattern().as_literal(), None);
    }
}
