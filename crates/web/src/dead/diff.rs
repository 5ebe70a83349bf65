//! What differs between two texts, word by word.

use crate::html::Html;

/// Pairs of words that are compared; of larger texts, all between the common beginning and end differs.
const PAIRS_MAX: usize = 1 << 20;

/// Both texts with what the other has not marked.
pub(super) fn marked(before: &str, after: &str) -> (Html, Html) {
    let (old, new) = (words(before), words(after));
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (
        old.get(head..).unwrap_or_default(),
        new.get(head..).unwrap_or_default(),
    );
    let tail = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(old, new)| old == new)
        .count();
    let old_rest = old_rest.get(..old_rest.len() - tail).unwrap_or_default();
    let new_rest = new_rest.get(..new_rest.len() - tail).unwrap_or_default();
    let (old_kept, new_kept) = common(old_rest, new_rest);
    let start: usize = old.iter().take(head).map(|word| word.len()).sum();
    (
        Html::block_marked(before, &ranges(start, old_rest, &old_kept)),
        Html::block_marked(after, &ranges(start, new_rest, &new_kept)),
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

/// Which words of each are in the longest sequence that both have.
fn common(old: &[&str], new: &[&str]) -> (Vec<bool>, Vec<bool>) {
    let (mut old_kept, mut new_kept) = (vec![false; old.len()], vec![false; new.len()]);
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > PAIRS_MAX {
        return (old_kept, new_kept);
    }
    // The length of that sequence of what begins at each pair.
    let mut lengths = vec![0_u32; (old.len() + 1) * width];
    let at = |lengths: &[u32], i: usize, j: usize| lengths.get(i * width + j).copied().unwrap_or(0);
    for (i, old_word) in old.iter().enumerate().rev() {
        for (j, new_word) in new.iter().enumerate().rev() {
            let longest = if old_word == new_word {
                at(&lengths, i + 1, j + 1) + 1
            } else {
                at(&lengths, i + 1, j).max(at(&lengths, i, j + 1))
            };
            if let Some(length) = lengths.get_mut(i * width + j) {
                *length = longest;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    while let (Some(old_word), Some(new_word)) = (old.get(i), new.get(j)) {
        if old_word == new_word {
            for (kept, place) in [(&mut old_kept, i), (&mut new_kept, j)] {
                if let Some(kept) = kept.get_mut(place) {
                    *kept = true;
                }
            }
            (i, j) = (i + 1, j + 1);
        } else if at(&lengths, i + 1, j) >= at(&lengths, i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    (old_kept, new_kept)
}

/// The bytes of words that are not kept.
fn ranges(start: usize, words: &[&str], kept: &[bool]) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut at = start;
    for (word, is_kept) in words.iter().zip(kept) {
        let end = at + word.len();
        if !is_kept {
            match ranges.last_mut() {
                Some(last) if last.1 == at => last.1 = end,
                _ => ranges.push((at, end)),
            }
        }
        at = end;
    }
    ranges
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
        assert!(old.to_string().starts_with("<mark>a b a"));
    }
}
