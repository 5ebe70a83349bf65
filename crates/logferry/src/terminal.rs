//! What may go to a terminal, and in which colours. Events come from anyone, and a terminal obeys what it is sent.

use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal},
};

use clap::ValueEnum;

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Also into a pipe.
    Always,
    /// Not.
    Never,
}

impl Colour {
    /// Whether stdout is to be coloured.
    pub(crate) fn is_on(self) -> bool {
        match self {
            Self::Auto => {
                io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Appends `text` with everything visible that could move the cursor, change colours, turn the direction of
/// writing or end the line.
pub(crate) fn push_visible(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 || c == '\x7f' => push(out, format_args!("\\x{:02x}", u32::from(c))),
            c if is_hostile(c) => push(out, format_args!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// `text` with everything visible, as [`push_visible`] does it.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_visible(&mut out, text);
    out
}

/// The same for JSON, where such characters stand inside of strings only and have an escape of their own.
pub(crate) fn visible_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\x7f' || is_hostile(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                push(&mut out, format_args!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters beyond ASCII, and what reorders or hides text.
const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}'
    )
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hostile_gets_through() {
        for (text, shown) in [
            ("plain — ünïcödé 日本", "plain — ünïcödé 日本"),
            ("two\nlines\r\tand a tab", "two\\nlines\\r\\tand a tab"),
            ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
            ("\u{9b}31mred", "\\u{9b}31mred"),
            ("abc\u{202e}fed", "abc\\u{202e}fed"),
            ("\u{200b}\u{feff}\x7f\0", "\\u{200b}\\u{feff}\\x7f\\x00"),
        ] {
            let mut out = String::new();
            push_visible(&mut out, text);
            assert_eq!(out, shown);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let json = r#"{"message":"a\u001b[2J\n"#.to_owned() + "\u{9b}\u{202e}\u{e0041}\x7f\"}";
        let shown = visible_json(&json);
        assert_eq!(
            shown,
            r#"{"message":"a\u001b[2J\n\u009b\u202e\udb40\udc41\u007f"}"#
        );
        let (before, after): (serde_json::Value, serde_json::Value) = (
            serde_json::from_str(&json).expect("is JSON"),
            serde_json::from_str(&shown).expect("is JSON"),
        );
        assert_eq!(before, after);
    }
}
