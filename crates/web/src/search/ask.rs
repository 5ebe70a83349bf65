//! What an address asks for: a query, a range of time, an order. Every view is an address, and the names in it are short
//! and in a fixed order.

use std::time::Duration;

use event::Timestamp;
use jiff::{civil, tz::TimeZone};
use query::{FieldNames, Options, Parsed};
use serde::Deserialize;
use settings::WebSettings;
use store::{Clock, Cursor, Order, SearchRequest, Selection};

use super::columns::Column;
use crate::{accounts::Visitor, problem::Problem, shell::Shell};

/// Where nothing is said.
const RANGE: &str = "24h";
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// The parameters of an address, as they stand there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Ask {
    pub(crate) q: String,
    pub(crate) range: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) by: String,
    pub(crate) sort: String,
    pub(crate) cursor: String,
    /// With it the rows before the cursor are meant, not those behind it.
    pub(crate) back: String,
    /// The event to open.
    pub(crate) at: String,
    /// Columns beside the usual ones.
    pub(crate) cols: String,
    pub(crate) limit: String,
    pub(crate) budget_ms: String,
}

impl Ask {
    /// The same for another query, from its first page.
    pub(crate) fn with_query(&self, q: impl Into<String>) -> Self {
        Self {
            q: q.into(),
            ..self.first_page()
        }
    }

    /// The same for another range.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Self {
        Self {
            range: String::new(),
            from: from.to_string(),
            to: to.to_string(),
            ..self.first_page()
        }
    }

    /// The same for a range that ends now.
    pub(crate) fn last(&self, range: &str) -> Self {
        Self {
            range: range.to_owned(),
            from: String::new(),
            to: String::new(),
            ..self.first_page()
        }
    }

    fn first_page(&self) -> Self {
        Self {
            cursor: String::new(),
            back: String::new(),
            at: String::new(),
            ..self.clone()
        }
    }

    /// The page behind `cursor`.
    pub(crate) fn behind(&self, cursor: Cursor) -> Self {
        Self {
            cursor: write_cursor(cursor),
            ..self.first_page()
        }
    }

    /// The page before `cursor`.
    pub(crate) fn before(&self, cursor: Cursor) -> Self {
        Self {
            cursor: write_cursor(cursor),
            back: "1".to_owned(),
            ..self.first_page()
        }
    }

    /// The same by another clock or in another order.
    pub(crate) fn sorted(&self, by: &str, sort: &str) -> Self {
        Self {
            by: by.to_owned(),
            sort: sort.to_owned(),
            ..self.first_page()
        }
    }

    /// The same with other columns, on the same page of rows.
    pub(crate) fn with_columns(&self, cols: String) -> Self {
        Self { cols, ..self.clone() }
    }

    /// For answers that count something else than rows by `limit`.
    pub(crate) fn without_limit(self) -> Self {
        Self {
            limit: String::new(),
            ..self
        }
    }

    /// What of it belongs to no page in particular.
    pub(crate) fn whole(&self) -> Self {
        self.first_page()
    }

    /// As it stands behind the `?`.
    pub(crate) fn to_params(&self) -> String {
        let mut params = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("q", &self.q),
            ("range", &self.range),
            ("from", &self.from),
            ("to", &self.to),
            ("by", &self.by),
            ("sort", &self.sort),
            ("cursor", &self.cursor),
            ("back", &self.back),
            ("limit", &self.limit),
            ("cols", &self.cols),
            ("at", &self.at),
        ] {
            if !value.is_empty() {
                params.append_pair(name, value);
            }
        }
        params.finish()
    }

    /// The address of the search page.
    pub(crate) fn href(&self) -> String {
        let params = self.to_params();
        if params.is_empty() {
            "/search".to_owned()
        } else {
            format!("/search?{params}")
        }
    }

    /// What is meant.
    pub(crate) fn read(mut self, with: &Reading<'_>) -> Result<Asked, Problem> {
        let now = Timestamp::now();
        // Whoever chooses a range by name wants it, whatever else the form still holds.
        if !self.range.is_empty() {
            self.from.clear();
            self.to.clear();
        }
        let (from, to) = self.range(with.zone, now)?;
        let clock = match &*self.by {
            "" | "received" => Clock::Arrival,
            "event" => Clock::Sender,
            other => return Err(bad("by", other, "event or received")),
        };
        let is_back = !self.back.is_empty();
        let order = match (&*self.sort, is_back) {
            ("" | "new", false) | ("old", true) => Order::NewestFirst,
            ("old", false) | ("" | "new", true) => Order::OldestFirst,
            (other, _) => return Err(bad("sort", other, "new or old")),
        };
        let after = match &*self.cursor {
            "" => None,
            text => Some(read_cursor(text).ok_or_else(|| bad("cursor", text, "one that an answer had"))?),
        };
        let limit = match &*self.limit {
            "" => LIMIT,
            text => number(text, 1, LIMIT_MAX)
                .ok_or_else(|| bad("limit", text, &format!("a number from 1 to {LIMIT_MAX}")))?,
        };
        let budget = with.settings.search_budget;
        let budget = match &*self.budget_ms {
            "" => budget,
            text => {
                let most = usize::try_from(budget.as_millis()).unwrap_or(usize::MAX);
                let ms = number(text, 1, most)
                    .ok_or_else(|| bad("budget_ms", text, &format!("a number from 1 to {most}")))?;
                Duration::from_millis(ms as u64)
            }
        };
        let options = Options {
            fields: with.fields.clone(),
            zone: with.zone.clone(),
            now,
        };
        let parsed = query::parse(&self.q, &options).map_err(Problem::query)?;
        let query = with_bound(parsed.query.clone(), with.visitor)?;
        Ok(Asked {
            columns: Column::read(&self.cols)?,
            parsed,
            request: SearchRequest {
                selection: Selection {
                    query,
                    clock,
                    from,
                    to,
                    now,
                },
                order,
                after,
                limit,
                budget,
            },
            zone: with.zone.clone(),
            is_back,
            ask: self,
        })
    }

    fn range(
        &self,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
        let instant = |name, text: &str| match text {
            "" => Ok(None),
            text => instant(text, zone, now).map(Some).ok_or_else(|| {
                bad(
                    name,
                    text,
                    "a time such as 2026-11-21T09:00:00Z, 2026-11-21 09:00 or -15m",
                )
            }),
        };
        let (from, to) = (instant("from", &self.from)?, instant("to", &self.to)?);
        if from.is_some() || to.is_some() {
            if from.zip(to).is_some_and(|(from, to)| from >= to) {
                return Err(bad("to", &self.to, "a time after from"));
            }
            return Ok((from, to));
        }
        let range = if self.range.is_empty() { RANGE } else { &self.range };
        if range == "all" {
            return Ok((None, None));
        }
        let micros =
            duration(range).ok_or_else(|| bad("range", range, "a duration such as 15m, 1h or 7d, or all"))?;
        Ok((Some(Timestamp::from_micros(now.as_micros() - micros)), None))
    }

    /// The range by name, for the picker; empty for one that is not by name.
    pub(crate) fn range_name(&self) -> &str {
        match (&*self.range, self.from.is_empty() && self.to.is_empty()) {
            ("", true) => RANGE,
            ("", false) => "",
            (range, _) => range,
        }
    }
}

/// What an address is read with.
pub(crate) struct Reading<'a> {
    pub(crate) settings: &'a WebSettings,
    pub(crate) visitor: &'a Visitor,
    pub(crate) zone: &'a TimeZone,
    pub(crate) fields: FieldNames,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(settings: &'a WebSettings, shell: &'a Shell, fields: FieldNames) -> Self {
        Self {
            settings,
            visitor: &shell.visitor,
            zone: &shell.preferences.zone,
            fields,
        }
    }
}

/// A search that can run.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) parsed: Parsed,
    pub(crate) request: SearchRequest,
    pub(crate) zone: TimeZone,
    pub(crate) columns: Vec<Column>,
    /// The rows come in the other order than they are shown in.
    pub(crate) is_back: bool,
}

/// `query` within what the visitor may see.
pub(crate) fn with_bound(query: query::Query, visitor: &Visitor) -> Result<query::Query, Problem> {
    let Some(text) = visitor.bound_query() else {
        return Ok(query);
    };
    // It was read when the token was made.
    let bound = query::parse(text, &Options::default()).map_err(Problem::internal)?;
    Ok(bound.query.and(query))
}

fn bad(name: &'static str, value: &str, allowed: &str) -> Problem {
    let shown: String = value.chars().take(100).collect();
    Problem::bad_request(
        "bad_parameter",
        format!("{name} is {shown:?}; it must be {allowed}."),
    )
}

fn number(text: &str, min: usize, max: usize) -> Option<usize> {
    text.parse().ok().filter(|number| (min..=max).contains(number))
}

/// Microseconds of `15m`, `1h`, `7d`.
fn duration(text: &str) -> Option<i64> {
    let micros = settings::units::duration(text).ok()?.as_micros();
    // A century, so that no sum runs over.
    i64::try_from(micros)
        .ok()
        .filter(|micros| (1..=3_155_760_000_000_000).contains(micros))
}

/// An instant as programs (RFC 3339, milliseconds since 1970) and people (their clock, or so long ago) write it.
fn instant(text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if text == "now" {
        return Some(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        return Some(Timestamp::from_micros(now.as_micros() - duration(ago)?));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse::<i64>()
            .ok()?
            .checked_mul(1000)
            .map(Timestamp::from_micros);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_micros(at.as_microsecond()));
    }
    let civil: civil::DateTime = text
        .parse()
        .or_else(|_| text.parse::<civil::Date>().map(civil::DateTime::from))
        .ok()?;
    let at = civil.to_zoned(zone.clone()).ok()?.timestamp();
    Some(Timestamp::from_micros(at.as_microsecond()))
}

/// Opaque to others.
pub(crate) fn write_cursor(cursor: Cursor) -> String {
    format!("{}.{}", cursor.time.as_micros(), cursor.id.as_uuid().simple())
}

pub(crate) fn read_cursor(text: &str) -> Option<Cursor> {
    let (time, id) = text.split_once('.')?;
    Some(Cursor {
        time: Timestamp::from_micros(time.parse().ok()?),
        id: id.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use event::EventId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_254_199_000_000);

    #[test]
    fn instants_are_read_as_programs_and_people_write_them() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (text, expected) in [
            ("2026-11-21T09:43:19Z", "2026-11-21T09:43:19.000000Z"),
            ("2026-11-21T09:43:19.5+01:00", "2026-11-21T08:43:19.500000Z"),
            ("2026-11-21 09:43", "2026-11-21T08:43:00.000000Z"),
            ("2026-11-21T09:43", "2026-11-21T08:43:00.000000Z"),
            ("2026-11-21", "2026-11-20T23:00:00.000000Z"),
            ("1795254199000", "2026-11-21T09:43:19.000000Z"),
            ("-1h", "2026-11-21T08:43:19.000000Z"),
            ("now", "2026-11-21T09:43:19.000000Z"),
        ] {
            let read = instant(text, &berlin, NOW).map(|at| at.to_string());
            assert_eq!(read.as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "-",
            "-5",
            "yesterday",
            "99999999999999999999",
            "2026-13-01",
            "-99999999d",
        ] {
            assert_eq!(instant(text, &berlin, NOW), None, "{text}");
        }
    }

    #[test]
    fn cursors_are_read_back_and_forged_ones_refused() {
        for micros in [-1, 0, NOW.as_micros()] {
            let cursor = Cursor {
                time: Timestamp::from_micros(micros),
                id: EventId::from_uuid(uuid::Uuid::from_u128(7)),
            };
            assert_eq!(read_cursor(&write_cursor(cursor)), Some(cursor));
        }
        for text in [
            "x",
            "1.",
            ".",
            "1.x",
            "99999999999999999999.00000000000000000000000000000007",
        ] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_leave_out_what_is_not_said() {
        let ask = Ask {
            q: "a b".to_owned(),
            range: "1h".to_owned(),
            ..Ask::default()
        };
        assert_eq!(ask.href(), "/search?q=a+b&range=1h");
        assert_eq!(Ask::default().href(), "/search");
        let day = Timestamp::from_micros(0);
        assert_eq!(
            ask.between(day, NOW).to_params(),
            "q=a+b&from=1970-01-01T00%3A00%3A00.000000Z&to=2026-11-21T09%3A43%3A19.000000Z"
        );
    }
}
