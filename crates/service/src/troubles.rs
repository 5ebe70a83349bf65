//! The last warning or error that each crate of this process logged, for heartbeats.

use std::{collections::HashMap, fmt::Write as _, sync::LazyLock};

use jiff::Timestamp;
use parking_lot::Mutex;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::heartbeat::Trouble;

/// Text that is longer is cut.
const TEXT_BYTES_MAX: usize = 500;
/// Crates whose troubles are kept; there are not as many.
const CRATES_MAX: usize = 64;
/// Crates that are a service each: what one logs is not the trouble of another in the same process.
const SERVICES: [&str; 8] = [
    "syslog_server",
    "harvest",
    "collector",
    "parser",
    "shipper_pgsql",
    "shipper_fs",
    "shipper_syslog",
    "web",
];

/// By crate. There is one log in a process.
static LAST: LazyLock<Mutex<HashMap<String, Trouble>>> = LazyLock::new(Mutex::default);

/// The last trouble of `service` and of the libraries that it uses.
pub(crate) fn last(service: &str) -> Option<Trouble> {
    let last = LAST.lock();
    let of_service = last.iter().filter(|(name, _)| !is_of_another(name, service));
    of_service
        .map(|(_, trouble)| trouble)
        .max_by_key(|trouble| trouble.at)
        .cloned()
}

/// Whether a name is that of a service, and not of this one.
pub(crate) fn is_of_another(name: &str, service: &str) -> bool {
    let of_services = |name: &str| SERVICES.contains(&name.replace('-', "_").as_str());
    of_services(name) && name.replace('-', "_") != service.replace('-', "_")
}

/// Takes note of warnings and errors.
#[derive(Debug)]
pub(crate) struct Notes;

impl<S: Subscriber> Layer<S> for Notes {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            _ => return,
        };
        let mut text = Text::default();
        event.record(&mut text);
        let name = metadata.target().split("::").next().unwrap_or_default();
        let trouble = Trouble {
            at: Timestamp::now(),
            level: level.to_owned(),
            text: text.cut(),
        };
        let mut last = LAST.lock();
        if last.len() < CRATES_MAX || last.contains_key(name) {
            last.insert(name.to_owned(), trouble);
        }
    }
}

/// The message, and then the fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn cut(mut self) -> String {
        self.message.push_str(&self.fields);
        let end = self.message.floor_char_boundary(TEXT_BYTES_MAX);
        if end < self.message.len() {
            self.message.truncate(end);
            self.message.push('…');
        }
        self.message
    }

    fn put(&mut self, field: &Field, value: std::fmt::Arguments<'_>) {
        let written = if field.name() == "message" {
            write!(self.message, "{value}")
        } else if self.fields.len() < TEXT_BYTES_MAX {
            write!(self.fields, " {}={value}", field.name())
        } else {
            Ok(())
        };
        written.expect("writing to a string does not fail");
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn the_last_trouble_of_a_service_is_its_own_or_that_of_a_library() {
        let subscriber = tracing_subscriber::registry().with(Notes);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "parser::pool", "older");
            tracing::error!(target: "shipper_fs::writer", error = %"disk full", "cannot write");
            tracing::info!(target: "shipper_fs", "all is well");
        });
        let trouble = last("shipper-fs").expect("there is one");
        assert_eq!(
            (trouble.level.as_str(), trouble.text.as_str()),
            ("error", "cannot write error=disk full")
        );
        assert!(last("parser").is_some_and(|trouble| trouble.text == "older"));
        assert_eq!(last("harvest"), None);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = Text {
            message: "ä".repeat(TEXT_BYTES_MAX),
            fields: String::new(),
        };
        let cut = text.cut();
        assert!(cut.len() <= TEXT_BYTES_MAX + 3 && cut.ends_with('…'));
    }
}
