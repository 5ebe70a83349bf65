//! Into files.

use super::{
    Section,
    Unset::{Default, Mistake, Nothing},
    shared::{
        BATCH_ABOUT, BINDING_KEYS, DAY, GIB, KIB, PREFETCH, WHEN_FULL, http_addr, key, ms, number, queue,
        secs, size, time,
    },
};
use crate::kind::Kind;

pub(super) const SHIPPER_FS: Section = Section {
    path: "shipper_fs",
    about: "Event batches to files. Without a destination it does not run and has no queue.",
    keys: &[
        http_addr("127.0.0.1:9604"),
        queue("shipper-fs"),
        BINDING_KEYS,
        WHEN_FULL,
        key(
            "prefetch",
            PREFETCH,
            Default("256"),
            "Batches in flight; they stay so until their bytes are synced.",
            "What a sync interval takes in at full rate.",
        ),
        key(
            "sync_age_max",
            time(ms(1), secs(60)),
            Default("100ms"),
            "Files are synced, and their batches acknowledged, this long after the first unsynced byte.",
            "Ten syncs a second are cheap on any disk.",
        ),
        key(
            "sync_bytes_max",
            size(KIB, GIB),
            Default("16MiB"),
            "Or after this many bytes.",
            "Keeps what one sync must write short.",
        ),
        key(
            "idle_close",
            time(secs(1), DAY),
            Default("60s"),
            "A file without new lines is closed after this.",
            "Frees descriptors and ends compressed files soon after their time is over.",
        ),
        key(
            "open_files_max",
            number(1, 100_000),
            Default("256"),
            "Files open at the same time; beyond it the longest idle is closed.",
            "Well below the usual limit of 1024 descriptors.",
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

pub(super) const DESTINATION: Section = Section {
    path: "shipper_fs.destination[]",
    about: "One tree of files each.",
    keys: &[
        key(
            "name",
            Kind::Name,
            Mistake { example: "archive" },
            "For messages and metrics; unique.",
            "Says which destination is meant.",
        ),
        key(
            "dir",
            Kind::Folder,
            Mistake {
                example: "/var/log/logferry",
            },
            "Everything is written below it.",
            "Yours to choose.",
        ),
        key(
            "path",
            Kind::Text,
            Default("{hostname}/{received_at:%Y-%m-%d}.log"),
            "Path of an event's file below `dir`. What comes from events is made safe for file names.",
            "One folder for each host, one file for each day.",
        ),
        key(
            "format",
            Kind::Choice(&[
                "json", "msgpack", "ecs", "rfc5424", "rfc3164", "rsyslog", "raw", "template",
            ]),
            Default("json"),
            "How an event is written.",
            "Keeps every field.",
        ),
        key(
            "template",
            Kind::Text,
            Nothing {
                example: "{timestamp} {hostname} {app_name}: {message}",
            },
            "The line, when `format` is \"template\".",
            "Needed for that format and for no other.",
        ),
        key(
            "compression",
            Kind::Choice(&["none", "zstd", "gzip"]),
            Default("none"),
            "How files are packed.",
            "Files that can be read while they are written.",
        ),
        key(
            "routes",
            Kind::Names,
            Default("[]"),
            "Only events of these routes.",
            "Empty: everything that the queue gets.",
        ),
    ],
};
