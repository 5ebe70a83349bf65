//! Text of log lines as HTML. It is hostile: everything is escaped, colours of terminals are taken out, and characters
//! that nobody sees, or that turn what is seen, are drawn as labels.

use std::fmt::{self, Write as _};

/// HTML that is safe to stand in a page; templates write it with `|safe`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl Html {
    /// `text` in one line: line breaks are drawn too.
    pub(crate) fn line(text: &str) -> Self {
        Self::marked(text, &[])
    }

    /// The same with these byte ranges, which are in order and apart, marked as what was searched for.
    pub(crate) fn marked(text: &str, hits: &[(usize, usize)]) -> Self {
        Self::with_marks(text, hits, Breaks::Drawn)
    }

    /// `text` with its line breaks, and ranges marked in the same way.
    pub(crate) fn block_marked(text: &str, hits: &[(usize, usize)]) -> Self {
        Self::with_marks(text, hits, Breaks::Kept)
    }

    fn with_marks(text: &str, hits: &[(usize, usize)], breaks: Breaks) -> Self {
        let mut html = String::with_capacity(text.len() + text.len() / 8);
        let mut at = 0;
        for &(start, end) in hits {
            let (Some(before), Some(hit)) = (text.get(at..start), text.get(start..end)) else {
                continue;
            };
            write(&mut html, before, breaks);
            html.push_str("<mark>");
            write(&mut html, hit, breaks);
            html.push_str("</mark>");
            at = end;
        }
        write(&mut html, text.get(at..).unwrap_or_default(), breaks);
        Self(html)
    }

    /// `text` with its line breaks.
    pub(crate) fn block(text: &str) -> Self {
        let mut html = String::with_capacity(text.len() + text.len() / 8);
        write(&mut html, text, Breaks::Kept);
        Self(html)
    }

    /// Bytes that need not be text: what is not UTF-8 is drawn in hexadecimal.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        let mut html = String::new();
        for chunk in bytes.utf8_chunks() {
            write(&mut html, chunk.valid(), Breaks::Kept);
            for byte in chunk.invalid() {
                write!(html, "<b class=cc>‹{byte:02X}›</b>").expect("a string takes all text");
            }
        }
        Self(html)
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaks {
    Kept,
    Drawn,
}

fn write(html: &mut String, text: &str, breaks: Breaks) {
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        if let Some(after) = without_escape_sequence(rest) {
            rest = after;
            continue;
        }
        rest = rest.get(char.len_utf8()..).unwrap_or_default();
        match char {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' if breaks == Breaks::Drawn => html.push_str("<b class=cc>⏎</b>"),
            '\n' | '\t' => html.push(char),
            _ if is_unseen(char) => {
                write!(html, "<b class=cc>‹U+{:04X}›</b>", u32::from(char)).expect("a string takes all text");
            }
            _ => html.push(char),
        }
    }
}

/// What follows a terminal's escape sequence (ECMA-48), if `text` begins with one.
fn without_escape_sequence(text: &str) -> Option<&str> {
    let sequence = text
        .strip_prefix("\u{1b}[")
        .or_else(|| text.strip_prefix('\u{9b}'))?;
    // Parameters and intermediates, then one final byte. What is longer than any that exists is drawn as it is.
    const SEQUENCE_BYTES_MAX: usize = 64;
    let end = sequence
        .bytes()
        .take(SEQUENCE_BYTES_MAX)
        .position(|byte| !(0x20..0x40).contains(&byte))?;
    let is_final = sequence
        .as_bytes()
        .get(end)
        .is_some_and(|byte| (0x40..0x7f).contains(byte));
    is_final.then(|| sequence.get(end + 1..)).flatten()
}

/// Control characters, and those that have no width or change the direction of what stands around them.
pub(crate) fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Html::line(text).to_string(), expected);
    }

    #[test]
    fn nothing_of_a_log_line_is_html() {
        check(
            "<script>alert('x')</script> & \"q\"",
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;q&quot;",
        );
    }

    #[test]
    fn what_cannot_be_seen_is_drawn() {
        check("a\0b", "a<b class=cc>‹U+0000›</b>b");
        check("a\u{202e}b", "a<b class=cc>‹U+202E›</b>b");
        check("a\u{200b}b", "a<b class=cc>‹U+200B›</b>b");
        check("a\nb\tc", "a<b class=cc>⏎</b>b\tc");
        assert_eq!(Html::block("a\nb").to_string(), "a\nb");
    }

    #[test]
    fn colours_of_terminals_are_taken_out() {
        check("\u{1b}[1;31mred\u{1b}[0m", "red");
        check("\u{9b}31mred", "red");
        check("\u{1b}[", "<b class=cc>‹U+001B›</b>[");
        check("\u{1b}[31é", "<b class=cc>‹U+001B›</b>[31é");
        check(
            "\u{1b}]0;title\u{7}",
            "<b class=cc>‹U+001B›</b>]0;title<b class=cc>‹U+0007›</b>",
        );
    }

    #[test]
    fn hits_are_marked_and_bad_ranges_are_not() {
        assert_eq!(
            Html::marked("a<b<c", &[(1, 2), (3, 4)]).to_string(),
            "a<mark>&lt;</mark>b<mark>&lt;</mark>c"
        );
        assert_eq!(Html::marked("é", &[(1, 2)]).to_string(), "é");
    }

    #[test]
    fn bytes_need_not_be_text() {
        assert_eq!(Html::bytes(b"a\xffb").to_string(), "a<b class=cc>‹FF›</b>b");
    }
}
