//! What the newest events of all sources tell of each: its clock, its share of defects, its rate, and by which inputs it
//! comes. Read once for all who look, and kept for a moment.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use event::Timestamp;
use store::{LIMIT_MAX, SearchRequest, StoredEvent};
use tokio::sync::Mutex;

use super::clock::{guess, skew_of};
use crate::state::State;

/// For so long what was read is told.
const FRESH: Duration = Duration::from_secs(10);
const BUDGET: Duration = Duration::from_secs(3);
/// Over which rates are told.
const RATE_MICROS: i64 = 300_000_000;

/// The newest events, by source.
#[derive(Debug, Default)]
pub(super) struct Lately {
    sources: HashMap<String, OfSource>,
    /// Of the last five minutes, the part that those events are of.
    share: f64,
}

/// What those of one source tell.
#[derive(Debug, Clone, Default)]
pub(super) struct OfSource {
    skews: Vec<i64>,
    pub(super) events: usize,
    defects: usize,
    /// In the last five minutes.
    recent: u32,
    /// Inputs by which they came.
    pub(super) inputs: BTreeSet<String>,
}

/// What was told last, and when it was read.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Option<(Instant, Arc<Lately>)>>);

impl Cache {
    /// What the newest events tell; nothing where they cannot be read.
    pub(super) async fn get(&self, state: &State) -> Arc<Lately> {
        let mut kept = self.0.lock().await;
        if let Some((at, lately)) = &*kept
            && at.elapsed() < FRESH
        {
            return Arc::clone(lately);
        }
        let request = SearchRequest {
            limit: LIMIT_MAX,
            budget: BUDGET,
            ..SearchRequest::default()
        };
        match state.store.page(request).await {
            Ok(page) => {
                let is_all = page.end.complete && page.rows.len() < LIMIT_MAX;
                let lately = Arc::new(Lately::of(&page.rows, Timestamp::now(), is_all));
                *kept = Some((Instant::now(), Arc::clone(&lately)));
                lately
            }
            Err(error) => {
                tracing::debug!(%error, "the newest events of sources");
                Arc::default()
            }
        }
    }
}

impl Lately {
    /// Of rows, the newest first; `is_all` when there are no others.
    fn of(rows: &[StoredEvent], now: Timestamp, is_all: bool) -> Self {
        let since = now.as_micros() - RATE_MICROS;
        let oldest = rows.last().map_or(since, |row| row.event.received_at.as_micros());
        let seen = if is_all {
            RATE_MICROS
        } else {
            (now.as_micros() - oldest).clamp(1, RATE_MICROS)
        };
        let mut sources: HashMap<String, OfSource> = HashMap::new();
        for row in rows {
            let name = row.event.hostname.as_deref().unwrap_or_default();
            if !sources.contains_key(name) {
                sources.insert(name.to_owned(), OfSource::default());
            }
            if let Some(source) = sources.get_mut(name) {
                source.add(row, since);
            }
        }
        sources
            .values_mut()
            .for_each(|source| source.skews.sort_unstable());
        #[expect(clippy::cast_precision_loss, reason = "five minutes at most")]
        let share = seen as f64 / RATE_MICROS as f64;
        Self { sources, share }
    }

    pub(super) fn get(&self, hostname: &str) -> Option<&OfSource> {
        self.sources.get(hostname)
    }

    /// Events of a source in the last five minutes, and whether that is counted and not an estimate from less time.
    /// `None` where nothing was read.
    pub(super) fn rate(&self, hostname: &str) -> Option<(u64, bool)> {
        if self.share <= 0.0 {
            return None;
        }
        let recent = self.get(hostname).map_or(0, |source| source.recent);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few thousand, by a part of five minutes"
        )]
        let events = (f64::from(recent) / self.share).round() as u64;
        Some((events, self.share >= 1.0))
    }
}

impl OfSource {
    fn add(&mut self, row: &StoredEvent, since: i64) {
        self.events += 1;
        self.skews.extend(skew_of(row));
        self.defects += usize::from(!row.event.defects.is_empty());
        self.recent += u32::from(row.event.received_at.as_micros() > since);
        if !self.inputs.contains(&*row.event.listener) {
            self.inputs.insert(row.event.listener.clone().into_owned());
        }
    }

    /// Positive where its clock is ahead.
    pub(super) fn skew_micros(&self) -> Option<i64> {
        self.skews.get(self.skews.len() / 2).copied()
    }

    /// What may be wrong with its clock.
    pub(super) fn guess(&self) -> Option<&'static str> {
        self.skew_micros().and_then(guess)
    }

    pub(super) fn defect_share(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let share = self.defects as f64 / self.events.max(1) as f64;
        share
    }
}

#[cfg(test)]
mod tests {
    use event::{Event, EventId, EventTime};

    use super::*;

    const NOW: i64 = 1_795_254_199_000_000;

    fn row(host: &'static str, ago_s: i64, skew_s: i64) -> StoredEvent {
        let at = Timestamp::from_micros(NOW - ago_s * 1_000_000);
        let id = EventId::from_uuid(uuid::Uuid::from_u128(1));
        let mut event = Event::received(id, 0, at, "192.0.2.1:1", "udp");
        event.hostname = Some(host.into());
        event.timestamp = Some(EventTime::utc(Timestamp::from_micros(
            at.as_micros() + skew_s * 1_000_000,
        )));
        StoredEvent {
            event,
            route: "".into(),
        }
    }

    #[test]
    fn the_newest_events_tell_of_each_source() {
        let rows = [
            row("a", 1, 3600),
            row("b", 2, 0),
            row("a", 100, 3599),
            row("a", 400, 3601),
        ];
        let lately = Lately::of(&rows, Timestamp::from_micros(NOW), true);
        let a = lately.get("a").expect("is there");
        assert_eq!((a.events, a.skew_micros()), (3, Some(3_600_000_000)));
        assert!(a.guess().is_some() && lately.get("b").is_some_and(|b| b.guess().is_none()));
        assert!(a.inputs.contains("udp"));
        assert_eq!(
            (lately.rate("a"), lately.rate("c")),
            (Some((2, true)), Some((0, true)))
        );
    }

    #[test]
    fn a_rate_from_less_than_five_minutes_is_an_estimate() {
        let rows: Vec<_> = (0..60).map(|ago| row("a", ago + 1, 0)).collect();
        let lately = Lately::of(&rows, Timestamp::from_micros(NOW), false);
        assert_eq!(lately.rate("a"), Some((300, false)));
        assert_eq!(Lately::default().rate("a"), None, "nothing was read");
    }
}
