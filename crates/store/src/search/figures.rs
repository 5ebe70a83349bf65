//! How many events there are, and when: from the rollup where that knows, from the rows where they are few or exact
//! figures are wanted, else from a sample.

use std::time::Duration;

use event::Timestamp;

use super::{
    Clock, SearchError, Selection,
    bars::{Bar, Bars, Counted, part},
    plan::{Plan, Range},
    windows::MINUTE_MICROS,
};
use crate::{Kind, Store};

/// So many rows are counted one by one, since that takes no longer than a sample.
const FEW_ROWS: u64 = 100_000;

/// A range so long is counted by minutes; in a shorter one those at its ends would count for too much.
const LONG_MICROS: i64 = 3_600_000_000;

/// Rows that a sample looks at, about.
const SAMPLE_ROWS: f64 = 100_000.0;

/// Slices of time in a sample.
const SLICES: i64 = 1000;

/// A planner's estimate below this says only that there are few.
const ESTIMATE_MIN: u64 = 5000;

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// From the minute rollup: right, but for the minutes at the ends of the range, which count as a whole.
    Rollup,
    /// The database's own estimate.
    Planner,
    /// From a part of the rows.
    Sample,
    /// Counted.
    Exact,
}

/// How many events there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// So many.
    pub events: u64,
    /// How sure that is.
    pub quality: Quality,
}

/// When events came.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Where the first bar begins.
    pub from: Timestamp,
    /// Where the last bar ends.
    pub to: Timestamp,
    /// How long each bar is.
    pub bucket: Duration,
    /// How sure the bars are.
    pub quality: Quality,
    /// Which part of the rows was looked at, 1.0 for all.
    pub sample: f64,
    /// In the order of time.
    pub bars: Vec<Bar>,
}

/// What is counted.
#[derive(Debug, Clone)]
pub(crate) struct Counting {
    pub(crate) plan: Plan,
    pub(crate) clock: Clock,
    pub(crate) bars: Bars,
    /// Parts of the range to look at; all of it where there are none.
    pub(crate) slices: Vec<Range>,
    pub(crate) time: Duration,
}

impl Store {
    /// How many events there are; counted one by one when `exact` is wanted and `budget` is enough.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn count(&self, what: &Selection, exact: bool, budget: Duration) -> Result<Count, SearchError> {
        let _place = self.admit().await?;
        let plan = Plan::of(what);
        let Some(range) = self.range_of(&plan, what.clock).await? else {
            return Ok(Count {
                events: 0,
                quality: Quality::Exact,
            });
        };
        let looked = Look {
            store: self,
            plan,
            clock: what.clock,
            range,
            budget,
        };
        let bars = Bars::one(range);
        if !exact
            && range.1.saturating_sub(range.0) >= LONG_MICROS
            && let Some(bars) = looked.by_rollup(&bars).await?
        {
            return Ok(Count {
                events: bars.iter().map(Bar::sum).sum(),
                quality: Quality::Rollup,
            });
        }
        if !exact
            && let Some(events) = self
                .estimate(&looked.plan)
                .await?
                .filter(|events| *events >= ESTIMATE_MIN)
        {
            return Ok(Count {
                events,
                quality: Quality::Planner,
            });
        }
        let (bars, quality, _) = looked.by_rows(&bars, exact).await?;
        Ok(Count {
            events: bars.iter().map(Bar::sum).sum(),
            quality,
        })
    }

    /// When events came, in about `buckets` bars, at most [`BUCKETS_MAX`](crate::BUCKETS_MAX); counted one by one when `exact` is wanted
    /// and `budget` is enough.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn histogram(
        &self,
        what: &Selection,
        buckets: usize,
        exact: bool,
        budget: Duration,
    ) -> Result<Histogram, SearchError> {
        let _place = self.admit().await?;
        let plan = Plan::of(what);
        let range = self.range_of(&plan, what.clock).await?;
        let now = what.now.as_micros();
        let bars = Bars::over(range.unwrap_or((now, now)), buckets);
        let histogram = |quality, sample, counted| Histogram {
            from: Timestamp::from_micros(bars.origin),
            to: Timestamp::from_micros(bars.starts().last().unwrap_or(bars.origin) + bars.width),
            bucket: Duration::from_micros(bars.width.unsigned_abs()),
            quality,
            sample,
            bars: counted,
        };
        let Some(range) = range else {
            return Ok(histogram(Quality::Exact, 1.0, vec![Bar::default(); bars.count]));
        };
        let looked = Look {
            store: self,
            plan,
            clock: what.clock,
            range,
            budget,
        };
        if !exact
            && bars.width % MINUTE_MICROS == 0
            && let Some(counted) = looked.by_rollup(&bars).await?
        {
            return Ok(histogram(Quality::Rollup, 1.0, counted));
        }
        let (counted, quality, sample) = looked.by_rows(&bars, exact).await?;
        Ok(histogram(quality, sample, counted))
    }

    /// The range of the plan by the clock, with ends where the store's events end; `None` when there can be none.
    async fn range_of(&self, plan: &Plan, clock: Clock) -> Result<Option<Range>, SearchError> {
        let (from, to) = match clock {
            Clock::Arrival => plan.arrival,
            Clock::Sender => plan.sender,
        };
        if plan.is_empty() {
            return Ok(None);
        }
        if from != i64::MIN && to != i64::MAX {
            return Ok(Some((from, to)));
        }
        let span = match &*self.kind {
            Kind::Postgres(store) => store.span().await?,
            Kind::Sqlite(store) => store.span().await?,
        };
        let range = span.map(|(first, last)| {
            let from = if from == i64::MIN { first } else { from };
            (from, if to == i64::MAX { last } else { to })
        });
        Ok(range.filter(|(from, to)| from < to))
    }

    async fn estimate(&self, plan: &Plan) -> Result<Option<u64>, SearchError> {
        match &*self.kind {
            Kind::Postgres(store) => store.estimate(plan, self.admission.generation()).await,
            Kind::Sqlite(_) => Ok(None),
        }
    }
}

struct Look<'s> {
    store: &'s Store,
    plan: Plan,
    clock: Clock,
    range: Range,
    budget: Duration,
}

impl Look<'_> {
    /// `None` where the rollup does not know.
    async fn by_rollup(&self, bars: &Bars) -> Result<Option<Vec<Bar>>, SearchError> {
        let wanted = self.plan.severities().filter(|_| self.clock == Clock::Arrival);
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        let counted = self.rollup(self.range, bars).await?;
        Ok(Some(bars_of(&counted, wanted)))
    }

    /// Minutes of the range, as a whole.
    async fn rollup(&self, (from, to): Range, bars: &Bars) -> Result<Counted, SearchError> {
        let range = (from.div_euclid(MINUTE_MICROS).saturating_mul(MINUTE_MICROS), to);
        let bars = if bars.count == 1 { Bars::one(range) } else { *bars };
        match &*self.store.kind {
            Kind::Postgres(store) => Ok(store.rollup(range, &bars).await?),
            Kind::Sqlite(store) => Ok(store.rollup(range, bars).await?),
        }
    }

    /// All rows where they are few or exact figures are wanted and the time is enough; else a sample.
    async fn by_rows(&self, bars: &Bars, exact: bool) -> Result<(Vec<Bar>, Quality, f64), SearchError> {
        // By the senders' clocks, rows of any arrival may be in the range.
        let arrived = match self.clock {
            Clock::Arrival => self.range,
            Clock::Sender => self.store.span_of(&self.plan).await?,
        };
        let rows = self.rollup(arrived, &Bars::one(arrived)).await?;
        let rows: u64 = rows.bars.iter().flatten().map(|count| count.unsigned_abs()).sum();
        if exact || rows <= FEW_ROWS {
            let all = self.tally(*bars, Vec::new()).await?;
            if let Some(counted) = all {
                return Ok((bars_of(&counted, [true; 9]), Quality::Exact, 1.0));
            }
        }
        let counted = self.tally(*bars, slices(arrived, rows)).await?;
        let counted = counted.unwrap_or_else(|| Counted::none(bars));
        let sample = part(counted.scanned, rows);
        let scaled = bars_of(&counted, [true; 9])
            .into_iter()
            .map(|bar| bar.scaled(sample));
        Ok((scaled.collect(), Quality::Sample, sample))
    }

    /// `None` when the time was up.
    async fn tally(&self, bars: Bars, slices: Vec<Range>) -> Result<Option<Counted>, SearchError> {
        let counting = Counting {
            plan: self.plan.clone(),
            clock: self.clock,
            bars,
            slices,
            time: self.budget,
        };
        match &*self.store.kind {
            Kind::Postgres(store) => store.tally(&counting, self.store.admission.generation()).await,
            Kind::Sqlite(store) => store.tally(counting).await,
        }
    }
}

impl Store {
    /// The range of arrival, with ends where the store's events end.
    async fn span_of(&self, plan: &Plan) -> Result<Range, SearchError> {
        let span = match &*self.kind {
            Kind::Postgres(store) => store.span().await?,
            Kind::Sqlite(store) => store.span().await?,
        };
        let (first, last) = span.unwrap_or((0, 0));
        Ok((plan.arrival.0.max(first), plan.arrival.1.min(last)))
    }
}

fn bars_of(counted: &Counted, wanted: [bool; 9]) -> Vec<Bar> {
    let bar = |counts| {
        let mut bar = Bar::default();
        bar.add(counts, wanted);
        bar
    };
    counted.bars.iter().map(bar).collect()
}

/// Slices spread over the range that hold about as many rows as a sample should: each in its part of the range, at a
/// place that differs from part to part, so that what happens at every full minute counts as often as it is.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a place in a range of time"
)]
fn slices((from, to): Range, rows: u64) -> Vec<Range> {
    let share = (SAMPLE_ROWS / rows.max(1) as f64).min(1.0);
    let length = to.saturating_sub(from).max(0) as f64 / SLICES as f64;
    let width = (length * share).max(1.0);
    let slice = |number: i64| {
        // The golden ratio's multiples are spread evenly.
        let place = (number as f64 * 0.618_033_988_749_895).fract() * (length - width).max(0.0);
        let start = from.saturating_add((number as f64 * length + place) as i64);
        (start, start.saturating_add(width as i64).min(to))
    };
    (0..SLICES).map(slice).filter(|(from, to)| from < to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;
    const H: i64 = 3600 * S;

    #[test]
    fn slices_lie_in_the_range_and_take_their_share() {
        let range = (10 * H, 34 * H);
        let slices = slices(range, 10_000_000);
        assert_eq!(slices.len(), 1000);
        assert!(
            slices
                .iter()
                .all(|(from, to)| range.0 <= *from && from < to && *to <= range.1)
        );
        assert!(slices.is_sorted_by(|left, right| left.1 <= right.0), "none twice");
        let covered: i64 = slices.iter().map(|(from, to)| to - from).sum();
        assert!((covered - 24 * H / 100).abs() < S, "{covered}");
    }
}
