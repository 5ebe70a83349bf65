//! The schema and its versions. A table holds the versions that are applied; an advisory lock lets one process at a
//! time bring the schema up to date, in one transaction.

use tokio_postgres::Transaction;

use super::{
    Postgres,
    sqlstate::{SCHEMA_VERSION, message_of},
    upkeep::{has_trigrams, kept},
};
use crate::error::{SchemaFound, StoreError};

/// The versions, from 1, in order. What is released is never changed; what changes is a new version.
const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/0001_events.sql"),
    include_str!("migrations/0002_upkeep.sql"),
    include_str!("migrations/0003_accounts.sql"),
    include_str!("migrations/0004_tags.sql"),
    include_str!("migrations/0005_notes.sql"),
];

/// `server_version_num` of the oldest PostgreSQL that will do.
const OLDEST_SERVER: i32 = 130_000;

/// Advisory locks of ours, `LFst` and a number.
pub(super) const SCHEMA_LOCK: i64 = 0x4c46_7374_0001;
pub(super) const PARTITION_LOCK: i64 = 0x4c46_7374_0002;
pub(super) const UPKEEP_LOCK: i64 = 0x4c46_7374_0003;

impl Postgres {
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        let server: i32 = tx
            .query_one("SELECT current_setting('server_version_num')::integer", &[])
            .await?
            .try_get(0)?;
        if server < OLDEST_SERVER {
            return Err(StoreError::Refused(
                "PostgreSQL 13 or newer is needed, which sorts a page of rows without sorting all".into(),
            ));
        }
        tx.execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK])
            .await?;
        let version = match version(&tx).await? {
            Some(version) => version,
            None => {
                tx.batch_execute(
                    "CREATE TABLE logferry_schema (version integer PRIMARY KEY, \
                     applied_at timestamptz NOT NULL DEFAULT now())",
                )
                .await?;
                0
            }
        };
        check_known(version)?;
        for (number, sql) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > version) {
            tx.batch_execute(sql).await?;
            tx.execute("INSERT INTO logferry_schema (version) VALUES ($1)", &[&number])
                .await?;
            tracing::info!(version = number, "database schema migrated");
        }
        make_trigrams(&tx).await?;
        tx.commit().await?;
        drop(client);
        self.maintain().await
    }

    pub(crate) async fn check(&self) -> Result<String, StoreError> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        let found = version(&tx).await?;
        let row = tx
            .query_one(
                "SELECT current_setting('server_version'), current_database(), current_user::text",
                &[],
            )
            .await?;
        let (server, database, user): (&str, &str, &str) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let found_version = found.unwrap_or(0);
        check_known(found_version)?;
        if found_version < VERSION {
            return Err(StoreError::Schema {
                found: found.map_or(SchemaFound::Missing, found_at),
                expected: SCHEMA_VERSION,
            });
        }
        let kept = kept(tx.client()).await?;
        let mut told = format!(
            "PostgreSQL {server}, database {database} as {user}, schema version {found_version}; {kept}"
        );
        if !has_trigrams(tx.client()).await? {
            told.push_str(WITHOUT_TRIGRAMS);
        }
        Ok(told)
    }
}

const VERSION: i32 = 5;

/// What to do about the missing extension.
const WITHOUT_TRIGRAMS: &str = "; text is searched without an index, since the extension pg_trgm is missing: install \
    PostgreSQL's contrib package, and let an owner of the database run CREATE EXTENSION pg_trgm";

/// Makes the extension that text indexes need. Without it everything works, and searching for text takes longer.
async fn make_trigrams(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.batch_execute("SAVEPOINT trigrams").await?;
    if let Err(error) = tx.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_trgm").await {
        tx.batch_execute("ROLLBACK TO SAVEPOINT trigrams").await?;
        tracing::warn!(
            error = message_of(&error),
            "extension pg_trgm not made, text is searched without an index"
        );
    }
    Ok(())
}

/// The schema's version; `None` where there is none.
async fn version(tx: &Transaction<'_>) -> Result<Option<i32>, StoreError> {
    let is_there: bool = tx
        .query_one("SELECT to_regclass('logferry_schema') IS NOT NULL", &[])
        .await?
        .try_get(0)?;
    if !is_there {
        return Ok(None);
    }
    let row = tx
        .query_one("SELECT coalesce(max(version), 0) FROM logferry_schema", &[])
        .await?;
    Ok(Some(row.try_get(0)?))
}

fn check_known(version: i32) -> Result<(), StoreError> {
    if version > VERSION {
        return Err(StoreError::Schema {
            found: found_at(version),
            expected: SCHEMA_VERSION,
        });
    }
    Ok(())
}

fn found_at(version: i32) -> SchemaFound {
    SchemaFound::Version(u32::try_from(version).unwrap_or(0))
}
