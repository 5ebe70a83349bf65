//! What people ask: each question many times, with other hosts, times and events, until it is clear how long it takes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use event::{EventId, Timestamp};
use query::{Options, Query};
use store::{Clock, Found, Order, Scope, SearchRequest, Selection, Store};

use super::kept::{Kept, Outside};
use super::watching::Watcher;
use super::{CANCEL_MAX, Figures, HISTOGRAM_MAX, ONE_MAX, PAGE_MAX, PROGRESS_MAX};
use crate::corpus::{ABSENT, COMMON, Corpus, DAY_MICROS, Numbers, RARE};
use crate::line::Target;

/// How often each question is asked, unless that takes too long.
const TIMES: usize = 40;
const TIMES_MIN: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);
/// Before it counts, so that what is asked for often is in memory, as in life.
const WARMING: usize = 3;

const ROWS: usize = 100;
const AROUND: usize = 20;
const BUCKETS: usize = 120;
pub(super) const BUDGET: Duration = Duration::from_secs(60);

/// What no index can look up, and no event holds.
const WITHOUT_INDEX: &str = "/zq[0-9]{9}qz/";

pub(super) struct Asking {
    store: Store,
    corpus: Arc<Corpus>,
    outside: Outside,
    numbers: Numbers,
    from: i64,
    to: i64,
}

impl Asking {
    pub(super) fn new(kept: &Kept) -> Self {
        Self::seeded(kept, 0)
    }

    pub(super) fn seeded(kept: &Kept, seed: u64) -> Self {
        Self {
            store: kept.store.clone(),
            corpus: Arc::clone(&kept.corpus),
            outside: kept.outside(),
            numbers: Numbers::new(seed),
            from: kept.start,
            to: kept.end(),
        }
    }

    /// Everything in the table.
    pub(super) async fn ask_all(mut self, figures: &mut Figures) -> anyhow::Result<()> {
        let page = Some(Target::AtMost(PAGE_MAX));
        let all = parsed("")?;
        let p95 = self
            .p95(async |this| this.page(&all, Clock::Arrival).await.map(full))
            .await?;
        figures.add("newest 100", "ms", p95, page);
        let p95 = self
            .p95(async |this| this.page(&all, Clock::Sender).await.map(full))
            .await?;
        figures.add("newest 100 by the senders' clocks", "ms", p95, page);
        let p95 = self
            .p95(async |this| {
                let query = format!("host:{} severity>=err", this.host());
                this.page(&parsed(&query)?, Clock::Arrival).await.map(drop)
            })
            .await?;
        figures.add("newest 100 of a host, err or worse", "ms", p95, page);
        for (what, phrase, expected) in [
            ("newest 100 with a phrase, common", COMMON, ROWS),
            ("newest 100 with a phrase, rare", RARE, 20),
            ("newest 100 with a phrase, absent", ABSENT, 0),
        ] {
            let query = parsed(&format!("\"{phrase}\""))?;
            let p95 = self
                .p95(async |this| {
                    let found = this.page(&query, Clock::Arrival).await?;
                    ensure!(found == expected, "{found} events have {phrase:?}");
                    Ok(())
                })
                .await?;
            figures.add(what, "ms", p95, page);
        }
        let p95 = self
            .p95(async |this| {
                let query = format!("fields.status:{}", 200 + this.numbers.below(400));
                this.page(&parsed(&query)?, Clock::Arrival).await.map(drop)
            })
            .await?;
        figures.add("newest 100 with a value of a field", "ms", p95, None);
        self.ask_for_one(figures).await?;
        let week = self.selection(&all, Clock::Arrival);
        let p95 = self
            .p95(async |this| {
                let histogram = this.store.histogram(&week, BUCKETS, false, BUDGET).await?;
                ensure!(!histogram.bars.is_empty(), "a histogram without bars");
                Ok(())
            })
            .await?;
        let most = Some(Target::AtMost(HISTOGRAM_MAX));
        figures.add("histogram of 120 buckets", "ms", p95, most);
        self.ask_for_too_much(figures).await
    }

    async fn ask_for_one(&mut self, figures: &mut Figures) -> anyhow::Result<()> {
        let mut ids = Vec::new();
        for _ in 0..TIMES + WARMING {
            ids.push(self.some_event().await?);
        }
        let mut next = ids.iter().cycle();
        let mut id = move || *next.next().expect("there are some");
        let p95 = self
            .p95(async |this| {
                let around = this.store.context(id(), Scope::Host, AROUND, AROUND).await?;
                around.context("the event is there").map(drop)
            })
            .await?;
        figures.add(
            "20 events of the host before and after one",
            "ms",
            p95,
            Some(Target::AtMost(ONE_MAX)),
        );
        let mut next = ids.iter().cycle();
        let p95 = self
            .p95(async |this| {
                let id = *next.next().context("there are some")?;
                this.store
                    .event(id)
                    .await?
                    .context("the event is there")
                    .map(drop)
            })
            .await?;
        figures.add("one event by its id", "ms", p95, Some(Target::AtMost(ONE_MAX)));
        Ok(())
    }

    /// A search that has to look at every row: how soon it says something, and how soon it stops.
    async fn ask_for_too_much(&mut self, figures: &mut Figures) -> anyhow::Result<()> {
        let query = parsed(WITHOUT_INDEX)?;
        let watcher = Watcher::new(&self.outside).await?;
        let (mut first, mut stopped) = (Vec::new(), Vec::new());
        for _ in 0..TIMES_MIN {
            let began = Instant::now();
            let mut search = self.store.search(self.request(&query, Clock::Arrival));
            match search.next().await.context("it says something")?? {
                Found::Progress { .. } => first.push(began.elapsed()),
                found @ (Found::Rows(_) | Found::End(_)) => bail!("no progress but {found:?}"),
            }
            drop(search);
            stopped.push(watcher.stops().await?);
        }
        figures.add(
            "first progress without an index",
            "ms",
            p95(first)?,
            Some(Target::AtMost(PROGRESS_MAX)),
        );
        figures.add(
            "a cancelled search stops in the database",
            "ms",
            p95(stopped)?,
            Some(Target::AtMost(CANCEL_MAX)),
        );
        Ok(())
    }

    /// Searches on and on.
    pub(super) async fn ask_on(mut self) -> anyhow::Result<Infallible> {
        loop {
            let query = match self.numbers.below(4) {
                0 => String::new(),
                1 => format!("\"{COMMON}\""),
                2 => format!("host:{} severity>=err", self.host()),
                _ => format!("\"{RARE}\""),
            };
            self.page(&parsed(&query)?, Clock::Arrival).await?;
        }
    }

    /// Milliseconds within which nineteen of twenty are answered.
    async fn p95<F>(&mut self, mut ask: F) -> anyhow::Result<f64>
    where
        F: AsyncFnMut(&mut Self) -> anyhow::Result<()>,
    {
        for _ in 0..WARMING {
            ask(self).await?;
        }
        let (started, mut took) = (Instant::now(), Vec::new());
        while took.len() < TIMES_MIN || (took.len() < TIMES && started.elapsed() < PATIENCE) {
            let began = Instant::now();
            ask(self).await?;
            took.push(began.elapsed());
        }
        p95(took)
    }

    async fn page(&self, query: &Query, clock: Clock) -> anyhow::Result<usize> {
        let page = self.store.page(self.request(query, clock)).await?;
        ensure!(page.end.complete, "a search was not done within {BUDGET:?}");
        Ok(page.rows.len())
    }

    fn request(&self, query: &Query, clock: Clock) -> SearchRequest {
        SearchRequest {
            selection: self.selection(query, clock),
            order: Order::NewestFirst,
            after: None,
            limit: ROWS,
            budget: BUDGET,
        }
    }

    fn selection(&self, query: &Query, clock: Clock) -> Selection {
        Selection {
            query: query.clone(),
            clock,
            from: Some(Timestamp::from_micros(self.from)),
            to: Some(Timestamp::from_micros(self.to)),
            now: Timestamp::from_micros(self.to),
        }
    }

    fn host(&mut self) -> String {
        self.numbers.pick(self.corpus.hosts()).clone()
    }

    /// An event from anywhere in the week.
    async fn some_event(&mut self) -> anyhow::Result<EventId> {
        let span = u64::try_from(self.to - self.from - DAY_MICROS / 24)?;
        let to = self.to - i64::try_from(self.numbers.below(span))?;
        let mut request = self.request(&parsed("")?, Clock::Arrival);
        request.selection.to = Some(Timestamp::from_micros(to));
        request.limit = 1;
        let page = self.store.page(request).await?;
        let row = page.rows.into_iter().next().context("an event at that time")?;
        Ok(row.event.id)
    }
}

fn full(_rows: usize) {}

fn parsed(text: &str) -> anyhow::Result<Query> {
    let parsed = query::parse(text, &Options::default());
    Ok(parsed.map_err(|problem| anyhow!("{text}: {problem:?}"))?.query)
}

fn p95(mut took: Vec<Duration>) -> anyhow::Result<f64> {
    took.sort_unstable();
    let at = (took.len() * 95).div_ceil(100).saturating_sub(1);
    let took = took.get(at).context("measure at least once")?;
    Ok(took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_of_twenty_are_within() {
        let took = |count| (1..=count).map(Duration::from_millis).collect();
        for (count, expected) in [(1, 1.0), (5, 5.0), (20, 19.0), (40, 38.0), (100, 95.0)] {
            assert_eq!(p95(took(count)).unwrap(), expected);
        }
        assert!(p95(Vec::new()).is_err());
    }

    #[test]
    fn all_questions_can_be_read() {
        for text in [
            "",
            "host:web001.fra.example.net severity>=err",
            WITHOUT_INDEX,
            "fields.status:404",
        ] {
            parsed(text).unwrap();
        }
    }
}
