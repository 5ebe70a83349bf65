//! Rows as lines: aligned for people, or JSON.

use std::io::{self, IsTerminal, Write};

use event::{Event, Severity, Value, format::json};
use jiff::tz::TimeZone;
use store::StoredEvent;

use super::time;
use crate::terminal::{push_visible, visible_json};

/// Names longer than this push their own line out of line, and no other.
const HOSTNAME_MAX: usize = 20;
const APP_MAX: usize = 24;

/// The longest, `warning`.
const SEVERITY_WIDTH: usize = 7;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const CYAN: &str = "\x1b[36m";

/// How rows are shown. Columns grow with what they hold, and never shrink.
#[derive(Debug)]
pub(super) struct Show {
    json: bool,
    /// JSON may go anywhere, but not as it is to a terminal.
    is_terminal: bool,
    coloured: bool,
    zone: TimeZone,
    hostname_width: usize,
    app_width: usize,
}

impl Show {
    pub(super) fn new(json: bool, coloured: bool) -> Self {
        Self {
            json,
            is_terminal: io::stdout().is_terminal(),
            coloured,
            zone: TimeZone::system(),
            hostname_width: 1,
            app_width: 1,
        }
    }

    pub(super) fn rows(&mut self, rows: &[StoredEvent], out: &mut impl Write) -> io::Result<()> {
        if self.json {
            return self.json_lines(rows, out);
        }
        let lines: Vec<Parts> = rows.iter().map(|row| Parts::of(&row.event)).collect();
        for parts in &lines {
            self.hostname_width = self.hostname_width.max(width(&parts.hostname).min(HOSTNAME_MAX));
            self.app_width = self.app_width.max(width(&parts.app).min(APP_MAX));
        }
        for (row, parts) in rows.iter().zip(&lines) {
            let line = self.line(&row.event, parts);
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    fn json_lines(&self, rows: &[StoredEvent], out: &mut impl Write) -> io::Result<()> {
        let mut line = Vec::new();
        for row in rows {
            line.clear();
            json::write_event(&row.event, &mut line);
            if self.is_terminal {
                let visible = visible_json(&String::from_utf8_lossy(&line));
                line.clear();
                line.extend_from_slice(visible.as_bytes());
            }
            line.push(b'\n');
            out.write_all(&line)?;
        }
        Ok(())
    }

    fn line(&self, event: &Event<'_>, parts: &Parts) -> String {
        let severity = event.severity.map_or("-", |severity| severity.name());
        let (dim, cyan, worse, reset) = if self.coloured {
            (DIM, CYAN, event.severity.map_or("", colour), RESET)
        } else {
            ("", "", "", "")
        };
        format!(
            "{dim}{}{reset} {worse}{severity:SEVERITY_WIDTH$}{reset} {cyan}{:hostname$}{reset} {:app$} {worse}{}{reset}\n",
            time::show(event.received_at, &self.zone),
            parts.hostname,
            parts.app,
            parts.message,
            hostname = self.hostname_width,
            app = self.app_width,
        )
    }
}

const fn colour(severity: Severity) -> &'static str {
    match severity.code() {
        0..=3 => "\x1b[31m",
        4 => "\x1b[33m",
        7 => DIM,
        _ => "",
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// What a line shows of an event, with nothing left in it that a terminal would obey.
struct Parts {
    hostname: String,
    app: String,
    message: String,
}

impl Parts {
    fn of(event: &Event<'_>) -> Self {
        let mut app = String::new();
        push_visible(&mut app, event.app_name.as_deref().unwrap_or("-"));
        if let Some(procid) = &event.procid {
            app.push('[');
            push_visible(&mut app, procid);
            app.push(']');
        }
        let mut hostname = String::new();
        push_visible(&mut hostname, event.hostname.as_deref().unwrap_or("-"));
        let mut message = String::new();
        match &event.message {
            Some(text) => push_visible(&mut message, text),
            None => push_fields(&mut message, event),
        }
        for tag in &event.tags {
            message.push_str(" #");
            push_visible(&mut message, tag);
        }
        Self {
            hostname,
            app,
            message,
        }
    }
}

/// For events that are all fields, as some applications send them.
fn push_fields(out: &mut String, event: &Event<'_>) {
    for (index, (name, value)) in event.fields.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        push_visible(out, name);
        out.push('=');
        push_value(out, value);
    }
}

fn push_value(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::Unsigned(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&number.to_string()),
        Value::String(text) => push_visible(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                push_value(out, item);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (index, (name, item)) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                push_visible(out, name);
                out.push('=');
                push_value(out, item);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use event::{BatchId, EventId, Timestamp};

    use super::*;

    fn row(host: &'static str, app: &'static str, severity: u8, message: &'static str) -> StoredEvent {
        let at = Timestamp::from_micros(1_795_258_805_250_000);
        let mut event = Event::received(
            EventId::derive(BatchId::mint(), 0, at),
            0,
            at,
            "192.0.2.1:1",
            "tcp",
        );
        event.hostname = Some(Cow::Borrowed(host));
        event.app_name = Some(Cow::Borrowed(app));
        event.severity = Severity::new(severity);
        event.message = Some(Cow::Borrowed(message));
        StoredEvent {
            event: event.into_owned(),
            route: Cow::Borrowed("default"),
        }
    }

    fn shown(show: &mut Show, rows: &[StoredEvent]) -> String {
        show.zone = TimeZone::UTC;
        let mut out = Vec::new();
        show.rows(rows, &mut out).expect("writes to memory");
        String::from_utf8(out).expect("is text")
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [
            row("web01", "nginx", 3, "connection refused"),
            row("database-7", "postgres", 6, "ready"),
        ];
        assert_eq!(
            shown(&mut Show::new(false, false), &rows),
            "2026-11-21 11:00:05.250 err     web01      nginx    connection refused\n\
             2026-11-21 11:00:05.250 info    database-7 postgres ready\n"
        );
    }

    #[test]
    fn colours_are_ours_and_those_of_events_are_not() {
        let rows = [row("\x1b[31mweb", "a", 3, "clear\x1b[2J the \u{9b}2J screen")];
        let line = shown(&mut Show::new(false, true), &rows);
        let ours = [DIM, CYAN, RESET, "\x1b[31m"]
            .iter()
            .fold(line, |line, colour| line.replace(colour, ""));
        assert!(!ours.contains('\x1b') && !ours.contains('\u{9b}'), "{ours:?}");
        assert!(
            ours.contains("\\x1b[31mweb") && ours.contains("clear\\x1b[2J the \\u{9b}2J screen"),
            "{ours:?}"
        );
    }

    #[test]
    fn what_has_no_message_shows_its_fields() {
        let mut only = row("h", "a", 6, "");
        only.event.message = None;
        only.event.hostname = None;
        only.event.procid = Some(Cow::Borrowed("12"));
        only.event.tags = vec![Cow::Borrowed("audit")];
        only.event.fields = vec![
            (
                Cow::Borrowed("user"),
                Value::Object(vec![(Cow::Borrowed("id"), Value::Integer(7))]),
            ),
            (
                Cow::Borrowed("ok"),
                Value::Array(vec![
                    Value::Bool(true),
                    Value::Null,
                    Value::String(Cow::Borrowed("x\n")),
                ]),
            ),
        ];
        let line = shown(&mut Show::new(false, false), &[only]);
        assert!(
            line.ends_with(" info    - a[12] user={id=7} ok=[true, null, x\\n] #audit\n"),
            "{line:?}"
        );
    }

    #[test]
    fn json_lines_for_a_terminal_are_harmless_and_the_same() {
        let rows = [row("h", "a", 6, "x\u{9b}\u{202e}y")];
        let mut show = Show::new(true, false);
        show.is_terminal = true;
        let line = shown(&mut show, &rows);
        assert!(
            !line.contains('\u{9b}') && line.contains("x\\u009b\\u202ey"),
            "{line:?}"
        );
        show.is_terminal = false;
        let raw: serde_json::Value = serde_json::from_str(&shown(&mut show, &rows)).expect("is JSON");
        assert_eq!(
            raw,
            serde_json::from_str::<serde_json::Value>(&line).expect("is JSON")
        );
    }
}
