//! Regular expressions: the part that Rust's `regex` and PostgreSQL share, so that an expression finds the same
//! everywhere.
//!
//! Literals, `.`, classes, `\d` `\w` `\s` (ASCII) and their opposites, `\b`, `^`, `$`, groups, alternation, greedy and
//! lazy repeats. Anything else is an error with its place.

use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, Flag, GroupKind, LiteralKind,
    RepetitionKind, RepetitionRange,
};

use crate::problem::{Code, Problem};

/// Repeats of PostgreSQL's expressions at most (its documentation, section 9.7.3.1).
const REPEATS_MAX: u32 = 255;
/// Bytes that a compiled expression may take, so that `(\w{200}){200}` is refused and not built.
const COMPILED_MAX: usize = 1 << 20;

/// An expression that every evaluator understands.
#[derive(Debug, Clone)]
pub struct Regex {
    source: String,
    ignore_case: bool,
    portable: String,
    compiled: regex::Regex,
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, self.ignore_case) == (&other.source, other.ignore_case)
    }
}

impl Regex {
    /// `source` stands at the byte `at` of the query.
    pub(crate) fn new(source: &str, ignore_case: bool, at: usize) -> Result<Self, Problem> {
        let tree = ast::parse::Parser::new().parse(source).map_err(|error| {
            let (span, sentence) = (error.span(), error.kind().to_string());
            bad(at, span, Code::BadRegex, sentence)
        })?;
        let mut portable = String::new();
        write(&tree, &mut portable).map_err(|(span, what)| {
            let message = format!("{what} cannot be used here.");
            bad(at, &span, Code::RegexNotSupported, message).hint(
                "Literals, classes, \\d \\w \\s \\b, ^ $, groups, alternation and repeats work on every store.",
            )
        })?;
        let compiled = regex::RegexBuilder::new(&rust_form(&portable))
            .case_insensitive(ignore_case)
            .size_limit(COMPILED_MAX)
            .build()
            .map_err(|error| {
                let message = match error {
                    regex::Error::CompiledTooBig(_) => "This expression is too large.".to_owned(),
                    other => other.to_string(),
                };
                Problem::at(at, at + source.len(), Code::BadRegex, message)
            })?;
        Ok(Self {
            source: source.to_owned(),
            ignore_case,
            portable,
            compiled,
        })
    }

    /// As it stands between the slashes, with `\/` as `/`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether `i` stands behind it.
    #[must_use]
    pub const fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    /// For PostgreSQL's operator `~` (its documentation, section 9.7.3), with classes written out and `\y` for a
    /// word's edge.
    #[must_use]
    pub fn to_postgres(&self) -> String {
        let case = if self.ignore_case { "(?i)" } else { "" };
        format!("{case}{}", self.portable)
    }

    pub(crate) const fn engine(&self) -> &regex::Regex {
        &self.compiled
    }

    /// Whether `text` has a match.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }
}

fn bad(at: usize, span: &ast::Span, code: Code, message: String) -> Problem {
    let (start, end) = (at + span.start.offset, at + span.end.offset);
    let sentence = if message.ends_with('.') {
        message
    } else {
        format!("{message}.")
    };
    Problem::at(start, end.max(start + 1), code, sentence)
}

/// A word's edge as PostgreSQL writes it; in Rust it is `\b`. The character cannot come from a query: all control
/// characters are written as code points.
const EDGE: &str = "\\y";

fn rust_form(portable: &str) -> String {
    let mut rust = String::with_capacity(portable.len());
    let mut chars = portable.chars();
    while let Some(char) = chars.next() {
        rust.push(char);
        if char == '\\' {
            match chars.next() {
                Some('y') => rust.push('b'),
                Some(next) => rust.push(next),
                None => {}
            }
        }
    }
    rust
}

type Unsupported = (ast::Span, String);

/// Writes `tree` in the words that both engines share.
fn write(tree: &Ast, out: &mut String) -> Result<(), Unsupported> {
    match tree {
        Ast::Empty(_) => {}
        Ast::Literal(literal) => literal_char(literal, out)?,
        Ast::Dot(_) => out.push_str("[^\\n]"),
        Ast::Assertion(assertion) => match assertion.kind {
            AssertionKind::StartLine => out.push('^'),
            AssertionKind::EndLine => out.push('$'),
            AssertionKind::WordBoundary => out.push_str(EDGE),
            _ => return Err(unsupported(&assertion.span, "This assertion")),
        },
        Ast::ClassPerl(class) => {
            out.push_str(if class.negated { "[^" } else { "[" });
            out.push_str(perl(class));
            out.push(']');
        }
        Ast::ClassUnicode(class) => return Err(unsupported(&class.span, "A Unicode class")),
        Ast::ClassBracketed(class) => {
            out.push_str(if class.negated { "[^" } else { "[" });
            match &class.kind {
                ClassSet::Item(item) => class_item(item, out)?,
                ClassSet::BinaryOp(op) => return Err(unsupported(&op.span, "An operation on classes")),
            }
            out.push(']');
        }
        Ast::Repetition(repetition) => {
            write_repeated(&repetition.ast, out)?;
            match &repetition.op.kind {
                RepetitionKind::ZeroOrOne => out.push('?'),
                RepetitionKind::ZeroOrMore => out.push('*'),
                RepetitionKind::OneOrMore => out.push('+'),
                RepetitionKind::Range(range) => repeats(range, &repetition.op.span, out)?,
            }
            if !repetition.greedy {
                out.push('?');
            }
        }
        Ast::Group(group) => match &group.kind {
            GroupKind::CaptureIndex(_) => grouped(&group.ast, out)?,
            GroupKind::NonCapturing(flags) if flags.items.is_empty() => grouped(&group.ast, out)?,
            GroupKind::NonCapturing(_) => return Err(unsupported(&group.span, "A group with flags")),
            GroupKind::CaptureName { .. } => return Err(unsupported(&group.span, "A named group")),
        },
        Ast::Alternation(alternation) => {
            for (index, part) in alternation.asts.iter().enumerate() {
                if index > 0 {
                    out.push('|');
                }
                write(part, out)?;
            }
        }
        Ast::Concat(concat) => {
            for part in &concat.asts {
                write(part, out)?;
            }
        }
        Ast::Flags(flags) => {
            let is_case = flags
                .flags
                .flag_state(Flag::CaseInsensitive)
                .is_some_and(|is_on| is_on);
            let what = if is_case {
                "(?i), for which i stands behind the expression,"
            } else {
                "A flag"
            };
            return Err(unsupported(&flags.span, what));
        }
    }
    Ok(())
}

fn unsupported(span: &ast::Span, what: &str) -> Unsupported {
    (*span, what.to_owned())
}

/// PostgreSQL knows no repeat of an edge or of nothing, and no repeat of a repeat.
fn write_repeated(inner: &Ast, out: &mut String) -> Result<(), Unsupported> {
    match inner {
        Ast::Assertion(assertion) => Err(unsupported(&assertion.span, "A repeat of an edge")),
        Ast::Repetition(_) => grouped(inner, out),
        other => write(other, out),
    }
}

fn grouped(inner: &Ast, out: &mut String) -> Result<(), Unsupported> {
    out.push_str("(?:");
    write(inner, out)?;
    out.push(')');
    Ok(())
}

fn repeats(range: &RepetitionRange, span: &ast::Span, out: &mut String) -> Result<(), Unsupported> {
    let (text, max) = match range {
        RepetitionRange::Exactly(n) => (format!("{{{n}}}"), *n),
        RepetitionRange::AtLeast(n) => (format!("{{{n},}}"), *n),
        RepetitionRange::Bounded(from, to) => (format!("{{{from},{to}}}"), *to),
    };
    if max > REPEATS_MAX {
        let what = format!("A repeat of more than {REPEATS_MAX} times");
        return Err(unsupported(span, &what));
    }
    out.push_str(&text);
    Ok(())
}

/// As they are in ASCII, since what is a letter elsewhere depends on a database's locale.
const fn perl(class: &ClassPerl) -> &'static str {
    match class.kind {
        ClassPerlKind::Digit => "0-9",
        ClassPerlKind::Space => " \\t\\n\\r\\f\\v",
        ClassPerlKind::Word => "0-9A-Za-z_",
    }
}

fn class_item(item: &ClassSetItem, out: &mut String) -> Result<(), Unsupported> {
    match item {
        ClassSetItem::Empty(_) => Ok(()),
        ClassSetItem::Literal(literal) => literal_char(literal, out),
        ClassSetItem::Range(range) => {
            literal_char(&range.start, out)?;
            out.push('-');
            literal_char(&range.end, out)
        }
        ClassSetItem::Perl(class) if !class.negated => {
            out.push_str(perl(class));
            Ok(())
        }
        ClassSetItem::Perl(class) => Err(unsupported(&class.span, "An opposite inside a class")),
        ClassSetItem::Ascii(class) => Err(unsupported(&class.span, "A named class")),
        ClassSetItem::Unicode(class) => Err(unsupported(&class.span, "A Unicode class")),
        ClassSetItem::Bracketed(class) => Err(unsupported(&class.span, "A class inside a class")),
        ClassSetItem::Union(union) => union.items.iter().try_for_each(|item| class_item(item, out)),
    }
}

/// A character that stands for itself, in a class and outside.
fn literal_char(literal: &ast::Literal, out: &mut String) -> Result<(), Unsupported> {
    match literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Superfluous | LiteralKind::Special(_) => {}
        LiteralKind::Octal | LiteralKind::HexFixed(_) | LiteralKind::HexBrace(_) => {
            return Err(unsupported(&literal.span, "A character by its number"));
        }
    }
    let char = literal.c;
    match char {
        '\0' => return Err(unsupported(&literal.span, "NUL")),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        '\u{7}' => out.push_str("\\a"),
        char if char.is_ascii_punctuation() && char != '_' => {
            out.push('\\');
            out.push(char);
        }
        char => out.push(char),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, postgres: &str) {
        assert_eq!(Regex::new(source, false, 0).unwrap().to_postgres(), postgres);
    }

    #[test]
    fn is_written_for_postgres() {
        check("timeout after \\d{4,} ms", "timeout after [0-9]{4,} ms");
        check("\\bfoo\\b|^a.c$", "\\yfoo\\y|^a[^\\n]c$");
        check("Failed (password|publickey)", "Failed (?:password|publickey)");
        check("[\\w.-]+?x", "[0-9A-Za-z_\\.\\-]+?x");
        check("[^a-f]\\S", "[^a-f][^ \\t\\n\\r\\f\\v]");
        assert_eq!(Regex::new("é", true, 0).unwrap().to_postgres(), "(?i)é");
    }

    #[test]
    fn matches_as_written() {
        let regex = Regex::new("\\by\\b \\\\y", false, 0).unwrap();
        assert!(regex.is_match("a y \\y"));
        assert!(!regex.is_match("ay \\y"));
        assert!(Regex::new("ÉA", true, 0).unwrap().is_match("xéa"));
        assert!(!Regex::new("a", false, 0).unwrap().is_match("A"));
    }

    #[track_caller]
    fn refused(source: &str, code: Code, start: usize, end: usize) {
        let problem = Regex::new(source, false, 10).unwrap_err();
        assert_eq!(
            (problem.code, problem.span.start, problem.span.end),
            (code, 10 + start, 10 + end)
        );
    }

    #[test]
    fn what_does_not_work_everywhere_is_refused_with_its_place() {
        refused("[", Code::BadRegex, 0, 1);
        refused("ab)", Code::BadRegex, 2, 3);
        refused("x\\pL", Code::RegexNotSupported, 1, 4);
        refused("(?i)a", Code::RegexNotSupported, 0, 4);
        refused("(?P<n>a)", Code::RegexNotSupported, 0, 8);
        refused("a\\x41", Code::RegexNotSupported, 1, 5);
        refused("[a[b]]", Code::RegexNotSupported, 2, 5);
        refused("a{256}", Code::RegexNotSupported, 1, 6);
        refused("\\Aa", Code::RegexNotSupported, 0, 2);
        refused("((\\w{200}){200}){200}", Code::BadRegex, 0, 21);
    }
}
