//! Glue: a process of its own around [`syslog_server::Server`].

use std::process::ExitCode;

use anyhow::Context as _;
use broker::{Broker, Topology};
use service::{ServiceSpec, run_main};
use syslog_server::Server;

const SPEC: ServiceSpec = ServiceSpec {
    name: "syslog-server",
    about: "Takes syslog by RELP, TCP, TLS and UDP and publishes it as raw batches",
    examples: "  syslog-server --config /etc/logferry/logferry.toml
      Run with this settings file
  syslog-server --check --config logferry.toml
      Tell every mistake in the settings, and exit
  LOGFERRY_BROKER__URL=amqp://logferry:secret@rabbit.example/logs syslog-server
      Take the broker from the environment",
    version: env!("CARGO_PKG_VERSION"),
    check: |_| Ok(()),
};

fn main() -> ExitCode {
    run_main(SPEC, |settings, ctx| async move {
        let server =
            Server::bind(&settings.syslog_server)?.with_rescue(&settings.broker, &settings.rescue)?;
        let broker = Broker::connect(&settings.broker, SPEC.name)
            .await
            .context("connect to broker")?;
        ctx.metrics.collect(broker.collector());
        let speaker = broker.clone();
        let _pulse = syslog_server::PULSE.start(&ctx, move |key, beat| speaker.announce(key, beat));
        ctx.started();
        // What is taken before anybody ran `logferry init` needs a queue to go to.
        let declaring = tokio::spawn(broker.clone().declare_when_ready(Topology::new([])));
        let ended = server.run(broker.clone(), ctx).await;
        declaring.abort();
        broker.close().await;
        ended
    })
}
