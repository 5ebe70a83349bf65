//! Why the store did not do it, sorted by what helps.

use std::time::Duration;

/// What a database driver said.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Settings with which no store can be made. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is none that libpq and we understand.
    #[error("store.url is not a PostgreSQL URL")]
    Url(#[source] Source),
    /// The file of the CA cannot be read, or holds no certificate.
    #[error("cannot read the CA file {path}")]
    CaFile {
        /// `store.tls_ca_file`.
        path: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] Source),
    /// The folder of the database files cannot be made or written.
    #[error("cannot use the folder {path}")]
    Folder {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: Source,
    },
}

/// What an operation met; the variants say what helps.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, starting, stopping, full or overloaded. Try again, after a pause.
    #[error("the store is not available")]
    Unavailable(#[source] Source),
    /// The transaction collided with another one and was taken back. Try again, at once.
    #[error("the transaction collided with another one")]
    Conflict(#[source] Source),
    /// Somebody must mend something: a password, a right, a missing database. Trying again helps once that is done.
    #[error("the store refuses us")]
    Refused(#[source] Source),
    /// The schema is not there or not this version's.
    #[error("the store's schema is {found}, this program needs version {expected}: run `logferry init`")]
    Schema {
        /// What is there.
        found: SchemaFound,
        /// What this program was written for.
        expected: u32,
    },
    /// The file is no Logferry store.
    #[error("{0} is not a Logferry store")]
    NotOurs(String),
    /// A search was stopped by its own time-out.
    #[error("the search took longer than {0:?}")]
    TimedOut(Duration),
    /// An answer that should not come up: a bug of ours, or a damaged database.
    #[error("unexpected answer from the store")]
    Unexpected(#[source] Source),
    /// [`Store::close`](crate::Store::close) was called.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// True when the same call can succeed later without anybody doing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Conflict(_) | Self::TimedOut(_) => true,
            Self::Refused(_)
            | Self::Schema { .. }
            | Self::NotOurs(_)
            | Self::Unexpected(_)
            | Self::Closed => false,
        }
    }
}

/// The version of a schema that is not the wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaFound {
    /// There is none.
    Missing,
    /// Made by another version.
    Version(u32),
}

impl std::fmt::Display for SchemaFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Version(version) => write!(f, "version {version}"),
        }
    }
}
