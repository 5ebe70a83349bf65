//! The shipper as a process of its own.

use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use service::{Context, ServiceSpec};
use settings::Settings;
use shipper_fs::{STAGE, Shipper};

fn main() -> ExitCode {
    let spec = ServiceSpec {
        name: STAGE,
        about: "Takes event batches from its queue and writes them to files.",
        examples: "  shipper-fs --check                          tells what is wrong with the settings\n  \
                   shipper-fs --config /etc/logferry.toml      runs until it is told to stop\n",
        version: env!("CARGO_PKG_VERSION"),
        check: |settings| Ok(shipper_fs::check(&settings.shipper_fs)?),
    };
    service::run_main(spec, run)
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
