//! One viewer's account: what matched and waits to be shown, and what will not be.

use std::collections::VecDeque;

use event::{Event, Timestamp};
use query::Matcher;
use serde::Serialize;

use super::feed::Portion;

/// Rows of one batch.
pub(crate) const ROWS_MAX: usize = 200;
/// Rows that wait: those of a second, so that a burst is shown a little later and is no gap.
const WAITING_MAX: usize = 4 * ROWS_MAX;

/// What one viewer has seen and is to see.
#[derive(Debug)]
pub(crate) struct Watch {
    matcher: Matcher,
    /// Of the next portion, if nothing is missed.
    expected: Option<u64>,
    rows: VecDeque<Event<'static>>,
    /// No more rows until the gap behind those that wait is told.
    is_full: bool,
    gap: Gap,
    arrived: u64,
    matched: u64,
    newest: Option<Timestamp>,
}

/// Events that are not shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    /// How many: those that match, and those that nobody looked at.
    pub(crate) n: u64,
    /// How many of them nobody looked at, so that it is not known whether they match.
    pub(crate) unseen: u64,
    #[serde(serialize_with = "instant")]
    pub(crate) from: Option<Timestamp>,
    #[serde(serialize_with = "instant")]
    pub(crate) to: Option<Timestamp>,
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn instant<S: serde::Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.serialize_some(&at.to_string()),
        None => serializer.serialize_none(),
    }
}

/// The numbers of about one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Stat {
    /// Events that arrived.
    pub(crate) in_s: u64,
    /// Events that matched.
    pub(crate) match_s: u64,
    /// How old the newest of them was when it was seen; absent when none came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) behind_ms: Option<i64>,
}

impl Gap {
    fn add(&mut self, event: &Event<'_>) {
        self.n += 1;
        self.reach(event.received_at);
    }

    fn reach(&mut self, at: Timestamp) {
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.to = Some(self.to.map_or(at, |to| to.max(at)));
    }
}

impl Watch {
    pub(crate) fn new(matcher: Matcher) -> Self {
        Self {
            matcher,
            expected: None,
            rows: VecDeque::new(),
            is_full: false,
            gap: Gap::default(),
            arrived: 0,
            matched: 0,
            newest: None,
        }
    }

    /// Looks at a portion.
    pub(crate) fn see(&mut self, portion: &Portion) {
        let unseen = self
            .expected
            .map_or(0, |expected| portion.before.saturating_sub(expected));
        self.expected = Some(portion.before + portion.events.len() as u64);
        self.arrived += unseen + portion.events.len() as u64;
        if unseen > 0 {
            self.gap.n += unseen;
            self.gap.unseen += unseen;
            let first = portion.events.first().map(|first| first.received_at);
            for at in [self.newest, first].into_iter().flatten() {
                self.gap.reach(at);
            }
        }
        for event in &portion.events {
            self.newest = self.newest.max(Some(event.received_at));
            if !self.matcher.matches(event) {
                continue;
            }
            self.matched += 1;
            self.is_full |= self.rows.len() >= WAITING_MAX;
            if self.is_full {
                self.gap.add(event);
            } else {
                self.rows.push_back(event.clone());
            }
        }
    }

    /// What is to be shown now: rows, and behind the last of them how many did not fit.
    pub(crate) fn take(&mut self) -> (Vec<Event<'static>>, Option<Gap>) {
        let rows = self.rows.drain(..self.rows.len().min(ROWS_MAX)).collect();
        if !self.rows.is_empty() {
            return (rows, None);
        }
        self.is_full = false;
        let gap = std::mem::take(&mut self.gap);
        (rows, Some(gap).filter(|gap| gap.n > 0))
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.rows.is_empty() || self.gap.n > 0
    }

    /// The numbers since the last call.
    pub(crate) fn stat(&mut self, now: Timestamp) -> Stat {
        let newest = self.newest.filter(|_| self.arrived > 0);
        Stat {
            in_s: std::mem::take(&mut self.arrived),
            match_s: std::mem::take(&mut self.matched),
            behind_ms: newest.map(|at| ((now.as_micros() - at.as_micros()) / 1000).max(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use event::{BatchId, EventId};

    use super::*;

    fn portion(before: u64, events: u32) -> Portion {
        let batch = BatchId::mint();
        let events = (0..events).map(|position| {
            let at = Timestamp::from_micros((before as i64 + i64::from(position)) * 1000);
            let id = EventId::derive(batch, position, at);
            let mut event = Event::received(id, position, at, "192.0.2.1:1", "tcp");
            event.hostname = Some(if position % 2 == 0 { "even" } else { "odd" }.into());
            event
        });
        Portion {
            before,
            events: events.collect(),
        }
    }

    fn watch(query: &str) -> Watch {
        let parsed = query::parse(query, &query::Options::default()).unwrap();
        Watch::new(parsed.query.matcher(Timestamp::from_micros(0)))
    }

    #[test]
    fn shows_what_matches_and_counts_the_rest() {
        let mut watch = watch("host:even");
        watch.see(&portion(0, 10));
        let stat = watch.stat(Timestamp::from_micros(10_000));
        assert_eq!((stat.in_s, stat.match_s, stat.behind_ms), (10, 5, Some(1)));
        let (rows, gap) = watch.take();
        assert_eq!((rows.len(), gap), (5, None));
        assert_eq!(watch.stat(Timestamp::from_micros(0)).behind_ms, None);
    }

    #[test]
    fn what_does_not_fit_is_a_gap_of_what_matches() {
        let mut watch = watch("host:even");
        watch.see(&portion(0, 2000));
        for batch in 1..=4 {
            // What comes while they wait stands behind the gap, too.
            let (rows, gap) = watch.take();
            assert_eq!((rows.len(), gap.is_some()), (ROWS_MAX, batch == 4));
            if batch < 4 {
                watch.see(&portion(1998 + batch * 2, 2));
                continue;
            }
            let gap = gap.unwrap();
            assert_eq!((gap.n, gap.unseen), (203, 0));
            assert_eq!(gap.from, Some(Timestamp::from_micros(1_600_000)));
            assert_eq!(gap.to, Some(Timestamp::from_micros(2_004_000)));
            let json = serde_json::to_string(&gap).unwrap();
            assert!(json.contains(r#""from":"1970-01-01T00:00:01.600000Z""#), "{json}");
        }
        assert!(!watch.has_news());
        watch.see(&portion(2006, 2));
        assert_eq!(watch.take().0.len(), 1, "rows come again");
    }

    #[test]
    fn a_burst_is_shown_batch_by_batch() {
        let mut watch = watch("");
        watch.see(&portion(0, 500));
        let sizes = [200, 200, 100].map(|_| watch.take().0.len());
        assert_eq!(sizes, [200, 200, 100]);
        assert_eq!((watch.take().1, watch.has_news()), (None, false));
    }

    #[test]
    fn what_nobody_looked_at_is_counted() {
        let mut watch = watch("");
        watch.see(&portion(5, 1));
        assert_eq!(watch.take().1, None, "it begins in the middle");
        watch.see(&portion(106, 1));
        let (rows, gap) = watch.take();
        let gap = gap.unwrap();
        assert_eq!((rows.len(), gap.n, gap.unseen), (1, 100, 100));
        assert_eq!(gap.from, Some(Timestamp::from_micros(5000)));
        assert_eq!(gap.to, Some(Timestamp::from_micros(106_000)));
        // A batch that was passed over, with nothing behind it.
        watch.see(&portion(150, 0));
        assert_eq!(watch.take().1.map(|gap| (gap.n, gap.unseen)), Some((43, 43)));
    }
}
