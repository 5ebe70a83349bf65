//! What differs between two texts, word by word.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use similar::{Algorithm, DiffTag, capture_diff_slices_deadline};

use crate::html::Html;

/// After this the rest is said to differ.
const BUDGET: Duration = Duration::from_millis(100);

/// Both texts with what the other has not marked.
pub(super) fn marked(before: &str, after: &str) -> (Html, Html) {
    let (old, new) = (words(before), words(after));
    let deadline = Some(Instant::now() + BUDGET);
    let (mut old_marks, mut new_marks) = (Vec::new(), Vec::new());
    for step in capture_diff_slices_deadline(Algorithm::Patience, &old, &new, deadline) {
        let (tag, in_old, in_new) = step.as_tag_tuple();
        if tag != DiffTag::Equal {
            old_marks.extend(bytes(&old, in_old));
            new_marks.extend(bytes(&new, in_new));
        }
    }
    (
        Html::block_marked(before, &old_marks),
        Html::block_marked(after, &new_marks),
    )
}

/// Letters and digits together, everything else by itself.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if first.is_alphanumeric() {
            rest.find(|char: char| !char.is_alphanumeric())
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, behind) = rest.split_at(end);
        words.push(word);
        rest = behind;
    }
    words
}

/// Where these words stand, unless there are none.
fn bytes(words: &[&str], which: Range<usize>) -> Option<(usize, usize)> {
    let length = |words: Option<&[&str]>| words.map_or(0, |words| words.iter().map(|word| word.len()).sum());
    let start: usize = length(words.get(..which.start));
    let end = start + length(words.get(which));
    (start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, old: &str, new: &str) {
        let (found_old, found_new) = marked(before, after);
        assert_eq!((&*found_old.to_string(), &*found_new.to_string()), (old, new));
    }

    #[test]
    fn what_differs_is_marked() {
        check("a b", "a b", "a b", "a b");
        check(
            "a wrong c",
            "a right c",
            "a <mark>wrong</mark> c",
            "a <mark>right</mark> c",
        );
        check(
            "a=1 b=2 c",
            "a=3 c d",
            "a=<mark>1 b=2</mark> c",
            "a=<mark>3</mark> c<mark> d</mark>",
        );
        check("", "<b>", "", "<mark>&lt;b&gt;</mark>");
        check(
            "one\ntwo",
            "one\n2",
            "one\n<mark>two</mark>",
            "one\n<mark>2</mark>",
        );
        check("é ü", "é ö", "é <mark>ü</mark>", "é <mark>ö</mark>");
    }

    #[test]
    fn large_texts_are_compared_in_bounded_time() {
        let (before, after) = ("a b ".repeat(4000), "c d ".repeat(4000));
        let (old, _) = marked(&before, &after);
        assert!(old.to_string().starts_with("<mark>a"));
    }
}
