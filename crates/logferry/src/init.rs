//! `logferry init`: queues and schema are made or brought up to date, and the rescue queues looked at.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context;
use broker::{Broker, Topology};
use clap::Args;
use service::DataDir;
use settings::{BrokerSettings, Settings, StoreSettings};
use store::Store;

use crate::{
    check,
    command::{self, DataArgs},
};

const EXAMPLES: &str = "\
Examples:
  logferry init                                    by the settings; safe to repeat, and by several at once
  logferry init --set broker.url=amqp://logferry:secret@rabbit/logs --set store.url=postgresql://logferry@db/logs

What exists and is as it should be stays as it is. A queue that exists and is different is not touched: init says
what differs, and fails. `logferry run` does the same at its start.";

/// Declare exchanges and queues, and make or migrate the store's schema
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    settings: DataArgs,
}

impl InitArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        command::run_once(&self.settings, async |settings| {
            let data_dir = DataDir::open_if_used(&settings)?;
            // All are tried, so that all can be mended at once.
            let (broker, store) = (broker(&settings).await, store(&settings).await);
            let rescue = rescue(&settings).await;
            let mut told = String::new();
            if let Some(data_dir) = &data_dir {
                writeln!(told, "data    {}", data_dir.path().display())
                    .expect("writing to a string does not fail");
            }
            for (name, done) in [("broker", &broker), ("store ", &store)] {
                if let Ok(done) = done {
                    writeln!(told, "{name}  {done}").expect("writing to a string does not fail");
                }
            }
            // There is nothing to make, so that one which cannot be used at present is told and no failure.
            match rescue {
                Some(Ok(found)) => writeln!(told, "rescue  {found}"),
                Some(Err(error)) => writeln!(told, "rescue  not usable: {error:#}"),
                None => Ok(()),
            }
            .expect("writing to a string does not fail");
            command::print(&told)?;
            match (broker, store) {
                (Err(broker), Err(store)) => Err(anyhow::anyhow!("{broker:#}\nlogferry: {store:#}")),
                (broker, store) => broker.and(store).map(drop),
            }
        })
    }
}

async fn broker(settings: &Settings) -> anyhow::Result<String> {
    let topology = Topology::of(settings)?;
    let broker = Broker::connect(&settings.broker, "logferry init")
        .await
        .context("connect to the broker")?;
    let declared = declare(&broker, &settings.broker, &topology).await;
    broker.close().await;
    declared?;
    let found = Broker::check(&settings.broker)
        .await
        .context("connect to the broker (broker.url)")?;
    let queues: Vec<_> = topology
        .queues()
        .iter()
        .map(|queue| queue.name.as_str())
        .collect();
    Ok(format!("{found}; declared queues {}", queues.join(", ")))
}

/// Waits for the broker as long as one attempt to connect may take, and declares.
pub(crate) async fn declare(
    broker: &Broker,
    settings: &BrokerSettings,
    topology: &Topology,
) -> anyhow::Result<()> {
    if let BrokerSettings::Amqp(amqp) = settings {
        broker
            .wait_ready(amqp.connect_timeout)
            .await
            .context("connect to the broker (broker.url)")?;
    }
    broker
        .declare(topology)
        .await
        .context("declare exchanges and queues")
}

async fn store(settings: &Settings) -> anyhow::Result<String> {
    let store = Store::connect(&settings.store).context("open the store (store.url)")?;
    let migrated = store
        .migrate()
        .await
        .with_context(|| migrate_context(&settings.store));
    let found = match migrated {
        Ok(()) => store.check().await.context("check the store"),
        Err(error) => Err(error),
    };
    store.close().await;
    found
}

/// What the rescue queues are and promise; `None` with the embedded broker.
async fn rescue(settings: &Settings) -> Option<anyhow::Result<String>> {
    match &settings.broker {
        BrokerSettings::Amqp(_) => Some(check::rescue(&settings.rescue).await),
        BrokerSettings::Embedded { .. } => None,
    }
}

/// What was being done, with the key that names where.
pub(crate) const fn migrate_context(settings: &StoreSettings) -> &'static str {
    match settings {
        StoreSettings::Postgres(_) => "migrate the store (store.url)",
        StoreSettings::Sqlite(_) => "make the store (data_dir)",
    }
}
