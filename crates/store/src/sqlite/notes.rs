//! Notes in the SQLite file of the accounts.

use event::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};

use super::Sqlite;
use crate::{
    error::StoreError,
    notes::{Note, Subject},
};

pub(super) const SCHEMA: &str = include_str!("notes.sql");

impl Sqlite {
    pub(crate) async fn put_note(&self, note: &Note) -> Result<(), StoreError> {
        self.insert_note(
            note,
            "(subject, key) DO UPDATE SET author = excluded.author, at = excluded.at, body = excluded.body",
        )
        .await
        .map(drop)
    }

    pub(crate) async fn add_note(&self, note: &Note) -> Result<bool, StoreError> {
        Ok(self.insert_note(note, "DO NOTHING").await? > 0)
    }

    async fn insert_note(&self, note: &Note, on_conflict: &'static str) -> Result<usize, StoreError> {
        let note = note.clone();
        self.with_accounts(move |conn| {
            conn.execute(
                &format!(
                    "INSERT INTO notes (subject, key, author, at, body) VALUES (?1, ?2, ?3, ?4, ?5) \
                     ON CONFLICT {on_conflict}"
                ),
                params![
                    note.subject.word(),
                    note.key,
                    note.author,
                    note.at.as_micros(),
                    note.body
                ],
            )
        })
        .await
    }

    pub(crate) async fn note(&self, subject: Subject, key: &str) -> Result<Option<Note>, StoreError> {
        let key = key.to_owned();
        self.with_accounts(move |conn| {
            conn.query_row(
                "SELECT key, author, at, body FROM notes WHERE subject = ?1 AND key = ?2",
                params![subject.word(), key],
                |row| note(subject, row),
            )
            .optional()
        })
        .await
    }

    pub(crate) async fn notes(
        &self,
        subject: Subject,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        let before = before.map_or(i64::MAX, Timestamp::as_micros);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with_accounts(move |conn| {
            conn.prepare(
                "SELECT key, author, at, body FROM notes WHERE subject = ?1 AND at < ?2 \
                 ORDER BY at DESC, key LIMIT ?3",
            )?
            .query_map(params![subject.word(), before, limit], |row| note(subject, row))?
            .collect()
        })
        .await
    }

    pub(crate) async fn count_notes(&self, subject: Subject) -> Result<u64, StoreError> {
        self.with_accounts(move |conn| {
            conn.query_row(
                "SELECT count(*) FROM notes WHERE subject = ?1",
                [subject.word()],
                |row| row.get::<_, i64>(0).map(i64::unsigned_abs),
            )
        })
        .await
    }

    pub(crate) async fn remove_note(&self, subject: Subject, key: &str) -> Result<bool, StoreError> {
        let values = [subject.word().to_owned().into(), key.to_owned().into()];
        let removed = self
            .change("DELETE FROM notes WHERE subject = ?1 AND key = ?2", values)
            .await?;
        Ok(removed > 0)
    }

    pub(crate) async fn trim_notes(&self, subject: Subject, keep: usize) -> Result<u64, StoreError> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let values = [subject.word().to_owned().into(), keep.into()];
        self.change(
            "DELETE FROM notes WHERE subject = ?1 AND key IN \
             (SELECT key FROM notes WHERE subject = ?1 ORDER BY at DESC, key LIMIT -1 OFFSET ?2)",
            values,
        )
        .await
    }
}

fn note(subject: Subject, row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        subject,
        key: row.get(0)?,
        author: row.get(1)?,
        at: Timestamp::from_micros(row.get(2)?),
        body: row.get(3)?,
    })
}
