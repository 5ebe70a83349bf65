//! Templates, `{timestamp} {hostname} {fields.user} {message}`: for lines and for the paths of files.
//!
//! | name | value |
//! |---|---|
//! | `id` | the event's id |
//! | `received_at` | when intake read the line |
//! | `timestamp` | the sender's time; `received_at` where there is none |
//! | `peer_addr`, `peer_host` | the sender's address with and without the port |
//! | `tls_peer`, `listener` | as in the JSON event |
//! | `facility`, `severity`, `facility_code`, `severity_code`, `priority` | keywords and numbers |
//! | `hostname`, `app_name`, `procid`, `msgid`, `message` | as in the JSON event |
//! | `syslogtag` | `su[231]:` |
//! | `structured_data` | as RFC 5424 writes it |
//! | `structured_data.ID.NAME` | the first value of one parameter |
//! | `tags`, `defects` | with commas between |
//! | `fields` | all free values as a JSON object |
//! | `fields.NAME` | one of them, `fields.user.name` also inside objects; what is no text as JSON |
//! | `raw` | the bytes as received |
//!
//! Times may have a form, `{received_at:%Y-%m-%d}`, in UTC. `{{` and `}}` stand for a brace. In a line what is
//! absent is `-`, and control characters except the tab are escaped.

mod name;
mod time_form;

use self::name::Name;
pub use self::name::Placeholder;
use super::escape::Controls;
use crate::event::Event;

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{` without `}`.
    #[error("the brace at byte {0} is not closed; a brace itself is written {{{{")]
    Unclosed(usize),
    /// `}` without `{`.
    #[error("the brace at byte {0} closes nothing; a brace itself is written }}}}")]
    Unopened(usize),
    /// A name that events do not have.
    #[error("unknown name {{{name}}}; allowed are {}", Name::ALLOWED)]
    UnknownName {
        /// What stands between the braces.
        name: String,
    },
    /// A form on what is no time.
    #[error("{{{name}}} is no time and takes no form")]
    NotATime {
        /// The name before the colon.
        name: String,
    },
    /// A directive that the form of a time does not know.
    #[error(
        "unknown {directive:?} in the form of {{{name}}}; allowed are {}",
        time_form::ALLOWED
    )]
    UnknownDirective {
        /// The name before the colon.
        name: String,
        /// From the percent sign on.
        directive: String,
    },
}

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The template's own text.
    Literal(String),
    /// A value of the event.
    Placeholder(Placeholder),
}

impl Template {
    /// Reads and checks `text`.
    ///
    /// # Errors
    /// Any [`TemplateError`], the first from the left.
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut literal, mut at) = (Vec::new(), String::new(), 0);
        while let Some((plain, rest)) = text
            .get(at..)
            .and_then(|rest| rest.split_at_checked(rest.find(['{', '}'])?))
        {
            literal.push_str(plain);
            let brace_at = at + plain.len();
            at = brace_at + 2;
            if rest.starts_with("{{") {
                literal.push('{');
            } else if rest.starts_with("}}") {
                literal.push('}');
            } else if let Some(rest) = rest.strip_prefix('{') {
                let (inner, _) = rest.split_once('}').ok_or(TemplateError::Unclosed(brace_at))?;
                at += inner.len();
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Placeholder(Placeholder::new(inner)?));
            } else {
                return Err(TemplateError::Unopened(brace_at));
            }
        }
        literal.push_str(text.get(at..).unwrap_or_default());
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The pieces in order; no two literals stand side by side.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Appends one line without its end.
    pub fn write(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Placeholder(placeholder) => {
                    if !placeholder.put(event, out, Controls::Escape) {
                        out.push(b'-');
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
