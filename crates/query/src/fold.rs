//! A character in all its cases: those that the crate `regex` takes for the same without regard to case. What a
//! database takes for the same depends on its locale, so stores are told.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// The characters from `first` to `last` in all cases, as ranges.
pub(crate) fn cases(first: char, last: char) -> Vec<(char, char)> {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(first, last)]);
    class
        .try_case_fold_simple()
        .expect("the tables of Unicode's cases are built in");
    class.iter().map(|range| (range.start(), range.end())).collect()
}

/// Whether `char` is none of ASCII's and has another case.
pub(crate) fn is_cased_beyond_ascii(char: char) -> bool {
    !char.is_ascii() && cases(char, char) != [(char, char)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_unicodes() {
        assert_eq!(cases('é', 'é'), [('É', 'É'), ('é', 'é')]);
        assert_eq!(cases('σ', 'σ'), [('Σ', 'Σ'), ('ς', 'σ')]);
        assert!(is_cased_beyond_ascii('é'));
        assert!(!is_cased_beyond_ascii('a') && !is_cased_beyond_ascii('語'));
    }
}
