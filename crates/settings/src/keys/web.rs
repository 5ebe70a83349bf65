//! The pages.

use super::{
    Section,
    Unset::{Default, Nothing},
    shared::{http_addr, key, ms, number, secs, time},
};
use crate::kind::Kind;

pub(super) const WEB: Section = Section {
    path: "web",
    about: "The web pages: search, live tail, pipeline, dead letters, sources. In `logferry run` they are on by default.",
    keys: &[
        http_addr("127.0.0.1:9606"),
        key(
            "address",
            Kind::Address { word: Some("off") },
            Default("127.0.0.1:8080"),
            "Where the pages are served. On loopback nobody has to sign in until there is an account; on any other address nothing but the making of the first account works without one.",
            "Whoever can log in to this machine may look; nobody else reaches it.",
        ),
        key(
            "public_url",
            Kind::Text,
            Nothing {
                example: "https://logs.example.net",
            },
            "The address that people type, where a proxy stands before the pages: scheme, name and port. With https, cookies are sent over TLS only.",
            "The address itself, without TLS.",
        ),
        key(
            "connections_max",
            number(1, 100_000),
            Default("512"),
            "Connections at a time. A browser keeps up to six; what is beyond is closed at once.",
            "Below the number of open files that systems allow by default.",
        ),
        key(
            "search_budget",
            time(ms(100), secs(600)),
            Default("10s"),
            "A search stops after this, shows what it found and how far it came, and can be continued.",
            "Nobody waits longer for a page; most searches need a fraction of a second.",
        ),
        key(
            "tails_max",
            number(1, 100_000),
            Default("200"),
            "Live tails that may be open at a time, of all visitors. Each is a connection.",
            "Leaves room for pages among the connections.",
        ),
        key(
            "session_age_max",
            time(secs(60), secs(366 * 86_400)),
            Default("14d"),
            "Who signed in must do so again after this.",
            "Long enough for daily work, and a lost computer is not signed in for ever.",
        ),
    ],
};
