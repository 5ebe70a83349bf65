//! Where a measurement happens: arguments, folder, and the servers that all cases share.

use std::path::{Path, PathBuf};

use anyhow::Context;
use testkit::{Postgres, RabbitMq};
use tokio::sync::OnceCell;

use crate::Arguments;
use crate::reference::Work;

/// The same for us and for rsyslog: sized as an administrator would for a server that takes logs, and
/// with commit times kept, from which the case `latency` reads.
pub(crate) const POSTGRES_SETTINGS: &[&str] = &[
    "shared_buffers=512MB",
    "max_wal_size=4GB",
    "track_commit_timestamp=on",
];

/// Servers start when the first case needs them and live to the end; each run gets a vhost and a
/// database of its own.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) runs: u32,
    pub(crate) count: u64,
    pub(crate) size: u32,
    pub(crate) connections: u32,
    pub(crate) rate: u64,
    pub(crate) seconds: u64,
    is_reference_measured: bool,
    dir: PathBuf,
    rabbitmq: OnceCell<RabbitMq>,
    postgres: OnceCell<Postgres>,
}

impl Place {
    pub(crate) fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&arguments.dir)
            .with_context(|| format!("create {}", arguments.dir.display()))?;
        let dir = arguments.dir.canonicalize().context("find the folder for data")?;
        Ok(Self {
            runs: arguments.runs,
            count: arguments.count,
            size: arguments.size,
            connections: arguments.connections,
            rate: arguments.rate,
            seconds: arguments.seconds,
            is_reference_measured: !arguments.no_reference,
            dir,
            rabbitmq: OnceCell::new(),
            postgres: OnceCell::new(),
        })
    }

    /// Whether rsyslog is to do this work beside us, and can.
    pub(crate) fn measures(&self, work: Work) -> bool {
        if self.is_reference_measured && !work.is_possible() {
            eprintln!("  rsyslog is not measured: it, or its module for this, is not installed");
        }
        self.is_reference_measured && work.is_possible()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) async fn rabbitmq(&self) -> anyhow::Result<&RabbitMq> {
        self.rabbitmq
            .get_or_try_init(|| async { RabbitMq::launch_in(&self.dir) })
            .await
    }

    pub(crate) async fn postgres(&self) -> anyhow::Result<&Postgres> {
        self.postgres
            .get_or_try_init(|| async { Postgres::launch_in(&self.dir, POSTGRES_SETTINGS) })
            .await
    }
}
