//! Every key that `logferry.toml` can hold, with its kind, its default and the reason for it. A data table: the
//! reader, the sample file and the reference are all made from it, so that they cannot disagree.

use std::time::Duration;

use crate::kind::Kind;

/// A section of the file.
pub(crate) struct Section {
    /// Its path; `[]` marks a section that may be repeated.
    pub(crate) path: &'static str,
    /// What it is about.
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [Key],
}

/// One key.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unset: Unset,
    /// What it sets.
    pub(crate) about: &'static str,
    /// Why the default is what it is.
    pub(crate) reason: &'static str,
}

/// What holds when a key is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// This value, as it stands in the file but for quotes.
    Default(&'static str),
    /// Nothing. With an example for the sample file.
    Nothing { example: &'static str },
    /// The section needs the key. With an example for the sample file.
    Mistake { example: &'static str },
}

use Unset::{Default, Mistake, Nothing};

const fn key(name: &'static str, kind: Kind, unset: Unset, about: &'static str, reason: &'static str) -> Key {
    Key {
        name,
        kind,
        unset,
        about,
        reason,
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn time(min: Duration, max: Duration) -> Kind {
    Kind::Duration { min, max, word: None }
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

const fn number(min: i64, max: i64) -> Kind {
    Kind::Number { min, max, word: None }
}

const URL_FILE_ABOUT: &str = "A file whose text is the address, in place of `url`.";
const URL_FILE_REASON: &str = "For addresses that are a secret as a whole.";
const PASSWORD_ABOUT: &str =
    "The password, as it is, without the escapes of an address. `url` then has the user alone.";
const PASSWORD_REASON: &str =
    "For managers that hand secrets over as environment variables; whoever may read this file reads it here.";
const PASSWORD_FILE_ABOUT: &str = "A file whose text is the password, as it is; a line end after it is left out. `url` then has the user alone.";
const PASSWORD_FILE_REASON: &str = "For managers that hand secrets over as files: below `/run/secrets`, or `${CREDENTIALS_DIRECTORY}/name` with systemd.";
const HTTP: Kind = Kind::Address { word: Some("off") };
const HTTP_ABOUT: &str =
    "Where this service, when it runs as a process of its own, serves /metrics, /healthz and /readyz.";
const HTTP_REASON: &str =
    "Loopback, because it has no access control; one port for each service, so that all can run on one host.";
const PREFETCH: Kind = number(1, 65_535);
const BATCH_ABOUT: &str = "A batch that says it is larger than this when decompressed is dead-lettered.";
const BINDING_ABOUT: &str =
    "Routes that go into this queue, as topic patterns: `*` is one word, `#` any number of words.";
const BINDING_REASON: &str = "Every route.";
const FULL_ABOUT: &str = "When the queue is full: \"wait\" holds up parsing for all shippers, \"park\" keeps its batches in a file of the parser until there is room. After a change run `logferry init` and restart `parser`.";
const FULL_REASON: &str = "Nothing leaves the safety of the quorum queue unless somebody wants it.";
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
const SEVERITIES: &[&str] = &[
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY: Duration = secs(86_400);
/// A hundred years.
const KEEP_DAYS_MAX: i64 = 36_525;

const FLAG: Kind = Kind::Flag;

/// How lines become events of several lines, for listeners and folders alike.
const MULTILINE_ABOUT: &str = "Joins lines into events of several lines, such as stack traces; the joined lines have a line feed between them.";
const MULTILINE: &[Key] = &[
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

/// In the order in which the sample file and the reference show them.
pub(crate) const SECTIONS: &[Section] = &[
    Section {
        path: "",
        about: "",
        keys: &[key(
            "data_dir",
            Kind::Folder,
            Default("./data"),
            "Where the embedded queues and the embedded store live. Relative to this file; without a file, to the current folder.",
            "`logferry run` needs no settings and leaves everything in one place that is easy to find and to remove.",
        )],
    },
    Section {
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
            ),
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
    },
    Section {
        path: "broker",
        about: "What carries batches from stage to stage.",
        keys: &[
            key(
                "url",
                Kind::Url {
                    schemes: &["amqp", "amqps"],
                    word: Some("embedded"),
                },
                Default("embedded"),
                "RabbitMQ with user, password and vhost (`amqp://user:password@host:5672/vhost`), or queues in `data_dir`, which only `logferry run` can use. The nodes of a cluster stand with commas between them (`amqp://user:password@rabbit1,rabbit2:5673,rabbit3/vhost`) or behind one name with several addresses: each attempt to connect tries them in their order.",
                "Needs nothing installed.",
            ),
            key(
                "url_file",
                Kind::SecretFile,
                Nothing {
                    example: "/run/secrets/rabbitmq-url",
                },
                URL_FILE_ABOUT,
                URL_FILE_REASON,
            ),
            key(
                "password",
                Kind::Secret,
                Nothing { example: "…" },
                PASSWORD_ABOUT,
                PASSWORD_REASON,
            ),
            key(
                "password_file",
                Kind::SecretFile,
                Nothing {
                    example: "/run/secrets/rabbitmq-password",
                },
                PASSWORD_FILE_ABOUT,
                PASSWORD_FILE_REASON,
            ),
            key(
                "tls_ca_file",
                Kind::File,
                Nothing {
                    example: "rabbitmq-ca.pem",
                },
                "Trust this CA (PEM) for `amqps://` instead of the system's.",
                "The system's trust store.",
            ),
            key(
                "connect_timeout",
                time(ms(100), secs(300)),
                Default("5s"),
                "How long one attempt to connect may take.",
                "A broker that does not answer within this is not going to soon.",
            ),
            key(
                "heartbeat",
                time(secs(1), secs(3600)),
                Default("10s"),
                "Silence after which the connection counts as dead, in whole seconds.",
                "A broker that vanished is noticed in seconds; RabbitMQ's own 60 s would hold deliveries for as long.",
            ),
            key(
                "reconnect_backoff_max",
                time(ms(100), secs(600)),
                Default("10s"),
                "Longest pause between two attempts to connect.",
                "Soon after the broker is back, everyone is back, without a stampede.",
            ),
            key(
                "confirm_timeout",
                time(secs(1), secs(3600)),
                Default("30s"),
                "How long a publish waits for RabbitMQ's confirm before it counts as failed and is made again, with the same id.",
                "Quorum queues confirm within milliseconds, and within seconds while they elect a leader.",
            ),
            key(
                "queue_bytes_max",
                size(MIB, 1 << 50),
                Default("16GiB"),
                "Bytes in one queue beyond which publishers must wait; nothing is discarded. Choose it below the free disk.",
                "Some 50 million events of 300 bytes, hours of an outage of what comes after.",
            ),
            key(
                "delivery_limit",
                number(1, 1_000_000),
                Default("20"),
                "Deliveries of one batch after which it is dead-lettered as poison.",
                "RabbitMQ's own default since version 4.",
            ),
        ],
    },
    Section {
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
            key(
                "url_file",
                Kind::SecretFile,
                Nothing {
                    example: "/run/secrets/redis-url",
                },
                URL_FILE_ABOUT,
                URL_FILE_REASON,
            ),
            key(
                "password",
                Kind::Secret,
                Nothing { example: "…" },
                PASSWORD_ABOUT,
                PASSWORD_REASON,
            ),
            key(
                "password_file",
                Kind::SecretFile,
                Nothing {
                    example: "/run/secrets/redis-password",
                },
                PASSWORD_FILE_ABOUT,
                PASSWORD_FILE_REASON,
            ),
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
    },
    Section {
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
            key(
                "url_file",
                Kind::SecretFile,
                Nothing {
                    example: "/run/secrets/postgresql-url",
                },
                URL_FILE_ABOUT,
                URL_FILE_REASON,
            ),
            key(
                "password",
                Kind::Secret,
                Nothing { example: "…" },
                PASSWORD_ABOUT,
                PASSWORD_REASON,
            ),
            key(
                "password_file",
                Kind::SecretFile,
                Nothing {
                    example: "/run/secrets/postgresql-password",
                },
                PASSWORD_FILE_ABOUT,
                PASSWORD_FILE_REASON,
            ),
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
    },
    Section {
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
    },
    Section {
        path: "syslog_server",
        about: "Intake: listeners and how frames become batches.",
        keys: &[
            key(
                "http_addr",
                HTTP,
                Default("127.0.0.1:9601"),
                HTTP_ABOUT,
                HTTP_REASON,
            ),
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
            key(
                "compression",
                Kind::Choice(&["lz4", "none"]),
                Default("lz4"),
                "How raw batches are packed.",
                "Log lines shrink to a fraction, which saves the broker more than it costs here.",
            ),
        ],
    },
    Section {
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
            ),
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
            ),
            key(
                "connections_max",
                number(1, 1_000_000),
                Default("4096"),
                "Stream connections of this listener.",
                "Each costs some memory and a descriptor.",
            ),
            key(
                "connections_per_peer_max",
                number(1, 1_000_000),
                Default("2048"),
                "Stream connections from one address, within connections_max.",
                "One peer cannot use them all up.",
            ),
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
            ),
        ],
    },
    Section {
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
    },
    Section {
        path: "syslog_server.listener[].multiline",
        about: MULTILINE_ABOUT,
        keys: MULTILINE,
    },
    Section {
        path: "harvest",
        about: "Intake of files: upload folders and living files. Without a folder it does not run.",
        keys: &[
            key(
                "http_addr",
                HTTP,
                Default("127.0.0.1:9607"),
                HTTP_ABOUT,
                HTTP_REASON,
            ),
            key(
                "batch_bytes_max",
                size(KIB, 8 * MIB),
                Default("128KiB"),
                "A batch of lines is published at this size.",
                "As for listeners: the broker's cost is per message.",
            ),
            key(
                "batch_frames_max",
                number(1, 65_535),
                Default("1024"),
                "Or with this many lines.",
                "Keeps batches of very short lines quick to parse.",
            ),
            key(
                "unconfirmed_batches_max",
                number(1, 1024),
                Default("16"),
                "Batches of one file that are on their way at the same time; their progress is written to disk together.",
                "2 MiB of a file for each write to disk.",
            ),
            key(
                "files_max",
                number(1, 1024),
                Default("4"),
                "Files of one folder that are read at the same time.",
                "A large file does not hold up the small ones.",
            ),
            key(
                "compression",
                Kind::Choice(&["lz4", "none"]),
                Default("lz4"),
                "How raw batches are packed.",
                "Log lines shrink to a fraction, which saves the broker more than it costs here.",
            ),
        ],
    },
    Section {
        path: "harvest.folder[]",
        about: "One folder each. The parser reads the labels here too, so that its settings need the same folders.",
        keys: &[
            key(
                "name",
                Kind::Name,
                Mistake { example: "uploads" },
                "Goes with every event as its listener and into the routing key; unique, also among listeners.",
                "Names the folder in searches and rules, so it is yours to choose.",
            ),
            key(
                "path",
                Kind::Folder,
                Mistake {
                    example: "/var/spool/logferry",
                },
                "The folder. It may be made later.",
                "Yours to choose.",
            ),
            key(
                "recursive",
                FLAG,
                Default("false"),
                "Whether folders in it are looked into. Links and names that begin with a dot are never followed.",
                "An upload folder is flat.",
            ),
            key(
                "glob",
                Kind::Glob,
                Default("*"),
                "Which files: a pattern for the path below the folder, or, without a slash in it, for the name.",
                "Everything that is put there.",
            ),
            key(
                "follow",
                FLAG,
                Default("false"),
                "Whether files live on: new lines are taken as they come, also after the file was renamed or cut, and `done` has no effect.",
                "An upload folder has files that are complete.",
            ),
            key(
                "done",
                Kind::Choice(&["move", "delete", "keep"]),
                Default("move"),
                "What becomes of a file when the broker has confirmed all of it.",
                "Nothing is removed that nobody has looked at.",
            ),
            key(
                "done_dir",
                Kind::Folder,
                Nothing {
                    example: "/var/spool/logferry/.done",
                },
                "Where files are moved, when `done` is \"move\". On the same file system as the folder.",
                "`.done` in the folder.",
            ),
            key(
                "failed_dir",
                Kind::Folder,
                Nothing {
                    example: "/var/spool/logferry/.failed",
                },
                "Where files are moved that could not be taken in full, each with a text beside it that says why. With `done = \"keep\"` they stay where they are.",
                "`.failed` in the folder.",
            ),
            key(
                "quiet",
                time(ms(0), DAY),
                Default("5s"),
                "A file that was written in place is complete when it did not change for this long and nobody has it open for writing. One that was renamed from a name with a dot in front is complete at once.",
                "Slow uploads pause for less.",
            ),
            key(
                "poll_interval",
                time(ms(10), secs(3600)),
                Default("5s"),
                "How often the folder is looked through besides when the system reports a change.",
                "Network file systems report none.",
            ),
            key(
                "encoding",
                Kind::Encoding,
                Default("utf-8"),
                "Encoding of the text, by its name on the web (`windows-1252`, `utf-16le`, `shift_jis`). A byte order mark counts for more.",
                "UTF-8 passes as it is, and what is none is marked by the parser.",
            ),
            key(
                "frame_bytes_max",
                size(480, 8 * MIB),
                Default("64KiB"),
                "Lines longer than this are cut, and the event says so; the file counts as not taken in full.",
                "As for listeners.",
            ),
            key(
                "grammar",
                FLAG,
                Default("true"),
                "Whether lines are parsed as syslog or JSON. If not, the whole line is the message.",
                "What fits no form is a message anyway.",
            ),
            key(
                "time_zone",
                Kind::TimeZone,
                Default("UTC"),
                "For timestamps that name no zone.",
                "Means the same everywhere; files with local time need theirs.",
            ),
            key(
                "app_name",
                Kind::Text,
                Nothing { example: "billing" },
                "For events whose line names none.",
                "Files of a program often do not name it.",
            ),
            key(
                "hostname",
                Kind::Text,
                Nothing {
                    example: "web1.example",
                },
                "For events whose line names none.",
                "The folder knows where its files come from.",
            ),
            key(
                "facility",
                Kind::Choice(FACILITIES),
                Nothing { example: "local0" },
                "For events whose line has no priority.",
                "Lines in files seldom have one.",
            ),
            key(
                "severity",
                Kind::Choice(SEVERITIES),
                Nothing { example: "info" },
                "For events whose line has no priority or severity.",
                "Lines in files seldom have one.",
            ),
            key(
                "tags",
                Kind::Names,
                Default("[]"),
                "Tags of every event.",
                "None.",
            ),
            key(
                "fields",
                Kind::Pairs,
                Default("[]"),
                "Fields of every event whose line has none of that name: `[\"site=berlin\", \"rack=7\"]`.",
                "None.",
            ),
        ],
    },
    Section {
        path: "harvest.folder[].multiline",
        about: MULTILINE_ABOUT,
        keys: MULTILINE,
    },
    Section {
        path: "parser",
        about: "Raw batches to event batches: syslog grammar, rules, routing.",
        keys: &[
            key(
                "http_addr",
                HTTP,
                Default("127.0.0.1:9602"),
                HTTP_ABOUT,
                HTTP_REASON,
            ),
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
                "raw",
                Kind::Choice(&["on_defect", "always", "never"]),
                Default("on_defect"),
                "When the exact bytes of a frame stay with its event.",
                "What parsed cleanly can be written again from its parts; what did not is kept as it came.",
            ),
            key(
                "batch_bytes_max",
                size(64 * KIB, 128 * MIB),
                Default("16MiB"),
                BATCH_ABOUT,
                "A bound on what a damaged or hostile batch can cost, far above what intake makes.",
            ),
            key(
                "compression",
                Kind::Choice(&["lz4", "none"]),
                Default("lz4"),
                "How event batches are packed.",
                "Events shrink to a fraction, which saves the broker more than it costs here.",
            ),
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
    },
    Section {
        path: "parser.program[]",
        about: "VRL programs, run on each event in this order. Without any, events go on as they were parsed.",
        keys: &[
            key(
                "name",
                Kind::Name,
                Mistake { example: "noise" },
                "For messages and metrics; unique.",
                "Says which program failed or dropped.",
            ),
            key(
                "file",
                Kind::File,
                Nothing {
                    example: "rules/noise.vrl",
                },
                "Where the program stands. Either this or `source`.",
                "Longer programs are easier to keep in files of their own.",
            ),
            key(
                "source",
                Kind::Text,
                Nothing {
                    example: "if .severity == \"debug\" { drop(\"debug\") }",
                },
                "The program itself.",
                "Short programs may stand here.",
            ),
        ],
    },
    Section {
        path: "shipper_pgsql",
        about: "Event batches to rows in the store.",
        keys: &[
            key(
                "http_addr",
                HTTP,
                Default("127.0.0.1:9603"),
                HTTP_ABOUT,
                HTTP_REASON,
            ),
            key(
                "queue",
                Kind::Name,
                Default("shipper-pgsql"),
                "The queue it takes from. Processes with the same queue share the work.",
                "The service's name.",
            ),
            key(
                "binding_keys",
                Kind::BindingKeys,
                Default("[\"#\"]"),
                BINDING_ABOUT,
                BINDING_REASON,
            ),
            key(
                "when_full",
                Kind::Choice(&["wait", "park"]),
                Default("wait"),
                FULL_ABOUT,
                FULL_REASON,
            ),
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
    },
    Section {
        path: "shipper_fs",
        about: "Event batches to files. Without a destination it does not run and has no queue.",
        keys: &[
            key(
                "http_addr",
                HTTP,
                Default("127.0.0.1:9604"),
                HTTP_ABOUT,
                HTTP_REASON,
            ),
            key(
                "queue",
                Kind::Name,
                Default("shipper-fs"),
                "The queue it takes from. Processes with the same queue share the work.",
                "The service's name.",
            ),
            key(
                "binding_keys",
                Kind::BindingKeys,
                Default("[\"#\"]"),
                BINDING_ABOUT,
                BINDING_REASON,
            ),
            key(
                "when_full",
                Kind::Choice(&["wait", "park"]),
                Default("wait"),
                FULL_ABOUT,
                FULL_REASON,
            ),
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
    },
    Section {
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
    },
    Section {
        path: "collector",
        about: "Rescue queues back to the broker. One on each host that runs syslog-server, with the same `data_dir`.",
        keys: &[
            key(
                "http_addr",
                HTTP,
                Default("127.0.0.1:9605"),
                HTTP_ABOUT,
                HTTP_REASON,
            ),
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
    },
    Section {
        path: "web",
        about: "The web pages: search, live tail, pipeline, dead letters, sources. In `logferry run` they are on by default.",
        keys: &[
            key(
                "http_addr",
                HTTP,
                Default("127.0.0.1:9606"),
                HTTP_ABOUT,
                HTTP_REASON,
            ),
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
    },
];

/// The section at `path`.
pub(crate) fn section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.path == path)
}

/// The path of a child in the notation of [`SECTIONS`].
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

/// What a name below the section at `parent` is.
pub(crate) enum Child {
    Key(&'static Key),
    Section(&'static Section),
    /// A section that may be repeated.
    List(&'static Section),
}

/// What `name` below the section at `parent` is.
pub(crate) fn child(parent: &str, name: &str) -> Option<Child> {
    if let Some(key) = section(parent)?.keys.iter().find(|key| key.name == name) {
        return Some(Child::Key(key));
    }
    // Names in quotes may hold anything, and must not reach through to sections further down.
    if name.is_empty() || name.contains(['.', '[']) {
        return None;
    }
    let path = join(parent, name);
    let list = format!("{path}[]");
    section(&path)
        .map(Child::Section)
        .or_else(|| section(&list).map(Child::List))
}

/// Every name that [`child`] knows below the section at `parent`.
pub(crate) fn names(parent: &str) -> Vec<&'static str> {
    let prefix = if parent.is_empty() {
        String::new()
    } else {
        format!("{parent}.")
    };
    let keys = section(parent)
        .map_or(&[][..], |section| section.keys)
        .iter()
        .map(|key| key.name);
    let sections = SECTIONS.iter().filter_map(|section| {
        let name = section.path.strip_prefix(&prefix)?.trim_end_matches("[]");
        (!name.is_empty() && !name.contains('.')).then_some(name)
    });
    keys.chain(sections).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_or_section_stands_twice() {
        let mut seen = HashSet::new();
        for section in SECTIONS {
            assert!(seen.insert(section.path.to_owned()), "{}", section.path);
            for key in section.keys {
                assert!(
                    seen.insert(join(section.path, key.name)),
                    "{}.{}",
                    section.path,
                    key.name
                );
            }
        }
    }

    #[test]
    fn every_key_says_what_it_is_and_why() {
        for section in SECTIONS {
            for key in section.keys {
                assert!(
                    key.about.ends_with('.') && key.reason.ends_with('.'),
                    "{}.{}",
                    section.path,
                    key.name
                );
            }
        }
    }

    #[test]
    fn names_below_a_section() {
        assert!(names("").contains(&"data_dir") && names("").contains(&"parser"));
        assert!(names("syslog_server").contains(&"listener"));
        assert!(names("syslog_server.listener[]").contains(&"tls"));
        assert!(!names("").contains(&"listener"));
    }
}
