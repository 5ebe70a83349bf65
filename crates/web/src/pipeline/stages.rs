//! Which stages and queues there are, by the settings of this process, and where they stand in the picture.

use settings::{BrokerSettings, Settings, StoreSettings};

/// A stage of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// The name of the service.
    pub(crate) name: &'static str,
    pub(crate) column: usize,
    /// The queue that it takes from.
    pub(crate) takes: Option<String>,
    /// Where what it sends goes: queues, or the one store.
    pub(crate) gives: Vec<String>,
    /// The settings have work for it: then somebody should hear it.
    pub(crate) is_expected: bool,
}

/// Where events end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
}

/// The columns of queues.
pub(crate) const PARSER_QUEUE_COLUMN: usize = 1;
pub(crate) const SHIPPER_QUEUE_COLUMN: usize = 3;
pub(crate) const END_COLUMN: usize = 5;
const INTAKE: usize = 0;
const PARSER: usize = 2;
const SHIPPERS: usize = 4;

/// The queue of raw batches.
pub(crate) const PARSER_QUEUE: &str = "parser";
/// The queue of dead letters.
pub(crate) const DEAD_QUEUE: &str = "dead";
pub(crate) const FILES: &str = "files";
pub(crate) const STORE: &str = "store";

pub(crate) fn stages(settings: &Settings) -> Vec<Stage> {
    let has_files = !settings.shipper_fs.destinations.is_empty();
    let intake = |name, is_expected| Stage {
        name,
        column: INTAKE,
        takes: None,
        gives: vec![PARSER_QUEUE.to_owned()],
        is_expected,
    };
    let mut shipper_queues = vec![settings.shipper_pgsql.queue.clone()];
    if has_files {
        shipper_queues.push(settings.shipper_fs.queue.clone());
    }
    let shipper = |name, queue: &str, end: &str, is_expected| Stage {
        name,
        column: SHIPPERS,
        takes: Some(queue.to_owned()),
        gives: vec![end.to_owned()],
        is_expected,
    };
    vec![
        intake("syslog-server", !settings.syslog_server.listeners.is_empty()),
        intake("harvest", !settings.harvest.folders.is_empty()),
        intake("collector", matches!(settings.broker, BrokerSettings::Amqp(_))),
        Stage {
            name: "parser",
            column: PARSER,
            takes: Some(PARSER_QUEUE.to_owned()),
            gives: shipper_queues,
            is_expected: true,
        },
        shipper("shipper-pgsql", &settings.shipper_pgsql.queue, STORE, true),
        shipper("shipper-fs", &settings.shipper_fs.queue, FILES, has_files),
    ]
}

pub(crate) fn ends(settings: &Settings) -> Vec<End> {
    let store = match &settings.store {
        StoreSettings::Sqlite(_) => "SQLite",
        StoreSettings::Postgres(_) => "PostgreSQL",
    };
    let mut ends = vec![End {
        id: STORE,
        name: store,
    }];
    if !settings.shipper_fs.destinations.is_empty() {
        ends.push(End {
            id: FILES,
            name: "Files",
        });
    }
    ends
}
