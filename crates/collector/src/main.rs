//! Glue: a process of its own around [`collector::run`].

use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use service::{ServiceSpec, run_main};

const SPEC: ServiceSpec = ServiceSpec {
    name: "collector",
    about: "Returns batches from the rescue queues to the broker",
    examples: "  collector --config /etc/logferry/logferry.toml
      Run with this settings file, beside the syslog-server of this host
  collector --check
      Tell every mistake in the settings, and exit",
    version: env!("CARGO_PKG_VERSION"),
    check: |_| Ok(()),
};

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
