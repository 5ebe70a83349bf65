//! The catalogue of sources, host by host, over all day files.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
};

use event::Timestamp;

use super::{
    Sqlite, blocking,
    figures::each_day,
    search::{DayFile, Stop},
};
use crate::{
    error::StoreError,
    search::sources::{PEERS_MAX, SourceRow, SourcesRequest, holding},
    summary::COUNT_COLUMNS,
};

/// A host's row, and what is counted for it.
struct Source {
    row: SourceRow,
    apps: HashSet<String>,
    peers: BTreeSet<String>,
}

impl Sqlite {
    pub(crate) async fn sources(&self, request: &SourcesRequest) -> Result<Vec<SourceRow>, StoreError> {
        let (dir, request) = (self.dir.clone(), request.clone());
        blocking(move || {
            sources(&dir, &request).or_else(|stop| stop.unless_interrupted(&dir).map(|()| Vec::new()))
        })
        .await
    }

    /// Names of applications that hold a text.
    pub(crate) async fn apps(&self, containing: &str) -> Result<Vec<String>, StoreError> {
        let (dir, containing) = (self.dir.clone(), containing.to_owned());
        blocking(move || {
            let names = names(&dir, "app_name")
                .or_else(|stop| stop.unless_interrupted(&dir).map(|()| BTreeSet::new()))?;
            Ok(holding(&containing, names.iter()))
        })
        .await
    }
}

/// What ever stood in a column of the catalogue.
fn names(dir: &Path, column: &str) -> Result<BTreeSet<String>, Stop> {
    let mut names = BTreeSet::new();
    let sql = format!("SELECT DISTINCT {column} FROM sources");
    each_day(
        dir,
        (i64::MIN, i64::MAX),
        || false,
        |file| {
            let mut statement = file.conn.prepare(&sql)?;
            for name in statement.query_map((), |row| row.get::<_, String>(0))? {
                names.insert(name?);
            }
            Ok(())
        },
    )?;
    Ok(names)
}

fn sources(dir: &Path, request: &SourcesRequest) -> Result<Vec<SourceRow>, Stop> {
    let all = (i64::MIN, i64::MAX);
    let mut sources: BTreeMap<String, Source> = request
        .page(names(dir, "hostname")?.iter())
        .into_iter()
        .map(|name| {
            let source = Source {
                row: SourceRow::new(name.clone()),
                apps: HashSet::new(),
                peers: BTreeSet::new(),
            };
            (name, source)
        })
        .collect();
    each_day(dir, all, || false, |file| add_sources(file, &mut sources))?;
    let first_hour = request.first_hour();
    each_day(
        dir,
        (first_hour, i64::MAX),
        || false,
        |file| add_hours(file, first_hour, &mut sources),
    )?;
    let rows = sources.into_values().map(|source| SourceRow {
        apps: source.apps.len() as u64,
        peers: source.peers.into_iter().take(PEERS_MAX).collect(),
        ..source.row
    });
    Ok(rows.collect())
}

fn add_sources(file: &DayFile, sources: &mut BTreeMap<String, Source>) -> Result<(), Stop> {
    let mut statement = file
        .conn
        .prepare("SELECT app_name, peer, first_seen, last_seen FROM sources WHERE hostname = ?1")?;
    for (name, source) in sources {
        let mut rows = statement.query((name,))?;
        while let Some(row) = rows.next()? {
            source.apps.insert(row.get(0)?);
            source.peers.insert(row.get(1)?);
            let (first, last) = (
                Timestamp::from_micros(row.get(2)?),
                Timestamp::from_micros(row.get(3)?),
            );
            source.row.first_seen = source.row.first_seen.min(first);
            source.row.last_seen = source.row.last_seen.max(last);
        }
    }
    Ok(())
}

fn add_hours(file: &DayFile, first_hour: i64, sources: &mut BTreeMap<String, Source>) -> Result<(), Stop> {
    let sql = format!(
        "SELECT hostname, hour, sum({}) FROM rollup_hour WHERE hour >= ?1 GROUP BY 1, 2",
        COUNT_COLUMNS.join(" + ")
    );
    let mut statement = file.conn.prepare(&sql)?;
    let mut rows = statement.query((first_hour,))?;
    while let Some(row) = rows.next()? {
        let hostname: String = row.get(0)?;
        if let Some(source) = sources.get_mut(&hostname) {
            source.row.add(first_hour, row.get(1)?, row.get(2)?);
        }
    }
    Ok(())
}
