//! The shipper as a process of its own.

use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use service::Context;
use settings::Settings;
use shipper_fs::{SPEC, STAGE, Shipper};

fn main() -> ExitCode {
    service::run_main(SPEC, run)
}

async fn run(settings: Settings, ctx: Context) -> anyhow::Result<()> {
    let broker = Broker::connect(&settings.broker, STAGE)
        .await
        .context("use the broker")?;
    ctx.metrics.collect(broker.collector());
    let speaker = broker.clone();
    let _pulse = shipper_fs::PULSE.start(&ctx, move |key, beat| speaker.announce(key, beat));
    let shipper = Shipper::start(&settings.shipper_fs, broker.clone(), ctx.clone()).await?;
    let result = match shipper {
        Some(shipper) => {
            ctx.started();
            shipper.run().await
        }
        None => Ok(()),
    };
    broker.close().await;
    result
}
