//! Log lines of the process itself, to stderr.

use std::{
    io::{self, IsTerminal},
    panic,
};

use settings::{LogFormat, ServiceSettings};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Starts tracing. Panics become log lines too, so that whoever collects JSON gets nothing else.
///
/// # Errors
///
/// The filter is wrong, or tracing was started before.
pub fn start(settings: &ServiceSettings) -> anyhow::Result<()> {
    let filter: Targets = settings.log_level.parse()?;
    // The AMQP library warns of returned messages with their whole bodies; the broker crate tells of them without.
    let filter = filter.with_target("lapin::returned_messages", LevelFilter::OFF);
    let lines = fmt::layer().with_writer(io::stderr);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match settings.log_format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()?;
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("no text");
        tracing::error!(panic = text, place, "panicked");
    }));
    Ok(())
}
