//! The parser as a process of its own.

use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use parser::{Parser, SPEC};

fn main() -> ExitCode {
    service::run_main(SPEC, |settings, ctx| async move {
        let broker = Broker::connect(&settings.broker, SPEC.name)
            .await
            .context("connect to the broker")?;
        ctx.metrics.collect(broker.collector());
        let speaker = broker.clone();
        let _pulse = parser::PULSE.start(&ctx, move |key, beat| speaker.announce(key, beat));
        let parser = Parser::start(&settings, broker.clone(), ctx.clone()).await?;
        ctx.started();
        if let Some(parser) = parser {
            parser.run().await?;
        }
        broker.close().await;
        Ok(())
    })
}
