//! The indexes that a sealed partition has for searching, beside those that every partition has. They stand on the
//! partition alone: what stands on the table would be built on every new partition as well, where each costs a part of
//! the write rate.

use tokio_postgres::{Client, Error};

use super::types::Micros;

/// The name of an index is the partition's and this behind it.
pub(super) struct SealedIndex {
    pub(super) suffix: &'static str,
    pub(super) definition: String,
    /// Whether it needs the extension `pg_trgm`.
    pub(super) is_text: bool,
}

/// The sender's clock, or ours where the sender named no time. The index is used by this very expression.
const SENT_AT: &str = "coalesce(\"timestamp\", received_at)";

const TEXT: &str = "text";

/// How the senders' times are indexed.
pub(super) fn sent() -> String {
    format!("({SENT_AT}, id)")
}

/// How hosts are indexed.
pub(super) const HOSTS: &str = "(hostname, received_at, id)";

/// How texts are indexed.
pub(super) const TRIGRAMS: &str = "USING gin (message gin_trgm_ops)";

/// The scalars anywhere in `fields`, ASCII's letters in lower case. What an index finds by them is compared again.
pub(super) const FIELD_VALUES: &str = "(lower(jsonb_path_query_array(fields, \
    'strict $.** ? (@.type() != \"object\" && @.type() != \"array\")')::text COLLATE \"C\")::jsonb)";

/// The tags in the same way.
pub(super) const TAG_VALUES: &str = "logferry_folded(tags)";

/// In the order in which they are built.
pub(super) fn all() -> [SealedIndex; 5] {
    let index = |suffix, definition| SealedIndex {
        suffix,
        definition,
        is_text: suffix == TEXT,
    };
    [
        index("sent", sent()),
        index("host", HOSTS.to_owned()),
        index(
            "fields",
            format!("USING gin ({FIELD_VALUES} jsonb_path_ops) WHERE fields IS NOT NULL"),
        ),
        index("tags", format!("USING gin ({TAG_VALUES}) WHERE tags IS NOT NULL")),
        index(TEXT, TRIGRAMS.to_owned()),
    ]
}

/// A partition of `events` as the database has it.
#[derive(Debug, Clone)]
pub(super) struct Partition {
    /// As it is written in SQL.
    pub(super) table: String,
    /// Its bare name.
    pub(super) name: String,
    /// `None` for the one before all calendars.
    pub(super) from: Option<i64>,
    /// `None` for the one after all calendars.
    pub(super) to: Option<i64>,
    /// With its indexes.
    pub(super) bytes: u64,
    /// Names of the indexes that can be used.
    valid: Vec<String>,
    /// Those that a crash or an error left unusable, as they are written in SQL.
    pub(super) broken: Vec<String>,
    pub(super) is_sealed: bool,
    /// Routes whose rows are deleted.
    pub(super) cleared: Vec<String>,
    /// Its detaching was interrupted, and must be brought to its end.
    pub(super) is_leaving: bool,
}

/// PostgreSQL cuts longer names.
const NAME_BYTES_MAX: usize = 63;

impl Partition {
    /// All of `events`, oldest first.
    pub(super) async fn list(client: &Client) -> Result<Vec<Self>, Error> {
        let rows = client.query(LIST, &[]).await?;
        rows.iter()
            .map(|row| {
                let at = |column| {
                    row.try_get::<_, Option<Micros>>(column)
                        .map(|at| at.map(|at| at.0))
                };
                Ok(Self {
                    table: row.try_get(0)?,
                    name: row.try_get(1)?,
                    from: at(2)?,
                    to: at(3)?,
                    bytes: u64::try_from(row.try_get::<_, i64>(4)?).unwrap_or(0),
                    valid: row.try_get(5)?,
                    broken: row.try_get(6)?,
                    is_sealed: row.try_get(7)?,
                    cleared: row.try_get(8)?,
                    is_leaving: row.try_get(9)?,
                })
            })
            .collect()
    }

    /// The name of something of the partition's.
    pub(super) fn name_with(&self, suffix: &str) -> String {
        let mut name = self.name.clone();
        // Our own names are far shorter.
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX - 1 - suffix.len()));
        format!("{name}_{suffix}")
    }

    pub(super) fn has(&self, index: &SealedIndex) -> bool {
        self.valid.contains(&self.name_with(index.suffix))
    }

    /// Drops the indexes that cannot be used.
    pub(super) async fn drop_broken(&self, client: &Client) -> Result<(), Error> {
        for broken in &self.broken {
            client
                .batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {broken}"))
                .await?;
        }
        Ok(())
    }
}

// The column of pg_inherits that says whether a partition is leaving came with PostgreSQL 14.
const LIST: &str = "SELECT p.oid::regclass::text, p.relname::text, \
    substring(bound FROM 'FROM \\(''([^'']+)''\\)')::timestamptz AS starts, \
    substring(bound FROM 'TO \\(''([^'']+)''\\)')::timestamptz AS ends, pg_total_relation_size(p.oid), \
    ARRAY(SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = p.oid AND i.indisvalid), \
    ARRAY(SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = p.oid AND NOT i.indisvalid), \
    u.sealed_at IS NOT NULL, coalesce(u.cleared, '{}'), is_leaving \
    FROM (SELECT c.oid, c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound, \
        coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false) AS is_leaving \
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass) AS p \
    LEFT JOIN partition_upkeep u ON u.name = p.relname ORDER BY starts NULLS FIRST";
