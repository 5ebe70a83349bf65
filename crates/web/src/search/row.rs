//! An event as a line of the table, and opened.

mod details;

use askama::Template;
use event::{Event, EventId, Severity, Timestamp};
use jiff::tz::TimeZone;
use store::{Clock, StoredEvent};

pub(crate) use self::details::{Details, Length, severity_word};
use super::{ask::Asked, columns::Column, hits::Needles};
use crate::{html::Html, time};

/// Bytes of a message that a line shows.
const CELL_BYTES_MAX: usize = 2048;
/// Bytes of a name that a line shows.
const NAME_BYTES_MAX: usize = 80;

const DAY_MICROS: i64 = 86_400_000_000;

/// How the lines of one page are drawn.
#[derive(Debug, Clone)]
pub(crate) struct Drawing {
    needles: Needles,
    zone: TimeZone,
    clock: Clock,
    time_form: &'static str,
    columns: Vec<Column>,
    /// The event that all this is about.
    here: Option<EventId>,
    /// Goes behind the address of each event, so that what is opened from a search knows the search.
    params: String,
}

impl Drawing {
    pub(crate) fn new(asked: &Asked) -> Self {
        let selection = &asked.request.selection;
        let end = selection.to.unwrap_or(selection.now).as_micros();
        let is_short = selection
            .from
            .is_some_and(|from| end.saturating_sub(from.as_micros()) <= DAY_MICROS / 2);
        Self {
            needles: Needles::of(&asked.parsed.query),
            zone: asked.zone.clone(),
            clock: selection.clock,
            time_form: if is_short {
                "%H:%M:%S%.3f"
            } else {
                "%m-%d %H:%M:%S%.3f"
            },
            columns: asked.columns.clone(),
            here: None,
            params: asked.ask.whole().to_params(),
        }
    }

    /// The same with one event pointed at.
    pub(crate) fn around(self, here: EventId) -> Self {
        Self {
            here: Some(here),
            ..self
        }
    }

    /// The lines of the table, as HTML.
    pub(crate) fn rows(&self, rows: &[StoredEvent], open: Option<&Opened>) -> Result<String, askama::Error> {
        let rows = rows.iter().map(|stored| {
            let line = self.line(&stored.event);
            let details = open.filter(|open| open.id == line.id).map(|open| &open.details);
            (line, details)
        });
        Rows { rows: rows.collect() }.render()
    }

    pub(crate) fn line(&self, event: &Event<'_>) -> Line {
        let message = event.message.as_deref().unwrap_or_default();
        let shown = prefix(message, CELL_BYTES_MAX);
        let at = self.time_of(event);
        let id = event.id.to_string();
        Line {
            severity: event.severity.map_or(8, Severity::code),
            word: word(event.severity),
            time: time::show(at, &self.zone, self.time_form),
            datetime: at.to_string(),
            host: Html::line(prefix(event.hostname.as_deref().unwrap_or("–"), NAME_BYTES_MAX)),
            app: Html::line(prefix(event.app_name.as_deref().unwrap_or("–"), NAME_BYTES_MAX)),
            message: Html::marked(shown, &self.needles.in_text(shown)),
            cut: (shown.len() < message.len())
                .then(|| format!("cut at {} of {}", bytes(shown.len()), bytes(message.len()))),
            extra: self.columns.iter().map(|column| column.cell(event)).collect(),
            is_here: self.here == Some(event.id),
            href: format!("/event/{id}?{}", self.params),
            id,
        }
    }

    fn time_of(&self, event: &Event<'_>) -> Timestamp {
        match (self.clock, event.timestamp) {
            (Clock::Sender, Some(time)) => time.at,
            (Clock::Sender, None) | (Clock::Arrival, _) => event.received_at,
        }
    }
}

/// The event that is open in the table.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) id: String,
    pub(crate) details: Details,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) id: String,
    /// The code, 8 where there is none.
    pub(crate) severity: u8,
    pub(crate) word: &'static str,
    pub(crate) time: String,
    pub(crate) datetime: String,
    pub(crate) host: Html,
    pub(crate) app: Html,
    /// Of the columns that were chosen.
    pub(crate) extra: Vec<Html>,
    pub(crate) message: Html,
    pub(crate) cut: Option<String>,
    pub(crate) is_here: bool,
    pub(crate) href: String,
}

#[derive(Template)]
#[template(path = "search/rows.html")]
struct Rows<'a> {
    rows: Vec<(Line, Option<&'a Details>)>,
}

/// Four letters, so that they stand below each other.
pub(crate) const fn word(severity: Option<Severity>) -> &'static str {
    match severity {
        None => "–",
        Some(severity) => match severity.code() {
            0 => "emrg",
            1 => "alrt",
            2 => "crit",
            3 => "err",
            4 => "warn",
            5 => "note",
            6 => "info",
            _ => "dbug",
        },
    }
}

/// The first bytes of `text`, whole characters only.
pub(crate) fn prefix(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or_default()
}

/// "2 kB".
pub(crate) fn bytes(count: usize) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{} kB", count / 1024),
        _ => format!("{} MB", count / 1_048_576),
    }
}
