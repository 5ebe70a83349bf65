//! The catalogue of sources, host by host.

use std::collections::BTreeMap;

use event::Timestamp;

use super::{
    Postgres,
    types::{Micros, bound},
};
use crate::{
    error::StoreError,
    search::sources::{PEERS_MAX, SourceRow, SourcesRequest, holding},
    summary::COUNT_COLUMNS,
};

const HOSTS: &str = "SELECT hostname, count(DISTINCT app_name), array_agg(DISTINCT peer), min(first_seen), \
    max(last_seen) FROM sources WHERE hostname = ANY($1) GROUP BY hostname";

impl Postgres {
    pub(crate) async fn sources(
        &self,
        request: &SourcesRequest,
        generation: u64,
    ) -> Result<Vec<SourceRow>, StoreError> {
        let catalogue = self.catalogue(generation).await?;
        let page = request.page(catalogue.names.hosts.iter());
        let client = self.reader().await?;
        let mut rows = BTreeMap::new();
        for row in client.query(HOSTS, &[&page]).await? {
            let (apps, first, last): (i64, Micros, Micros) =
                (row.try_get(1)?, row.try_get(3)?, row.try_get(4)?);
            let mut peers: Vec<String> = row.try_get(2)?;
            peers.truncate(PEERS_MAX);
            let hostname: String = row.try_get(0)?;
            let source = SourceRow {
                apps: apps.unsigned_abs(),
                peers,
                first_seen: Timestamp::from_micros(first.0),
                last_seen: Timestamp::from_micros(last.0),
                ..SourceRow::new(hostname.clone())
            };
            rows.insert(hostname, source);
        }
        let sum = COUNT_COLUMNS.map(|column| format!("\"{column}\"")).join(" + ");
        let hours = format!(
            "SELECT hostname, hour, sum({sum})::bigint FROM rollup_hour WHERE hour >= $2 AND hostname = ANY($1) \
             GROUP BY 1, 2"
        );
        let first_hour = request.first_hour();
        for row in client.query(&hours, &[&page, &bound(first_hour)]).await? {
            let (hostname, hour, events): (&str, Micros, i64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if let Some(source) = rows.get_mut(hostname) {
                source.add(first_hour, hour.0, events);
            }
        }
        Ok(rows.into_values().collect())
    }

    /// Names of applications that hold a text.
    pub(crate) async fn apps(&self, containing: &str, generation: u64) -> Result<Vec<String>, StoreError> {
        let catalogue = self.catalogue(generation).await?;
        Ok(holding(containing, catalogue.names.apps.iter()))
    }
}
