//! What the parser counts, beside what every stage counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use broker::QueueName;
use parking_lot::{Mutex, RwLock};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
};
use rules::{DEFAULT_ROUTE, ProgramFailures, RuleChain};
use service::{Metrics, StageCounters};

use crate::{STAGE, fill::MeanSize, throttle::Throttle, worker::Parsed};

/// The label of routes that rules worked out from the event: there is no end to them.
const OTHER_ROUTE: &str = "other";

/// Counters of one parser. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    pub(crate) stage: StageCounters,
    routes: Family<RouteLabel, Counter>,
    defects: Family<DefectLabel, Counter>,
    programs: Arc<Programs>,
    known_routes: Arc<RwLock<BTreeSet<String>>>,
    parked: Family<QueueLabel, Gauge>,
    queue_messages: Family<QueueLabel, Gauge>,
    queue_bytes: Family<QueueLabel, Gauge>,
    queue_bytes_max: Family<QueueLabel, Gauge>,
    output_bytes: Histogram,
    /// Of raw batches.
    pub(crate) raw_size: Arc<MeanSize>,
    /// Of event batches.
    pub(crate) output_size: Arc<MeanSize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: String,
}

#[derive(Debug)]
struct Programs {
    failed: Family<ProgramLabel, Counter>,
    aborted: Family<ProgramLabel, Counter>,
    /// By program.
    log: Mutex<BTreeMap<String, Throttle>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DefectLabel {
    defect: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProgramLabel {
    program: String,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics, chain: &RuleChain) -> Self {
        let meters = Self {
            stage: StageCounters::new(metrics, STAGE),
            routes: metrics.register(
                "logferry_parser_routed_total",
                "Events that the broker has, by the route that rules chose.",
                Family::default(),
            ),
            defects: metrics.register(
                "logferry_parser_defects_total",
                "Events with a defect, by defect.",
                Family::default(),
            ),
            programs: Arc::new(Programs {
                log: Mutex::default(),
                failed: metrics.register(
                    "logferry_parser_rule_failures_total",
                    "Events on which a program failed at run time.",
                    Family::default(),
                ),
                aborted: metrics.register(
                    "logferry_parser_rule_aborts_total",
                    "Events on which a program said abort.",
                    Family::default(),
                ),
            }),
            known_routes: Arc::new(RwLock::new(BTreeSet::from([DEFAULT_ROUTE.to_owned()]))),
            parked: metrics.register(
                "logferry_parked_batches",
                "Batches that wait in this parser's file queue for room in a shipper's queue.",
                Family::default(),
            ),
            queue_messages: metrics.register(
                "logferry_queue_messages",
                "Batches that wait in a queue; absent while it is not known.",
                Family::default(),
            ),
            queue_bytes: metrics.register(
                "logferry_queue_bytes",
                "Their bytes; with RabbitMQ an estimate from the mean size of batches.",
                Family::default(),
            ),
            queue_bytes_max: metrics.register(
                "logferry_queue_bytes_max",
                "The bound of a queue, at which it refuses batches.",
                Family::default(),
            ),
            output_bytes: metrics.register(
                "logferry_parser_batch_bytes",
                "Bytes of an event batch as it is published.",
                Histogram::new(exponential_buckets(512.0, 4.0, 9)),
            ),
            raw_size: Arc::default(),
            output_size: Arc::default(),
        };
        meters.know(chain);
        meters
    }

    /// These rules are in force. Routes of rules before them are known still: their batches are under way.
    pub(crate) fn know(&self, chain: &RuleChain) {
        self.known_routes.write().extend(chain.routes().iter().cloned());
        for reason in chain.drop_reasons() {
            // Visible from the start: a reason that never came up is known to be zero.
            self.stage.dropped(reason, 0);
        }
    }

    /// So many batches are parked for the shipper with this queue.
    pub(crate) fn parked(&self, queue: &QueueName, batches: u64) {
        set(&self.parked, queue, Some(batches));
    }

    /// How full a queue is; what is not known is not told.
    pub(crate) fn fill(&self, queue: &QueueName, messages: Option<u64>, bytes: Option<u64>, bytes_max: u64) {
        set(&self.queue_messages, queue, messages);
        set(&self.queue_bytes, queue, bytes);
        set(&self.queue_bytes_max, queue, Some(bytes_max));
    }

    /// An event batch of this size is published.
    pub(crate) fn published(&self, bytes: usize) {
        self.output_size.add(bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.output_bytes.observe(f64::from(bytes));
    }

    /// What is known when a batch is parsed.
    pub(crate) fn parsed(&self, parsed: &Parsed) {
        self.stage.received(parsed.frames);
        for (defect, count) in parsed.defects.iter() {
            self.defects
                .get_or_create_owned(&DefectLabel { defect })
                .inc_by(count);
        }
        for (program, failures) in &parsed.failures {
            self.programs.note(program, failures);
        }
    }

    /// The broker has `events` events of `route`.
    pub(crate) fn sent(&self, route: &str, events: u64) {
        self.stage.sent(events);
        let route = if self.known_routes.read().contains(route) {
            route
        } else {
            OTHER_ROUTE
        };
        let label = RouteLabel {
            route: route.to_owned(),
        };
        self.routes.get_or_create_owned(&label).inc_by(events);
    }
}

/// Registers what the parser has, with a sample of each set of labels.
pub(crate) fn describe(metrics: &Metrics) {
    let chain = RuleChain::compile(&[]).expect("no program has no mistakes");
    let meters = Meters::new(metrics, &chain);
    let queue = QueueName::parser();
    meters.parked(&queue, 0);
    meters.fill(&queue, Some(0), Some(0), 0);
    meters.sent(DEFAULT_ROUTE, 0);
    drop(meters.defects.get_or_create(&DefectLabel { defect: "" }));
    for family in [&meters.programs.failed, &meters.programs.aborted] {
        let program = String::new();
        drop(family.get_or_create(&ProgramLabel { program }));
    }
}

fn set(family: &Family<QueueLabel, Gauge>, queue: &QueueName, value: Option<u64>) {
    let label = QueueLabel {
        queue: queue.to_string(),
    };
    match value {
        Some(value) => {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create_owned(&label).set(value);
        }
        None => {
            family.remove(&label);
        }
    }
}

impl Programs {
    fn note(&self, name: &str, failures: &ProgramFailures) {
        let label = ProgramLabel {
            program: name.to_owned(),
        };
        if failures.aborted > 0 {
            self.aborted.get_or_create_owned(&label).inc_by(failures.aborted);
        }
        if failures.failed == 0 {
            return;
        }
        self.failed.get_or_create_owned(&label).inc_by(failures.failed);
        let line = self
            .log
            .lock()
            .entry(name.to_owned())
            .or_default()
            .pass(failures.failed);
        if let Some(events) = line {
            tracing::warn!(program = name, events, "a rule failed; `debug` tells why");
        }
        // VRL's messages quote the event.
        tracing::debug!(program = name, error = failures.last_error, "a rule failed");
    }
}
