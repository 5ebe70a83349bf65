//! Times between PostgreSQL and us.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use event::Timestamp;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::row::{PG_EPOCH, STORABLE, read_time, storable_time};

/// Microseconds since 1970 as `timestamptz`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Micros(pub(super) i64);

impl From<Timestamp> for Micros {
    /// The nearest time that there is.
    fn from(at: Timestamp) -> Self {
        Self(storable_time(at).as_micros())
    }
}

/// A bound of a range; one that is behind all times is so here too.
pub(super) fn bound(at: i64) -> Micros {
    Micros(at.clamp(*STORABLE.start(), STORABLE.end() + 1))
}

impl ToSql for Micros {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.0.saturating_sub(PG_EPOCH));
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Micros {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        if raw.len() == 8 {
            Ok(Self(read_time(raw)))
        } else {
            Err("a timestamptz has 8 bytes".into())
        }
    }

    accepts!(TIMESTAMPTZ);
}

/// Days since 1970 as `date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date(pub(super) i32);

/// Days from 1970 to PostgreSQL's epoch, 2000-01-01.
const PG_EPOCH_DAYS: i32 = 10_957;

impl Date {
    pub(super) fn of(at: Timestamp) -> Self {
        let days = at.as_micros().div_euclid(86_400_000_000);
        Self(i32::try_from(days).unwrap_or(i32::MAX))
    }
}

impl ToSql for Date {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i32(self.0.saturating_sub(PG_EPOCH_DAYS));
        Ok(IsNull::No)
    }

    accepts!(DATE);
    to_sql_checked!();
}
