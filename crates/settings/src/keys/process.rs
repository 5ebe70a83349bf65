//! What is not of one service.

use super::{
    Section,
    Unset::{Default, Nothing},
    shared::{HTTP, key, ms, secs, time},
};
use crate::kind::Kind;

pub(super) const DATA: Section = Section {
    path: "",
    about: "",
    keys: &[key(
        "data_dir",
        Kind::Folder,
        Default("./data"),
        "Where the embedded queues and the embedded store live. Relative to this file; without a file, to the current folder.",
        "`logferry run` needs no settings and leaves everything in one place that is easy to find and to remove.",
    )],
};

pub(super) const SERVICE: Section = Section {
    path: "service",
    about: "What every process has in common.",
    keys: &[
        key(
            "log_format",
            Kind::Choice(&["text", "json"]),
            Default("text"),
            "How log lines of Logferry itself look on stderr.",
            "Text is for people; whoever collects the lines chooses json.",
        ),
        key(
            "log_level",
            Kind::LogFilter,
            Default("info"),
            "Least severe level that is logged; `info,broker=debug` sets another for one part. The AMQP library logs only when it is named (`info,lapin=warn`).",
            "State changes are seen and events are not.",
        )
        .live(),
        key(
            "http_addr",
            HTTP,
            Default("127.0.0.1:9600"),
            "Where `logferry run` serves /metrics, /healthz and /readyz.",
            "Loopback, because it has no access control.",
        ),
        key(
            "shutdown_grace",
            time(ms(100), secs(3600)),
            Default("8s"),
            "How long a process that was told to stop may take to finish what it holds. What is left is delivered again.",
            "Below the 10 s after which container runtimes kill.",
        ),
        key(
            "user",
            Kind::Text,
            Nothing { example: "logferry" },
            "A process that was started as root becomes this user before it does anything, and keeps of root's rights only the one to bind ports below 1024. Files that it needs must be for this user: data, certificates, secrets.",
            "Most systems start services as the right user already.",
        ),
    ],
};
