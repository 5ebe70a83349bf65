//! Where batches wait while the broker is away.

use super::{
    Section,
    Unset::{Default, Nothing},
    shared::{KIB, PASSWORD, key, ms, password_file, secs, size, time, url_file},
};
use crate::kind::Kind;

pub(super) const RESCUE: Section = Section {
    path: "rescue",
    about: "Where intake puts batches while RabbitMQ is away, blocks or refuses; `collector` returns them. With the embedded broker there is no rescue: its queues are on the same disk.",
    keys: &[
        key(
            "order",
            Kind::Names,
            Default("[\"redis\", \"file\"]"),
            "Rescue queues that are tried, one after the other: \"redis\" (which needs `url`) and \"file\" (in `data_dir`). Empty: stream listeners stop reading while the broker is away, and senders keep their lines.",
            "Redis is where every host's batches can be returned from; the file needs nothing but the disk.",
        ),
        key(
            "patience",
            time(ms(0), secs(600)),
            Default("1s"),
            "How long the broker may be away or block before batches go to a rescue queue. One that refuses or does not confirm has had its time.",
            "A hiccup of the network is over sooner, and costs no detour.",
        ),
        key(
            "timeout",
            time(ms(10), secs(300)),
            Default("5s"),
            "How long one operation on a rescue queue may take before the next queue is tried.",
            "Far above a sync of a busy disk, below the patience of senders.",
        ),
        key(
            "url",
            Kind::Url {
                schemes: &["redis", "rediss"],
                word: None,
            },
            Nothing {
                example: "redis://127.0.0.1:6379/0",
            },
            "Redis 6.2 or later with user, password and database.",
            "None: the file alone.",
        ),
        url_file("/run/secrets/redis-url"),
        PASSWORD,
        password_file("/run/secrets/redis-password"),
        key(
            "tls_ca_file",
            Kind::File,
            Nothing {
                example: "redis-ca.pem",
            },
            "Trust this CA (PEM) for `rediss://` instead of the system's.",
            "The system's trust store.",
        ),
        key(
            "durability",
            Kind::Choice(&["synced", "accepted"]),
            Default("synced"),
            "What Redis must promise. \"synced\": a batch is on its disk before it says so (`appendonly yes` with `appendfsync always`, or `WAITAOF` of Redis 7.2), else it is not used; \"accepted\": its word is taken, and the durability in force names what may be lost.",
            "The same promise as the broker's.",
        ),
        key(
            "key",
            Kind::Text,
            Default("logferry:rescue"),
            "Name of the stream in Redis; other keys begin with it.",
            "Several Logferrys on one Redis need one each.",
        ),
        key(
            "redis_bytes_max",
            size(64 * KIB, 1 << 50),
            Default("512MiB"),
            "Bytes that may wait in Redis. Choose it below the memory that Redis may use.",
            "Redis keeps them in memory: some 5 million lines of 300 bytes, packed.",
        ),
        key(
            "file_bytes_max",
            size(64 * KIB, 1 << 50),
            Default("4GiB"),
            "Bytes that may wait in the file of this host. Choose it below the free disk.",
            "Some 40 million lines of 300 bytes, packed.",
        ),
    ],
};
