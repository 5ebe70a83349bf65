//! What is heard of all services: the last heartbeat of each, and what follows from those before it.

mod known;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use broker::{Backlog, Broker, Listening};
use parking_lot::Mutex;
use service::Heartbeat;
use tokio_util::sync::CancellationToken;

pub(crate) use self::known::{Known, Pace};

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
#[derive(Debug, Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<HashMap<String, Known>>>);

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
        let mut all = self.0.lock();
        // A service that was started again on its host is not there twice, unless both live.
        all.retain(|_, known| {
            let is_older = known.beat.service == beat.service
                && known.beat.host == beat.host
                && known.beat.instance != beat.instance
                && known.beat.since < beat.since;
            let age = now.saturating_duration_since(known.heard_at);
            let limit = if known.beat.is_stopping { STOPPED } else { FORGET };
            !(is_older && known.is_silent(now)) && age < limit
        });
        let key = format!("{}\n{}", beat.service, beat.instance);
        match all.get_mut(&key) {
            Some(known) => known.hear(beat, now),
            None => {
                if all.len() >= KNOWN_MAX {
                    let oldest = all.iter().min_by_key(|(_, known)| known.heard_at);
                    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                        all.remove(&key);
                    }
                }
                all.insert(key, Known::new(beat, now));
            }
        }
    }

    /// All that is known, by service and host.
    pub(crate) fn all(&self) -> Vec<Known> {
        let mut all: Vec<_> = self.0.lock().values().cloned().collect();
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
        assert_eq!(hub.all()[0].pace(at(1)), None, "one beat is no rate");
        hub.hear(beat("parser", "a", 1, 1500), at(5));
        hub.hear(beat("parser", "a", 1, 2000), at(10));
        let pace = hub.all()[0].pace(at(11)).unwrap();
        assert!((pace.received - 100.0).abs() < 1.0, "{pace:?}");
        assert!(!hub.all()[0].is_silent(at(20)) && hub.all()[0].is_silent(at(26)));
        assert_eq!(hub.all()[0].pace(at(26)), None, "unknown, not zero");
        hub.hear(beat("parser", "a", 1, 10), at(30));
        assert_eq!(hub.all()[0].pace(at(31)), None, "it counts anew");
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
