//! Glue: a process of its own around [`harvest::run`].

use std::process::ExitCode;

use anyhow::Context as _;
use broker::{Broker, Topology};
use service::{ServiceSpec, run_main};

const SPEC: ServiceSpec = ServiceSpec {
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
};

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
