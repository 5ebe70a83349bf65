//! Glue: a process of its own around [`web::Server`].

use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use service::{Context, run_main};
use settings::Settings;
use store::Store;
use web::SPEC;

fn main() -> ExitCode {
    run_main(SPEC, run)
}

async fn run(settings: Settings, ctx: Context) -> anyhow::Result<()> {
    let server = web::Server::bind(&settings.web)?.context("web.address is \"off\"")?;
    let store = Store::connect(&settings.store).context("use the store")?;
    let broker = Broker::connect(&settings.broker, SPEC.name)
        .await
        .context("use the broker")?;
    ctx.metrics.collect(broker.collector());
    let speaker = broker.clone();
    let _pulse = web::PULSE.start(&ctx, move |key, beat| speaker.announce(key, beat));
    tracing::info!(url = server.url(), "serving pages");
    ctx.started();
    let ended = server.run(settings, store.clone(), broker.clone(), ctx).await;
    broker.close().await;
    store.close().await;
    ended
}
