//! What is heard of all services: the last heartbeat of each, and what follows from those before it.

mod custodies;
mod drops;
mod known;
mod past;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use broker::{Backlog, Broker, Listening};
use jiff::Timestamp;
use parking_lot::Mutex;
use service::Heartbeat;
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    custodies::{KEPT as CUSTODIES_KEPT, Span},
    known::{Known, Pace, Way},
    past::{Grid, Past},
};

/// Processes that are remembered: of more, those that were silent longest are forgotten.
const KNOWN_MAX: usize = 500;
/// A process that was silent for so long is forgotten.
const FORGET: Duration = Duration::from_secs(3600);
/// A process that said that it stops is shown for so long.
const STOPPED: Duration = Duration::from_secs(60);
/// A heartbeat with a thousand clients is about 200 kB.
const BACKLOG: Backlog = Backlog {
    messages: 2000,
    bytes: 32 << 20,
};
/// A heartbeat that is larger is none of ours.
const BEAT_BYTES_MAX: usize = 2 << 20;

/// Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    /// Nothing was heard before.
    pub(crate) began: Timestamp,
    all: Arc<Mutex<HashMap<String, Known>>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            began: Timestamp::now(),
            all: Arc::default(),
        }
    }
}

impl Hub {
    /// Listens until `stop`.
    pub(crate) async fn run(self, broker: Broker, stop: CancellationToken) {
        let mut listening: Listening = broker.listen_to_status(BACKLOG);
        while let Some(Some(heard)) = stop.run_until_cancelled(listening.next()).await {
            if heard.body.len() > BEAT_BYTES_MAX {
                continue;
            }
            match serde_json::from_slice(&heard.body) {
                Ok(beat) => self.hear(beat, Instant::now()),
                // Another version may say more than we know.
                Err(error) => tracing::debug!(%error, key = heard.routing_key, "a heartbeat cannot be read"),
            }
        }
    }

    pub(crate) fn hear(&self, beat: Heartbeat, now: Instant) {
        let mut all = self.all.lock();
        let mut before = None;
        // A service that was started again on its host is not there twice, unless both live.
        all.retain(|_, known| {
            let is_older = known.beat.service == beat.service
                && known.beat.host == beat.host
                && known.beat.instance != beat.instance
                && known.beat.since < beat.since;
            let age = now.saturating_duration_since(known.heard_at);
            let limit = if known.beat.is_stopping { STOPPED } else { FORGET };
            let is_replaced = is_older && known.is_silent(now);
            if is_replaced {
                before = Some(known.clone());
            }
            !is_replaced && age < limit
        });
        let key = format!("{}\n{}", beat.service, beat.instance);
        if !all.contains_key(&key) && all.len() >= KNOWN_MAX {
            let oldest = all.iter().min_by_key(|(_, known)| known.heard_at);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                all.remove(&key);
            }
        }
        let known = match all.entry(key) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.hear(beat, now);
                known
            }
            Entry::Vacant(place) => place.insert(Known::new(beat, now)),
        };
        if let Some(before) = before {
            known.inherit(&before);
        }
    }

    /// All that is known, by service and host.
    pub(crate) fn all(&self) -> Vec<Known> {
        let mut all: Vec<_> = self.all.lock().values().cloned().collect();
        all.sort_by(|a, b| {
            let key = |known: &Known| (known.beat.service.clone(), known.beat.instance.clone());
            key(a).cmp(&key(b))
        });
        all
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const OF_LATE: Duration = Duration::from_secs(15);

    pub(crate) fn beat(service: &str, instance: &str, since: i64, received: u64) -> Heartbeat {
        Heartbeat {
            service: service.to_owned(),
            instance: instance.to_owned(),
            host: "web01".to_owned(),
            version: "1".to_owned(),
            since: jiff::Timestamp::from_second(since).unwrap(),
            at: jiff::Timestamp::now(),
            period_ms: 5000,
            is_stopping: false,
            counters: service::heartbeat::Counters {
                received,
                sent: received,
                ..Default::default()
            },
            rates: None,
            oldest_unsettled_s: None,
            measures: Default::default(),
            not_ready: Vec::new(),
            last_error: None,
            durability: None,
            clients: Vec::new(),
            clients_total: 0,
        }
    }

    #[test]
    fn rates_follow_from_the_counters_and_a_restart_is_no_negative_rate() {
        let hub = Hub::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        hub.hear(beat("parser", "a", 1, 1000), at(0));
        assert_eq!(hub.all()[0].pace(OF_LATE, at(1)), None, "one beat is no rate");
        hub.hear(beat("parser", "a", 1, 1500), at(5));
        hub.hear(beat("parser", "a", 1, 2000), at(10));
        let pace = hub.all()[0].pace(OF_LATE, at(11)).unwrap();
        assert!((pace.received - 100.0).abs() < 1.0, "{pace:?}");
        assert!(!hub.all()[0].is_silent(at(20)) && hub.all()[0].is_silent(at(26)));
        assert_eq!(hub.all()[0].pace(OF_LATE, at(26)), None, "unknown, not zero");
        hub.hear(beat("parser", "a", 1, 10), at(30));
        assert_eq!(hub.all()[0].pace(OF_LATE, at(31)), None, "it counts anew");
    }

    #[test]
    fn rates_of_steps_are_where_it_was_heard_and_not_elsewhere() {
        let hub = Hub::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for beats in 0..=24 {
            // Ten a second; the age of the oldest is told in the second minute.
            let mut beat = beat("parser", "a", 1, beats * 50);
            beat.oldest_unsettled_s = (beats >= 12).then_some(if beats == 15 { 3.0 } else { 0.5 });
            hub.hear(beat, at(beats * 5));
        }
        let grid = Grid {
            end: at(140),
            step: Duration::from_secs(20),
            steps: 7,
        };
        let known = &hub.all()[0];
        let (rates, oldest) = (known.rates(Way::Received, grid), known.oldest(grid));
        assert_eq!(rates[..6], [Some(10.0); 6]);
        assert_eq!(rates[6], None, "it was not heard to the end");
        assert_eq!(oldest[..3], [None; 3]);
        assert_eq!(oldest[3..6], [Some(3.0), Some(0.5), Some(0.5)]);
        let long = known.pace(Duration::from_secs(300), at(121)).unwrap();
        assert!(
            (long.received - 10.0).abs() < 1e-9,
            "as long as it is known: {long:?}"
        );
    }

    #[test]
    fn warnings_are_kept_and_each_once() {
        let hub = Hub::default();
        let now = Instant::now();
        for second in [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] {
            let mut beat = beat("parser", "a", 1, 0);
            beat.last_error = Some(service::heartbeat::Trouble {
                at: Timestamp::from_second(second).unwrap(),
                level: "warning".to_owned(),
                text: "slow".to_owned(),
            });
            hub.hear(beat, now);
        }
        let known = &hub.all()[0];
        let kept: Vec<_> = known
            .troubles
            .iter()
            .map(|trouble| trouble.at.as_second())
            .collect();
        assert_eq!(kept, (2..=11).collect::<Vec<_>>());
    }

    #[test]
    fn what_acks_meant_is_known_after_a_restart() {
        let hub = Hub::default();
        let start = Instant::now();
        let now = Timestamp::now();
        let ago = |seconds| now - jiff::SignedDuration::from_secs(seconds);
        for (instance, since, level, after) in [("a", 1, "quorum", 0), ("b", 2, "refusing", 30)] {
            let mut beat = beat("syslog-server", instance, since, 0);
            beat.durability = Some(service::heartbeat::InForce {
                in_force: level.to_owned(),
                weaker: None,
                since: ago(if instance == "a" { 60 } else { 0 }),
                why: String::new(),
            });
            hub.hear(beat, start + Duration::from_secs(after));
        }
        let all = hub.all();
        assert_eq!(all.len(), 1);
        let levels: Vec<_> = all[0]
            .custodies
            .spans()
            .map(|span| &*span.told.in_force)
            .collect();
        assert_eq!(levels, ["quorum", "refusing"]);
    }

    #[test]
    fn a_restarted_service_takes_the_place_of_the_one_before() {
        let hub = Hub::default();
        let start = Instant::now();
        hub.hear(beat("parser", "a", 1, 0), start);
        hub.hear(beat("parser", "b", 2, 0), start + Duration::from_secs(5));
        assert_eq!(hub.all().len(), 2, "both may live");
        hub.hear(beat("parser", "b", 2, 0), start + Duration::from_secs(30));
        assert_eq!(hub.all().len(), 1);
        assert_eq!(hub.all()[0].beat.instance, "b");
    }

    #[test]
    fn processes_without_end_are_not_kept() {
        let hub = Hub::default();
        let start = Instant::now();
        for number in 0..KNOWN_MAX as u64 + 10 {
            let instance = format!("p{number}");
            hub.hear(
                beat("parser", &instance, 1, 0),
                start + Duration::from_millis(number),
            );
        }
        assert_eq!(hub.all().len(), KNOWN_MAX);
        hub.hear(beat("web", "w", 1, 0), start + FORGET + Duration::from_secs(2));
        assert_eq!(hub.all().len(), 1);
    }
}
