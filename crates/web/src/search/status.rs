//! The line above the rows: how many there are, of which range, and how long it took.

use askama::Template;
use store::End;

use super::{ask::Asked, chart::Told};
use crate::{number::grouped, time};

#[derive(Template)]
#[template(path = "search/status.html")]
pub(super) struct Status {
    count: String,
    /// A script may ask for the exact number.
    is_estimate: bool,
    shown: String,
    from: Option<String>,
    to: String,
    zone: String,
    took_ms: u128,
    /// The same for programs and links.
    from_iso: String,
    to_iso: String,
}

impl Status {
    /// With `count` in words for what is more than the rows that are shown.
    pub(super) fn new(
        asked: &Asked,
        shown: usize,
        took_ms: u128,
        end: Option<&End>,
        count: Option<Told>,
    ) -> Self {
        let selection = &asked.request.selection;
        let is_all = asked.ask.cursor.is_empty() && end.is_some_and(|end| end.complete && end.next.is_none());
        let order = match (&*asked.ask.sort, asked.ask.cursor.is_empty()) {
            (_, false) => "",
            ("old", true) => "oldest ",
            (_, true) => "newest ",
        };
        let is_estimate = !is_all && count.as_ref().is_some_and(|count| count.is_estimate);
        let count = if is_all {
            events(shown as u64)
        } else {
            count.map_or_else(|| "count unknown".to_owned(), |count| count.text)
        };
        Self {
            count,
            is_estimate,
            shown: if is_all {
                "all shown".to_owned()
            } else {
                format!("{order}{shown} shown")
            },
            from: selection.from.map(|from| time::seconds(from, &asked.zone)),
            to: time::seconds(selection.to.unwrap_or(selection.now), &asked.zone),
            zone: asked.zone.iana_name().unwrap_or("UTC").to_owned(),
            took_ms,
            from_iso: selection.from.map_or_else(String::new, |from| from.to_string()),
            to_iso: selection.to.unwrap_or(selection.now).to_string(),
        }
    }
}

/// "1 event", "12 345 events".
pub(super) fn events(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} event{plural}", grouped(count))
}
