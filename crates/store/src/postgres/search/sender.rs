//! Rows in the order of the senders' clocks. What has an index of them gives its best rows at once, and the rest is read;
//! of all these the best are the page.

use std::pin::pin;

use futures_util::{TryStreamExt, future::join};
use tokio_postgres::types::ToSql;

use super::{Asked, Outcome, Searching, is_canceled, rows::stored};
use crate::{
    error::StoreError,
    postgres::types::bound,
    search::{Clock, Order, SearchError, StoredEvent, plan::Range, tally::Tally},
};

/// Sealed partitions that one statement reads.
const RUN: usize = 16;

impl Searching<'_> {
    /// `indexed` is asked where there are indexes, `by_time` for the rest.
    pub(super) async fn by_sender(
        &self,
        (by_time, indexed): (&Asked, &Asked),
        tally: &mut Tally,
    ) -> Result<Outcome, SearchError> {
        tally.reads(false);
        let mut best: Vec<StoredEvent> = Vec::new();
        for (range, is_indexed) in self.catalogue.stretches(self.plan.arrival, RUN) {
            let asked = if is_indexed { indexed } else { by_time };
            let worst = best.last().filter(|_| best.len() == self.request.limit);
            let worst = worst.map(|row| row.cursor(Clock::Sender).time.as_micros());
            let Some(rows) = self.stretch(asked, range, worst, tally).await? else {
                // Better rows may be in what is not read.
                return Ok(Outcome::TimeIsUp);
            };
            best.extend(rows);
            best.sort_by_key(|row| row.cursor(Clock::Sender));
            if self.request.order == Order::NewestFirst {
                best.reverse();
            }
            best.truncate(self.request.limit);
        }
        if !best.is_empty() {
            let rows = tally.rows(best);
            self.hand_on(rows).await;
        }
        Ok(Outcome::Read)
    }

    /// The best rows of the range, no worse than `worst`; `None` when the time was up.
    async fn stretch(
        &self,
        asked: &Asked,
        range: Range,
        worst: Option<i64>,
        tally: &Tally,
    ) -> Result<Option<Vec<StoredEvent>>, SearchError> {
        let _turn = self.turns.turn().await;
        let Some(time) = tally.time_left() else {
            return Ok(None);
        };
        let worst = bound(worst.unwrap_or(match self.request.order {
            Order::NewestFirst => i64::MIN,
            Order::OldestFirst => i64::MAX,
        }));
        let (from, to) = (bound(range.0), bound(range.1));
        let limit = i64::try_from(self.request.limit).unwrap_or(i64::MAX);
        let own: [&(dyn ToSql + Sync); 4] = [&from, &to, &limit, &worst];
        let params = asked.with(own);
        let begun = self.running.begin(time, "");
        let read = async {
            let rows = self.running.client().query_raw(&asked.statement, params).await?;
            let mut rows = pin!(rows);
            let mut found = Vec::new();
            while let Some(row) = rows.try_next().await? {
                found.push(stored(&row)?);
            }
            Ok(found)
        };
        let (begun, read) = join(begun, read).await;
        begun.map_err(StoreError::from)?;
        match read {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_canceled(&error) => Ok(None),
            Err(error) => Err(StoreError::from(error).into()),
        }
    }
}
