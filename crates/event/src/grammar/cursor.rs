//! A place in a text. It moves over ASCII characters only, so it never splits a character.

use std::borrow::Cow;

use super::scan::{Class, find_space};

#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// What is still to be read.
    pub(super) const fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) const fn bytes(&self) -> &'a [u8] {
        self.rest.as_bytes()
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes().first().copied()
    }

    /// The rest as a field: absent when empty.
    pub(super) fn rest_as_text(&self) -> Option<Cow<'a, str>> {
        (!self.rest.is_empty()).then_some(Cow::Borrowed(self.rest))
    }

    /// Moves over `len` bytes and returns them. A `len` that is past the end or inside a character moves
    /// to the end.
    pub(super) fn take(&mut self, len: usize) -> &'a str {
        let (head, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        head
    }

    /// Moves over `expected` where it is next.
    pub(super) fn eat(&mut self, expected: &str) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Moves over the bytes of `class` and returns them.
    pub(super) fn take_class(&mut self, class: Class) -> &'a str {
        self.take(class.span(self.bytes()))
    }

    /// Moves over digits and returns them.
    pub(super) fn take_digits(&mut self) -> &'a str {
        let len = self
            .bytes()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.take(len)
    }

    /// Moves over spaces and returns whether there were any.
    pub(super) fn skip_spaces(&mut self) -> bool {
        let rest = self.rest;
        while let [b' ', ..] = self.bytes() {
            self.take(1);
        }
        self.rest.len() < rest.len()
    }

    /// Moves to the next space or the end and returns what it moved over.
    pub(super) fn take_word(&mut self) -> &'a str {
        self.take(find_space(self.bytes()))
    }
}
