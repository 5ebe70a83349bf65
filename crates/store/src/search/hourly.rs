//! How much hosts sent, hour by hour, from the hour rollup. Hours are numbered from 1970.

use std::{collections::HashMap, ops::Range};

use event::Timestamp;

use super::{LIMIT_MAX, SearchError};
use crate::{Kind, Store};

/// Hours that are told of at once: six weeks.
pub const HOURS_MAX: usize = 1008;

const HOUR_MICROS: i64 = 3_600_000_000;

/// How much each of many hosts sent in some hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hourly {
    known_from: Option<i64>,
    ranges: Vec<Range<i64>>,
    /// In the order of the hours; nothing for a host that sent nothing in any of them.
    counts: HashMap<String, Vec<u32>>,
}

/// How much one of the hosts sent.
#[derive(Debug, Clone, Copy)]
pub struct HoursOf<'a> {
    hourly: &'a Hourly,
    counts: &'a [u32],
}

/// What is wanted of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRequest {
    /// Its name, as it stands in the catalogue.
    pub hostname: String,
    /// So many hours, up to the one of `now`.
    pub hours: usize,
    /// Severities and applications are those of the last so many of them.
    pub recent: usize,
    /// Applications at most.
    pub apps: usize,
    /// The last hour is the one of this instant.
    pub now: Timestamp,
}

/// What one host sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The first hour of which the store knows anything.
    pub known_from: Option<i64>,
    /// The number of the first of `hours`.
    pub from: i64,
    /// Events in each hour, the oldest first.
    pub hours: Vec<u64>,
    /// Events of the recent hours by severity; the last is for those without one.
    pub severities: [u64; 9],
    /// The applications that sent the most in the recent hours, and how much.
    pub apps: Vec<(String, u64)>,
}

impl Store {
    /// How much these hosts sent in these hours, which are in order and apart. It reads a row for each hour, host and
    /// application, so whoever asks for many keeps the answer for a while.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn hourly(&self, hostnames: &[String], ranges: &[Range<i64>]) -> Result<Hourly, SearchError> {
        if hostnames.len() > LIMIT_MAX {
            return Err(SearchError::Limit(hostnames.len()));
        }
        let hourly = Hourly::new(hostnames, ranges)?;
        match &*self.kind {
            Kind::Postgres(store) => Ok(store.hourly(hourly).await?),
            Kind::Sqlite(store) => Ok(store.hourly(hourly).await?),
        }
    }

    /// What a host sent; all zero for one that is not known.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn profile(&self, request: &ProfileRequest) -> Result<Profile, SearchError> {
        for limit in [request.hours, request.recent] {
            if !(1..=HOURS_MAX).contains(&limit) {
                return Err(SearchError::Limit(limit));
            }
        }
        if !(1..=LIMIT_MAX).contains(&request.apps) {
            return Err(SearchError::Limit(request.apps));
        }
        match &*self.kind {
            Kind::Postgres(store) => Ok(store.profile(request).await?),
            Kind::Sqlite(store) => Ok(store.profile(request).await?),
        }
    }
}

/// The number of the hour of an instant.
pub(crate) const fn hour_of(micros: i64) -> i64 {
    micros.div_euclid(HOUR_MICROS)
}

/// When an hour begins.
pub(crate) const fn start_of(hour: i64) -> i64 {
    hour.saturating_mul(HOUR_MICROS)
}

impl Hourly {
    fn new(hostnames: &[String], ranges: &[Range<i64>]) -> Result<Self, SearchError> {
        let hours: usize = ranges.iter().map(length).sum();
        if hours > HOURS_MAX {
            return Err(SearchError::Limit(hours));
        }
        Ok(Self {
            known_from: None,
            ranges: ranges.to_vec(),
            counts: hostnames.iter().map(|name| (name.clone(), Vec::new())).collect(),
        })
    }

    /// The first hour of which the store knows anything.
    #[must_use]
    pub const fn known_from(&self) -> Option<i64> {
        self.known_from
    }

    /// What a host sent; `None` for one that was not asked for.
    #[must_use]
    pub fn of(&self, hostname: &str) -> Option<HoursOf<'_>> {
        let counts = self.counts.get(hostname)?;
        Some(HoursOf { hourly: self, counts })
    }

    pub(crate) fn know_from(&mut self, hour: Option<i64>) {
        self.known_from = hour;
    }

    pub(crate) fn hostnames(&self) -> Vec<String> {
        self.counts.keys().cloned().collect()
    }

    /// Pieces of the ranges, of a day at most each, in microseconds.
    pub(crate) fn days(&self) -> Vec<(i64, i64)> {
        const DAY: usize = 24;
        let mut days = Vec::new();
        for range in &self.ranges {
            for from in range.clone().step_by(DAY) {
                let to = range.end.min(from + DAY as i64);
                days.push((start_of(from), start_of(to)));
            }
        }
        days
    }

    /// Adds events of the hour that begins at an instant, if that host and hour were asked for.
    pub(crate) fn add(&mut self, hostname: &str, start: i64, events: i64) {
        let (place, length) = (self.place(hour_of(start)), self.ranges.iter().map(length).sum());
        let Some((counts, place)) = self.counts.get_mut(hostname).zip(place) else {
            return;
        };
        counts.resize(length, 0);
        if let Some(count) = counts.get_mut(place) {
            *count = count.saturating_add(u32::try_from(events).unwrap_or(u32::MAX));
        }
    }

    fn place(&self, hour: i64) -> Option<usize> {
        let mut before = 0;
        for range in &self.ranges {
            if range.contains(&hour) {
                return Some(before + length(&(range.start..hour)));
            }
            before += length(range);
        }
        None
    }
}

impl HoursOf<'_> {
    /// Events in an hour; none in one that was not asked for.
    #[must_use]
    pub fn events(&self, hour: i64) -> u32 {
        let place = self.hourly.place(hour);
        place
            .and_then(|place| self.counts.get(place))
            .copied()
            .unwrap_or(0)
    }
}

fn length(range: &Range<i64>) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)
}

impl ProfileRequest {
    /// All hours, by number.
    pub(crate) fn all(&self) -> Range<i64> {
        self.last(self.hours)
    }

    /// The recent ones.
    pub(crate) fn recent(&self) -> Range<i64> {
        self.last(self.recent)
    }

    fn last(&self, hours: usize) -> Range<i64> {
        let end = hour_of(self.now.as_micros()) + 1;
        end - i64::try_from(hours).unwrap_or(0)..end
    }

    /// The profile before anything is counted.
    pub(crate) fn empty(&self) -> Profile {
        Profile {
            from: self.all().start,
            hours: vec![0; self.hours],
            ..Profile::default()
        }
    }
}

impl Profile {
    /// Adds what came in the hour that begins at an instant, by severity.
    pub(crate) fn add(&mut self, start: i64, counts: [i64; 9], recent: &Range<i64>) {
        let hour = hour_of(start);
        let events: u64 = counts.iter().map(|count| count.unsigned_abs()).sum();
        let place = usize::try_from(hour - self.from).ok();
        if let Some(sum) = place.and_then(|place| self.hours.get_mut(place)) {
            *sum += events;
        }
        if recent.contains(&hour) {
            for (sum, count) in self.severities.iter_mut().zip(counts) {
                *sum += count.unsigned_abs();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_found_in_their_ranges_and_others_are_none() {
        let names = ["web01".to_owned(), "web02".to_owned()];
        let mut hourly = Hourly::new(&names, &[10..12, 100..150]).unwrap();
        for (hostname, hour, events) in [
            ("web01", 11, 3),
            ("web01", 100, 5),
            ("web01", 100, 1),
            ("web01", 12, 9),
            ("other", 11, 9),
        ] {
            hourly.add(hostname, start_of(hour), events);
        }
        for (hostname, hour, events) in [
            ("web01", 11, 3),
            ("web01", 100, 6),
            ("web01", 10, 0),
            ("web01", 12, 0),
            ("web02", 11, 0),
        ] {
            let of = hourly.of(hostname).unwrap();
            assert_eq!(of.events(hour), events, "{hostname} {hour}");
        }
        assert!(hourly.of("other").is_none());
        let days: Vec<_> = hourly
            .days()
            .into_iter()
            .map(|(from, to)| hour_of(from)..hour_of(to))
            .collect();
        assert_eq!(days, [10..12, 100..124, 124..148, 148..150]);
        assert!(matches!(
            Hourly::new(&names, std::slice::from_ref(&(0..2000))),
            Err(SearchError::Limit(2000))
        ));
    }
}
