//! A place in a text. It moves over ASCII characters only, so it never splits a character.

use std::borrow::Cow;

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

    /// Moves to the first byte that is not `wanted` and returns what it moved over. `wanted` takes whole
    /// characters: none or all bytes from 0x80 up.
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let len = self.bytes().iter().position(|byte| !wanted(*byte));
        self.take(len.unwrap_or(self.rest.len()))
    }
}
