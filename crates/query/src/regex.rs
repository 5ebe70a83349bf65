//! Regular expressions: the part that Rust's `regex` and PostgreSQL share, so that an expression finds the same
//! everywhere.
//!
//! Literals, `.`, classes, `\d` `\w` `\s` `\b` (ASCII) and the opposites of the first three, `^`, `$`, groups,
//! alternation, greedy and lazy repeats. Anything else is an error with its place.

use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, Flag, GroupKind, LiteralKind,
    RepetitionKind, RepetitionRange,
};

use crate::{
    fold,
    problem::{Code, Problem},
};

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
        let mut out = Writer {
            ignore_case,
            portable: String::new(),
        };
        let written = out.write(&tree);
        let portable = out.portable;
        written.map_err(|(span, what)| {
            let message = format!("{what} cannot be used here.");
            bad(at, &span, Code::RegexNotSupported, message).hint(
                "Literals, classes, \\d \\w \\s \\b, ^ $, groups, alternation and repeats work on every store.",
            )
        })?;
        let compiled = regex::RegexBuilder::new(&with_edges(&portable, RUST_EDGE))
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

    /// For PostgreSQL's operator `~` (its documentation, section 9.7.3), with everything written out that depends on
    /// a locale there.
    #[must_use]
    pub fn to_postgres(&self) -> String {
        let case = if self.ignore_case { "(?i)" } else { "" };
        format!("{case}{}", with_edges(&self.portable, POSTGRES_EDGE))
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

/// A word's edge in the portable form. Nothing else is written with this escape: punctuation alone has a backslash
/// there, and control characters have letters of their own.
const EDGE: char = 'y';
/// What it is for Rust: of ASCII words, as `\w` is.
const RUST_EDGE: &str = "(?-u:\\b)";
/// What it is for PostgreSQL, whose own `\y` asks the locale what a letter is.
const POSTGRES_EDGE: &str = "(?:(?<![0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<=[0-9A-Za-z_])(?![0-9A-Za-z_]))";

fn with_edges(portable: &str, edge: &str) -> String {
    let mut out = String::with_capacity(portable.len());
    let mut chars = portable.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some(EDGE) => out.push_str(edge),
            next => {
                out.push('\\');
                out.extend(next);
            }
        }
    }
    out
}

type Unsupported = (ast::Span, String);

/// Writes in the words that both engines share.
struct Writer {
    ignore_case: bool,
    portable: String,
}

impl Writer {
    fn write(&mut self, tree: &Ast) -> Result<(), Unsupported> {
        match tree {
            Ast::Empty(_) => {}
            Ast::Literal(literal) => self.literal(literal)?,
            Ast::Dot(_) => self.portable.push_str("[^\\n]"),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine => self.portable.push('^'),
                AssertionKind::EndLine => self.portable.push('$'),
                AssertionKind::WordBoundary => self.portable.extend(['\\', EDGE]),
                _ => return Err(unsupported(&assertion.span, "This assertion")),
            },
            Ast::ClassPerl(class) => {
                self.portable.push_str(if class.negated { "[^" } else { "[" });
                self.portable.push_str(perl(class));
                self.portable.push(']');
            }
            Ast::ClassUnicode(class) => return Err(unsupported(&class.span, "A Unicode class")),
            Ast::ClassBracketed(class) => {
                self.portable.push_str(if class.negated { "[^" } else { "[" });
                match &class.kind {
                    ClassSet::Item(item) => self.class_item(item)?,
                    ClassSet::BinaryOp(op) => return Err(unsupported(&op.span, "An operation on classes")),
                }
                self.portable.push(']');
            }
            Ast::Repetition(repetition) => {
                self.repeated(&repetition.ast)?;
                match &repetition.op.kind {
                    RepetitionKind::ZeroOrOne => self.portable.push('?'),
                    RepetitionKind::ZeroOrMore => self.portable.push('*'),
                    RepetitionKind::OneOrMore => self.portable.push('+'),
                    RepetitionKind::Range(range) => self.repeats(range, &repetition.op.span)?,
                }
                if !repetition.greedy {
                    self.portable.push('?');
                }
            }
            Ast::Group(group) => match &group.kind {
                GroupKind::CaptureIndex(_) => self.grouped(&group.ast)?,
                GroupKind::NonCapturing(flags) if flags.items.is_empty() => self.grouped(&group.ast)?,
                GroupKind::NonCapturing(_) => return Err(unsupported(&group.span, "A group with flags")),
                GroupKind::CaptureName { .. } => return Err(unsupported(&group.span, "A named group")),
            },
            Ast::Alternation(alternation) => {
                for (index, part) in alternation.asts.iter().enumerate() {
                    if index > 0 {
                        self.portable.push('|');
                    }
                    self.write(part)?;
                }
            }
            Ast::Concat(concat) => {
                for part in &concat.asts {
                    self.write(part)?;
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

    /// PostgreSQL knows no repeat of an edge or of nothing, and no repeat of a repeat.
    fn repeated(&mut self, inner: &Ast) -> Result<(), Unsupported> {
        match inner {
            Ast::Assertion(assertion) => Err(unsupported(&assertion.span, "A repeat of an edge")),
            Ast::Repetition(_) => self.grouped(inner),
            other => self.write(other),
        }
    }

    fn grouped(&mut self, inner: &Ast) -> Result<(), Unsupported> {
        self.portable.push_str("(?:");
        self.write(inner)?;
        self.portable.push(')');
        Ok(())
    }

    fn repeats(&mut self, range: &RepetitionRange, span: &ast::Span) -> Result<(), Unsupported> {
        let (text, max) = match range {
            RepetitionRange::Exactly(n) => (format!("{{{n}}}"), *n),
            RepetitionRange::AtLeast(n) => (format!("{{{n},}}"), *n),
            RepetitionRange::Bounded(from, to) => (format!("{{{from},{to}}}"), *to),
        };
        if max > REPEATS_MAX {
            let what = format!("A repeat of more than {REPEATS_MAX} times");
            return Err(unsupported(span, &what));
        }
        self.portable.push_str(&text);
        Ok(())
    }

    fn class_item(&mut self, item: &ClassSetItem) -> Result<(), Unsupported> {
        match item {
            ClassSetItem::Empty(_) => Ok(()),
            ClassSetItem::Literal(literal) => self.range(literal, literal),
            ClassSetItem::Range(range) => self.range(&range.start, &range.end),
            ClassSetItem::Perl(class) if !class.negated => {
                self.portable.push_str(perl(class));
                Ok(())
            }
            ClassSetItem::Perl(class) => Err(unsupported(&class.span, "An opposite inside a class")),
            ClassSetItem::Ascii(class) => Err(unsupported(&class.span, "A named class")),
            ClassSetItem::Unicode(class) => Err(unsupported(&class.span, "A Unicode class")),
            ClassSetItem::Bracketed(class) => Err(unsupported(&class.span, "A class inside a class")),
            ClassSetItem::Union(union) => union.items.iter().try_for_each(|item| self.class_item(item)),
        }
    }

    /// Characters of a class; those beyond ASCII in all their cases, where case does not matter.
    fn range(&mut self, first: &ast::Literal, last: &ast::Literal) -> Result<(), Unsupported> {
        let (first, last) = (plain(first)?, plain(last)?);
        let ranges = if self.ignore_case && !(first.is_ascii() && last.is_ascii()) {
            fold::cases(first, last)
        } else {
            vec![(first, last)]
        };
        for (first, last) in ranges {
            self.char(first);
            if first != last {
                self.portable.push('-');
                self.char(last);
            }
        }
        Ok(())
    }

    /// A character that stands for itself outside of a class.
    fn literal(&mut self, literal: &ast::Literal) -> Result<(), Unsupported> {
        let char = plain(literal)?;
        if self.ignore_case && fold::is_cased_beyond_ascii(char) {
            self.portable.push('[');
            for (first, last) in fold::cases(char, char) {
                self.portable.extend(first..=last);
            }
            self.portable.push(']');
        } else {
            self.char(char);
        }
        Ok(())
    }

    fn char(&mut self, char: char) {
        let out = &mut self.portable;
        match char {
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
    }
}

fn unsupported(span: &ast::Span, what: &str) -> Unsupported {
    (*span, what.to_owned())
}

/// As they are in ASCII, since what is a letter elsewhere depends on a database's locale.
const fn perl(class: &ClassPerl) -> &'static str {
    match class.kind {
        ClassPerlKind::Digit => "0-9",
        ClassPerlKind::Space => " \\t\\n\\r\\f\\v",
        ClassPerlKind::Word => "0-9A-Za-z_",
    }
}

/// The character, unless it is named by a number, or NUL.
fn plain(literal: &ast::Literal) -> Result<char, Unsupported> {
    match literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Superfluous | LiteralKind::Special(_) => {}
        LiteralKind::Octal | LiteralKind::HexFixed(_) | LiteralKind::HexBrace(_) => {
            return Err(unsupported(&literal.span, "A character by its number"));
        }
    }
    match literal.c {
        '\0' => Err(unsupported(&literal.span, "NUL")),
        char => Ok(char),
    }
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
        check("foo|^a.c$", "foo|^a[^\\n]c$");
        check("\\bfoo", &format!("{POSTGRES_EDGE}foo"));
        check("Failed (password|publickey)", "Failed (?:password|publickey)");
        check("[\\w.-]+?x", "[0-9A-Za-z_\\.\\-]+?x");
        check("[^a-f]\\S", "[^a-f][^ \\t\\n\\r\\f\\v]");
        assert_eq!(
            Regex::new("xé[à-â]", true, 0).unwrap().to_postgres(),
            "(?i)x[Éé][À-Âà-â]"
        );
    }

    #[test]
    fn matches_as_written() {
        let regex = Regex::new("\\by\\b \\\\y", false, 0).unwrap();
        assert!(regex.is_match("a y \\y"));
        assert!(!regex.is_match("ay \\y"));
        // Letters are those of \w.
        assert!(Regex::new("\\bfoo", false, 0).unwrap().is_match("éfoo"));
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
