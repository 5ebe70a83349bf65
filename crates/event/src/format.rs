//! Output formats: an event becomes bytes for files, pipes and other servers.
//!
//! Everything is appended to the caller's buffer; nothing is allocated for an ordinary event. In every format of
//! lines an event is exactly one line: JSON escapes control characters its own way, the others write them as rsyslog
//! does (`#012` for a line feed). The exceptions say so: [`Format::Raw`], whose purpose is the bytes as they came, and
//! a line feed that a template's own text holds.

mod ecs;
mod escape;
mod grouped;
pub mod json;
mod msgpack;
mod rfc3164;
pub mod rfc5424;
mod template;
mod time;

pub use self::template::{Part, Placeholder, Template, TemplateError};
use crate::event::Event;

/// How an event is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, `proto/event.schema.json`.
    Json,
    /// MessagePack maps with the keys of the JSON event, one after the other.
    Msgpack,
    /// Elastic Common Schema, one JSON object a line.
    Ecs,
    /// RFC 5424, a line each. An event read from a valid message is written as it came.
    Rfc5424,
    /// RFC 3164, a line each.
    Rfc3164,
    /// rsyslog's `RSYSLOG_FileFormat`: time, hostname, tag and message.
    Rsyslog,
    /// The bytes as received and a line feed; where they were not kept (`parser.raw`), RFC 5424. Bytes that hold a
    /// line feed make several lines.
    Raw,
    /// A template and a line feed.
    Template(Template),
}

impl Format {
    /// Appends the event with its terminator.
    pub fn write(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::write_event(event, out),
            Self::Msgpack => return msgpack::put_event(event, out),
            Self::Ecs => ecs::put_event(event, out),
            Self::Rfc5424 => rfc5424::put_line(event, out),
            Self::Rfc3164 => rfc3164::put_rfc3164(event, out),
            Self::Rsyslog => rfc3164::put_rsyslog(event, out),
            Self::Raw => match &event.raw {
                Some(raw) => out.extend_from_slice(raw),
                None => rfc5424::put_line(event, out),
            },
            Self::Template(template) => template.write(event, out),
        }
        out.push(b'\n');
    }
}

/// `facility × 8 + severity`; `user.notice` for what does not say (RFC 3164 section 4.3.3).
fn priority(event: &Event<'_>) -> u8 {
    let facility = event.facility.map_or(1, |facility| facility.code());
    facility * 8 + event.severity.map_or(5, |severity| severity.code())
}

/// The address without its port and brackets; a path as it is.
fn peer_host(peer_addr: &str) -> &str {
    let host = match split_port(peer_addr) {
        Some((host, _)) => host,
        None => peer_addr,
    };
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn peer_port(peer_addr: &str) -> Option<u16> {
    split_port(peer_addr).map(|(_, port)| port)
}

/// A bare IPv6 address has no port: its colons belong to it.
fn split_port(peer_addr: &str) -> Option<(&str, u16)> {
    let (host, port) = peer_addr.rsplit_once(':')?;
    let is_bare_v6 = host.contains(':') && !host.ends_with(']');
    if is_bare_v6 {
        return None;
    }
    port.parse().ok().map(|port| (host, port))
}

#[cfg(test)]
mod tests;
