//! How the broker's counters look in `/metrics`.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use prometheus_client::{encoding::NoLabelSet, metrics::MetricType};
use tokio::sync::watch;

use crate::{
    broker::snapshot,
    counters::{CounterSnapshot, Counters, LATENCY_BOUNDS},
    state::BrokerState,
};

/// The counters of one [`Broker`](crate::Broker) as Prometheus is to see them. It stays good after the broker was closed.
#[derive(Debug)]
pub struct BrokerCollector {
    state: watch::Receiver<BrokerState>,
    counters: Arc<Counters>,
}

/// Name without its prefix and suffix, help, and where it stands.
type Row = (&'static str, &'static str, fn(&CounterSnapshot) -> u64);

const COUNTERS: [Row; 13] = [
    ("messages_published", "Messages handed to the broker", |now| {
        now.published
    }),
    (
        "messages_confirmed",
        "Messages that the broker confirmed",
        |now| now.confirmed,
    ),
    ("messages_returned", "Messages that no queue took", |now| {
        now.returned
    }),
    (
        "messages_nacked",
        "Messages that the broker refused for now",
        |now| now.nacked,
    ),
    (
        "messages_timed_out",
        "Messages without a verdict within broker.confirm_timeout",
        |now| now.timed_out,
    ),
    (
        "messages_lost",
        "Messages whose connection ended before the verdict",
        |now| now.lost,
    ),
    ("deliveries_received", "Deliveries received", |now| now.delivered),
    ("deliveries_acked", "Deliveries acknowledged", |now| now.acked),
    ("deliveries_requeued", "Deliveries given back", |now| now.requeued),
    (
        "deliveries_dead_lettered",
        "Deliveries that became dead letters as a whole",
        |now| now.dead_lettered,
    ),
    (
        "deliveries_settled_late",
        "Deliveries settled after their channel had ended, which come again",
        |now| now.stale_settlements,
    ),
    (
        "deliveries_dropped",
        "Deliveries dropped without a disposition and given back, which is a bug",
        |now| now.dropped_unsettled,
    ),
    ("reconnects", "Connections made after the first", |now| {
        now.reconnects
    }),
];

const GAUGES: [Row; 2] = [
    ("messages_unconfirmed", "Messages without a verdict yet", |now| {
        now.unconfirmed
    }),
    (
        "deliveries_unsettled",
        "Deliveries handed over and not settled yet",
        |now| now.unsettled,
    ),
];

impl BrokerCollector {
    pub(crate) const fn new(state: watch::Receiver<BrokerState>, counters: Arc<Counters>) -> Self {
        Self { state, counters }
    }
}

impl Default for BrokerCollector {
    /// Of no broker, for `docs/metrics.md`.
    fn default() -> Self {
        let (_, state) = watch::channel(BrokerState::Closed);
        Self::new(state, Arc::default())
    }
}

impl Collector for BrokerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = snapshot(&self.state, &self.counters);
        for (name, help, value) in COUNTERS {
            put(&mut encoder, name, help, None, &ConstCounter::new(value(&now)))?;
        }
        for (name, help, value) in GAUGES {
            let value = i64::try_from(value(&now)).unwrap_or(i64::MAX);
            put(&mut encoder, name, help, None, &ConstGauge::new(value))?;
        }
        let is_ready = i64::from(self.state.borrow().is_ready());
        let help = "1 while the broker takes publishes, 0 while it is away or blocks them";
        put(&mut encoder, "ready", help, None, &ConstGauge::new(is_ready))?;
        let blocked = ConstCounter::new(now.blocked_seconds);
        let help = "Time in which the broker blocked publishers";
        put(&mut encoder, "blocked", help, Some(&Unit::Seconds), &blocked)?;
        latency(&mut encoder, &now)
    }
}

fn put(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    let name = format!("logferry_broker_{name}");
    let encoder = encoder.encode_descriptor(&name, help, unit, metric.metric_type())?;
    metric.encode(encoder)
}

fn latency(encoder: &mut DescriptorEncoder<'_>, now: &CounterSnapshot) -> Result<(), fmt::Error> {
    let mut encoder = encoder.encode_descriptor(
        "logferry_broker_confirm",
        "From a publish to the broker's confirm",
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    let bounds = LATENCY_BOUNDS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(now.confirm_latency).collect();
    // Of the same moment as the buckets, which is not quite that of `confirmed`.
    let count = now.confirm_latency.iter().sum();
    encoder.encode_histogram::<NoLabelSet>(now.confirm_latency_seconds, count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use prometheus_client::{encoding::text, registry::Registry};

    use super::*;

    fn scrape(state: BrokerState, counters: Arc<Counters>) -> String {
        let mut registry = Registry::default();
        let (_state, state) = watch::channel(state);
        registry.register_collector(Box::new(BrokerCollector::new(state, counters)));
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn shows_counters_gauges_and_the_histogram() {
        let counters = Arc::new(Counters::default());
        counters.published.add(3);
        counters.unconfirmed.add(1);
        counters.confirmed_after(Duration::from_millis(1));
        counters.confirmed_after(Duration::from_millis(30));
        counters.blocked_for(Duration::from_millis(1500));
        let text = scrape(BrokerState::Ready, counters);
        for line in [
            "# TYPE logferry_broker_messages_published counter",
            "logferry_broker_messages_published_total 3",
            "logferry_broker_messages_confirmed_total 2",
            "# TYPE logferry_broker_messages_unconfirmed gauge",
            "logferry_broker_messages_unconfirmed 1",
            "logferry_broker_deliveries_unsettled 0",
            "logferry_broker_ready 1",
            "logferry_broker_blocked_seconds_total 1.5",
            "# TYPE logferry_broker_confirm_seconds histogram",
            "logferry_broker_confirm_seconds_bucket{le=\"0.001\"} 1",
            "logferry_broker_confirm_seconds_bucket{le=\"0.05\"} 2",
            "logferry_broker_confirm_seconds_bucket{le=\"+Inf\"} 2",
            "logferry_broker_confirm_seconds_sum 0.031",
            "logferry_broker_confirm_seconds_count 2",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
    }

    #[test]
    fn a_block_that_lasts_is_counted_already() {
        let since = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let reason = "low on memory".to_owned();
        let text = scrape(BrokerState::Blocked { since, reason }, Arc::default());
        assert!(text.contains("\nlogferry_broker_ready 0\n"), "{text}");
        let name = "logferry_broker_blocked_seconds_total ";
        let seconds = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("it is shown");
        assert!(seconds.parse::<f64>().unwrap() >= 5.0, "{text}");
    }
}
