//! Glue: a process of its own around [`web::Server`].

use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use service::{Context, ServiceSpec, run_main};
use settings::Settings;
use store::Store;

const SPEC: ServiceSpec = ServiceSpec {
    name: web::STAGE,
    about: "Serves the web pages: search, live tail, pipeline, dead letters, sources",
    examples: "  web --config /etc/logferry/logferry.toml
      Run with this settings file; the pages are at web.address
  web --set web.address=0.0.0.0:8080
      For other machines too: the first start prints a link by which the first account is made
  web --check
      Tell every mistake in the settings, and exit",
    version: env!("CARGO_PKG_VERSION"),
    check: |settings| {
        anyhow::ensure!(
            settings.web.address.is_some(),
            "web.address is \"off\": set it to the address of the pages, such as 127.0.0.1:8080"
        );
        Ok(())
    },
};

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
