//! Notes in PostgreSQL.

use event::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use crate::{
    error::StoreError,
    notes::{Note, Subject},
};

const COLUMNS: &str = "key, author, at, body";

impl Postgres {
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

    async fn insert_note(&self, note: &Note, on_conflict: &'static str) -> Result<u64, StoreError> {
        let sql = format!(
            "INSERT INTO notes (subject, {COLUMNS}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT {on_conflict}"
        );
        let at = note.at.as_micros();
        let rows = self
            .client()
            .await?
            .execute(
                &sql,
                &[&note.subject.word(), &note.key, &note.author, &at, &note.body],
            )
            .await?;
        Ok(rows)
    }

    pub(crate) async fn note(&self, subject: Subject, key: &str) -> Result<Option<Note>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM notes WHERE subject = $1 AND key = $2");
        let row = self
            .client()
            .await?
            .query_opt(&sql, &[&subject.word(), &key])
            .await?;
        row.map(|row| note(subject, &row)).transpose()
    }

    pub(crate) async fn notes(
        &self,
        subject: Subject,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM notes WHERE subject = $1 AND at < $2 ORDER BY at DESC, key LIMIT $3"
        );
        let before = before.map_or(i64::MAX, Timestamp::as_micros);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .client()
            .await?
            .query(&sql, &[&subject.word(), &before, &limit])
            .await?;
        rows.iter().map(|row| note(subject, row)).collect()
    }

    pub(crate) async fn count_notes(&self, subject: Subject) -> Result<u64, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "SELECT count(*) FROM notes WHERE subject = $1",
                &[&subject.word()],
            )
            .await?;
        let count: i64 = row.try_get(0)?;
        Ok(count.unsigned_abs())
    }

    pub(crate) async fn remove_note(&self, subject: Subject, key: &str) -> Result<bool, StoreError> {
        let removed = self
            .client()
            .await?
            .execute(
                "DELETE FROM notes WHERE subject = $1 AND key = $2",
                &[&subject.word(), &key],
            )
            .await?;
        Ok(removed > 0)
    }

    pub(crate) async fn trim_notes(&self, subject: Subject, keep: usize) -> Result<u64, StoreError> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let removed = self
            .client()
            .await?
            .execute(
                "DELETE FROM notes WHERE subject = $1 AND key IN \
                 (SELECT key FROM notes WHERE subject = $1 ORDER BY at DESC, key OFFSET $2)",
                &[&subject.word(), &keep],
            )
            .await?;
        Ok(removed)
    }
}

fn note(subject: Subject, row: &Row) -> Result<Note, StoreError> {
    Ok(Note {
        subject,
        key: row.try_get(0)?,
        author: row.try_get(1)?,
        at: Timestamp::from_micros(row.try_get(2)?),
        body: row.try_get(3)?,
    })
}
