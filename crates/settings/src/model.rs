//! The validated settings. Each field's default and its reason stand with it in the sample file,
//! `deploy/logferry.toml`.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use crate::secret::Secret;

/// Everything that `logferry.toml` can say, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `data_dir`: where embedded queues and stores live.
    pub data_dir: PathBuf,
    /// `[service]`.
    pub service: ServiceSettings,
    /// `[broker]`.
    pub broker: BrokerSettings,
    /// `[rescue]`.
    pub rescue: RescueSettings,
    /// `[store]`.
    pub store: StoreSettings,
    /// `[syslog_server]`.
    pub syslog_server: IntakeSettings,
    /// `[harvest]`.
    pub harvest: HarvestSettings,
    /// `[parser]`.
    pub parser: ParserSettings,
    /// `[shipper_pgsql]`.
    pub shipper_pgsql: ShipperPgsqlSettings,
    /// `[shipper_fs]`.
    pub shipper_fs: ShipperFsSettings,
    /// `[collector]`.
    pub collector: CollectorSettings,
    /// `[web]`.
    pub web: WebSettings,
}

/// What every process has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// `log_format`: text for people, JSON for machines.
    pub log_format: LogFormat,
    /// `log_level`: a tracing filter such as `info` or `info,broker=debug`.
    pub log_level: String,
    /// `http_addr`: where `/metrics`, `/healthz` and `/readyz` are served; `None` for `"off"`. Each service's own section
    /// may name another (`syslog_server.http_addr` and so on), which is kept in `http_addrs`.
    pub http_addr: Option<SocketAddr>,
    /// Service name (`syslog-server`, …) to its own `http_addr`.
    pub http_addrs: BTreeMap<String, Option<SocketAddr>>,
    /// `shutdown_grace`: how long a drain may take.
    pub shutdown_grace: Duration,
    /// `user`: whom a process that was started as root becomes.
    pub user: Option<String>,
}

/// How log lines of the services themselves look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerSettings {
    /// `url = "amqp://…"` or `"amqps://…"`.
    Amqp(AmqpSettings),
    /// `url = "embedded"`: SQLite in `data_dir`, for one process.
    Embedded {
        /// The folder of the queue files.
        dir: PathBuf,
        /// `queue_bytes_max`: bytes of one queue before publishers must wait.
        queue_bytes_max: u64,
        /// `delivery_limit`: deliveries of one batch before it is dead-lettered as poison.
        delivery_limit: u32,
    },
}

/// RabbitMQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmqpSettings {
    /// `url` with user, password and vhost in it.
    pub url: Secret,
    /// `tls_ca_file`: trust this CA instead of the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// `management_url`: where the management API is, perhaps with a user of its own; `None` when it is not asked.
    pub management_url: Option<Secret>,
    /// `connect_timeout`.
    pub connect_timeout: Duration,
    /// `heartbeat`.
    pub heartbeat: Duration,
    /// `reconnect_backoff_max`: the longest pause between two attempts.
    pub reconnect_backoff_max: Duration,
    /// `confirm_timeout`: how long a publish waits for its verdict before it is made again.
    pub confirm_timeout: Duration,
    /// `queue_bytes_max`: `x-max-length-bytes` of our queues.
    pub queue_bytes_max: u64,
    /// `delivery_limit`: `x-delivery-limit` of our queues.
    pub delivery_limit: u32,
}

/// `[rescue]`: the rescue queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescueSettings {
    /// `order`: which queues intake tries, one after the other; none when empty.
    pub order: Vec<RescueKind>,
    /// `patience`: how long the broker may be away before batches go to a rescue queue.
    pub patience: Duration,
    /// `timeout`: how long one operation on a rescue queue may take.
    pub timeout: Duration,
    /// The queue in Redis; `None` without a `url`.
    pub redis: Option<RescueRedisSettings>,
    /// The queue in a local file.
    pub file: RescueFileSettings,
}

/// A kind of rescue queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RescueKind {
    /// A stream in Redis.
    Redis,
    /// A file in `data_dir`.
    File,
}

/// The rescue queue in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescueRedisSettings {
    /// `url`: `redis://…` or `rediss://…`.
    pub url: Secret,
    /// `tls_ca_file`: trust this CA instead of the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// `key`: the name of the stream; other keys begin with it.
    pub key: String,
    /// `redis_bytes_max`: bytes that may wait in Redis.
    pub bytes_max: u64,
    /// `durability`: what Redis must promise before intake trusts it.
    pub durability: RescueDurability,
}

/// What Redis must promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RescueDurability {
    /// A batch is on its disk before it says so.
    Synced,
    /// It has the batch; what it promises beyond that is named and taken as it is.
    Accepted,
}

/// The rescue queue in a local file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescueFileSettings {
    /// The folder of the file, below `data_dir`.
    pub dir: PathBuf,
    /// `file_bytes_max`: bytes that may wait in the file.
    pub bytes_max: u64,
}

/// Where events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreSettings {
    /// `url = "postgresql://…"`.
    Postgres(PostgresSettings),
    /// `url = "embedded"`: SQLite in `data_dir`.
    Sqlite(SqliteSettings),
}

/// PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// `url` with user, password and database in it, as libpq writes it.
    pub url: Secret,
    /// `tls_ca_file`: trust this CA instead of the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// `pool_size`: connections of one process.
    pub pool_size: usize,
    /// `connect_timeout`.
    pub connect_timeout: Duration,
    /// `partition`: how long one partition covers, a day or an hour.
    pub partition: Duration,
    /// `partitions_ahead`: partitions made before they are needed.
    pub partitions_ahead: u32,
    /// `searches_max`: searches of one process at once.
    pub searches_max: usize,
}

/// SQLite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// The folder of the database files.
    pub dir: PathBuf,
    /// `searches_max`: searches of one process at once.
    pub searches_max: usize,
}

/// What `[store]` says of how partitions (of SQLite: the files of days) are prepared for searching and how long they are
/// kept. Whoever writes sees to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpkeepSettings {
    /// `seal_after`: a partition whose time is over for this long gets its indexes for searching.
    pub seal_after: Duration,
    /// `seal_memory`: what PostgreSQL may use while it builds one of them.
    pub seal_memory: u64,
    /// `keep_days`: partitions older than this are dropped; `None` keeps them for good.
    pub keep_days: Option<u32>,
    /// `keep_bytes`: the oldest are dropped while all take more than this.
    pub keep_bytes: Option<u64>,
    /// `[[store.route]]`: routes whose events are kept for less.
    pub routes: Vec<RouteSettings>,
}

/// `[[store.route]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSettings {
    /// `name`.
    pub name: String,
    /// `keep_days`.
    pub keep_days: u32,
}

/// `[syslog_server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeSettings {
    /// `[[syslog_server.listener]]`.
    pub listeners: Vec<ListenerSettings>,
    /// `batch_bytes_max`: a raw batch closes at this size.
    pub batch_bytes_max: usize,
    /// `batch_frames_max`: or with this many frames.
    pub batch_frames_max: u32,
    /// `batch_age_max`: or this long after its first frame.
    pub batch_age_max: Duration,
    /// `unconfirmed_batches_max`: batches of one listener that may await the broker's confirm; beyond it sockets are not read.
    pub unconfirmed_batches_max: usize,
    /// `compression` of raw batches.
    pub compression: Compression,
}

/// How batches are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    None,
    /// LZ4 blocks.
    Lz4,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RELP over TCP.
    Relp,
    /// Syslog over TCP (RFC 6587).
    Tcp,
    /// Syslog over UDP (RFC 5426).
    Udp,
}

/// `[[syslog_server.listener]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// `name`: goes with every event, is part of the routing key, and is unique. Letters, digits, `-` and `_`.
    pub name: String,
    /// `protocol`.
    pub protocol: Protocol,
    /// `address` to listen on.
    pub address: SocketAddr,
    /// `frame_bytes_max`: what is longer is cut, and the event says so.
    pub frame_bytes_max: usize,
    /// `idle_timeout` of stream connections; `None` for `"off"`.
    pub idle_timeout: Option<Duration>,
    /// `connections_max` in total.
    pub connections_max: usize,
    /// `connections_per_peer_max` from one address.
    pub connections_per_peer_max: usize,
    /// `receive_buffer`: bytes asked from the kernel for a UDP socket.
    pub receive_buffer: usize,
    /// `time_zone`: IANA name, for timestamps that name none. Read by the parser.
    pub time_zone: String,
    /// `[syslog_server.listener.tls]`.
    pub tls: Option<TlsServerSettings>,
    /// `[syslog_server.listener.multiline]` of a stream listener.
    pub multiline: Option<MultilineSettings>,
}

/// How lines become events of several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultilineSettings {
    /// `start` or `continuation`.
    pub pattern: LinePattern,
    /// `timeout`: an event without a further line for this long is complete.
    pub timeout: Duration,
    /// `bytes_max`: an event is complete before it becomes longer than this.
    pub bytes_max: usize,
    /// `lines_max`: or with this many lines.
    pub lines_max: usize,
}

/// What lines of a form of their own are. The text is a regular expression that compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinePattern {
    /// First lines.
    Start(String),
    /// Further lines.
    Continuation(String),
}

/// TLS of a stream listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsServerSettings {
    /// `cert_file`: PEM, our certificate and then its chain.
    pub cert_file: PathBuf,
    /// `key_file`: PEM, its private key.
    pub key_file: PathBuf,
    /// `client_ca_file` and `client_cert`: who may connect.
    pub client_cert: ClientCert,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCert {
    /// They are not asked.
    Off,
    /// They may; one that is shown must be signed by this CA.
    Optional(PathBuf),
    /// They must, signed by this CA.
    Required(PathBuf),
}

/// `[harvest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarvestSettings {
    /// `[[harvest.folder]]`.
    pub folders: Vec<FolderSettings>,
    /// `batch_bytes_max`: a raw batch closes at this size.
    pub batch_bytes_max: usize,
    /// `batch_frames_max`: or with this many frames.
    pub batch_frames_max: u32,
    /// `unconfirmed_batches_max`: batches of one file on their way at the same time.
    pub unconfirmed_batches_max: usize,
    /// `files_max`: files of one folder read at the same time.
    pub files_max: usize,
    /// `compression` of raw batches.
    pub compression: Compression,
}

/// `[[harvest.folder]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSettings {
    /// `name`: the listener of every event, part of the routing key, unique among listeners too.
    pub name: String,
    /// `path`.
    pub path: PathBuf,
    /// `recursive`: folders in it are looked into.
    pub recursive: bool,
    /// `glob`: which files.
    pub glob: String,
    /// `follow`: files live on.
    pub follow: bool,
    /// `done`, `done_dir` and `failed_dir`.
    pub done: Done,
    /// `quiet`: a file written in place is complete after this long without a change.
    pub quiet: Duration,
    /// `poll_interval`: how often it is looked through in any case.
    pub poll_interval: Duration,
    /// `encoding`: a label that the Encoding Standard knows.
    pub encoding: String,
    /// `frame_bytes_max`: longer lines are cut.
    pub frame_bytes_max: usize,
    /// `[harvest.folder.multiline]`.
    pub multiline: Option<MultilineSettings>,
    /// What the parser does with its lines.
    pub labels: LabelSettings,
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Taken in full: removed; else moved to `failed_dir`.
    Delete {
        /// For files that could not be taken in full.
        failed_dir: PathBuf,
    },
    /// Moved.
    Move {
        /// For files taken in full.
        done_dir: PathBuf,
        /// For files that could not be.
        failed_dir: PathBuf,
    },
    /// Left where it is.
    Keep,
}

/// What the parser does with lines of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSettings {
    /// `grammar`: lines are parsed.
    pub grammar: bool,
    /// `time_zone`: IANA name, for timestamps that name none.
    pub time_zone: String,
    /// `app_name` where the line has none.
    pub app_name: Option<String>,
    /// `hostname` where the line has none.
    pub hostname: Option<String>,
    /// `facility` where the line has none, by its name.
    pub facility: Option<String>,
    /// `severity` where the line has none, by its name.
    pub severity: Option<String>,
    /// `tags` of every event.
    pub tags: Vec<String>,
    /// `fields` that the line does not have itself.
    pub fields: Vec<(String, String)>,
}

/// `[parser]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParserSettings {
    /// `threads` that parse; default all cores.
    pub threads: usize,
    /// `prefetch`: raw batches in flight.
    pub prefetch: u16,
    /// `queues`: queues of raw batches.
    pub queues: usize,
    /// `raw`: when the exact bytes stay with the event.
    pub raw: RawPolicy,
    /// `batch_bytes_max`: largest body of a batch that is decompressed.
    pub batch_bytes_max: usize,
    /// `compression` of event batches.
    pub compression: Compression,
    /// `park_bytes_max`: bytes of the batches of one shipper that this parser parks.
    pub park_bytes_max: u64,
    /// `queue_warn_percent`: a queue that is as full as this is warned of.
    pub queue_warn_percent: u8,
    /// `[[parser.program]]`, in the order in which they run.
    pub programs: Vec<ProgramSettings>,
}

/// When `raw` is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawPolicy {
    /// With every event.
    Always,
    /// With events that have a defect.
    OnDefect,
    /// With none.
    Never,
}

/// One VRL program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramSettings {
    /// `name`, for messages and metrics.
    pub name: String,
    /// Where the source stands: `file`, or for `source` the settings file and the program's name.
    pub origin: String,
    /// The source, read from `file` where the settings name one.
    pub source: String,
}

/// What becomes of batches for a shipper whose queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Everybody waits: raw batches stay in queue `parser`.
    Wait,
    /// The parser parks them in a file queue of its own, from which they return in order.
    Park,
}

/// `[shipper_pgsql]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipperPgsqlSettings {
    /// `queue`.
    pub queue: String,
    /// `binding_keys`: routes that this shipper takes, as topic patterns.
    pub binding_keys: Vec<String>,
    /// `when_full`.
    pub when_full: WhenFull,
    /// `prefetch`: batches in flight.
    pub prefetch: u16,
    /// `transaction_rows_max`: a transaction commits at this many rows.
    pub transaction_rows_max: usize,
    /// `transaction_age_max`: or this long after its first batch.
    pub transaction_age_max: Duration,
    /// `writers`: transactions at the same time.
    pub writers: usize,
    /// `batch_bytes_max`: largest body of a batch that is decompressed.
    pub batch_bytes_max: usize,
    /// What `[store]` says of sealing and retention, which this shipper sees to.
    pub upkeep: UpkeepSettings,
}

/// `[shipper_fs]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipperFsSettings {
    /// `queue`.
    pub queue: String,
    /// `binding_keys`: routes that this shipper takes, as topic patterns.
    pub binding_keys: Vec<String>,
    /// `when_full`.
    pub when_full: WhenFull,
    /// `prefetch`: batches in flight.
    pub prefetch: u16,
    /// `sync_age_max`: files are synced, and their batches acknowledged, this long after the first unsynced byte.
    pub sync_age_max: Duration,
    /// `sync_bytes_max`: or after this many bytes.
    pub sync_bytes_max: usize,
    /// `idle_close`: a file without new lines is closed after this.
    pub idle_close: Duration,
    /// `open_files_max`.
    pub open_files_max: usize,
    /// `batch_bytes_max`: largest body of a batch that is decompressed.
    pub batch_bytes_max: usize,
    /// `[[shipper_fs.destination]]`.
    pub destinations: Vec<DestinationSettings>,
}

/// `[[shipper_fs.destination]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationSettings {
    /// `name`, for messages and metrics.
    pub name: String,
    /// `dir`: everything is written below it.
    pub dir: PathBuf,
    /// `path`: template of the file's path below `dir`, such as `{hostname}/{received_at:%Y-%m-%d}.log`.
    pub path: String,
    /// `format`.
    pub format: FileFormat,
    /// `compression`.
    pub compression: FileCompression,
    /// `routes`: events of these routes; all when empty.
    pub routes: Vec<String>,
}

/// How a line looks in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFormat {
    /// One object a line, `proto/event.schema.json`.
    Json,
    /// MessagePack maps, one after the other.
    Msgpack,
    /// Elastic Common Schema, one object a line.
    Ecs,
    /// RFC 5424.
    Rfc5424,
    /// RFC 3164.
    Rfc3164,
    /// The form of rsyslog's `RSYSLOG_FileFormat`.
    Rsyslog,
    /// The bytes as received.
    Raw,
    /// A template string.
    Template(String),
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileCompression {
    /// Not.
    None,
    /// Zstandard frames.
    Zstd,
    /// Gzip members.
    Gzip,
}

/// `[collector]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorSettings {
    /// `prefetch`: batches of one rescue queue in flight.
    pub prefetch: u16,
    /// `bytes_per_second_max`: how fast batches of one rescue queue are returned.
    pub bytes_per_second_max: u64,
    /// `claim_timeout`: a batch that a collector holds for longer may be taken by another.
    pub claim_timeout: Duration,
    /// `poll_interval`: how often an empty rescue queue is looked at.
    pub poll_interval: Duration,
}

/// `[web]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSettings {
    /// `address` of the pages; `None` for `"off"`.
    pub address: Option<SocketAddr>,
    /// `public_url`: the scheme and authority that people type, without a `/` at the end.
    pub public_url: Option<String>,
    /// `connections_max` at a time.
    pub connections_max: usize,
    /// `search_budget`: a search stops after this.
    pub search_budget: Duration,
    /// `tails_max`: live tails that may be open at a time.
    pub tails_max: usize,
    /// `session_age_max`: who signed in must do so again after this.
    pub session_age_max: Duration,
}
