//! Whether a sender's clock is right: the middle of what its last events are ahead of or behind their arrival.

use std::time::Duration;

use query::Options;
use serde::Serialize;
use store::{SearchRequest, Selection, StoredEvent};

use crate::{problem::Problem, search::quoted, state::State};

/// Events that are looked at.
const EVENTS: usize = 200;
const BUDGET: Duration = Duration::from_secs(3);
/// A clock that is off by less is right: events are under way for a while.
const OFF_MICROS: i64 = 30_000_000;
/// How near to whole hours is no chance.
const NEAR_MICROS: i64 = 60_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// What the last events of a source tell.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Last {
    /// Positive: the sender's clock is ahead. Null when no event has a time of its own.
    pub(super) skew_ms: Option<i64>,
    pub(super) skew_guess: Option<&'static str>,
    /// Of those events, the part with defects; null without events.
    pub(super) defect_share: Option<f64>,
    /// The newest event with defects, and what they are.
    pub(super) newest_defect: Option<Defective>,
    #[serde(skip)]
    pub(super) rows: Vec<StoredEvent>,
}

/// An event that could not be read as it should be.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Defective {
    pub(super) id: String,
    pub(super) defects: Vec<&'static str>,
}

/// The newest events of a host, and what they tell.
pub(super) async fn last(state: &State, hostname: &str) -> Result<Last, Problem> {
    let text = format!("host:{}", quoted(hostname));
    let parsed = query::parse(&text, &Options::default()).map_err(Problem::query)?;
    let request = SearchRequest {
        selection: Selection {
            query: parsed.query,
            ..Selection::default()
        },
        limit: EVENTS,
        budget: BUDGET,
        ..SearchRequest::default()
    };
    let rows = state.store.page(request).await?.rows;
    Ok(tell(rows))
}

fn tell(rows: Vec<StoredEvent>) -> Last {
    let mut skews: Vec<i64> = rows.iter().filter_map(skew_of).collect();
    skews.sort_unstable();
    let skew = skews.get(skews.len() / 2).copied();
    let defects = rows.iter().filter(|row| !row.event.defects.is_empty()).count();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred rows")]
    let defect_share = (!rows.is_empty()).then(|| defects as f64 / rows.len() as f64);
    let newest_defect = rows.iter().find(|row| !row.event.defects.is_empty());
    let newest_defect = newest_defect.map(|row| Defective {
        id: row.event.id.to_string(),
        defects: row.event.defects.words().collect(),
    });
    Last {
        newest_defect,
        skew_ms: skew.map(|micros| micros / 1000),
        skew_guess: skew.and_then(guess),
        defect_share,
        rows,
    }
}

/// What an event is ahead of its arrival by its own time, if it has one.
pub(super) fn skew_of(row: &StoredEvent) -> Option<i64> {
    let own = row.event.timestamp?.at.as_micros();
    Some(own - row.event.received_at.as_micros())
}

/// "+1 h", "right".
pub(super) fn skew_text(micros: i64) -> String {
    let sign = if micros > 0 { "+" } else { "−" };
    match micros.abs() {
        0..1_000_000 => "right".to_owned(),
        off => format!("{sign}{}", crate::time::rough(off)),
    }
}

/// What may be wrong with the clock; `None` for one that is right.
pub(super) fn guess(skew: i64) -> Option<&'static str> {
    let off = skew.abs();
    if off < OFF_MICROS {
        return None;
    }
    let beside_hours = (off % HOUR_MICROS).min(HOUR_MICROS - off % HOUR_MICROS);
    if off > 300 * DAY_MICROS {
        return Some("off by about a year or more: a time without a year?");
    }
    if (HOUR_MICROS / 2..=15 * HOUR_MICROS).contains(&off) && beside_hours < NEAR_MICROS {
        return Some("whole hours: the time zone of the listener or of the sender?");
    }
    Some("the sender's clock is not set")
}

impl Last {
    /// "+1 h", "0 s", or that it is not known.
    pub(super) fn skew(&self) -> String {
        self.skew_ms.map_or_else(
            || "unknown: its events have no time of their own".to_owned(),
            |ms| skew_text(ms * 1000),
        )
    }

    pub(super) fn defects(&self) -> String {
        self.defect_share
            .map_or_else(|| "unknown".to_owned(), |share| format!("{:.0} %", share * 100.0))
    }
}

#[cfg(test)]
mod tests {
    use event::{Event, EventId, EventTime, Timestamp};

    use super::*;

    fn row(skew_s: Option<i64>) -> StoredEvent {
        let at = Timestamp::from_micros(1_795_254_199_000_000);
        let id = EventId::from_uuid(uuid::Uuid::from_u128(1));
        let mut event = Event::received(id, 0, at, "192.0.2.1:1", "tcp");
        event.timestamp =
            skew_s.map(|skew| EventTime::utc(Timestamp::from_micros(at.as_micros() + skew * 1_000_000)));
        StoredEvent {
            event,
            route: "".into(),
        }
    }

    #[test]
    fn the_middle_of_the_last_events_tells_the_clock() {
        let last = tell(vec![
            row(Some(-1)),
            row(Some(3600)),
            row(Some(3599)),
            row(None),
            row(Some(3600)),
        ]);
        assert_eq!((last.skew_ms, last.skew().as_str()), (Some(3_600_000), "+1 h"));
        assert!(last.skew_guess.is_some_and(|guess| guess.contains("time zone")));
        let last = tell(vec![row(Some(0)), row(Some(-2))]);
        assert_eq!(last.skew_guess, None);
        let last = tell(vec![row(Some(-400 * 86_400))]);
        assert!(last.skew_guess.is_some_and(|guess| guess.contains("year")));
        let last = tell(vec![row(Some(700))]);
        assert!(last.skew_guess.is_some_and(|guess| guess.contains("not set")));
    }

    #[test]
    fn without_times_it_is_unknown() {
        let last = tell(vec![row(None)]);
        assert_eq!((last.skew_ms, last.defect_share), (None, Some(0.0)));
        assert_eq!(tell(Vec::new()).defect_share, None);
    }
}
