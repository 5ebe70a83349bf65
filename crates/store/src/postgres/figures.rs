//! Counting rows of `events`, and reading the minute rollup.

use query::TimeField;
use tokio_postgres::{error::SqlState, types::ToSql};

use super::{
    Postgres,
    search::{BY_TIME, Running, Terms},
    types::{Micros, bound},
};
use crate::{
    error::StoreError,
    search::{
        Clock, SearchError,
        bars::{Bars, Counted},
        figures::Counting,
        plan::{Plan, Range, Texts},
        sql::{self, Dialect},
        windows::MINUTE_MICROS,
    },
    summary::COUNT_COLUMNS,
};

/// An estimate is worth no wait.
const ESTIMATE_TIME: std::time::Duration = std::time::Duration::from_secs(1);

impl Postgres {
    /// From the first minute with events to the end of the last.
    pub(crate) async fn span(&self) -> Result<Option<Range>, StoreError> {
        let client = self.reader().await?;
        let row = client
            .query_one("SELECT min(minute), max(minute) FROM rollup_minute", &[])
            .await?;
        let (first, last): (Option<Micros>, Option<Micros>) = (row.try_get(0)?, row.try_get(1)?);
        Ok(first
            .zip(last)
            .map(|(first, last)| (first.0, last.0 + MINUTE_MICROS)))
    }

    /// The minutes that begin in the range.
    pub(crate) async fn rollup(&self, (from, to): Range, bars: &Bars) -> Result<Counted, StoreError> {
        let sums = COUNT_COLUMNS.map(|column| format!(", sum(\"{column}\")::bigint"));
        let sql = format!(
            "SELECT width_bucket(minute, $3::timestamptz[]) - 1{} FROM rollup_minute \
             WHERE minute >= $1 AND minute < $2 GROUP BY 1",
            sums.concat()
        );
        let starts: Vec<_> = bars.starts().map(bound).collect();
        let client = self.reader().await?;
        let mut counted = Counted::none(bars);
        for row in client.query(&sql, &[&bound(from), &bound(to), &starts]).await? {
            let bar: i32 = row.try_get(0)?;
            for severity in 0..COUNT_COLUMNS.len() {
                let count: i64 = row.try_get(severity + 1)?;
                counted.add(bar.into(), i64::try_from(severity).unwrap_or(0), count);
            }
        }
        Ok(counted)
    }

    /// How many rows the planner expects, where an index of texts lets it know.
    pub(crate) async fn estimate(&self, plan: &Plan, generation: u64) -> Result<Option<u64>, SearchError> {
        let catalogue = self.catalogue(generation).await?;
        if Texts::of(&plan.rest, &catalogue.names).is_none() {
            return Ok(None);
        }
        let mut terms = Terms::new(&catalogue.names);
        let (from, to) = (
            terms.bind(bound(plan.arrival.0)),
            terms.bind(bound(plan.arrival.1)),
        );
        let condition = condition(plan, &mut terms);
        let sql = format!(
            "EXPLAIN (FORMAT JSON) SELECT 1 FROM events WHERE received_at >= {from} AND received_at < {to} AND {condition}"
        );
        let running = Running::start(self).await?;
        running.begin(ESTIMATE_TIME, "").await.map_err(StoreError::from)?;
        let params = terms.into_params();
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as _).collect();
        let answer = running.client().query_one(&sql, &params).await;
        running.finish().await;
        let row = match answer {
            Ok(row) => row,
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => return Ok(None),
            Err(error) => return Err(StoreError::from(error).into()),
        };
        let plan: serde_json::Value = row.try_get(0).map_err(StoreError::from)?;
        Ok(plan
            .pointer("/0/Plan/Plan Rows")
            .and_then(serde_json::Value::as_u64))
    }

    /// Counts rows; `None` when the time was up. It takes no turn among the searches: it would have the one of a small
    /// machine for seconds, and each window of the others would wait for it, so that rows came later for a number's sake.
    pub(crate) async fn tally(
        &self,
        counting: &Counting,
        generation: u64,
    ) -> Result<Option<Counted>, SearchError> {
        let catalogue = self.catalogue(generation).await?;
        let mut terms = Terms::new(&catalogue.names);
        let sql = statement(counting, &mut terms);
        let running = Running::start(self).await?;
        let has_texts = Texts::of(&counting.plan.rest, &catalogue.names).is_some();
        let paths = if has_texts { "" } else { BY_TIME };
        running
            .begin(counting.time, paths)
            .await
            .map_err(StoreError::from)?;
        let params = terms.into_params();
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as _).collect();
        let answer = running.client().query(&sql, &params).await;
        running.finish().await;
        let rows = match answer {
            Ok(rows) => rows,
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => return Ok(None),
            Err(error) => return Err(StoreError::from(error).into()),
        };
        let mut counted = Counted::none(&counting.bars);
        for row in rows {
            let read = |column: usize| row.try_get::<_, i64>(column).map_err(StoreError::from);
            let severity: i16 = row.try_get(1).map_err(StoreError::from)?;
            let bar: i32 = row.try_get(0).map_err(StoreError::from)?;
            counted.add(bar.into(), severity.into(), read(2)?);
            counted.scanned += read(3)?.unsigned_abs();
        }
        Ok(Some(counted))
    }
}

/// What rows must fit besides their arrival.
fn condition(plan: &Plan, terms: &mut Terms<'_>) -> String {
    let condition = sql::condition(&plan.rest, terms, plan.now);
    let sent = sql::in_range(TimeField::Timestamp, plan.sender.0..plan.sender.1, terms);
    format!("{condition} AND {sent}")
}

/// Bar, severity, how many rows fit, and how many were looked at.
fn statement(counting: &Counting, terms: &mut Terms<'_>) -> String {
    let starts: Vec<_> = counting.bars.starts().map(bound).collect();
    let starts = terms.bind(starts);
    let time = terms.clock(match counting.clock {
        Clock::Arrival => TimeField::ReceivedAt,
        Clock::Sender => TimeField::Timestamp,
    });
    let bar = format!("width_bucket({time}, {starts}::timestamptz[]) - 1, coalesce(severity, 8::smallint)");
    let condition = condition(&counting.plan, terms);
    let (from, to) = counting.plan.arrival;
    let (from, to) = (terms.bind(bound(from)), terms.bind(bound(to)));
    let arrived = format!("received_at >= {from} AND received_at < {to}");
    if counting.slices.is_empty() {
        return format!(
            "SELECT {bar}, count(*), 0::bigint FROM events WHERE {arrived} AND {condition} GROUP BY 1, 2"
        );
    }
    let (starts, ends): (Vec<_>, Vec<_>) = counting
        .slices
        .iter()
        .map(|(from, to)| (bound(*from), bound(*to)))
        .unzip();
    let (starts, ends) = (terms.bind(starts), terms.bind(ends));
    format!(
        "SELECT {bar}, count(*) FILTER (WHERE {arrived} AND {condition}), count(*) \
         FROM unnest({starts}::timestamptz[], {ends}::timestamptz[]) AS slice (starts, ends) \
         JOIN events ON received_at >= starts AND received_at < ends GROUP BY 1, 2"
    )
}
