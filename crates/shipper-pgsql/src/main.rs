//! The shipper as a process of its own.

use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use service::{Context, ServiceSpec};
use settings::Settings;
use shipper_pgsql::{STAGE, Shipper};
use store::Store;

fn main() -> ExitCode {
    let spec = ServiceSpec {
        name: STAGE,
        about: "Takes event batches from its queue and writes them to the store as rows.",
        examples: "  shipper-pgsql --check                          tells what is wrong with the settings\n  \
                   shipper-pgsql --config /etc/logferry.toml      runs until it is told to stop\n",
        version: env!("CARGO_PKG_VERSION"),
        check: |_| Ok(()),
    };
    service::run_main(spec, run)
}

async fn run(settings: Settings, ctx: Context) -> anyhow::Result<()> {
    let store = Store::connect(&settings.store).context("use the store")?;
    let broker = Broker::connect(&settings.broker, STAGE)
        .await
        .context("use the broker")?;
    ctx.metrics.collect(broker.collector());
    let speaker = broker.clone();
    let _pulse = shipper_pgsql::PULSE.start(&ctx, move |key, beat| speaker.announce(key, beat));
    let shipper = Shipper::start(
        &settings.shipper_pgsql,
        store.clone(),
        broker.clone(),
        ctx.clone(),
    )
    .await?;
    let result = match shipper {
        Some(shipper) => {
            ctx.started();
            shipper.run().await
        }
        None => Ok(()),
    };
    broker.close().await;
    store.close().await;
    result
}
