//! Glue: a process of its own around [`syslog_server::Server`].

use std::process::ExitCode;

use anyhow::Context as _;
use broker::{Broker, Topology};
use service::run_main;
use syslog_server::{Inherited, SPEC, Server};

fn main() -> ExitCode {
    run_main(SPEC, |settings, ctx| async move {
        let server = Server::bind_or_inherit(&settings.syslog_server, Inherited::from_env()?)?
            .over_queues(settings.parser.queues)
            .with_rescue(&settings.broker, &settings.rescue)?;
        let broker = Broker::connect(&settings.broker, SPEC.name)
            .await
            .context("connect to broker")?;
        ctx.metrics.collect(broker.collector());
        let speaker = broker.clone();
        let _pulse = syslog_server::PULSE.start(&ctx, move |key, beat| speaker.announce(key, beat));
        ctx.started();
        // What is taken before anybody ran `logferry init` needs a queue to go to.
        let declaring = tokio::spawn(
            broker
                .clone()
                .declare_when_ready(Topology::new([]).spread(settings.parser.queues)),
        );
        let ended = server.run(broker.clone(), ctx).await;
        declaring.abort();
        broker.close().await;
        ended
    })
}
