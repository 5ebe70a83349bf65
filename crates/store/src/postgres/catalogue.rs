//! What searches must know before they ask: the names that ever sent, and which partitions have an index of texts.
//! Kept for a short time.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use super::{Postgres, types::Micros};
use crate::{
    error::StoreError,
    search::{Order, names::Names, plan::Range},
};

/// A name that is new to the catalogue is not found by its text for so long at most, where another process writes.
const KEPT: Duration = Duration::from_secs(10);

/// Sealed partitions that one statement reads at most.
const RUN_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) names: Names,
    /// Partitions with the index of trigrams, ascending.
    sealed: Vec<Range>,
}

impl Catalogue {
    /// Where the run of sealed partitions ends that begins at `edge`.
    pub(super) fn sealed_until(&self, order: Order, edge: i64) -> Option<i64> {
        let mut at = edge;
        for _ in 0..RUN_MAX {
            let next = self.sealed.iter().find_map(|(from, to)| match order {
                Order::NewestFirst => (*from < at && at <= *to).then_some(*from),
                Order::OldestFirst => (*from <= at && at < *to).then_some(*to),
            });
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        (at != edge).then_some(at)
    }
}

#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Option<(Instant, u64, Arc<Catalogue>)>>);

const NAMES: &str = "SELECT ARRAY(SELECT DISTINCT hostname FROM sources), \
    ARRAY(SELECT DISTINCT app_name FROM sources), ARRAY(SELECT DISTINCT peer FROM sources)";

const SEALED: &str = "SELECT substring(bound FROM 'FROM \\(''([^'']+)''\\)')::timestamptz, \
    substring(bound FROM 'TO \\(''([^'']+)''\\)')::timestamptz FROM (\
    SELECT pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i \
    JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass AND EXISTS (\
    SELECT 1 FROM pg_index x JOIN pg_opclass o ON o.oid = x.indclass[0] \
    WHERE x.indrelid = c.oid AND x.indisvalid AND o.opcname = 'gin_trgm_ops')) AS bounds \
    WHERE bound LIKE 'FOR VALUES%' ORDER BY 1 NULLS FIRST";

impl Postgres {
    /// What is known; `generation` changes when this process writes a name that is new.
    pub(super) async fn catalogue(&self, generation: u64) -> Result<Arc<Catalogue>, StoreError> {
        let mut cache = self.catalogue.0.lock().await;
        if let Some((loaded, of, catalogue)) = &*cache
            && *of == generation
            && loaded.elapsed() < KEPT
        {
            return Ok(Arc::clone(catalogue));
        }
        let client = self.reader().await?;
        let names = client.query_one(NAMES, &[]).await?;
        let mut sealed = Vec::new();
        for row in client.query(SEALED, &[]).await? {
            let (from, to): (Option<Micros>, Option<Micros>) = (row.try_get(0)?, row.try_get(1)?);
            sealed.push((from.map_or(i64::MIN, |at| at.0), to.map_or(i64::MAX, |at| at.0)));
        }
        let catalogue = Arc::new(Catalogue {
            names: Names::new(names.try_get(0)?, names.try_get(1)?, names.try_get(2)?),
            sealed,
        });
        *cache = Some((Instant::now(), generation, Arc::clone(&catalogue)));
        Ok(catalogue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_partitions_are_read_together() {
        let catalogue = Catalogue {
            names: Names::default(),
            sealed: vec![(10, 20), (20, 30), (40, 50)],
        };
        for (order, edge, until) in [
            (Order::NewestFirst, 30, Some(10)),
            (Order::NewestFirst, 25, Some(10)),
            (Order::NewestFirst, 45, Some(40)),
            (Order::NewestFirst, 40, None),
            (Order::OldestFirst, 10, Some(30)),
            (Order::OldestFirst, 30, None),
            (Order::OldestFirst, 49, Some(50)),
        ] {
            assert_eq!(catalogue.sealed_until(order, edge), until, "{order:?} {edge}");
        }
    }
}
