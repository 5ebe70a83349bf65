//! What keys of several sections have in common: kinds, bounds, words.

use std::time::Duration;

use super::{
    Key,
    Unset::{self, Default, Nothing},
};
use crate::kind::Kind;

pub(super) const fn key(
    name: &'static str,
    kind: Kind,
    unset: Unset,
    about: &'static str,
    reason: &'static str,
) -> Key {
    Key {
        name,
        kind,
        unset,
        about,
        reason,
        is_live: false,
    }
}

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) const fn time(min: Duration, max: Duration) -> Kind {
    Kind::Duration { min, max, word: None }
}

pub(super) const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

pub(super) const fn number(min: i64, max: i64) -> Kind {
    Kind::Number { min, max, word: None }
}

pub(super) const HTTP: Kind = Kind::Address { word: Some("off") };
pub(super) const PREFETCH: Kind = number(1, 65_535);
pub(super) const BATCH_ABOUT: &str =
    "A batch that says it is larger than this when decompressed is dead-lettered.";
pub(super) const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
pub(super) const SEVERITIES: &[&str] = &[
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const DAY: Duration = secs(86_400);
/// A hundred years.
pub(super) const KEEP_DAYS_MAX: i64 = 36_525;

pub(super) const FLAG: Kind = Kind::Flag;

/// The address in a file; `example` is the file.
pub(super) const fn url_file(example: &'static str) -> Key {
    key(
        "url_file",
        Kind::SecretFile,
        Nothing { example },
        "A file whose text is the address, in place of `url`.",
        "For addresses that are a secret as a whole.",
    )
}

pub(super) const PASSWORD: Key = key(
    "password",
    Kind::Secret,
    Nothing { example: "…" },
    "The password, as it is, without the escapes of an address. `url` then has the user alone.",
    "For managers that hand secrets over as environment variables; whoever may read this file reads it here.",
);

/// The password in a file; `example` is the file.
pub(super) const fn password_file(example: &'static str) -> Key {
    key(
        "password_file",
        Kind::SecretFile,
        Nothing { example },
        "A file whose text is the password, as it is; a line end after it is left out. `url` then has the user alone.",
        "For managers that hand secrets over as files: below `/run/secrets`, or `${CREDENTIALS_DIRECTORY}/name` with systemd.",
    )
}

/// Where a service tells of itself.
pub(super) const fn http_addr(default: &'static str) -> Key {
    key(
        "http_addr",
        HTTP,
        Default(default),
        "Where this service, when it runs as a process of its own, serves /metrics, /healthz and /readyz.",
        "Loopback, because it has no access control; one port for each service, so that all can run on one host.",
    )
}

/// The queue of a shipper.
pub(super) const fn queue(default: &'static str) -> Key {
    key(
        "queue",
        Kind::Name,
        Default(default),
        "The queue it takes from. Processes with the same queue share the work.",
        "The service's name.",
    )
}

/// What comes into the queue of a shipper.
pub(super) const BINDING_KEYS: Key = key(
    "binding_keys",
    Kind::BindingKeys,
    Default("[\"#\"]"),
    "Routes that go into this queue, as topic patterns: `*` is one word, `#` any number of words.",
    "Every route.",
);

/// What becomes of what does not fit into the queue of a shipper.
pub(super) const WHEN_FULL: Key = key(
    "when_full",
    Kind::Choice(&["wait", "park"]),
    Default("wait"),
    "When the queue is full: \"wait\" holds up parsing for all shippers, \"park\" keeps its batches in a file of the parser until there is room. After a change run `logferry init` and restart `parser`.",
    "Nothing leaves the safety of the quorum queue unless somebody wants it.",
);

/// Of the services that make raw batches.
pub(super) const RAW_COMPRESSION: Key = key(
    "compression",
    Kind::Choice(&["lz4", "none"]),
    Default("lz4"),
    "How raw batches are packed.",
    "Log lines shrink to a fraction, which saves the broker more than it costs here.",
);

/// How lines become events of several lines, for listeners and folders alike.
pub(super) const MULTILINE_ABOUT: &str = "Joins lines into events of several lines, such as stack traces; the joined lines have a line feed between them.";
pub(super) const MULTILINE: &[Key] = &[
    key(
        "start",
        Kind::Pattern,
        Nothing { example: "^<[0-9]+>" },
        "Regular expression (without look-around and back-references): a line that matches begins an event, any other belongs to the one before. Either this or `continuation`.",
        "Right where first lines have a form of their own, such as a time.",
    ),
    key(
        "continuation",
        Kind::Pattern,
        Nothing { example: "^[ \\t]" },
        "Regular expression: a line that matches belongs to the one before, any other begins an event.",
        "Right where further lines are indented.",
    ),
    key(
        "timeout",
        time(ms(10), secs(3600)),
        Default("1s"),
        "An event without a further line for this long is complete. RELP senders wait this long for the answer.",
        "Programs write the lines of one event at once; a second covers a slow disk or network.",
    ),
    key(
        "bytes_max",
        size(480, 8 * MIB),
        Default("64KiB"),
        "An event is complete before it would become longer than this; the rest begins another one.",
        "As for a single line.",
    ),
    key(
        "lines_max",
        number(2, 100_000),
        Default("1000"),
        "Or with this many lines.",
        "Longer than any stack trace that somebody reads.",
    ),
];
