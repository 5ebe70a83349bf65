//! The stages behind embedded queues, which nobody else works on while we have them.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use broker::{Broker, QueueName, Topology};
use service::Context;
use settings::Settings;
use store::Store;
use tokio::{task::JoinSet, time::sleep};

use crate::init::migrate_context;

/// Between two looks at a queue that is not empty yet.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The stages while they run.
pub(super) struct Stages {
    tasks: JoinSet<anyhow::Result<()>>,
    ctx: Context,
    store: Store,
}

impl Stages {
    pub(super) async fn start(settings: &Settings, broker: &Broker) -> anyhow::Result<Self> {
        let store = Store::connect(&settings.store).context("open the store (store.url)")?;
        let migrated = store.migrate().await;
        migrated.with_context(|| migrate_context(&settings.store))?;
        let (ctx, mut tasks) = (Context::new(settings.service.shutdown_grace), JoinSet::new());
        let (own, queues, of_process) = (settings.clone(), broker.clone(), ctx.clone());
        tasks.spawn(async move { parser::run(&own, queues, of_process).await.context("parser") });
        let (own, rows) = (settings.shipper_pgsql.clone(), store.clone());
        let (queues, of_process) = (broker.clone(), ctx.clone());
        tasks.spawn(async move {
            let ended = shipper_pgsql::run(&own, rows, queues, of_process).await;
            ended.context("shipper-pgsql")
        });
        if !settings.shipper_fs.destinations.is_empty() {
            let (own, queues, of_process) = (settings.shipper_fs.clone(), broker.clone(), ctx.clone());
            tasks.spawn(async move {
                shipper_fs::run(&own, queues, of_process)
                    .await
                    .context("shipper-fs")
            });
        }
        Ok(Self { tasks, ctx, store })
    }

    /// Waits until one of them fails, which none should.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => anyhow::Error::new(error).context("run a stage"),
            Some(Ok(Ok(()))) | None => anyhow!("a stage ended without being told to stop"),
        }
    }

    /// Waits until they are through with everything, and ends them.
    pub(super) async fn drain(mut self, broker: &Broker, topology: &Topology) -> anyhow::Result<()> {
        // In the order in which events go through them.
        let queues = topology.queues().iter().map(|queue| &queue.name);
        for queue in queues.filter(|queue| **queue != QueueName::dead()) {
            tokio::select! {
                empty = until_empty(broker, queue) => empty?,
                error = self.failed() => return Err(error),
            }
        }
        self.ctx.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("run a stage")??;
        }
        self.store.close().await;
        Ok(())
    }
}

/// Nothing is in it, nor held by who took it.
async fn until_empty(broker: &Broker, queue: &QueueName) -> anyhow::Result<()> {
    loop {
        let fill = broker.fill(queue).await.context("look at a queue")?;
        if fill.bytes.unwrap_or(fill.ready) == 0 {
            return Ok(());
        }
        sleep(LOOK_PAUSE).await;
    }
}
