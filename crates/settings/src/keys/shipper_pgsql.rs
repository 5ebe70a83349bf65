//! Into PostgreSQL.

use super::{
    Section,
    Unset::Default,
    shared::{
        BATCH_ABOUT, BINDING_KEYS, GIB, KIB, PREFETCH, WHEN_FULL, http_addr, key, ms, number, queue, secs,
        size, time,
    },
};

pub(super) const SHIPPER_PGSQL: Section = Section {
    path: "shipper_pgsql",
    about: "Event batches to rows in the store.",
    keys: &[
        http_addr("127.0.0.1:9603"),
        queue("shipper-pgsql"),
        BINDING_KEYS,
        WHEN_FULL,
        key(
            "prefetch",
            PREFETCH,
            Default("128"),
            "Batches in flight, enough to fill a transaction.",
            "All writers busy and the next transactions at hand.",
        ),
        key(
            "transaction_rows_max",
            number(1, 1_000_000),
            Default("16384"),
            "A transaction commits at this many rows.",
            "Larger ones gain little more and hold memory.",
        ),
        key(
            "transaction_age_max",
            time(ms(1), secs(60)),
            Default("20ms"),
            "Or this long after its first batch.",
            "A row can be searched a moment after its line arrived.",
        ),
        key(
            "writers",
            number(1, 64),
            Default("2"),
            "Transactions at the same time.",
            "One fills while the other commits.",
        ),
        key(
            "batch_bytes_max",
            size(64 * KIB, GIB),
            Default("64MiB"),
            BATCH_ABOUT,
            "Events are larger than the frames they came from.",
        ),
    ],
};
