//! Log lines of the process itself, to stderr.

use std::{
    io::{self, IsTerminal},
    panic,
    sync::OnceLock,
};

use settings::{LogFormat, ServiceSettings};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use crate::troubles::Notes;

/// Where the filter can be changed. There is one log in a process.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// What the AMQP library logs by itself.
const AMQP_LIBRARY: &str = "lapin";

/// Starts tracing. Panics become log lines too, so that whoever collects JSON gets nothing else.
///
/// # Errors
///
/// The filter is wrong, or tracing was started before.
pub fn start(settings: &ServiceSettings) -> anyhow::Result<()> {
    let (filter, handle) = reload::Layer::new(filter(settings)?);
    let lines = fmt::layer().with_writer(io::stderr);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match settings.log_format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .with(Notes.with_filter(without_libraries(Targets::new().with_default(LevelFilter::WARN))))
        .try_init()?;
    // There is none yet: a second start has failed above.
    LEVEL.get_or_init(|| handle);
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("no text");
        tracing::error!(panic = text, place, "panicked");
    }));
    Ok(())
}

/// The lines that these settings want.
///
/// # Errors
///
/// The filter is wrong.
pub(crate) fn filter(settings: &ServiceSettings) -> anyhow::Result<Targets> {
    Ok(without_libraries(settings.log_level.parse()?))
}

/// Logs other lines from now on.
pub(crate) fn change(filter: Targets) {
    if let Some(Err(error)) = LEVEL.get().map(|level| level.reload(filter)) {
        tracing::error!(%error, "log level not changed");
    }
}

/// The AMQP library reports each lost connection as errors of its own, several times, and returned messages with their
/// whole bodies. The broker crate tells of both, once. So the library is quiet unless the filter names it; the bodies
/// of messages are never shown.
fn without_libraries(filter: Targets) -> Targets {
    let is_named = filter
        .iter()
        .any(|(target, _)| target.split("::").next() == Some(AMQP_LIBRARY));
    let filter = if is_named {
        filter
    } else {
        filter.with_target(AMQP_LIBRARY, LevelFilter::OFF)
    };
    filter.with_target("lapin::returned_messages", LevelFilter::OFF)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    #[test]
    fn the_amqp_library_is_quiet_unless_it_is_named() {
        let level = |filter: &str, target: &str| {
            let filter = without_libraries(filter.parse().expect("a filter"));
            let levels = [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO];
            let passes = |level: &LevelFilter| {
                let level = level.into_level().expect("not off");
                filter.would_enable(target, &level)
            };
            levels.into_iter().filter(passes).count()
        };
        assert_eq!(level("info", "lapin::channel"), 0);
        assert_eq!(level("info", "broker::amqp"), 3);
        assert_eq!(level("info,lapin=warn", "lapin::channel"), 2);
        assert_eq!(level("info,lapin::channel=error", "lapin::channel"), 1);
        assert_eq!(level("info,lapin=info", "lapin::returned_messages"), 0);
    }
}
