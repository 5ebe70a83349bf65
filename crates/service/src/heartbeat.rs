//! What a service tells about itself every few seconds, `proto/status.schema.json`: who it is, what it counted, what
//! went wrong last, what its answers mean, and who is connected.
//!
//! Nothing is counted for it: it is read from the registry behind `/metrics`.

mod samples;

use std::{collections::BTreeMap, fs, process, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::{Context, Durability, clients::Client, troubles};

/// The time between two heartbeats. Pages call a service silent after three.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Clients in one heartbeat: a thousand are about 200 kB.
pub const CLIENTS_MAX: usize = 1000;
/// A name that is longer is no hostname.
const HOST_BYTES_MAX: usize = 253;

/// The state of one service at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Which service, such as `parser`.
    pub service: String,
    /// Which of its processes, ever.
    pub instance: String,
    /// On which host.
    pub host: String,
    /// Of the program.
    pub version: String,
    /// When the process started.
    pub since: Timestamp,
    /// When this was said, by the clock of `host`.
    pub at: Timestamp,
    /// The next one follows after this; none follows when `is_stopping`.
    pub period_ms: u64,
    /// It drains and ends.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_stopping: bool,
    /// What it counted since `since`.
    pub counters: Counters,
    /// How fast, since the heartbeat before; not in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// Seconds since intake began the oldest batch that the service holds; 0 when it holds none, and absent while it holds
    /// some whose age it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_unsettled_s: Option<f64>,
    /// Other numbers of `/metrics` that this service has, by name and labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measures: BTreeMap<String, f64>,
    /// Parts that do not work at present, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<NotReady>,
    /// The last warning or error in its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Trouble>,
    /// What its answers to senders mean; only of intake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<InForce>,
    /// Who is connected; of more than [`CLIENTS_MAX`], the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<Client>,
    /// How many are.
    #[serde(default)]
    pub clients_total: u64,
}

/// What every stage counts, [`StageCounters`](crate::StageCounters).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Events or frames taken in.
    pub received: u64,
    /// Events or frames whose next owner has them durably.
    pub sent: u64,
    /// Batches taken and not settled.
    pub in_flight: i64,
    /// Dropped, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
    /// Gone to the dead letters, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dead_lettered: BTreeMap<String, u64>,
    /// Attempts that failed and are made again, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retried: BTreeMap<String, u64>,
}

/// Events or frames a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Taken in.
    pub received: f64,
    /// Handed on.
    pub sent: f64,
}

/// A part that does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReady {
    /// Which, such as `broker`.
    pub part: String,
    /// Why not.
    pub why: String,
}

/// A warning or error of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When.
    pub at: Timestamp,
    /// `warning` or `error`.
    pub level: String,
    /// What was logged, with its fields.
    pub text: String,
}

/// Who takes custody at intake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The name of a [`Custody`](crate::Custody).
    pub in_force: String,
    /// What may be lost all the same, where the settings accept that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weaker: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// What led to it.
    pub why: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl From<Durability> for InForce {
    fn from(durability: Durability) -> Self {
        Self {
            in_force: durability.custody.name().to_owned(),
            weaker: durability.weaker.map(|weaker| weaker.to_string()),
            since: Timestamp::try_from(durability.since).unwrap_or(Timestamp::UNIX_EPOCH),
            why: durability.why,
        }
    }
}

/// Which service of a process has a pulse. `logferry run` has several.
#[derive(Debug, Clone, Copy)]
pub struct Pulse {
    /// The name of the service and of its stage in the metrics.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// How the names of its own metrics begin, which have no label `stage`.
    pub measures: &'static [&'static str],
}

impl Pulse {
    /// Tells every [`PERIOD`] how the service is, and once more when it stops: `tell` gets the routing key and the
    /// JSON, and must not block. It ends with what is returned.
    pub fn start(
        self,
        ctx: &Context,
        tell: impl Fn(&str, Vec<u8>) + Send + Sync + 'static,
    ) -> AbortOnDropHandle<()> {
        let ctx = ctx.clone();
        let host = hostname();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut before: Option<(Instant, Counters)> = None;
            loop {
                let is_stopping = ctx.stop.run_until_cancelled(ticks.tick()).await.is_none();
                let mut beat = self.beat(&ctx, &host, is_stopping);
                let now = Instant::now();
                beat.rates = before.map(|(at, counters)| rates(&counters, &beat.counters, now - at));
                before = Some((now, beat.counters.clone()));
                match serde_json::to_vec(&beat) {
                    Ok(json) => tell(&format!("{}.{}", beat.service, beat.instance), json),
                    Err(error) => tracing::error!(%error, "a heartbeat is no JSON"),
                }
                if is_stopping {
                    return;
                }
            }
        }))
    }

    fn beat(&self, ctx: &Context, host: &str, is_stopping: bool) -> Heartbeat {
        let text = ctx.metrics.encode();
        let read = samples::read(&text, self.service, self.measures);
        let (clients, clients_total) = ctx.clients().list(self.service, CLIENTS_MAX);
        let is_intake = self.service == "syslog-server";
        let durability = ctx.durability.get().filter(|_| is_intake);
        Heartbeat {
            service: self.service.to_owned(),
            // A full stop would be one more word of the routing key.
            instance: format!("{}-{}", host.replace('.', "-"), process::id()),
            host: host.to_owned(),
            version: self.version.to_owned(),
            since: ctx.since(),
            at: Timestamp::now(),
            period_ms: u64::try_from(PERIOD.as_millis()).unwrap_or(u64::MAX),
            is_stopping,
            oldest_unsettled_s: read.oldest_s(),
            counters: read.counters,
            rates: None,
            measures: read.measures,
            not_ready: ctx
                .health
                .problems(|part| !troubles::is_of_another(part, self.service)),
            last_error: troubles::last(self.service),
            durability: durability.map(InForce::from),
            clients,
            clients_total,
        }
    }
}

fn rates(before: &Counters, now: &Counters, time: Duration) -> Rates {
    // Counters of a process only rise; the loss of precision begins far above any rate.
    #[expect(clippy::cast_precision_loss, reason = "differences are far below 2^53")]
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / time.as_secs_f64().max(1e-3);
    Rates {
        received: rate(before.received, now.received),
        sent: rate(before.sent, now.sent),
    }
}

/// The name of this host, of characters that a routing key can have.
fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(HOST_BYTES_MAX)
        .collect();
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;
    use crate::{Custody, StageCounters};

    const SCHEMA: &str = include_str!("../../../proto/status.schema.json");

    const PULSE: Pulse = Pulse {
        service: "syslog-server",
        version: "1.2.3",
        measures: &["logferry_intake_"],
    };

    fn is_valid(beat: &Value) {
        let schema: Value = serde_json::from_str(SCHEMA).expect("is JSON");
        let validator = jsonschema::validator_for(&schema).expect("is a schema");
        let problems: Vec<_> = validator
            .iter_errors(beat)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{problems:#?} in {beat:#}");
    }

    fn client() -> Client {
        Client {
            peer_addr: "192.0.2.1:1000".to_owned(),
            listener: "relp".to_owned(),
            protocol: "relp".to_owned(),
            tls_name: Some("web01".to_owned()),
            since: Timestamp::UNIX_EPOCH,
            frames: 7,
            bytes: 700,
            last_at: Some(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_full_heartbeat_and_an_empty_one_are_as_the_schema_says() {
        let ctx = Context::new(Duration::from_secs(1));
        is_valid(&serde_json::to_value(PULSE.beat(&ctx, "web01", false)).expect("is JSON"));

        let counters = StageCounters::new(&ctx.metrics, "syslog-server");
        counters.received(5);
        counters.sent(4);
        counters.dropped("a \"quoted\" reason", 1);
        counters.taken(2);
        let _old = counters.hold(0);
        StageCounters::new(&ctx.metrics, "parser").received(99);
        ctx.health.component("broker").not_ready("it is away");
        ctx.durability.set(Custody::Quorum, None, "the broker is ready");
        ctx.clients().provide("syslog-server", |_| (vec![client()], 1));
        let mut beat = PULSE.beat(&ctx, "web01", true);
        beat.rates = Some(Rates::default());
        assert_eq!(
            (
                beat.counters.received,
                beat.counters.sent,
                beat.counters.in_flight
            ),
            (5, 4, 2)
        );
        assert_eq!(beat.counters.dropped.get("a \"quoted\" reason"), Some(&1));
        assert!(
            beat.oldest_unsettled_s.is_some_and(|age| age > 1e9),
            "since 1970: {:?}",
            beat.oldest_unsettled_s
        );
        assert_eq!(
            beat.durability.as_ref().map(|now| now.in_force.as_str()),
            Some("quorum")
        );
        assert_eq!(beat.clients, [client()]);
        let json = serde_json::to_value(&beat).expect("is JSON");
        is_valid(&json);
        let back: Heartbeat = serde_json::from_value(json).expect("is a heartbeat");
        assert_eq!(back, beat);

        // Intake's alone.
        let parser = Pulse {
            service: "parser",
            ..PULSE
        };
        let beat = parser.beat(&ctx, "web01", false);
        assert_eq!((beat.counters.received, beat.durability), (99, None));
        assert!(beat.clients.is_empty());
    }

    #[test]
    fn rates_are_of_a_second() {
        let counters = |received, sent| Counters {
            received,
            sent,
            ..Counters::default()
        };
        let rates = rates(&counters(10, 8), &counters(60, 8), Duration::from_secs(5));
        assert_eq!((rates.received, rates.sent), (10.0, 0.0));
    }

    #[tokio::test(start_paused = true)]
    async fn it_beats_until_the_stop_and_says_so() {
        let ctx = Context::new(Duration::from_secs(1));
        let heard: Arc<Mutex<Vec<(String, Heartbeat)>>> = Arc::default();
        let ears = Arc::clone(&heard);
        let beating = PULSE.start(&ctx, move |key, json| {
            let beat = serde_json::from_slice(&json).expect("is a heartbeat");
            ears.lock().push((key.to_owned(), beat));
        });
        tokio::time::sleep(PERIOD * 2 + PERIOD / 2).await;
        ctx.stop.cancel();
        beating.await.expect("it ends");
        let heard = heard.lock();
        let stopping: Vec<bool> = heard.iter().map(|(_, beat)| beat.is_stopping).collect();
        assert_eq!(stopping, [false, false, false, true]);
        let rates: Vec<_> = heard.iter().map(|(_, beat)| beat.rates.is_some()).collect();
        assert_eq!(rates, [false, true, true, true]);
        let (key, beat) = heard.first().expect("there are four");
        assert_eq!(*key, format!("syslog-server.{}", beat.instance));
    }
}
