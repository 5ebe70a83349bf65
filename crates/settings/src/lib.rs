//! One `logferry.toml`, flags and environment over it, turned into validated settings with all problems at once.
//!
//! [`Settings`] and the structs in it are what services take: every value in them is checked. Where a value
//! comes from, and how mistakes are told, is the matter of the reader alone.

mod model;
mod secret;

pub use crate::model::{
    AmqpSettings, BrokerSettings, ClientCert, Compression, DestinationSettings, FileCompression, FileFormat,
    IntakeSettings, ListenerSettings, LogFormat, ParserSettings, PostgresSettings, ProgramSettings, Protocol,
    RawPolicy, RescueSettings, ServiceSettings, Settings, ShipperFsSettings, ShipperPgsqlSettings,
    SqliteSettings, StoreSettings, TlsServerSettings,
};
pub use crate::secret::Secret;
