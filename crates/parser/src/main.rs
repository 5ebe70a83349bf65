//! The parser as a process of its own.

use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use parser::Parser;
use service::ServiceSpec;

fn main() -> ExitCode {
    let spec = ServiceSpec {
        name: "parser",
        about: "Turns raw batches into events: syslog grammar, rules, routing.",
        examples: "  parser --check                  tells what is wrong with the settings and rules
  parser --config logferry.toml   parses until it is told to stop\n",
        version: env!("CARGO_PKG_VERSION"),
        check: |settings| {
            parser::compile_rules(&settings.parser)?;
            Ok(())
        },
    };
    service::run_main(spec, |settings, ctx| async move {
        let broker = Broker::connect(&settings.broker, "parser")
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
