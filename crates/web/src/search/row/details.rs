//! All that is known of one event.

use askama::Template;
use event::{Event, Value};
use jiff::tz::TimeZone;
use store::StoredEvent;

use super::{bytes, prefix, word};
use crate::{
    html::Html,
    search::narrow::{Narrow, Narrowing},
    time,
};

/// Values of one event that are drawn; what is beyond is counted.
const VALUES_MAX: usize = 500;
/// Bytes of one value but the message.
const VALUE_BYTES_MAX: usize = 8192;

/// How much of a long message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// In the table.
    Short,
    /// On a page of its own.
    Whole,
}

impl Length {
    const fn bytes_max(self) -> usize {
        match self {
            Self::Short => 64 << 10,
            Self::Whole => 4 << 20,
        }
    }
}

/// A name and its value.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: Html,
    pub(crate) narrow: Option<Narrow>,
}

#[derive(Debug, Template)]
#[template(path = "search/details.html")]
pub(crate) struct Details {
    id: String,
    message: Option<Html>,
    /// "cut at 64 kB of 200 kB".
    cut: Option<String>,
    pairs: Vec<Pair>,
    /// Values that are not drawn.
    left_out: usize,
    raw: Option<Html>,
    has_page: bool,
    /// A search for what everybody said at that time.
    meanwhile: String,
}

impl Details {
    pub(crate) fn new(stored: &StoredEvent, zone: &TimeZone, narrowing: &Narrowing, length: Length) -> Self {
        let event = &stored.event;
        let mut list = List {
            narrowing,
            pairs: Vec::new(),
            left_out: 0,
        };
        list.times(event, zone);
        list.said(event);
        list.seen(stored);
        let message = event.message.as_deref();
        let shown = message.map(|message| prefix(message, length.bytes_max()));
        let cut = message.zip(shown).filter(|(all, shown)| shown.len() < all.len());
        let raw = event.raw.as_deref();
        Self {
            id: event.id.to_string(),
            message: shown.map(Html::block),
            cut: cut.map(|(all, shown)| format!("cut at {} of {}", bytes(shown.len()), bytes(all.len()))),
            pairs: list.pairs,
            left_out: list.left_out,
            raw: raw.map(|raw| Html::bytes(raw.get(..length.bytes_max()).unwrap_or(raw))),
            has_page: length == Length::Short,
            meanwhile: Narrowing::everything_at(event.received_at),
        }
    }
}

/// The name of an event's severity, for a heading.
pub(crate) fn severity_word(stored: &StoredEvent) -> &'static str {
    word(stored.event.severity)
}

struct List<'a> {
    narrowing: &'a Narrowing,
    pairs: Vec<Pair>,
    left_out: usize,
}

impl List<'_> {
    fn times(&mut self, event: &Event<'_>, zone: &TimeZone) {
        if let Some(sent) = event.timestamp {
            self.plain(
                "timestamp",
                &with_zone(&sent.to_string(), &time::seconds(sent.at, zone), zone),
            );
        }
        let lag = event
            .timestamp
            .map(|sent| event.received_at.as_micros().saturating_sub(sent.at.as_micros()));
        let lag = lag.map_or_else(String::new, |lag| {
            format!(
                " (lag {}{})",
                if lag < 0 { "−" } else { "" },
                exactly(lag.unsigned_abs())
            )
        });
        let received = with_zone(
            &event.received_at.to_string(),
            &time::seconds(event.received_at, zone),
            zone,
        );
        self.plain("received_at", &format!("{received}{lag}"));
    }

    /// What the sender said.
    fn said(&mut self, event: &Event<'_>) {
        if let Some(severity) = event.severity {
            self.link("severity", severity.name());
        }
        if let Some(facility) = event.facility {
            self.link("facility", facility.name());
        }
        for (name, value) in [
            ("hostname", &event.hostname),
            ("app_name", &event.app_name),
            ("procid", &event.procid),
            ("msgid", &event.msgid),
        ] {
            if let Some(value) = value {
                self.link(name, value);
            }
        }
        for element in &event.structured_data {
            let id = name_part(&element.id);
            if element.params.is_empty() {
                self.plain(&format!("sd.{id}"), "");
            }
            for param in &element.params {
                self.link(&format!("sd.{id}.{}", name_part(&param.name)), &param.value);
            }
        }
        for tag in &event.tags {
            self.link("tags", tag);
        }
        for (name, value) in &event.fields {
            self.value(&format!("fields.{}", name_part(name)), value);
        }
    }

    /// What we know of how it came.
    fn seen(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        self.link("listener", &event.listener);
        let host = event
            .peer_addr
            .rsplit_once(':')
            .map_or(&*event.peer_addr, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.parse::<std::net::IpAddr>().is_ok() {
            let narrow = Some(self.narrowing.by("peer_addr", host));
            self.push("peer_addr", &event.peer_addr, narrow);
        } else {
            self.plain("peer_addr", &event.peer_addr);
        }
        if let Some(peer) = &event.tls_peer {
            self.link("tls_peer", peer);
        }
        self.plain("route", &stored.route);
        let defects: Vec<_> = event.defects.words().collect();
        if !defects.is_empty() {
            self.plain("defects", &defects.join(", "));
        }
        self.link("id", &event.id.to_string());
    }

    fn push(&mut self, name: &str, value: &str, narrow: Option<Narrow>) {
        if self.pairs.len() >= VALUES_MAX {
            self.left_out += 1;
            return;
        }
        let shown = prefix(value, VALUE_BYTES_MAX);
        let mut text = shown.to_owned();
        if shown.len() < value.len() {
            text = format!(
                "{shown} … (cut at {} of {})",
                bytes(shown.len()),
                bytes(value.len())
            );
        }
        self.pairs.push(Pair {
            name: name.to_owned(),
            value: Html::line(&text),
            narrow,
        });
    }

    fn plain(&mut self, name: &str, value: &str) {
        self.push(name, value, None);
    }

    fn link(&mut self, name: &str, value: &str) {
        // A query has a length, too.
        let narrow = (value.len() <= 512).then(|| self.narrowing.by(name, value));
        self.push(name, value, narrow);
    }

    fn value(&mut self, name: &str, value: &Value<'_>) {
        match value {
            Value::Null => self.plain(name, "null"),
            Value::Bool(value) => self.link(name, if *value { "true" } else { "false" }),
            Value::Integer(value) => self.link(name, &value.to_string()),
            Value::Unsigned(value) => self.link(name, &value.to_string()),
            Value::Float(value) => self.link(name, &value.to_string()),
            Value::String(text) => self.link(name, text),
            Value::Array(items) => items.iter().for_each(|item| self.value(name, item)),
            Value::Object(entries) => {
                for (key, value) in entries {
                    self.value(&format!("{name}.{}", name_part(key)), value);
                }
            }
        }
    }
}

/// As a query names it.
fn name_part(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn with_zone(written: &str, local: &str, zone: &TimeZone) -> String {
    if *zone == TimeZone::UTC {
        written.to_owned()
    } else {
        format!("{written} · {local} here")
    }
}

/// "0.72 s", "3 h".
fn exactly(micros: u64) -> String {
    if micros < 60_000_000 {
        format!("{}.{:03} s", micros / 1_000_000, micros / 1000 % 1000)
    } else {
        time::rough(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}
