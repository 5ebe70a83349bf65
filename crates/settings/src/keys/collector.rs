//! Back from the rescue queues.

use super::{
    Section,
    Unset::Default,
    shared::{KIB, PREFETCH, http_addr, key, ms, secs, size, time},
};

pub(super) const COLLECTOR: Section = Section {
    path: "collector",
    about: "Rescue queues back to the broker. One on each host that runs syslog-server, with the same `data_dir`.",
    keys: &[
        http_addr("127.0.0.1:9605"),
        key(
            "prefetch",
            PREFETCH,
            Default("32"),
            "Batches of one rescue queue in flight.",
            "Covers the latency of confirms, at 4 MiB.",
        ),
        key(
            "bytes_per_second_max",
            size(KIB, 1 << 50),
            Default("32MiB"),
            "How fast one collector returns batches of one rescue queue, in bytes a second.",
            "A fraction of what the broker takes, so that live traffic keeps its rate.",
        ),
        key(
            "claim_timeout",
            time(ms(100), secs(3600)),
            Default("60s"),
            "A batch that a collector has held for longer is taken by another; the one that died had it.",
            "Above the time that the broker has to confirm.",
        ),
        key(
            "poll_interval",
            time(ms(10), secs(600)),
            Default("1s"),
            "How often an empty rescue queue is looked at.",
            "Costs next to nothing and returns batches soon.",
        ),
    ],
};
