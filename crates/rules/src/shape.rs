//! Bounds on the shape of a program's text, checked before VRL sees it.
//!
//! VRL compiles, runs and drops a program by recursion over its syntax tree, so a text of a hundred thousand
//! opening brackets would overflow the stack, which nothing can catch. Here the depth of the tree is bounded from
//! above by brackets, operators and `else` branches.

use vrl::diagnostic::Span;

/// Bytes of one program; far above any program that people read.
pub(crate) const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// Brackets inside each other plus operators and `else` branches in one chain. Measured on a debug build: a program
/// of depth 60 takes up to 2 MiB of stack to compile and 256 KiB to run.
pub(crate) const DEPTH_MAX: usize = 160;

/// Stack for compiling a program of that depth, with room to spare.
pub(crate) const COMPILE_STACK_BYTES: usize = 32 << 20;

/// What is wrong with the shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misshapen {
    TooLong,
    TooDeep(Span),
}

/// The program's text with the contents of strings and comments blanked out, byte for byte in the same place.
pub(crate) fn code_only(source: &str) -> Vec<u8> {
    let mut code = source.as_bytes().to_vec();
    let mut closing = None;
    let mut escaped = false;
    for byte in &mut code {
        let blank = match (closing, *byte) {
            (None, quote @ (b'"' | b'\'')) => {
                closing = Some(quote);
                false
            }
            (None, b'#') => {
                closing = Some(b'\n');
                true
            }
            (None, _) => false,
            (Some(b'\n'), b'\n') => {
                closing = None;
                false
            }
            (Some(b'\n'), _) => true,
            (Some(_), b'\\') if !escaped => {
                escaped = true;
                true
            }
            (Some(quote), byte) if byte == quote && !escaped => {
                closing = None;
                false
            }
            (Some(_), _) => {
                escaped = false;
                true
            }
        };
        if blank {
            *byte = b' ';
        }
    }
    code
}

/// Refuses what is too long or too deep.
pub(crate) fn check(source: &str) -> Result<(), Misshapen> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(Misshapen::TooLong);
    }
    let mut code = code_only(source);
    // Ends the last word.
    code.push(b'\n');
    let mut tree = Tree::default();
    let mut word_from = None;
    let mut before = b'\n';
    for (at, &byte) in code.iter().enumerate() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            word_from.get_or_insert(at);
        } else {
            if let Some(from) = word_from.take() {
                tree.word(code.get(from..at) == Some(b"else"));
            }
            tree.mark(byte, before);
        }
        if tree.depth > DEPTH_MAX {
            return Err(Misshapen::TooDeep(Span::new(at, at + 1)));
        }
        before = byte;
    }
    Ok(())
}

/// The depth of the syntax tree so far, from above.
struct Tree {
    /// Links of the chain within each open bracket; the bracket is a link itself.
    chains: Vec<usize>,
    /// The sum of the links.
    depth: usize,
    /// A line end or semicolon came after something that can end a chain.
    may_end: bool,
    /// The last thing was an operator, `else` or an opening bracket: the chain goes on whatever comes.
    goes_on: bool,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            chains: vec![0],
            depth: 0,
            may_end: false,
            goes_on: true,
        }
    }
}

impl Tree {
    fn word(&mut self, is_else: bool) {
        if is_else {
            self.link();
        } else {
            self.begin();
        }
        (self.may_end, self.goes_on) = (false, is_else);
    }

    fn mark(&mut self, byte: u8, before: u8) {
        match byte {
            b'\n' | b';' => self.may_end |= !self.goes_on,
            b'(' | b'[' | b'{' => {
                self.begin();
                self.chains.push(0);
                self.link();
            }
            b')' | b']' | b'}' => {
                if self.chains.len() > 1 {
                    self.depth -= self.chains.pop().unwrap_or(0);
                }
                (self.may_end, self.goes_on) = (false, false);
            }
            b'"' | b'\'' => {
                self.begin();
                (self.may_end, self.goes_on) = (false, false);
            }
            // `==` is one operator, `!!` is two.
            _ if is_operator(byte) && (byte == b'!' || !is_operator(before)) => self.link(),
            _ => {}
        }
    }

    /// Something that goes one deeper, or the whole before it.
    fn link(&mut self) {
        if let Some(chain) = self.chains.last_mut() {
            *chain += 1;
            self.depth += 1;
        }
        (self.may_end, self.goes_on) = (false, true);
    }

    /// Something that begins a chain, if the one before could end.
    fn begin(&mut self) {
        if !self.may_end {
            return;
        }
        let bracket = usize::from(self.chains.len() > 1);
        if let Some(chain) = self.chains.last_mut() {
            self.depth -= *chain - bracket;
            *chain = bracket;
        }
    }
}

fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'+' | b'-' | b'*' | b'/' | b'|' | b'&' | b'=' | b'<' | b'>' | b'!' | b'?'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_blanked() {
        let source = "a = \"x\\\"(\" # ((\nb = s'\\'(' + c";
        let expected = "a = \"    \" ";
        let code = String::from_utf8(code_only(source)).unwrap();
        assert_eq!(code.len(), source.len());
        assert!(code.starts_with(expected), "{code:?}");
        assert!(!code.contains('('), "{code:?}");
        assert!(code.ends_with("\nb = s'   ' + c"), "{code:?}");
    }

    #[track_caller]
    fn too_deep(source: &str) {
        assert!(matches!(check(source), Err(Misshapen::TooDeep(_))));
    }

    #[test]
    fn depth_is_bounded_whatever_makes_it() {
        too_deep(&"(".repeat(DEPTH_MAX + 1));
        too_deep(&"!".repeat(DEPTH_MAX + 1));
        too_deep(&format!("a{}", " + a".repeat(DEPTH_MAX + 1)));
        too_deep(&format!("a{}", "\n+\na".repeat(DEPTH_MAX + 1)));
        too_deep(&format!(
            "if a {{ b\n }}{}",
            "\nelse if a {\nb\n}".repeat(DEPTH_MAX + 1)
        ));
        too_deep(&"{ a +".repeat(DEPTH_MAX / 2 + 1));
    }

    #[test]
    fn length_alone_is_not_depth() {
        assert_eq!(check(&"a = b + c * 2\n".repeat(5000)), Ok(()));
        assert_eq!(check(&"if a == 1 { b = f(c, [1, 2]) }\n".repeat(5000)), Ok(()));
        assert_eq!(
            check(&"if a {\n  b = \"(\"; c = !d\n} else {\n  e = 1\n}\n".repeat(3000)),
            Ok(())
        );
        assert_eq!(check(&"x".repeat(SOURCE_BYTES_MAX + 1)), Err(Misshapen::TooLong));
    }
}
