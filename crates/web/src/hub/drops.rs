//! Datagrams that the kernel dropped, as one intake tells of its listeners.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use service::Heartbeat;

const NAME: &str = "logferry_intake_kernel_drops_total{";
/// Heartbeats over which they are counted: a minute.
const HEARTBEATS: usize = 13;

/// By listener, since the process was started, in the last heartbeats that told of any.
#[derive(Debug, Clone, Default)]
pub(super) struct Drops(VecDeque<(Instant, BTreeMap<String, f64>)>);

impl Drops {
    pub(super) fn hear(&mut self, beat: &Heartbeat, now: Instant) {
        let of_listeners = beat.measures.iter().filter(|(name, _)| name.starts_with(NAME));
        let drops: BTreeMap<_, _> = of_listeners
            .filter_map(|(name, count)| Some((name.split('"').nth(1)?.to_owned(), *count)))
            .collect();
        if drops.is_empty() {
            return;
        }
        let counts_anew = |(_, before): &(_, BTreeMap<String, f64>)| {
            drops
                .iter()
                .any(|(listener, count)| before.get(listener).is_some_and(|before| count < before))
        };
        if self.0.back().is_some_and(counts_anew) {
            self.0.clear();
        }
        self.0.push_back((now, drops));
        if self.0.len() > HEARTBEATS {
            self.0.pop_front();
        }
    }

    /// Since the process was started.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, f64)> {
        let drops = self.0.back().into_iter().flat_map(|(_, drops)| drops);
        drops.map(|(listener, count)| (&**listener, *count))
    }

    /// Per minute, in the last one; nothing while that is not known.
    pub(super) fn per_min(&self) -> Vec<(String, f64)> {
        let (Some((begin, first)), Some((end, last))) = (self.0.front(), self.0.back()) else {
            return Vec::new();
        };
        let minutes = end.saturating_duration_since(*begin).as_secs_f64() / 60.0;
        if minutes <= 0.0 {
            return Vec::new();
        }
        let per_min = |(listener, count): (&String, &f64)| {
            let more = (count - first.get(listener).copied().unwrap_or(0.0)).max(0.0);
            (listener.clone(), more / minutes)
        };
        last.iter().map(per_min).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hub::tests::beat;

    #[test]
    fn what_the_kernel_drops_is_told_per_minute() {
        let start = Instant::now();
        let mut drops = Drops::default();
        let mut hear = |seconds, count| {
            let mut beat = beat("syslog-server", "a", 1, 1);
            beat.measures.insert(format!("{NAME}listener=\"udp\"}}"), count);
            drops.hear(&beat, start + Duration::from_secs(seconds));
            drops.clone()
        };
        let first = hear(0, 100.0);
        assert_eq!(first.all().collect::<Vec<_>>(), [("udp", 100.0)]);
        assert!(first.per_min().is_empty(), "one beat is no rate");
        assert!((hear(30, 115.0).per_min()[0].1 - 30.0).abs() < 0.1);
        for beat in 0..HEARTBEATS as u64 {
            hear(60 + beat * 5, 115.0);
        }
        let quiet = hear(130, 115.0).per_min();
        assert!(quiet[0].1 < 0.1, "they are of another minute: {quiet:?}");
        assert!(hear(140, 0.0).per_min().is_empty(), "it counts anew");
    }
}
