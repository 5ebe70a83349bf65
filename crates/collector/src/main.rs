//! Glue: a process of its own around [`collector::run`].

use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use collector::SPEC;
use service::run_main;

fn main() -> ExitCode {
    run_main(SPEC, |settings, ctx| async move {
        let broker = Broker::connect(&settings.broker, SPEC.name)
            .await
            .context("connect to broker")?;
        ctx.metrics.collect(broker.collector());
        let speaker = broker.clone();
        let _pulse = collector::PULSE.start(&ctx, move |key, beat| speaker.announce(key, beat));
        ctx.started();
        let ended = collector::run(&settings.collector, &settings.rescue, broker.clone(), ctx).await;
        broker.close().await;
        ended
    })
}
