//! What each of PostgreSQL's errors means for us; the one place that knows SQLSTATE.
//! See <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use std::io;

use deadpool_postgres::PoolError;
use tokio_postgres::Error;

use crate::error::{SchemaFound, StoreError};

/// The schema that this program needs.
pub(super) const SCHEMA_VERSION: u32 = 5;

/// What helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Trying again, after a pause.
    Wait,
    /// Trying again at once.
    Again,
    /// Somebody who mends a right, a password, a name.
    Somebody,
    /// `logferry init`.
    Init,
    /// Leaving out the row that the error is about.
    LeaveOut,
    /// Nothing: not an answer to what we ask.
    Nothing,
}

fn remedy(code: &str) -> Remedy {
    // undefined_table
    if code == "42P01" {
        return Remedy::Init;
    }
    match code.get(..2).unwrap_or("") {
        // connection exception; invalid transaction state (a standby); insufficient resources; object not in
        // prerequisite state (lock_timeout); operator intervention; system error; snapshot failure; configuration file
        "08" | "25" | "53" | "55" | "57" | "58" | "72" | "F0" => Remedy::Wait,
        // transaction rollback: serialization, deadlock
        "40" => Remedy::Again,
        // triggered action; invalid grantor and role; authorization; routines by the site; catalog, schema; syntax error
        // or access rule violation
        "0L" | "0P" | "28" | "2B" | "3D" | "3F" | "42" => Remedy::Somebody,
        // triggered action; data exception; integrity constraint; triggered data change; external and SQL routines;
        // WITH CHECK OPTION; program limit; PL/pgSQL
        "09" | "22" | "23" | "27" | "2F" | "38" | "39" | "44" | "54" | "P0" => Remedy::LeaveOut,
        // success, warning, no data; not supported; savepoints, cursors, statement names; foreign data; internal error
        _ => Remedy::Nothing,
    }
}

/// True for an error that is one row's own fault.
pub(super) fn is_refusal(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| remedy(code.code()) == Remedy::LeaveOut)
}

/// PostgreSQL's own words.
pub(super) fn message_of(error: &Error) -> String {
    match error.as_db_error() {
        Some(error) => {
            let detail = error
                .detail()
                .map_or_else(String::new, |detail| format!("; {detail}"));
            format!("{}{detail} (SQLSTATE {})", error.message(), error.code().code())
        }
        None => error.to_string(),
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let Some(code) = error.code() else {
            return without_code(error);
        };
        match remedy(code.code()) {
            Remedy::Wait => Self::Unavailable(Box::new(error)),
            Remedy::Again => Self::Conflict(Box::new(error)),
            Remedy::Somebody => Self::Refused(Box::new(error)),
            Remedy::Init => Self::Schema {
                found: SchemaFound::Missing,
                expected: SCHEMA_VERSION,
            },
            Remedy::LeaveOut | Remedy::Nothing => Self::Unexpected(Box::new(error)),
        }
    }
}

/// An error that is not the server's answer: the connection, TLS, or a bug of ours.
fn without_code(error: Error) -> StoreError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut is_io = error.is_closed();
    while let Some(inner) = cause {
        if inner.is::<rustls::Error>() {
            return StoreError::Refused(Box::new(error));
        }
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            // rustls hands its errors over inside of these.
            if inner.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                return StoreError::Refused(Box::new(error));
            }
            is_io = true;
        }
        cause = inner.source();
    }
    if is_io {
        StoreError::Unavailable(Box::new(error))
    } else {
        StoreError::Unexpected(Box::new(error))
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Closed => Self::Closed,
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self::Unavailable(Box::new(error))
            }
        }
    }
}
