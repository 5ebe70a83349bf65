//! PostgreSQL, or SQLite.

use super::{
    Section,
    Unset::{Default, Mistake, Nothing},
    shared::{GIB, KEEP_DAYS_MAX, MIB, PASSWORD, key, ms, number, password_file, secs, size, time, url_file},
};
use crate::kind::Kind;

pub(super) const STORE: Section = Section {
    path: "store",
    about: "Where events are kept and searched.",
    keys: &[
        key(
            "url",
            Kind::Url {
                schemes: &["postgresql", "postgres"],
                word: Some("embedded"),
            },
            Default("embedded"),
            "PostgreSQL with user, password and database (`postgresql://user:password@host:5432/logferry`), or SQLite in `data_dir`.",
            "Needs nothing installed.",
        ),
        url_file("/run/secrets/postgresql-url"),
        PASSWORD,
        password_file("/run/secrets/postgresql-password"),
        key(
            "tls_ca_file",
            Kind::File,
            Nothing {
                example: "postgresql-ca.pem",
            },
            "Trust this CA (PEM) for TLS to PostgreSQL instead of the system's.",
            "The system's trust store.",
        ),
        key(
            "pool_size",
            number(2, 1000),
            Default("8"),
            "Connections of one process to PostgreSQL.",
            "Writers; searches have their own. Within PostgreSQL's default of 100 for a dozen processes.",
        ),
        key(
            "connect_timeout",
            time(ms(100), secs(300)),
            Default("5s"),
            "How long one attempt to connect may take.",
            "A server that does not answer within this is not going to soon.",
        ),
        key(
            "partition",
            Kind::Choice(&["day", "hour"]),
            Default("day"),
            "Time that one partition of the events table covers.",
            "Right up to some 100 million events a day; hours beyond that.",
        ),
        key(
            "partitions_ahead",
            number(1, 1000),
            Default("3"),
            "Partitions made before they are needed.",
            "A weekend without anything that may create tables.",
        ),
        key(
            "searches_max",
            number(1, 1000),
            Default("8"),
            "Searches that one process runs at once; a further one waits a moment and is then told to come again. With PostgreSQL each has a connection, beside `pool_size`.",
            "A handful keeps some cores of the database busy; more make all slower.",
        ),
        key(
            "seal_after",
            time(secs(1), secs(30 * 86_400)),
            Default("1h"),
            "A partition (with SQLite: the file of a day) whose time is over for this long is sealed: it gets its indexes for text and hosts, in the background. Rows that come later still go in.",
            "Rows that waited in a rescue queue come before the indexes are there, which costs less.",
        ),
        key(
            "seal_memory",
            size(MIB, 64 * GIB),
            Default("256MiB"),
            "What PostgreSQL may use while it builds one of these indexes (its `maintenance_work_mem`).",
            "Builds the text index of some million rows without many passes.",
        ),
        key(
            "keep_days",
            number(1, KEEP_DAYS_MAX),
            Nothing { example: "90" },
            "Events that arrived longer ago than this are dropped, a partition or file at a time.",
            "Without it nothing is dropped by age: what is kept how long is your decision.",
        ),
        key(
            "keep_bytes",
            size(MIB, 1 << 60),
            Nothing { example: "500GiB" },
            "While events and their indexes take more than this, the oldest partition or file is dropped; never the one that is being written.",
            "Without it nothing is dropped by size. Leave room on the disk for building indexes, about the size of a partition.",
        ),
    ],
};

pub(super) const ROUTE: Section = Section {
    path: "store.route[]",
    about: "A route whose events are kept for less than the others. They are deleted from partitions that are sealed, so a day or so later than named.",
    keys: &[
        key(
            "name",
            Kind::Route,
            Mistake { example: "debug" },
            "The route, as rules choose it; unique.",
            "Says which events are meant.",
        ),
        key(
            "keep_days",
            number(1, KEEP_DAYS_MAX),
            Mistake { example: "7" },
            "Events of this route that arrived longer ago than this are deleted.",
            "Without an entry a route is kept as `store.keep_days` says.",
        ),
    ],
};
