//! Intake by syslog.

use super::{
    Section,
    Unset::{Default, Mistake, Nothing},
    shared::{
        DAY, GIB, KIB, MIB, MULTILINE, MULTILINE_ABOUT, RAW_COMPRESSION, http_addr, key, ms, number, secs,
        size, time,
    },
};
use crate::kind::Kind;

pub(super) const SYSLOG_SERVER: Section = Section {
    path: "syslog_server",
    about: "Intake: listeners and how frames become batches.",
    keys: &[
        http_addr("127.0.0.1:9601"),
        key(
            "batch_bytes_max",
            size(KIB, 8 * MIB),
            Default("128KiB"),
            "A batch of frames is published at this size.",
            "The broker's cost is per message: larger batches gain little more and take longer to fill.",
        ),
        key(
            "batch_frames_max",
            number(1, 65_535),
            Default("1024"),
            "Or with this many frames.",
            "Keeps batches of very short lines quick to parse.",
        ),
        key(
            "batch_age_max",
            time(ms(1), secs(10)),
            Default("5ms"),
            "Or this long after its first frame.",
            "A quiet line arrives at once; RELP senders wait this long for an answer at most.",
        ),
        key(
            "unconfirmed_batches_max",
            number(1, 65_535),
            Default("128"),
            "Batches of one listener that the broker has not confirmed yet; beyond it sockets are not read.",
            "16 MiB in flight covers 50 ms of confirm latency at the broker's full rate.",
        ),
        RAW_COMPRESSION,
    ],
};

pub(super) const LISTENER: Section = Section {
    path: "syslog_server.listener[]",
    about: "One listener each. Without any in the file there are three: \"relp\" on 127.0.0.1:2514, \"tcp\" and \"udp\" on 127.0.0.1:5514.",
    keys: &[
        key(
            "name",
            Kind::Name,
            Mistake { example: "tcp" },
            "Goes with every event and into the routing key; unique.",
            "Names the listener in searches and rules, so it is yours to choose.",
        ),
        key(
            "protocol",
            Kind::Choice(&["relp", "tcp", "udp"]),
            Mistake { example: "tcp" },
            "What senders speak: RELP, or syslog over TCP (octet-counted or by lines), or syslog over UDP.",
            "RELP is the one that loses nothing when a connection breaks.",
        ),
        key(
            "address",
            Kind::Address { word: None },
            Mistake {
                example: "127.0.0.1:5514",
            },
            "Where to listen. `0.0.0.0:514` takes lines from everywhere; ports below 1024 need a privilege.",
            "Without a listener of your own: loopback and unprivileged ports.",
        ),
        key(
            "frame_bytes_max",
            size(480, 8 * MIB),
            Default("64KiB"),
            "Frames longer than this are cut, and the event says so.",
            "What common senders send at most, and a bound on what one line can cost.",
        )
        .live(),
        key(
            "idle_timeout",
            Kind::Duration {
                min: ms(100),
                max: DAY,
                word: Some("off"),
            },
            Default("off"),
            "A stream connection that is silent for this long is closed.",
            "A sender over plain TCP that writes into a closed connection loses lines; dead peers are found by keepalive.",
        )
        .live(),
        key(
            "connections_max",
            number(1, 1_000_000),
            Default("4096"),
            "Stream connections of this listener.",
            "Each costs some memory and a descriptor.",
        )
        .live(),
        key(
            "connections_per_peer_max",
            number(1, 1_000_000),
            Default("2048"),
            "Stream connections from one address, within connections_max.",
            "One peer cannot use them all up.",
        )
        .live(),
        key(
            "receive_buffer",
            size(4 * KIB, GIB),
            Default("8MiB"),
            "Bytes asked of the kernel for a UDP socket; it grants at most sysctl net.core.rmem_max.",
            "A burst of some 25,000 datagrams while the process is busy.",
        ),
        key(
            "time_zone",
            Kind::TimeZone,
            Default("UTC"),
            "For timestamps that name no zone.",
            "Means the same everywhere; senders that write local time need theirs.",
        )
        .live(),
    ],
};

pub(super) const LISTENER_TLS: Section = Section {
    path: "syslog_server.listener[].tls",
    about: "Makes a relp or tcp listener speak TLS.",
    keys: &[
        key(
            "cert_file",
            Kind::File,
            Mistake {
                example: "server.pem",
            },
            "PEM: our certificate, then its chain.",
            "No TLS without one.",
        ),
        key(
            "key_file",
            Kind::File,
            Mistake {
                example: "server.key",
            },
            "PEM: its private key.",
            "No TLS without one.",
        ),
        key(
            "client_cert",
            Kind::Choice(&["off", "optional", "required"]),
            Default("off"),
            "Whether clients show a certificate. The name in it is recorded with each event.",
            "Most senders have none.",
        ),
        key(
            "client_ca_file",
            Kind::File,
            Nothing {
                example: "clients-ca.pem",
            },
            "PEM: the CA that signs clients' certificates. Needed unless client_cert is \"off\".",
            "The system's CAs would let in everyone who has any certificate.",
        ),
    ],
};

pub(super) const LISTENER_MULTILINE: Section = Section {
    path: "syslog_server.listener[].multiline",
    about: MULTILINE_ABOUT,
    keys: MULTILINE,
};
