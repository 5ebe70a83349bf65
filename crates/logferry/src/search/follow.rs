//! `logferry search --follow`: what comes in, as it comes in.

use std::{collections::HashMap, io::Write, time::Duration};

use anyhow::Context;
use event::{EventId, Timestamp};
use store::{Order, SearchError, SearchRequest, Selection, Store, StoredEvent};
use tokio::time::{Instant, sleep_until};

use super::{PAGE_ROWS, show::Show};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Rows are committed a little out of order: by several writers, after retries, from hosts with clocks of their
/// own. What comes ten seconds after its neighbours is found yet: this is as much, and the time between two looks
/// that go back so far. What comes later is found by a search only.
const OVERLAP_MICROS: i64 = 15_000_000;

/// How far the looks between them go back, which do not read the same rows again and again.
const SHORT_OVERLAP_MICROS: i64 = 1_000_000;

/// One look of so many goes back far.
const LOOKS: u32 = 10;

/// Shows the newest `rows` and then, for good, what comes in.
pub(super) async fn follow(
    store: &Store,
    request: SearchRequest,
    rows: usize,
    show: &mut Show,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut seen = Seen::new(request.selection.from);
    // What is in the overlap already is not new, whether or not it is among the rows that are shown first.
    each_new(store, &request, &mut seen, |_| Ok(())).await?;
    let first = SearchRequest {
        limit: rows.clamp(1, PAGE_ROWS),
        ..request.clone()
    };
    let mut newest = store.page(first).await.context("search")?.rows;
    newest.reverse();
    for row in &newest {
        seen.is_new(row);
    }
    show.rows(&newest, out)?;
    out.flush()?;
    loop {
        let next = Instant::now() + PAUSE;
        let looked = each_new(store, &request, &mut seen, |rows| {
            show.rows(rows, out)?;
            Ok(out.flush()?)
        });
        match looked.await {
            Ok(()) => {}
            Err(error) if is_transient(&error) => eprintln!("logferry: {error:#}; trying again"),
            Err(error) => return Err(error),
        }
        sleep_until(next).await;
    }
}

/// Gives `show` the rows of the overlap and later that were not seen, page by page.
async fn each_new(
    store: &Store,
    request: &SearchRequest,
    seen: &mut Seen,
    mut show: impl FnMut(&[StoredEvent]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let selection = Selection {
        from: Some(seen.look_from()),
        ..request.selection.clone()
    };
    let mut request = SearchRequest {
        selection,
        order: Order::OldestFirst,
        limit: PAGE_ROWS,
        after: None,
        ..request.clone()
    };
    loop {
        let mut page = store.page(request.clone()).await.context("search")?;
        page.rows.retain(|row| seen.is_new(row));
        if !page.rows.is_empty() {
            show(&page.rows)?;
        }
        // What the time was not enough for comes with the next look.
        match page.end.next.filter(|_| page.end.complete) {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    seen.forget_old();
    Ok(())
}

fn is_transient(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(SearchError::Store(error)) => error.is_transient(),
        Some(SearchError::Busy(_)) => true,
        Some(SearchError::Limit(_)) | None => false,
    }
}

/// What was shown within the overlap.
#[derive(Debug)]
struct Seen {
    ids: HashMap<EventId, i64>,
    asked_from: Timestamp,
    newest: i64,
    looks: u32,
}

impl Seen {
    fn new(asked_from: Option<Timestamp>) -> Self {
        let asked_from = asked_from.unwrap_or(Timestamp::from_micros(i64::MIN));
        Self {
            ids: HashMap::new(),
            asked_from,
            newest: Timestamp::now().as_micros(),
            looks: 0,
        }
    }

    /// Where the next look begins.
    fn look_from(&mut self) -> Timestamp {
        let is_far = self.looks.is_multiple_of(LOOKS);
        self.looks = self.looks.wrapping_add(1);
        self.back(if is_far {
            OVERLAP_MICROS
        } else {
            SHORT_OVERLAP_MICROS
        })
    }

    fn back(&self, micros: i64) -> Timestamp {
        Timestamp::from_micros(self.newest.saturating_sub(micros)).max(self.asked_from)
    }

    /// Whether the row was not seen, which it is from now on.
    fn is_new(&mut self, row: &StoredEvent) -> bool {
        let at = row.event.received_at.as_micros();
        self.newest = self.newest.max(at);
        self.ids.insert(row.event.id, at).is_none()
    }

    fn forget_old(&mut self) {
        let oldest = self.back(OVERLAP_MICROS).as_micros();
        self.ids.retain(|_, at| *at >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_of_ten_goes_back_far_and_none_before_what_was_asked_for() {
        let mut seen = Seen::new(None);
        let newest = seen.newest;
        let looks: Vec<_> = (0..11).map(|_| newest - seen.look_from().as_micros()).collect();
        let mut expected = vec![SHORT_OVERLAP_MICROS; 11];
        for far in expected.iter_mut().step_by(10) {
            *far = OVERLAP_MICROS;
        }
        assert_eq!(looks, expected);

        let asked_from = Timestamp::from_micros(newest + 1_000_000);
        assert_eq!(Seen::new(Some(asked_from)).look_from(), asked_from);
    }
}
