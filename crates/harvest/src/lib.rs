//! Intake of log files: upload folders and living files into raw batches.
//!
//! A file that is complete is read into raw batches, and removed, moved or kept when the broker has confirmed all
//! of them; a living file is followed under whatever name it has. How far each file is, is written to disk before
//! a batch is published, so that a restart repeats a batch with the id that it had: whoever has seen it passes it
//! over. While the broker is away nothing is lost and nothing has to be rescued: the files wait.
//!
//! Which lines these are, and what the labels of the folder make of them, is the parser's matter.

mod carrier;
mod folder;
mod identity;
mod import;
mod meters;
mod progress;
mod reader;
mod scan;
mod settle;
mod source;
mod watch;
mod whole;

use std::{future::pending, sync::Arc};

use anyhow::Context as _;
use broker::{Broker, BrokerState, RoutingKey};
use service::{Component, Context};
use settings::Settings;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    carrier::{Carrier, blocking},
    folder::Folder,
    meters::{Meters, STAGE},
    reader::Plan,
    scan::Scanner,
};
pub use crate::{
    import::{Imported, Importer},
    progress::{Progress, ProgressError},
};

/// Registers every metric of this service, with a sample of each set of labels, for `docs/metrics.md`.
pub fn describe_metrics(metrics: &service::Metrics) {
    Meters::new(metrics, "").file(meters::What::Taken);
}

/// Its heartbeat.
pub const PULSE: service::Pulse = service::Pulse {
    service: STAGE,
    version: env!("CARGO_PKG_VERSION"),
    measures: &["logferry_harvest_"],
};

/// What `main` and the manual need to know of it.
pub const SPEC: service::ServiceSpec = service::ServiceSpec {
    name: "harvest",
    about: "Takes log files from upload folders, and follows living files",
    examples: "  harvest --config /etc/logferry/logferry.toml
      Run with this settings file
  harvest --check --config logferry.toml
      Tell every mistake in the settings, and exit",
    version: env!("CARGO_PKG_VERSION"),
    check: |settings| {
        anyhow::ensure!(
            !settings.harvest.folders.is_empty(),
            "there is no [[harvest.folder]]: name at least one folder"
        );
        Ok(())
    },
    reads: &["harvest."],
};

/// How much of the grace a drain may use before what is not confirmed is left for the next start.
const DRAIN_SHARE: f64 = 0.8;

/// The folder below `data_dir` that the progress of files is kept in.
const PROGRESS_DIR: &str = "harvest";

/// Takes files until `ctx.stop` is cancelled, and returns when nothing is on its way any more.
///
/// # Errors
/// Progress that cannot be kept, and folders with the same name as something else.
pub async fn run(settings: &Settings, broker: Broker, ctx: Context) -> anyhow::Result<()> {
    let dir = settings.data_dir.join(PROGRESS_DIR);
    let progress = Arc::new(blocking(move || Progress::open(&dir)).await?);
    let give_up = CancellationToken::new();
    let mut folders = JoinSet::new();
    for folder in &settings.harvest.folders {
        let name = &folder.name;
        let carrier = Carrier {
            progress: Arc::clone(&progress),
            publisher: broker.publisher(settings.harvest.unconfirmed_batches_max),
            routing_key: RoutingKey::new(&format!("harvest.{name}"))
                .with_context(|| format!("make a routing key of folder {name:?}"))?,
            meters: Meters::new(&ctx.metrics, name),
            window: settings.harvest.unconfirmed_batches_max,
            stop: ctx.stop.clone(),
            give_up: give_up.clone(),
        };
        let watched = Folder {
            settings: folder.clone(),
            plan: Arc::new(Plan::new(&settings.harvest, folder)?),
            scanner: Scanner::new(folder)?,
            carrier,
            files_max: settings.harvest.files_max,
        };
        tracing::info!(folder = name, path = ?folder.path, follow = folder.follow, "watching");
        let span = tracing::info_span!("folder", service = STAGE, folder = name);
        folders.spawn(watched.run().instrument(span));
    }
    let health = ctx.health.component(STAGE);
    let all = async {
        while let Some(ended) = folders.join_next().await {
            ended.context("watch a folder")?;
        }
        Ok(())
    };
    let deadline = async {
        ctx.stop.cancelled().await;
        sleep(ctx.grace.mul_f64(DRAIN_SHARE)).await;
        give_up.cancel();
        pending().await
    };
    tokio::select! {
        // Only the first ever ends.
        ended = all => ended,
        () = deadline => Ok(()),
        () = watch_broker(&broker, &health) => Ok(()),
    }
}

/// Shows in `/readyz` whether what is read can be published.
async fn watch_broker(broker: &Broker, health: &Component) {
    let mut state = broker.state();
    loop {
        match &*state.borrow_and_update() {
            BrokerState::Ready => health.ready(),
            state => health.not_ready(format!("broker: {state}")),
        }
        if state.changed().await.is_err() {
            return pending().await;
        }
    }
}
