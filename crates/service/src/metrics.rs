//! The registry behind `/metrics`; what is counted stands with the code that counts.

use std::{any::Any, collections::HashMap, fmt, sync::Arc};

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{EncodeLabelSet, EncodeMetric, text},
    metrics::{MetricType, family::Family, gauge::Gauge},
    registry::{Metric, Registry},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    service: String,
    version: &'static str,
}

/// All metrics of one process. Cheap to clone; every clone is the same registry.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Mutex<Inner>>,
    /// Of all stages together, for the last log line.
    in_flight: Gauge,
}

#[derive(Default)]
struct Inner {
    registry: Registry,
    /// By name, so that two stages of one process share a family instead of exposing it twice.
    registered: HashMap<String, Box<dyn Any + Send>>,
}

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::default(),
            in_flight: Gauge::default(),
        }
    }

    /// Exposes `metric` under `name`, as it is to be scraped, and returns a handle on it.
    ///
    /// A name that is there already gives the handle registered first, so that stages which share a process share
    /// their families and tell themselves apart by a label.
    ///
    /// # Panics
    ///
    /// When `name` is there already with another type of metric, which is a bug of ours.
    pub fn register<M>(&self, name: &str, help: &str, metric: M) -> M
    where
        M: Metric + Clone,
    {
        let mut inner = self.inner.lock();
        if let Some(first) = inner.registered.get(name) {
            let first = first.downcast_ref::<M>();
            return first.expect("one name has one type of metric").clone();
        }
        // The encoder writes the suffix itself.
        let is_counter = matches!(EncodeMetric::metric_type(&metric), MetricType::Counter);
        let exposed = if is_counter {
            name.strip_suffix("_total").unwrap_or(name)
        } else {
            name
        };
        inner
            .registry
            .register(exposed, help.trim_end_matches('.'), metric.clone());
        inner.registered.insert(name.to_owned(), Box::new(metric.clone()));
        metric
    }

    /// Exposes what `collector` reads at each scrape: numbers that a library counts in a way of its own, such as
    /// those of the broker. A process has one of each.
    pub fn collect(&self, collector: impl Collector) {
        self.inner.lock().registry.register_collector(Box::new(collector));
    }

    /// Tells what runs here, and since when.
    pub fn of_process(&self, service: &str, since: Timestamp) {
        let labels = BuildLabels {
            service: service.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
        };
        let build: Family<BuildLabels, Gauge> = self.register(
            "logferry_build_info",
            "Always 1: the labels tell what runs.",
            Family::default(),
        );
        build.get_or_create_owned(&labels).set(1);
        let started: Gauge = self.register(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
            Gauge::default(),
        );
        started.set(since.as_second());
        self.settings_read(true, since);
    }

    /// Settings were read, and are in force if they are good.
    pub(crate) fn settings_read(&self, is_good: bool, at: Timestamp) {
        let successful: Gauge = self.register(
            "logferry_settings_reload_successful",
            "1 while the process runs by the settings that it read last; 0 when it refused them and runs by older ones.",
            Gauge::default(),
        );
        successful.set(i64::from(is_good));
        let read: Gauge = self.register(
            "logferry_settings_read_time_seconds",
            "When the settings by which the process runs were read, in seconds since 1970.",
            Gauge::default(),
        );
        if is_good {
            read.set(at.as_second());
        }
    }

    pub(crate) const fn all_in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    /// Batches and deliveries that no stage of the process has settled.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// What `/metrics` answers: the OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.inner.lock().registry).expect("writing to a string does not fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registered = self.inner.lock().registered.len();
        f.debug_struct("Metrics")
            .field("registered", &registered)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn a_counter_is_scraped_under_the_name_it_was_given() {
        let metrics = Metrics::new();
        let cut = metrics.register("frames_cut_total", "Frames that were cut.", <Counter>::default());
        cut.inc_by(3);
        let text = metrics.encode();
        assert!(text.contains("\nframes_cut_total 3\n"), "{text}");
        assert!(
            text.contains("# HELP frames_cut Frames that were cut.\n"),
            "{text}"
        );
    }

    #[test]
    fn the_same_name_twice_is_the_same_metric() {
        let metrics = Metrics::new();
        let first = metrics.register("open_files", "Open files.", <Gauge>::default());
        let second = metrics
            .clone()
            .register("open_files", "Open files.", <Gauge>::default());
        first.set(2);
        assert_eq!(second.get(), 2);
        assert_eq!(metrics.encode().matches("# HELP open_files").count(), 1);
    }
}
