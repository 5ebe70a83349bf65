//! The store of one machine: a SQLite file for each day, one thread that writes, and readers that do not wait for
//! it, in this process or another.

mod accounts;
mod figures;
mod file;
mod functions;
mod hourly;
mod notes;
mod retention;
mod sealing;
mod search;
mod sources;
mod turns;
mod upkeep;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use parking_lot::Mutex;
use settings::SqliteSettings;
use tokio::sync::{mpsc, oneshot};

use self::{accounts::AccountsFile, file::Day, turns::Load, writer::Writer};
use crate::{
    append::Appended,
    error::{ConnectError, StoreError},
    group::Group,
    search::{Found, SearchError, SearchRequest},
};

/// Groups that wait for the writer; the callers wait with them.
const WAITING_GROUPS_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct Sqlite {
    dir: PathBuf,
    writer: Mutex<Handle>,
    load: Arc<Load>,
    accounts: AccountsFile,
}

/// The writer's thread, started by the first group.
#[derive(Debug)]
enum Handle {
    NotStarted,
    Running(mpsc::Sender<Job>, JoinHandle<()>),
    Closed,
}

/// What the writer is asked for.
#[derive(Debug)]
enum Job {
    Append(Box<Group>, oneshot::Sender<(Group, Result<Appended, StoreError>)>),
    /// Close the day's file.
    Forget(Day, oneshot::Sender<()>),
}

impl Sqlite {
    pub(crate) fn connect(settings: &SqliteSettings) -> Result<Self, ConnectError> {
        Ok(Self {
            dir: settings.dir.clone(),
            writer: Mutex::new(Handle::NotStarted),
            load: Arc::default(),
            accounts: AccountsFile::default(),
        })
    }

    /// Makes the folder. Files are made when a day's first event comes.
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        let dir = self.dir.clone();
        blocking(move || {
            std::fs::create_dir_all(&dir).map_err(|error| file::refused(&dir, &error))?;
            file::days(&dir)?
                .last()
                .map_or(Ok(()), |newest| file::open_for_reading(&dir, *newest).map(drop))
        })
        .await
    }

    pub(crate) async fn check(&self) -> Result<String, StoreError> {
        let dir = self.dir.clone();
        blocking(move || describe(&dir)).await
    }

    pub(crate) async fn append(&self, group: Group) -> (Group, Result<Appended, StoreError>) {
        let jobs = match self.jobs() {
            Ok(jobs) => jobs,
            Err(error) => return (group, Err(error)),
        };
        let _wanted = self.load.group();
        let (reply, answer) = oneshot::channel();
        let job = Job::Append(Box::new(group), reply);
        if let Err(mpsc::error::SendError(Job::Append(group, _))) = jobs.send(job).await {
            return (*group, Err(StoreError::Closed));
        }
        answer.await.expect("the writer answers every job")
    }

    /// Lets the writer close the day's file, if it runs.
    async fn forget(&self, day: Day) -> Result<(), StoreError> {
        let jobs = match &*self.writer.lock() {
            Handle::Running(jobs, _) => jobs.clone(),
            Handle::NotStarted | Handle::Closed => return Ok(()),
        };
        let (reply, done) = oneshot::channel();
        let sent = jobs.send(Job::Forget(day, reply)).await;
        sent.or(Err(StoreError::Closed))?;
        done.await.or(Err(StoreError::Closed))
    }

    fn jobs(&self) -> Result<mpsc::Sender<Job>, StoreError> {
        let mut writer = self.writer.lock();
        if matches!(*writer, Handle::NotStarted) {
            let (jobs, mut waiting) = mpsc::channel::<Job>(WAITING_GROUPS_MAX);
            let mut files = Writer::new(self.dir.clone());
            let thread = std::thread::Builder::new()
                .name("store-writer".to_owned())
                .spawn(move || {
                    while let Some(job) = waiting.blocking_recv() {
                        // Callers that went away learn from the batch ids whether a group was written.
                        match job {
                            Job::Append(group, reply) => {
                                let result = files.append(&group);
                                drop(reply.send((*group, result)));
                            }
                            Job::Forget(day, reply) => {
                                files.forget(day);
                                reply.send(()).unwrap_or_default();
                            }
                        }
                    }
                })
                .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            *writer = Handle::Running(jobs, thread);
        }
        match &*writer {
            Handle::Running(jobs, _) => Ok(jobs.clone()),
            Handle::NotStarted | Handle::Closed => Err(StoreError::Closed),
        }
    }

    /// Hands rows to `out`, and returns how it ended. Stops when `out` is closed.
    pub(crate) async fn search(
        &self,
        request: &SearchRequest,
        out: &search::Sender,
    ) -> Result<Found, SearchError> {
        let (dir, request, out) = (self.dir.clone(), request.clone(), out.clone());
        let load = Arc::clone(&self.load);
        blocking(move || Ok(search::search(&dir, &load, &request, &out))).await?
    }

    /// Ends the writer; its files are folded and closed.
    pub(crate) async fn close(&self) {
        let before = std::mem::replace(&mut *self.writer.lock(), Handle::Closed);
        if let Handle::Running(jobs, thread) = before {
            drop(jobs);
            let ended = blocking(move || thread.join().or(Err(StoreError::Closed)));
            if ended.await.is_err() {
                tracing::error!("store writer ended by a panic");
            }
        }
    }
}

fn describe(dir: &Path) -> Result<String, StoreError> {
    Ok(format!(
        "SQLite {}, a partition a day in {}; {}",
        rusqlite::version(),
        dir.display(),
        upkeep::kept(dir)?
    ))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Unexpected(Box::new(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_search_that_nobody_waits_for_stops() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::connect(&SqliteSettings {
            dir: folder.path().to_owned(),
            searches_max: 8,
        })
        .unwrap();
        let day = file::Day::of(event::Timestamp::from_micros(0));
        let conn = file::open_for_writing(&store.dir, day).unwrap();
        conn.execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
             INSERT INTO events (seq, id, has_bom, peer_addr, listener, route) SELECT i, zeroblob(16), 0, '', '', '' FROM n; \
             INSERT INTO rollup_minute VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0, 20000)",
        )
        .unwrap();
        let request = SearchRequest {
            selection: crate::Selection {
                query: query::parse("message:nowhere", &query::Options::default())
                    .unwrap()
                    .query,
                ..crate::Selection::default()
            },
            ..SearchRequest::default()
        };
        for (is_waited_for, is_complete) in [(true, true), (false, false)] {
            let (out, mut found) = tokio::sync::mpsc::channel(1000);
            if !is_waited_for {
                found.close();
            }
            let end = store.search(&request, &out).await.unwrap();
            assert!(
                matches!(end, Found::End(end) if end.complete == is_complete),
                "{end:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_stands_in_the_way_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("events");
        let store = Sqlite::connect(&SqliteSettings {
            dir: dir.clone(),
            searches_max: 8,
        })
        .unwrap();
        let (out, _found) = tokio::sync::mpsc::channel(1);
        let nothing = store.search(&SearchRequest::default(), &out).await.unwrap();
        assert!(matches!(nothing, Found::End(end) if end.complete && end.next.is_none()));
        std::fs::write(&dir, "a file").unwrap();
        let error = store.migrate().await.unwrap_err();
        let StoreError::Refused(source) = &error else {
            panic!("{error:?}");
        };
        assert!(source.to_string().contains("events"), "{source}");

        std::fs::remove_file(&dir).unwrap();
        store.migrate().await.unwrap();
        std::fs::write(
            dir.join("events-2026-11-21.db"),
            "not a database, however long it may be".repeat(200),
        )
        .unwrap();
        let error = store.check().await.unwrap_err();
        assert!(matches!(error, StoreError::NotOurs(_)), "{error:?}");
        let strange = rusqlite::Connection::open(dir.join("events-2026-11-22.db")).unwrap();
        strange.execute_batch("CREATE TABLE cookies (x)").unwrap();
        let error = store.check().await.unwrap_err();
        assert!(matches!(error, StoreError::NotOurs(_)), "{error:?}");
    }
}
