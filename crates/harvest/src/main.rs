//! Glue: a process of its own around [`harvest::run`].

use std::process::ExitCode;

use anyhow::Context as _;
use broker::{Broker, Topology};
use harvest::SPEC;
use service::run_main;

fn main() -> ExitCode {
    run_main(SPEC, |settings, ctx| async move {
        let broker = Broker::connect(&settings.broker, SPEC.name)
            .await
            .context("connect to broker")?;
        ctx.metrics.collect(broker.collector());
        let speaker = broker.clone();
        let _pulse = harvest::PULSE.start(&ctx, move |key, beat| speaker.announce(key, beat));
        ctx.started();
        // What is taken before anybody ran `logferry init` needs a queue to go to.
        let declaring = tokio::spawn(broker.clone().declare_when_ready(Topology::new([])));
        let ended = harvest::run(&settings, broker.clone(), ctx).await;
        declaring.abort();
        broker.close().await;
        ended
    })
}
