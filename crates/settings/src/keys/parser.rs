//! Parsing and rules.

use super::{
    Section,
    Unset::{Default, Mistake, Nothing},
    shared::{BATCH_ABOUT, KIB, MIB, PREFETCH, http_addr, key, number, size},
};
use crate::kind::Kind;

pub(super) const PARSER: Section = Section {
    path: "parser",
    about: "Raw batches to event batches: syslog grammar, rules, routing.",
    keys: &[
        http_addr("127.0.0.1:9602"),
        key(
            "threads",
            Kind::Number {
                min: 1,
                max: 1024,
                word: Some("auto"),
            },
            Default("auto"),
            "Threads that parse; \"auto\" is one for each core.",
            "Parsing is the work that needs cores most.",
        ),
        key(
            "prefetch",
            PREFETCH,
            Default("64"),
            "Raw batches in flight, at least as many as threads.",
            "Enough to keep every thread busy while outputs await their confirms, at 8 MiB.",
        ),
        key(
            "queues",
            number(1, 64),
            Default("1"),
            "Queues that what stream listeners take is spread over, by the address of the sender: `parser`, `parser-2`, and so on. Parsers take from all of them. After a change run `logferry init`, and restart `parser` and then `syslog-server`.",
            "One quorum queue carries some hundred thousand events a second; more queues use more nodes of a cluster.",
        ),
        key(
            "raw",
            Kind::Choice(&["on_defect", "always", "never"]),
            Default("on_defect"),
            "When the exact bytes of a frame stay with its event.",
            "What parsed cleanly can be written again from its parts; what did not is kept as it came.",
        )
        .live(),
        key(
            "batch_bytes_max",
            size(64 * KIB, 128 * MIB),
            Default("16MiB"),
            BATCH_ABOUT,
            "A bound on what a damaged or hostile batch can cost, far above what intake makes.",
        )
        .live(),
        key(
            "compression",
            Kind::Choice(&["lz4", "none"]),
            Default("lz4"),
            "How event batches are packed.",
            "Events shrink to a fraction, which saves the broker more than it costs here.",
        )
        .live(),
        key(
            "park_bytes_max",
            size(MIB, 1 << 50),
            Default("8GiB"),
            "Bytes of the batches of one shipper that this parser parks (`when_full`), in `parked` in `data_dir`. Beyond it everybody waits.",
            "As much as the queue itself holds.",
        ),
        key(
            "queue_warn_percent",
            number(1, 100),
            Default("80"),
            "A queue that is as full as this is warned of in the parser's log.",
            "Time to act before publishers are refused.",
        ),
    ],
};

pub(super) const PROGRAM: Section = Section {
    path: "parser.program[]",
    about: "VRL programs, run on each event in this order. Without any, events go on as they were parsed.",
    keys: &[
        key(
            "name",
            Kind::Name,
            Mistake { example: "noise" },
            "For messages and metrics; unique.",
            "Says which program failed or dropped.",
        )
        .live(),
        key(
            "file",
            Kind::File,
            Nothing {
                example: "rules/noise.vrl",
            },
            "Where the program stands. Either this or `source`.",
            "Longer programs are easier to keep in files of their own.",
        )
        .live(),
        key(
            "source",
            Kind::Text,
            Nothing {
                example: "if .severity == \"debug\" { drop(\"debug\") }",
            },
            "The program itself.",
            "Short programs may stand here.",
        )
        .live(),
    ],
};
