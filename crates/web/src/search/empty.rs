//! What may help when nothing is found: which single condition keeps everything out, what there was before the range, and
//! what another clock puts there.

use std::time::{Duration, Instant};

use store::{Clock, Count, Found, Order, Quality, SearchRequest, Selection};

use super::{
    ask::{Ask, Asked, Reading},
    field_names,
    mend::without,
    page::RANGES,
    status::events,
};
use crate::{number::grouped, shell::Shell, state::State, time};

/// For all of it; what takes longer is not told.
const BUDGET: Duration = Duration::from_secs(2);
/// Conditions that are tried.
const CONDITIONS_MAX: usize = 8;

/// What the page says and offers.
pub(super) struct Empty {
    pub(super) wider: Vec<(&'static str, String)>,
    /// A condition, the search without it, and how many events that finds, where it is known.
    pub(super) without: Vec<(String, String, Option<String>)>,
    /// When the newest match before the range was, and the search up to it.
    pub(super) before: Option<(String, String)>,
    /// What the other clock finds, and the search by it.
    pub(super) other_clock: Option<(String, String)>,
}

/// Looks for it, as far as the time allows.
pub(super) async fn empty(state: &State, shell: &Shell, asked: &Asked) -> Empty {
    let looking = Looking {
        state,
        asked,
        reading: Reading::new(&state.settings, shell, field_names(state).await),
        deadline: Instant::now() + BUDGET,
    };
    let wider = RANGES.iter().rev().take(3).rev();
    Empty {
        wider: wider
            .map(|(range, name)| (*name, asked.ask.last(range).href()))
            .collect(),
        before: looking.before().await,
        other_clock: looking.other_clock().await,
        without: looking.without().await,
    }
}

struct Looking<'a> {
    state: &'a State,
    asked: &'a Asked,
    reading: Reading<'a>,
    deadline: Instant,
}

impl Looking<'_> {
    fn left(&self) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// `None` where it is not known in time.
    async fn count(&self, what: &Selection) -> Option<Count> {
        self.state.store.count(what, false, self.left()?).await.ok()
    }

    /// Without one condition each: only those that let something in, unless none of them is known to.
    async fn without(&self) -> Vec<(String, String, Option<String>)> {
        let (ask, chips) = (&self.asked.ask, &self.asked.parsed.chips);
        if chips.len() < 2 {
            return Vec::new();
        }
        let (mut tried, mut is_known) = (Vec::new(), false);
        for chip in chips.iter().take(CONDITIONS_MAX) {
            let less = ask.with_query(without(&ask.q, chip.span));
            let href = less.href();
            let count = match less.read(&self.reading) {
                Ok(asked) => self.count(&asked.request.selection).await,
                Err(_) => None,
            };
            is_known |= count.as_ref().is_some_and(|count| count.events > 0);
            tried.push((chip.label.clone(), href, count));
        }
        tried.retain(|(_, _, count)| !is_known || count.as_ref().is_none_or(|count| count.events > 0));
        let told = |count: Count| match count.quality {
            Quality::Planner | Quality::Sample => format!("about {}", grouped(count.events)),
            Quality::Exact | Quality::Rollup => grouped(count.events),
        };
        let tried = tried.into_iter();
        tried
            .map(|(label, href, count)| (label, href, count.map(told)))
            .collect()
    }

    /// The newest match before the range.
    async fn before(&self) -> Option<(String, String)> {
        let from = self.asked.request.selection.from?;
        let request = SearchRequest {
            selection: Selection {
                from: None,
                to: Some(from),
                ..self.asked.request.selection.clone()
            },
            order: Order::NewestFirst,
            after: None,
            limit: 1,
            budget: self.left()?,
        };
        let mut search = self.state.store.search(request);
        while let Some(found) = search.next().await {
            let Ok(Found::Rows(rows)) = found else { continue };
            let row = rows.first()?;
            let at = match self.asked.request.selection.clock {
                Clock::Arrival => row.event.received_at,
                Clock::Sender => row.event.timestamp?.at,
            };
            // The hour that ends with it.
            let end = event::Timestamp::from_micros(at.as_micros().saturating_add(1_000_000));
            let begin = event::Timestamp::from_micros(at.as_micros().saturating_sub(3_600_000_000));
            let href = self.asked.ask.between(begin, end).href();
            return Some((time::seconds(at, &self.asked.zone), href));
        }
        None
    }

    /// Events that the other clock puts into this range.
    async fn other_clock(&self) -> Option<(String, String)> {
        let what = &self.asked.request.selection;
        if what.from.is_none() && what.to.is_none() {
            return None;
        }
        let (clock, by, text) = match what.clock {
            Clock::Arrival => (
                Clock::Sender,
                "event",
                "of this range by their senders' clocks came at another time",
            ),
            Clock::Sender => (Clock::Arrival, "", "came in this range and carry another time"),
        };
        let other = Selection {
            clock,
            ..what.clone()
        };
        let count = self.count(&other).await.filter(|count| count.events > 0)?;
        let ask: &Ask = &self.asked.ask;
        Some((
            format!("{} {text}", events(count.events)),
            ask.sorted(by, &ask.sort).href(),
        ))
    }
}
