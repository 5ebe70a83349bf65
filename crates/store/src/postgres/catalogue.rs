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

#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) names: Names,
    /// What the indexes of trigrams cover, whole partitions first.
    indexed: Vec<Indexed>,
}

/// What one index of trigrams covers.
#[derive(Debug, Clone, Copy)]
struct Indexed {
    range: Range,
    /// A sealed partition, which has the other indexes, too; else hours of a partition that is written.
    is_sealed: bool,
}

/// What is looked up in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Trigrams and hosts.
    Hours,
    /// Anything that only a sealed partition has an index of.
    Sealed,
}

impl Lookup {
    const fn is_in(self, indexed: &Indexed) -> bool {
        indexed.is_sealed || matches!(self, Self::Hours)
    }
}

impl Catalogue {
    /// Where that ends which one statement can look up from `edge` on: `run` sealed partitions at most, or some hours.
    pub(super) fn indexed_until(&self, lookup: Lookup, order: Order, edge: i64, run: usize) -> Option<i64> {
        let mut at = edge;
        for _ in 0..run {
            let next = self.indexed.iter().filter(|indexed| lookup.is_in(indexed));
            let next = next.into_iter().find_map(|indexed| {
                let (from, to) = indexed.range;
                let (is_inside, end) = match order {
                    Order::NewestFirst => (from < at && at <= to, from),
                    Order::OldestFirst => (from <= at && at < to, to),
                };
                is_inside.then_some((end, indexed.is_sealed))
            });
            match next {
                Some((end, true)) => at = end,
                // A statement is planned with the index of these hours when it asks for nothing else.
                Some((end, false)) if at == edge => return Some(end),
                Some(_) | None => break,
            }
        }
        (at != edge).then_some(at)
    }

    /// The range in pieces, newest first: what one statement can look up, in `run` sealed partitions at most, and true;
    /// what has no index, and false.
    pub(super) fn stretches(&self, (from, to): Range, run: usize) -> Vec<(Range, bool)> {
        let (lookup, order) = (Lookup::Hours, Order::NewestFirst);
        let (mut stretches, mut edge) = (Vec::new(), to);
        while from < edge {
            let (until, is_indexed) = match self.indexed_until(lookup, order, edge, run) {
                Some(until) => (until, true),
                None => (self.unindexed_until(lookup, order, edge).unwrap_or(from), false),
            };
            let until = until.max(from);
            stretches.push(((until, edge), is_indexed));
            edge = until;
        }
        stretches
    }

    /// Where that begins which can be looked up next; `None` where that is `edge` itself, or nothing more can.
    pub(super) fn unindexed_until(&self, lookup: Lookup, order: Order, edge: i64) -> Option<i64> {
        if self.indexed_until(lookup, order, edge, 1).is_some() {
            return None;
        }
        let ranges = self.indexed.iter().filter(|indexed| lookup.is_in(indexed));
        let ranges = ranges.map(|indexed| indexed.range);
        match order {
            Order::NewestFirst => ranges.map(|(_, to)| to).filter(|to| *to < edge).max(),
            Order::OldestFirst => ranges.map(|(from, _)| from).filter(|from| *from > edge).min(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Option<(Instant, u64, Arc<Catalogue>)>>);

const NAMES: &str = "SELECT ARRAY(SELECT DISTINCT hostname FROM sources), \
    ARRAY(SELECT DISTINCT app_name FROM sources), ARRAY(SELECT DISTINCT peer FROM sources)";

/// The ranges of partitions, and those in the conditions of indexes of some hours.
const INDEXED: &str = "SELECT substring(bound FROM '(?:FROM \\(|>= )''([^'']+)''')::timestamptz, \
    substring(bound FROM '(?:TO \\(|< )''([^'']+)''')::timestamptz, is_sealed FROM (\
    SELECT coalesce(pg_get_expr(x.indpred, c.oid), pg_get_expr(c.relpartbound, c.oid)) AS bound, x.indpred IS NULL AS is_sealed \
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_index x ON x.indrelid = c.oid \
    JOIN pg_opclass o ON o.oid = x.indclass[0] \
    WHERE i.inhparent = 'events'::regclass AND x.indisvalid AND o.opcname = 'gin_trgm_ops') AS bounds \
    WHERE bound LIKE 'FOR VALUES%' OR NOT is_sealed ORDER BY is_sealed DESC, 1 NULLS FIRST";

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
        let mut indexed = Vec::new();
        for row in client.query(INDEXED, &[]).await? {
            let (from, to): (Option<Micros>, Option<Micros>) = (row.try_get(0)?, row.try_get(1)?);
            indexed.push(Indexed {
                range: (from.map_or(i64::MIN, |at| at.0), to.map_or(i64::MAX, |at| at.0)),
                is_sealed: row.try_get(2)?,
            });
        }
        let catalogue = Arc::new(Catalogue {
            names: Names::new(names.try_get(0)?, names.try_get(1)?, names.try_get(2)?),
            indexed,
        });
        *cache = Some((Instant::now(), generation, Arc::clone(&catalogue)));
        Ok(catalogue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_partitions_are_read_together_and_hours_alone() {
        let indexed = |from, to, is_sealed| Indexed {
            range: (from, to),
            is_sealed,
        };
        let catalogue = Catalogue {
            names: Names::default(),
            indexed: vec![
                indexed(10, 20, true),
                indexed(20, 30, true),
                indexed(40, 50, true),
                indexed(50, 52, false),
                indexed(52, 53, false),
            ],
        };
        let (newest, oldest) = (Order::NewestFirst, Order::OldestFirst);
        for (lookup, order, edge, until, next) in [
            (Lookup::Sealed, newest, 30, Some(10), None),
            (Lookup::Sealed, newest, 25, Some(10), None),
            (Lookup::Sealed, newest, 45, Some(40), None),
            (Lookup::Sealed, newest, 40, None, Some(30)),
            (Lookup::Sealed, newest, 99, None, Some(50)),
            (Lookup::Sealed, newest, 10, None, None),
            (Lookup::Sealed, oldest, 10, Some(30), None),
            (Lookup::Sealed, oldest, 30, None, Some(40)),
            (Lookup::Sealed, oldest, 49, Some(50), None),
            (Lookup::Sealed, oldest, 50, None, None),
            (Lookup::Hours, newest, 99, None, Some(53)),
            (Lookup::Hours, newest, 53, Some(52), None),
            (Lookup::Hours, newest, 51, Some(50), None),
            (Lookup::Hours, newest, 50, Some(40), None),
            (Lookup::Hours, oldest, 45, Some(50), None),
            (Lookup::Hours, oldest, 50, Some(52), None),
        ] {
            let found = catalogue.indexed_until(lookup, order, edge, 2);
            assert_eq!(found, until, "{lookup:?} {order:?} {edge}");
            let found = catalogue.unindexed_until(lookup, order, edge);
            assert_eq!(found, next, "{lookup:?} {order:?} {edge}");
        }
        assert_eq!(
            catalogue.stretches((15, 99), 2),
            [
                ((53, 99), false),
                ((52, 53), true),
                ((50, 52), true),
                ((40, 50), true),
                ((30, 40), false),
                ((15, 30), true),
            ]
        );
        assert_eq!(catalogue.stretches((5, 5), 2), []);
        assert_eq!(
            catalogue.stretches((2, 12), 2),
            [((10, 12), true), ((2, 10), false)]
        );
        let one = catalogue.indexed_until(Lookup::Sealed, newest, 30, 1);
        assert_eq!(one, Some(20), "one statement, one partition");
    }
}
