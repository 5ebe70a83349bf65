//! One `logferry.toml`, flags and environment over it, turned into validated settings with all problems at once.
//!
//! ```
//! use settings::{Settings, Sources};
//!
//! let file = ("logferry.toml".into(), "[broker]\nulr = \"embedded\"\nheartbeat = \"5\"\n".to_owned());
//! let sources = Sources { file: Some(file), ..Sources::default() };
//! let problems = Settings::from_sources(&sources).expect_err("two mistakes");
//! assert_eq!(
//!     problems.to_string(),
//!     "logferry.toml:2: broker.ulr: is not a setting: did you mean `url`?\n\
//!      logferry.toml:3: broker.heartbeat = \"5\": has no unit: write \"5s\" for seconds, \"5ms\" for milliseconds"
//! );
//! ```
//!
//! [`Settings`] and the structs in it are what services take: every value in them is checked. Where a value
//! comes from, and how mistakes are told, is the matter of the reader alone.

mod changes;
mod keys;
mod kind;
mod model;
mod problem;
mod read;
pub mod reference;
mod secret;
mod section;
mod sources;
mod suggest;
mod tree;
pub mod units;

pub use crate::changes::{Changes, Values};
pub use crate::model::{
    AmqpSettings, BrokerSettings, ClientCert, CollectorSettings, Compression, DestinationSettings, Done,
    FileCompression, FileFormat, FolderSettings, HarvestSettings, IntakeSettings, LabelSettings, LinePattern,
    ListenerSettings, LogFormat, MultilineSettings, ParserSettings, PostgresSettings, ProgramSettings,
    Protocol, RawPolicy, RescueDurability, RescueFileSettings, RescueKind, RescueRedisSettings,
    RescueSettings, RouteSettings, ServiceSettings, Settings, ShipperFsSettings, ShipperPgsqlSettings,
    SqliteSettings, StoreSettings, TlsServerSettings, UpkeepSettings, WebSettings, WhenFull,
};
pub use crate::problem::{Place, Problem, Problems};
pub use crate::secret::Secret;
pub use crate::sources::{CONFIG_VARIABLE, PLACES, Sources};
