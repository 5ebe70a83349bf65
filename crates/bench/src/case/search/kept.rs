//! A store with a week of events in it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use event::Timestamp;
use settings::{Settings, Sources, UpkeepSettings};
use store::{Appended, Group, Store};
use testkit::Database;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::Kind;
use crate::case::Case;
use crate::corpus::{Corpus, DAY_MICROS, DAYS};
use crate::place::Place;
use crate::route::to_f64;

const SEED: u64 = 20_261_121;

/// As `shipper-pgsql` writes by default.
const TRANSACTION_ROWS: usize = 16_384;
const WRITERS: usize = 2;
/// Batches that wait for a writer.
const WAITING_BATCHES: usize = 64;
const BATCH_BYTES_MAX: usize = 16 << 20;

const HOUR_MICROS: i64 = 3_600_000_000;

/// Rows, and how long they took.
pub(super) struct Took {
    pub(super) rows: f64,
    pub(super) seconds: f64,
}

impl Took {
    pub(super) fn per_second(&self) -> f64 {
        self.rows / self.seconds
    }
}

/// Removed at the end.
enum Data {
    Database(Database),
    Folder(Folder),
}

struct Folder(PathBuf);

/// Where to look at the store from outside.
#[derive(Debug, Clone)]
pub(super) enum Outside {
    /// PostgreSQL's address.
    Url(String),
    /// The folder of SQLite's files.
    Folder(PathBuf),
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("bench: {} is left behind: {error}", self.0.display());
        }
    }
}

pub(super) struct Kept {
    pub(super) store: Store,
    pub(super) corpus: Arc<Corpus>,
    /// The first microsecond of the week.
    pub(super) start: i64,
    upkeep: UpkeepSettings,
    count: u64,
    data: Data,
}

impl Kept {
    pub(super) async fn open(kind: Kind, place: &Place) -> anyhow::Result<Self> {
        let count = Case::Search.count(&place.measuring);
        let (data, set) = match kind {
            Kind::Postgres => {
                let database = place.database().await?;
                let url = database.url().to_owned();
                (Data::Database(database), ("store.url", url))
            }
            Kind::Sqlite => {
                let folder = place.dir().join(format!("search-{}", std::process::id()));
                fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
                let set = ("data_dir", folder.display().to_string());
                (Data::Folder(Folder(folder)), set)
            }
        };
        let sources = Sources {
            overrides: vec![(set.0.to_owned(), set.1)],
            ..Sources::default()
        };
        let settings = Settings::from_sources(&sources)?;
        let store = Store::connect(&settings.store)?;
        store.migrate().await?;
        let today = Timestamp::now().as_micros().div_euclid(DAY_MICROS) * DAY_MICROS;
        let span = i64::try_from(DAYS)? * DAY_MICROS;
        let start = today - span;
        Ok(Self {
            store,
            corpus: Arc::new(Corpus::new(SEED, count, start, span)),
            start,
            upkeep: settings.shipper_pgsql.upkeep,
            count,
            data,
        })
    }

    /// The microsecond behind the week, which today begins with.
    pub(super) fn end(&self) -> i64 {
        self.start + i64::try_from(DAYS).unwrap_or(0) * DAY_MICROS
    }

    /// Where to look at it from outside.
    pub(super) fn outside(&self) -> Outside {
        match &self.data {
            Data::Database(database) => Outside::Url(database.url().to_owned()),
            Data::Folder(folder) => Outside::Folder(folder.0.clone()),
        }
    }

    /// All events, as fast as they go in.
    pub(super) async fn load(&self) -> anyhow::Result<Took> {
        let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
        let corpus = Arc::clone(&self.corpus);
        let making = tokio::task::spawn_blocking(move || {
            for batch in corpus.batches() {
                // The writers are gone, and have said why.
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
        });
        let began = Instant::now();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            writers.spawn(write_all(self.store.clone(), Arc::clone(&receiver)));
        }
        drop(receiver);
        let mut rows = 0;
        while let Some(written) = writers.join_next().await {
            rows += written??;
        }
        making.await?;
        let seconds = began.elapsed().as_secs_f64();
        let rows = u64::try_from(rows)?;
        ensure!(rows == self.count, "{rows} of {} rows were written", self.count);
        Ok(Took {
            rows: to_f64(rows),
            seconds,
        })
    }

    /// As in life when the newest day ends: the others are sealed, and its hours indexed, one after the other.
    pub(super) async fn seal_all_but_the_newest(&self) -> anyhow::Result<Took> {
        let newest = self.end() - DAY_MICROS;
        let seconds = self.seal(newest, DAYS - 1).await?;
        for hour in 1..=24 {
            let now = Timestamp::from_micros(newest + hour * HOUR_MICROS);
            self.store.tidy(&self.upkeep, now).await?;
        }
        Ok(Took {
            rows: to_f64(self.count) * to_f64(DAYS - 1) / to_f64(DAYS),
            seconds,
        })
    }

    /// Seals the newest day of the week, too.
    pub(super) async fn seal_the_newest(&self) -> anyhow::Result<f64> {
        self.seal(self.end(), 1).await
    }

    /// Seals what ends at `end` or before; returns the seconds.
    async fn seal(&self, end: i64, days: u64) -> anyhow::Result<f64> {
        let now = Timestamp::from_micros(end + i64::try_from(self.upkeep.seal_after.as_micros())?);
        let tidied = self.store.tidy(&self.upkeep, now).await?;
        ensure!(!tidied.is_elsewhere, "somebody else seals");
        let sealed = u64::try_from(tidied.sealed)?;
        ensure!(sealed == days, "{sealed} days were sealed");
        Ok(tidied.sealing.as_secs_f64())
    }

    pub(super) async fn megabytes(&self) -> anyhow::Result<f64> {
        // Nothing is dropped or sealed at this time.
        let tidied = self.store.tidy(&self.upkeep, Timestamp::from_micros(0)).await?;
        Ok(to_f64(tidied.kept.bytes) / 1e6)
    }

    pub(super) async fn close(self) {
        self.store.close().await;
    }
}

async fn write_all(store: Store, batches: Arc<Mutex<mpsc::Receiver<Bytes>>>) -> anyhow::Result<usize> {
    let (mut group, mut rows) = (store.group(BATCH_BYTES_MAX), 0);
    loop {
        let batch = batches.lock().await.recv().await;
        let is_last = batch.is_none();
        if let Some(batch) = batch {
            group.push(batch)?;
        }
        if group.rows() >= TRANSACTION_ROWS || (is_last && !group.is_empty()) {
            rows += append(&store, &mut group).await?;
        }
        if is_last {
            return Ok(rows);
        }
    }
}

/// Writes the group and empties it; returns its rows.
pub(super) async fn append(store: &Store, group: &mut Group) -> anyhow::Result<usize> {
    let full = std::mem::replace(group, store.group(BATCH_BYTES_MAX));
    let (back, appended) = store.append(full).await;
    *group = back;
    group.clear();
    match appended? {
        Appended::Written(written) => Ok(written.rows),
        Appended::Refused(rows) => Err(anyhow!("{} rows were refused", rows.len())),
    }
}
